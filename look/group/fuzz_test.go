package group

import "testing"

// Any name is refused or a group: its table is one, and its own name is read as
// a group of the same order.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"Z5xZ6", "S3", "mul7", "Dic3", " d4 ", "Q8xZ2", "Z99999999999999999999", "xxxx", "Z0", "z1x", "mul1", "Z002"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		g, err := Parse(name)
		if err != nil {
			return
		}
		if g.Order() < 1 || g.Order() > MaxOrder {
			t.Fatalf("%q has order %d", name, g.Order())
		}
		again, err := Parse(g.Name())
		if err != nil || again.Order() != g.Order() || again.Name() != g.Name() {
			t.Fatalf("%q is called %q, which is %v, %v", name, g.Name(), again, err)
		}
	})
}
