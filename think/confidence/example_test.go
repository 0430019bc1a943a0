package confidence_test

import (
	"fmt"

	"orrery/think/confidence"
)

// A trace that starts sure and loses its way, measured in groups of two tokens.
func ExampleTracker() {
	t := confidence.New(confidence.Config{Window: 2, K: 2})
	for _, top := range [][]float64{{-0.1, -15.9}, {-13.8, -0.2}, {-1, -2}, {-0.5, -2.5}} {
		if group, ok := t.Add(top); ok {
			fmt.Printf("group %.2f\n", group)
		}
	}
	m := t.Measures()
	fmt.Printf("lowest %.2f, mean %.2f\n", m.Lowest, m.Mean)
	// Output:
	// group 7.50
	// group 4.25
	// group 1.50
	// lowest 1.50, mean 4.50
}
