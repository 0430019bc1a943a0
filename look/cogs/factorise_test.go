package cogs

import (
	"fmt"
	"math"
	"math/cmplx"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

// planted is a network with an element of each kind at its frequencies, in turn.
func planted(d int, p Phases) (*Spectrum, []Kind) {
	kinds := make([]Kind, d/2+1)
	b := everywhere(d, func(k int) Element {
		switch k % 3 {
		case 0:
			kinds[k] = Kind4
			return ZNuI().Times(ZXi(p.Xi))
		case 1:
			kinds[k] = Kind6i
			return ZNuI().Times(ZSynAlphaBeta(p.Alpha, p.Beta))
		}
		kinds[k] = Kind6
		return ZNu(p.Nu).Times(ZSyn())
	})
	return b.Spectrum, kinds
}

// hidden changes what the loss does not depend on, and adds dead nodes and noise.
// It returns where the frequencies went.
func hidden(s *Spectrum, noise float64, seed uint64) (*Spectrum, func(k int) int) {
	rng := rand.New(rand.NewPCG(seed, 8))
	d := s.D
	unitOfZ := 1 + rng.IntN(d-1) // d is prime
	swap := rng.IntN(2) == 1
	shiftX, shiftY := rng.Float64()*6, rng.Float64()*6 // any real shift is a gauge of one frequency
	const dead = 5
	out := NewSpectrum(d, s.Q+dead)
	to := func(k int) int { return min(k*unitOfZ%d, d-k*unitOfZ%d) }
	order := rng.Perm(out.Q)
	for j := range s.Q {
		sign := complex(float64(1-2*rng.IntN(2)), 0)
		// The authors' rule compares sizes too, so that they may differ a little
		// only: weight decay makes trained nodes alike.
		g := complex(1+0.02*(2*rng.Float64()-1), 0)
		for k := 1; k <= d/2; k++ {
			a, b, c := s.A[j*d+k], s.B[j*d+k], s.C[j*d+k]
			if swap {
				a, b = b, a
			}
			turnA, turnB := shiftX*float64(k), shiftY*float64(k)
			set := func(row []complex128, v complex128) {
				m := k * unitOfZ % d
				out.set(row, order[j], m, v)
			}
			set(out.A, sign*g*a*unit(turnA))
			set(out.B, sign*g*b*unit(turnB))
			set(out.C, c/(g*g)*unit(-turnA-turnB))
		}
	}
	for _, row := range [][]complex128{out.A, out.B, out.C} {
		for j := range out.Q {
			for k := 1; k <= d/2; k++ {
				out.set(row, j, k, row[j*d+k]+complex(noise*rng.NormFloat64(), noise*rng.NormFloat64()))
			}
		}
	}
	return out, to
}

func TestFactoriseFindsWhatWasPlanted(t *testing.T) {
	const d = 23
	// The triads of c are 0.75 and 0.74 rad apart: more than 0.3, and not near π/6,
	// where −ν̄² times a third root is −i and the authors' rule says z_ξ. α and β
	// are away from z_syn, which belongs to both families.
	for _, p := range []Phases{{Nu: 0.9, Xi: 0.4, Alpha: 0.5, Beta: 1.1}, {Nu: 2.25, Xi: 1.3, Alpha: 2.0, Beta: -0.9}} {
		for seed := range uint64(12) {
			s, kinds := planted(d, p)
			// Of amplitudes of 0.15 and 0.18: phases are off by some 0.01 rad, far
			// from the 0.1 that decides.
			s, to := hidden(s, 0.001, seed)
			f := s.Factorise()
			if f.Dropped != 5 || len(f.DC) != 0 {
				t.Fatalf("%d nodes are dropped and %d at DC, want the 5 dead ones alone", f.Dropped, len(f.DC))
			}
			for k := 1; k <= d/2; k++ {
				got := f.Frequencies[to(k)-1]
				name := fmt.Sprintf("seed %d, k=%d at %d", seed, k, to(k))
				if got.Robust.Kind != kinds[k] || got.Compatible.Kind() != kinds[k] {
					t.Errorf("%s: %s is found to be %s at distance %.3f, and %s (%s, %s, err %.3f)", name, kinds[k],
						got.Robust.Kind, got.Robust.Distance, got.Compatible.Kind(), got.Compatible.First, got.Compatible.Second, got.Compatible.Err)
				}
				// 24 products, each off by 3 times 0.001/0.15.
				near(t, name+": r", cmplx.Abs(got.R), 1, 0.05)
				near(t, name+": Rc", got.Rc, 0, 0.03)
				near(t, name+": R*", got.RStar, 0, 0.03)
				wantRn := 0.0
				if kinds[k] == Kind4 {
					wantRn = math.Sqrt2 / 2
				}
				near(t, name+": Rn", got.Rn, wantRn, 0.03)
			}
		}
	}
}

// Without noise the parameters come back, whatever the gauge.
func TestFactoriseFindsPhases(t *testing.T) {
	const d = 23
	p := Phases{Nu: 1.3, Xi: 0.4, Alpha: 0.3, Beta: 1.1}
	s, kinds := planted(d, p)
	for seed := range uint64(6) {
		v, to := hidden(s, 0, seed)
		f := v.Factorise()
		for k := 1; k <= d/2; k++ {
			got := f.Frequencies[to(k)-1].Robust
			switch kinds[k] {
			case Kind4: // exchanging a and b turns ξ to −iξ̄
				if x := got.Xi; math.Abs(x-p.Xi) > 1e-9 && math.Abs(x-quarter(-p.Xi)) > 1e-9 {
					t.Errorf("seed %d, k=%d: ξ at %g, want %g", seed, k, x, p.Xi)
				}
			case Kind6:
				near(t, "ν", got.Nu, p.Nu, 1e-9)
			case Kind6i:
				near(t, "ν=i", got.Nu, math.Pi/2, 1e-7)
				near(t, "distance", got.Distance, 0, 1e-9)
				if math.IsNaN(got.Alpha) || math.IsNaN(got.Beta) {
					t.Errorf("seed %d, k=%d: α at %g, β at %g", seed, k, got.Alpha, got.Beta)
				}
			}
		}
	}
	// α and β without exchange and mirror, which change their names.
	got := ZNuI().Times(ZSynAlphaBeta(p.Alpha, p.Beta)).robust()
	near(t, "α", got.Alpha, p.Alpha, 1e-9)
	near(t, "β", got.Beta, p.Beta, 1e-9)
}

// z_ν=i*z_syn belongs to both families of order 6.
func TestSynAtNuIIsNuI(t *testing.T) {
	if got := ZNuI().Times(ZSyn()).robust(); got.Kind != Kind6i {
		t.Errorf("z_ν=i*z_syn is %s", got.Kind)
	}
	for delta, want := range map[float64]bool{0.05: false, 0.15: true, 0.3: false} {
		z := ZNu((math.Pi - delta) / 2).Times(ZSyn())
		got := z.robust()
		near(t, "distance", got.Distance, delta, 1e-9)
		if got.Near != want {
			t.Errorf("at distance %g, near is %t", delta, got.Near)
		}
	}
}

func TestOtherOrders(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{0, 1, 5, 7, 8} {
		z := randomElement(rng, n)
		if z.robust().Kind != Other || z.compatible().Factorable {
			t.Errorf("%d nodes are called %s", n, z.robust().Kind)
		}
	}
	// Four nodes whose c are not two pairs a quarter turn apart.
	one := []complex128{1, 1, 1, 1}
	if got := (Element{one, one, []complex128{1, 1i, -1, -1i}}).robust(); got.Kind != Other {
		t.Errorf("four nodes around the circle are called %s", got.Kind)
	}
}

func TestAssign(t *testing.T) {
	s := NewSpectrum(5, 4)
	s.set(s.A, 0, 2, 0.06)
	s.A[1*5] = 0.2 // DC
	s.set(s.A, 2, 1, 0.049)
	s.set(s.A, 3, 1, 0.3)
	s.set(s.A, 3, 2, 0.31i)
	f := s.Factorise()
	if f.Dropped != 1 || len(f.DC) != 1 || f.DC[0] != 1 || f.Frequencies[0].Order() != 0 || f.Frequencies[1].Order() != 2 {
		t.Errorf("nodes are assigned wrongly: %+v", f)
	}
	if got := threshold(251); got != 0.025 {
		t.Errorf("threshold %g", got)
	}
}

// The interval of Wilson (1927), against values of an independent program
// (statsmodels' proportion_confint, method wilson).
func TestWilson(t *testing.T) {
	for _, c := range []struct {
		n, all    int
		low, high float64
	}{{47, 110, 0.3389, 0.5207}, {0, 10, 0, 0.2775}, {10, 10, 0.7225, 1}} {
		i := Wilson(c.n, c.all)
		near(t, "low", i.Low, c.low, 1e-3)
		near(t, "high", i.High, c.high, 1e-3)
		// The ends are where the score test just rejects.
		for _, e := range []float64{i.Low, i.High} {
			if e > 0 && e < 1 {
				z := (float64(c.n)/float64(c.all) - e) / math.Sqrt(e*(1-e)/float64(c.all))
				near(t, "score", math.Abs(z), 1.959964, 1e-5)
			}
		}
	}
	if Wilson(0, 0).String() != "–" {
		t.Error("a share of nothing has a value")
	}
}

func TestPublishedSharesSumToOne(t *testing.T) {
	for _, p := range PublishedShares {
		sum := 0.0
		for _, k := range Kinds {
			sum += p.Share[k]
		}
		near(t, fmt.Sprint(p.D, p.Source), sum, 1, 2e-4)
	}
}

func TestSharesText(t *testing.T) {
	s, _ := planted(23, Generic)
	f := s.Factorise()
	text := SharesText(23, Count(f, f))
	if len(text) != 6 || !strings.Contains(text[2], "| 6 ") || !strings.Contains(text[2], "47.07 %") {
		t.Errorf("two networks with three frequencies of order 4 each:\n%s", strings.Join(text, "\n"))
	}
	for _, l := range text {
		if utf8.RuneCountInString(l) != utf8.RuneCountInString(text[0]) {
			t.Errorf("lines differ in width:\n%s", strings.Join(text, "\n"))
		}
	}
}
