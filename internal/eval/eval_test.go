package eval

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestWilsonMatchesPublishedValues uses Newcombe 1998, table I, method 3.
func TestWilsonMatchesPublishedValues(t *testing.T) {
	for _, c := range []struct {
		k, n      int
		low, high float64
	}{{81, 263, 0.2553, 0.3662}, {15, 148, 0.0624, 0.1605}, {0, 20, 0, 0.1611}, {1, 29, 0.0061, 0.1718}} {
		low, high := Wilson(c.k, c.n)
		if math.Abs(low-c.low) > 5e-5 || math.Abs(high-c.high) > 5e-5 { // the table's rounding
			t.Errorf("Wilson(%d, %d) = %.4f–%.4f, published %.4f–%.4f", c.k, c.n, low, high, c.low, c.high)
		}
	}
	if low, high := Wilson(0, 0); low != 0 || high != 1 {
		t.Errorf("no trials: %v–%v, want 0–1", low, high)
	}
}

func TestAUCMatchesItsDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		s := make([]scored, rng.IntN(12))
		for i := range s {
			s[i] = scored{float64(rng.IntN(5)), rng.IntN(2) == 0} // few values: many ties
		}
		var pairs, wins float64
		for _, a := range s {
			for _, b := range s {
				if a.right && !b.right {
					pairs++
					switch {
					case a.confidence > b.confidence:
						wins++
					case a.confidence == b.confidence:
						wins += 0.5
					}
				}
			}
		}
		if p, w := auc(s); p != pairs || w != wins {
			t.Fatalf("%v: %v of %v, want %v of %v", s, w, p, wins, pairs)
		}
	}
}
