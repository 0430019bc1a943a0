package tensor

import (
	"fmt"
	"os"
)

// level is an instruction set that kernels exist for.
type level int

const (
	levelGo level = iota // the plain twins
	levelAVX2
	levelAVX512
)

var levelNames = [...]string{levelGo: "go", levelAVX2: "avx2", levelAVX512: "avx512"}

func (l level) String() string { return levelNames[l] }

// geometry is the shape of a product's tile: rows of a by columns of b. The
// twin has none; it uses that of AVX2 where a layout is asked for.
func (l level) geometry() (mr, nr int) {
	if l == levelAVX512 {
		return 14, 32
	}
	return 6, 16
}

// kernelVariable chooses the kernels; unset or empty: the best the processor has.
const kernelVariable = "ORRERY_KERNELS"

// chooseLevel reads the wish of the user; best is what the processor supports.
func chooseLevel(wish string, best level) (level, error) {
	if wish == "" {
		return best, nil
	}
	for l, name := range levelNames {
		if name != wish {
			continue
		}
		if level(l) > best {
			return 0, fmt.Errorf("tensor: %s=%s: this processor has no such instructions; the best it can do is %q", kernelVariable, wish, best)
		}
		return level(l), nil
	}
	return 0, fmt.Errorf("tensor: %s=%q is not a kind of kernel; use go, avx2 or avx512, or leave it unset for the best", kernelVariable, wish)
}

func mustChoose(best level) level {
	l, err := chooseLevel(os.Getenv(kernelVariable), best)
	if err != nil {
		panic(err)
	}
	return l
}

// Kernels names the kernels in use: "go", "avx2" or "avx512".
func Kernels() string { return isa.String() }
