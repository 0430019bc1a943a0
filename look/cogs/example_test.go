package cogs_test

import (
	"fmt"

	"orrery/look/cogs"
)

// Parts multiply, and what any of them cancels stays cancelled.
func ExampleElement_Times() {
	z := cogs.ZNu(0.9).Times(cogs.ZSyn())
	fmt.Println(z.Order(), "nodes")
	for _, f := range []cogs.Family{cogs.Rc, cogs.Rn, cogs.RStar} {
		fmt.Printf("%s %.1f\n", f, z.Largest(f))
	}
	// Output:
	// 6 nodes
	// Rc 0.0
	// Rn 0.0
	// R* 0.0
}

// A network that adds modulo 7 without training.
func ExampleBuild() {
	b, err := cogs.Build("F46", 7, cogs.Generic)
	if err != nil {
		fmt.Println(err)
		return
	}
	loss, accuracy := b.Weights().Table()
	fmt.Printf("%d nodes, loss %.6f, accuracy %g\n", b.Q, loss, accuracy)
	// Output: 14 nodes, loss 0.000000, accuracy 1
}
