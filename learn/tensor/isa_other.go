//go:build !amd64

package tensor

// isa is the plain twin: other architectures have no assembly yet.
var isa = mustChoose(bestLevel())

func bestLevel() level { return levelGo }
