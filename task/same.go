package task

import "strings"

// sameAnswer reports whether a given answer matches the wanted one.
func sameAnswer(want, given string) bool {
	given = strings.TrimSpace(given)
	return given != "" && given == want
}
