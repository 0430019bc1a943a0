package circuit

import "testing"

// Any name is refused, or is a table with an answer for each pair, among its
// elements.
func FuzzParseTable(f *testing.F) {
	for _, s := range []string{"mod7", "div11", "S4", "mod", "div4", "mod-7", "Z5xZ6"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		b, err := parseTable(name)
		if err != nil {
			return
		}
		if len(b.answer) != b.pairs() || b.pairs() == 0 {
			t.Fatalf("%q has %d answers for %d pairs", name, len(b.answer), b.pairs())
		}
		for p, c := range b.answer {
			if x, y := b.pair(p); c < 0 || c >= b.elements || x >= b.elements || y >= b.elements {
				t.Fatalf("%q: pair %d is %d and %d, answer %d of %d", name, p, x, y, c, b.elements)
			}
		}
	})
}
