package tensor

import "golang.org/x/sys/cpu"

// isa is the instruction set in use; tests change it.
var isa = mustChoose(bestLevel())

func bestLevel() level {
	x := &cpu.X86
	switch {
	case x.HasAVX512F && x.HasAVX512VL && x.HasAVX512BW && x.HasAVX512DQ && x.HasFMA && x.HasBMI2:
		return levelAVX512
	case x.HasAVX2 && x.HasFMA && x.HasBMI2:
		return levelAVX2
	}
	return levelGo
}
