//go:build static || !(linux || darwin || freebsd)

package spectrum

import "errors"

var usualLibraries []string

func openLibrary(string) (*library, error) {
	return nil, errors.New("this build opens no shared libraries")
}
