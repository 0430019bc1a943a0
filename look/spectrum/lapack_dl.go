//go:build !static && (linux || darwin || freebsd)

package spectrum

import (
	"fmt"
	"runtime"
	"strings"
	"unsafe"

	"github.com/ebitengine/purego"
)

var usualLibraries = func() []string {
	if runtime.GOOS == "darwin" {
		return []string{"libopenblas.dylib", "/opt/homebrew/opt/openblas/lib/libopenblas.dylib", "/System/Library/Frameworks/Accelerate.framework/Accelerate"}
	}
	return []string{"libopenblas.so.0", "libmkl_rt.so.2", "libopenblas.so", "libopenblas64_.so.0", "liblapack.so.3"}
}()

// openLibrary opens a shared library without cgo.
func openLibrary(name string) (*library, error) {
	handle, err := purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, err
	}
	lib := &library{name: libraryName(handle, name)}
	for _, symbol := range []string{"dsytrd_", "dsytrd_64_", "dsytrd"} {
		if f, err := purego.Dlsym(handle, symbol); err == nil {
			purego.RegisterFunc(&lib.dsytrd, f)
			return lib, nil
		}
	}
	return nil, fmt.Errorf("%s has no dsytrd", name)
}

// libraryName is "openblas 0.3.21", "lapack 3.11.0", or the file's name.
func libraryName(handle uintptr, file string) string {
	if f, err := purego.Dlsym(handle, "openblas_get_config"); err == nil {
		var config func() string
		purego.RegisterFunc(&config, f)
		if words := strings.Fields(config()); len(words) > 1 {
			return "openblas " + words[1]
		}
		return "openblas"
	}
	if strings.Contains(file, "mkl") {
		return "mkl"
	}
	if f, err := purego.Dlsym(handle, "ilaver_"); err == nil {
		var version [3]int64
		purego.SyscallN(f, uintptr(unsafe.Pointer(&version[0])), uintptr(unsafe.Pointer(&version[1])), uintptr(unsafe.Pointer(&version[2])))
		return fmt.Sprintf("lapack %d.%d.%d", int32(version[0]), int32(version[1]), int32(version[2]))
	}
	return file
}
