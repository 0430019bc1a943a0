package spectrum

import (
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"orrery/learn/tensor"
)

var bothModes = []Mode{Top, Exact}

// TestAgainstJacobi compares every number of a result with the naive twin.
func TestAgainstJacobi(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, size := range [][2]int{{24, 24}, {40, 15}, {15, 40}, {33, 2}} {
		w0 := decaying(r, size[0], size[1])
		w1 := perturbed(r, w0, 1e-3)
		u0, s0, v0 := jacobi(w0.wide())
		u1, s1, v1 := jacobi(w1.wide())
		delta := w1.wide()
		for i, v := range w0.Data {
			delta.data[i] -= float64(v)
		}
		_, sd, _ := jacobi(delta)
		for _, mode := range bothModes {
			got := mustCompare(t, w0, w1, Options{K: 8, Mode: mode, Seed: "x"})
			k := got.K
			// Oversampling reaches the whole of these small matrices, so that both
			// modes are exact: 1e-12 is some 1000 roundings.
			near := func(what string, got, want float64) {
				t.Helper()
				if !(math.Abs(got-want) <= 1e-12*max(1, math.Abs(want))) {
					t.Errorf("%v %s: %s is %v, want %v", size, mode, what, got, want)
				}
			}
			for i := range k {
				near("sigma0", float64(got.Sigma0[i]), s0[i])
				near("sigma1", float64(got.Sigma1[i]), s1[i])
			}
			au, av := naiveAngles(u0.first(k), u1.first(k)), naiveAngles(v0.first(k), v1.first(k))
			for i := range k {
				near("angle u", float64(got.AnglesU[i])*degree, au[i])
				near("angle v", float64(got.AnglesV[i])*degree, av[i])
			}
			var diff, norm, fro float64
			for i := range s0 {
				diff += square(s1[i] - s0[i])
				norm += square(s0[i])
				fro += square(sd[i])
			}
			nss := math.Sqrt(diff / norm)
			if mode == Exact {
				near("nss", float64(*got.NSS), nss)
			} else if lo, hi := float64(got.NSSInterval[0]), float64(got.NSSInterval[1]); !(lo <= nss && nss <= hi && lo > 0) {
				t.Errorf("%v: nss %v is not in [%v, %v]", size, nss, lo, hi)
			}
			near("srank", float64(got.Srank), fro/square(sd[0]))
			near("gap", float64(got.Gap), s0[k-1]-s0[k])
			near("update rank", float64(*got.UpdateRank), float64(min(size[0], size[1])))
			in, out := naiveEnergies(u0.first(k), v0.first(k), delta)
			near("energy in", float64(got.EnergyIn), in)
			near("energy out", float64(got.EnergyOut), out)
		}
	}
}

// naiveAngles are arcsines of the singular values of (I − AAᵀ)B, by Jacobi.
func naiveAngles(a, b dense) []float64 {
	p := a.times(a.transposeTimes(b))
	for i := range p.data {
		p.data[i] = b.data[i] - p.data[i]
	}
	_, s, _ := jacobi(p)
	for i := range s {
		s[i] = math.Asin(min(1, s[i]))
	}
	return s
}

// naiveEnergies by projecting ΔW itself.
func naiveEnergies(u, v, delta dense) (in, out float64) {
	inside := u.times(u.transposeTimes(delta)) // UUᵀΔW
	rest := delta.clone()
	for i := range rest.data {
		rest.data[i] -= inside.data[i]
	}
	inside = inside.times(v).times(v.transposed())
	right := rest.times(v).times(v.transposed())
	for i := range rest.data {
		rest.data[i] -= right.data[i]
	}
	total := delta.sumSquares()
	return inside.sumSquares() / total, rest.sumSquares() / total
}

// plane is diag(σ_1 … σ_c) in (m, n), descending from 1 with a gap after k, and
// the same turned by θ in the plane of left directions k and k+1. Entries are
// exact or relatively exact in float32, so that the angle is θ to 1e-7 of itself.
func plane(m, n, k int, theta float64) (w0, w1 Matrix) {
	w0 = Matrix{make([]float32, m*n), m, n}
	for i := range min(m, n) {
		if i < k {
			w0.Data[i*n+i] = float32(k-i) + 1
		}
	}
	w1 = Matrix{append([]float32(nil), w0.Data...), m, n}
	j := k - 1
	w1.Data[j*n+j] = float32(float64(w0.Data[j*n+j]) * math.Cos(theta))
	w1.Data[k*n+j] = float32(float64(w0.Data[j*n+j]) * math.Sin(theta))
	return w0, w1
}

// TestPlantedAngles recovers one planted angle from 1e-7° to 40°, left or, in
// the transpose, right, and the other angles are reported as bounds only.
func TestPlantedAngles(t *testing.T) {
	for _, degrees := range []float64{1e-7, 1e-5, 1e-3, 0.1, 1, 10, 40, 44.9, 45.1, 89} {
		w0, w1 := plane(60, 48, 4, degrees*degree)
		for _, mode := range bothModes {
			r := mustCompare(t, w0, w1, Options{K: 4, Mode: mode})
			if got := float64(r.AnglesU[0]); math.Abs(got-degrees) > 2e-7*degrees || !math.IsNaN(float64(r.AnglesUBound[0])) {
				t.Errorf("%s: %v° is found as %v°, bound %v, error %v", mode, degrees, got, r.AnglesUBound[0], r.AngleError)
			}
			for i := 1; i < 4; i++ {
				if !(float64(r.AnglesUBound[i]) < 1e-10) {
					t.Errorf("%s, %v°: the untouched angle %d is %v°, bound %v", mode, degrees, i, r.AnglesU[i], r.AnglesUBound[i])
				}
			}
			if b := float64(r.AnglesVBound[0]); !(b < 1e-10) {
				t.Errorf("%s, %v°: a rotation of the left side moved the right one: %v°, bound %v", mode, degrees, r.AnglesV[0], b)
			}
			tr := mustCompare(t, w0.transpose(), w1.transpose(), Options{K: 4, Mode: mode})
			if got := float64(tr.AnglesV[0]); math.Abs(got-degrees) > 2e-7*degrees || !(float64(tr.AnglesUBound[0]) < 1e-10) {
				t.Errorf("%s: transposed, %v° is found as %v°, left bound %v", mode, degrees, got, tr.AnglesUBound[0])
			}
		}
	}
}

// TestPlantedSpectra: diagonal matrices have known spectra and NSS.
func TestPlantedSpectra(t *testing.T) {
	const m, n = 50, 70
	w0, w1 := Matrix{make([]float32, m*n), m, n}, Matrix{make([]float32, m*n), m, n}
	var diff, norm float64
	for i := range m {
		a := float32(math.Exp(-float64(i) / 5)) // down to 5e-5
		b := a * (1 + float32(i%3)*1e-4)
		w0.Data[i*n+i], w1.Data[i*n+(i+7)%n] = a, b // a column permutation changes no spectrum
		diff += square(float64(b) - float64(a))
		norm += square(float64(a))
	}
	r := mustCompare(t, w0, w1, Options{Mode: Exact})
	want := math.Sqrt(diff / norm)
	if got := float64(*r.NSS); math.Abs(got-want) > float64(*r.NSSFloor) || *r.NSSFloor > 1e-9 {
		t.Errorf("NSS is %v, want %v; floor %v", got, want, *r.NSSFloor)
	}
}

// TestInvariants: positive scaling leaves angles and NSS; permutations of rows
// and columns leave spectra; transposition swaps the sides.
func TestInvariants(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	w0 := decaying(r, 40, 30)
	w1 := perturbed(r, w0, 1e-3)
	scaled := func(w Matrix) Matrix {
		s := Matrix{append([]float32(nil), w.Data...), w.Rows, w.Cols}
		for i := range s.Data {
			s.Data[i] *= 0.25 // exact
		}
		return s
	}
	permuted := func(w Matrix) Matrix {
		s := Matrix{make([]float32, len(w.Data)), w.Rows, w.Cols}
		for i := range w.Rows {
			for j := range w.Cols {
				s.Data[(7*i+3)%w.Rows*w.Cols+(11*j+5)%w.Cols] = w.Data[i*w.Cols+j]
			}
		}
		return s
	}
	for _, mode := range bothModes {
		o := Options{K: 14, Mode: mode} // 14 + 16 columns are all of these
		a := mustCompare(t, w0, w1, o)
		near := func(what string, x, y []Num) {
			t.Helper()
			for i := range x {
				if !(math.Abs(float64(x[i]-y[i])) <= 1e-10) {
					t.Errorf("%s, %s: %v, then %v", mode, what, x[i], y[i])
				}
			}
		}
		s := mustCompare(t, scaled(w0), scaled(w1), o)
		near("angles of a scaled pair", a.AnglesU, s.AnglesU)
		near("nss of a scaled pair", nssOf(a), nssOf(s))
		near("energy of a scaled pair", []Num{a.EnergyIn, a.EnergyOut, a.Srank}, []Num{s.EnergyIn, s.EnergyOut, s.Srank})
		p := mustCompare(t, permuted(w0), permuted(w1), o)
		near("spectrum of a permuted pair", a.Sigma1, p.Sigma1)
		near("angles of a permuted pair", a.AnglesV, p.AnglesV)
		x := mustCompare(t, w0.transpose(), w1.transpose(), o)
		near("left angles against right ones", a.AnglesU, x.AnglesV)
		near("right angles against left ones", a.AnglesV, x.AnglesU)
		near("nss of the transposes", nssOf(a), nssOf(x))
	}
}

func nssOf(r Result) []Num {
	if r.NSS != nil {
		return []Num{*r.NSS}
	}
	return r.NSSInterval[:]
}

// TestTheory: Weyl, Mirsky, Ky Fan and the corrected Wedin hold on random pairs
// of every size of update, in both modes.
func TestTheory(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	open := 0
	for trial := range 60 {
		m, n := 2+r.IntN(60), 2+r.IntN(60)
		w0 := decaying(r, m, n)
		if trial%3 == 0 {
			w0 = randomMatrix(r, m, n)
		}
		w1 := perturbed(r, w0, math.Pow(10, -5+5*r.Float64()))
		for _, mode := range bothModes {
			res := mustCompare(t, w0, w1, Options{K: 1 + r.IntN(10), Mode: mode})
			for _, q := range res.Inequalities {
				switch {
				case q.Holds == nil:
					open++
				case !*q.Holds:
					t.Errorf("%d×%d %s: %s is broken: %v > %v", m, n, mode, q.Name, q.Measured, q.Bound)
				}
			}
		}
	}
	if open > 240 { // half of all rows: Wedin says nothing for large updates
		t.Errorf("%d rows are open", open)
	}
}

// TestWedinCounterexample: the published bound, ‖ΔW‖₂ over the base's gap, is
// false on a 2×2 pair of ratio 0.3; the corrected one holds.
func TestWedinCounterexample(t *testing.T) {
	// W0 = diag(1, 0). The reflection of size 0.3 that turns most.
	worst, bound := 0.0, 0.0
	for i := range 1000 {
		phi := float64(i) * math.Pi / 1000
		c, s := 0.3*math.Cos(phi), 0.3*math.Sin(phi)
		w0 := Matrix{[]float32{1, 0, 0, 0}, 2, 2}
		w1 := Matrix{[]float32{float32(1 + c), float32(s), float32(s), float32(-c)}, 2, 2}
		r := mustCompare(t, w0, w1, Options{K: 1, Mode: Exact})
		q := r.Inequalities[3]
		if q.Name != "Wedin" || q.Holds == nil || !*q.Holds {
			t.Fatalf("φ = %v: %+v", phi, q)
		}
		if m := float64(q.Measured); m > worst {
			worst, bound = m, float64(q.Bound)
		}
	}
	if math.Abs(worst-0.316) > 5e-4 || worst <= 0.3 || bound < worst {
		t.Errorf("the largest sine is %v, corrected bound %v; want 0.316 above 0.3", worst, bound)
	}
}

// TestRandomisedWithinCertificate: on matrices that oversampling does not
// exhaust, singular values lie within their error of the exact ones, and
// subspaces within theirs.
func TestRandomisedWithinCertificate(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	separated := 0
	for trial := range 12 {
		m, n := 60+r.IntN(40), 60+r.IntN(40)
		u, _ := householderQR(gaussianOf(r, m, min(m, n)))
		v, _ := householderQR(gaussianOf(r, n, min(m, n)))
		drop := []float64{1, 0.9, 0.5, 0.1}[trial%4]
		w := build(u, v, func(i int) float64 {
			s := math.Pow(float64(i+1), -0.6)
			if i >= 8 {
				s *= drop
			}
			return s
		})
		f, err := randomised(context.Background(), w.operand(), 8, "seed")
		if err != nil {
			t.Fatal(err)
		}
		ju, js, jv := jacobi(w.wide())
		for i := range 8 {
			if d := math.Abs(f.sigma[i] - js[i]); d > f.sigmaError(i)+1e-14 || d > f.rho[i]+1e-14 { // 1e-14: the reference's own rounding
				t.Errorf("trial %d: σ_%d is off by %v; ρ %v, bound %v", trial, i, d, f.rho[i], f.sigmaError(i))
			}
		}
		if f.tau > js[8]*1.000001 && f.maxRho() < 1e-6 || f.tau*tauMargin < js[8] {
			t.Errorf("trial %d: τ is %v, σ_9 is %v", trial, f.tau, js[8])
		}
		for _, a := range [][]float64{naiveAngles(f.u, ju.first(8)), naiveAngles(f.v, jv.first(8))} {
			if math.Sin(a[0]) > f.angleError() {
				t.Errorf("trial %d: the subspace is off by %v, its bound is %v", trial, math.Sin(a[0]), f.angleError())
			}
		}
		if f.separated() {
			separated++
			if js[7] <= js[8] {
				t.Errorf("trial %d: separated, but σ_8 = σ_9", trial)
			}
		} else if c := f.certificate(); c.NearestK == nil {
			t.Errorf("trial %d: no other k is offered", trial)
		}
	}
	if separated < 6 || separated == 12 {
		t.Errorf("%d of 12 are separated; the cases were chosen to be both", separated)
	}
}

// TestIdentical: the same matrix twice has angles of exactly zero, as bounds.
func TestIdentical(t *testing.T) {
	w := decaying(rand.New(rand.NewPCG(13, 14)), 80, 70)
	for _, mode := range bothModes {
		r := mustCompare(t, w, w, Options{K: 8, Mode: mode})
		for i := range r.AnglesU {
			// Only the rounding of C = UᵀU is left.
			if r.AnglesU[i] > 1e-12 || math.IsNaN(float64(r.AnglesUBound[i])) || r.AnglesV[i] > 1e-12 || math.IsNaN(float64(r.AnglesVBound[i])) {
				t.Errorf("%s: angles %v, %v; bounds %v, %v", mode, r.AnglesU[i], r.AnglesV[i], r.AnglesUBound[i], r.AnglesVBound[i])
			}
		}
		if nss := nssOf(r); nss[0] != 0 || nss[len(nss)-1] != 0 {
			t.Errorf("%s: NSS of nothing is %v", mode, nss)
		}
		if *r.UpdateRank != 0 || !math.IsNaN(float64(r.Srank)) || !math.IsNaN(float64(r.EnergyIn)) {
			t.Errorf("%s: rank %v, stable rank %v, energy %v of a zero update", mode, *r.UpdateRank, r.Srank, r.EnergyIn)
		}
	}
}

// TestDegenerate: shapes and contents without a usual spectrum give finite
// numbers or nulls, valid JSON, and no panic.
func TestDegenerate(t *testing.T) {
	fill := func(m, n int, f func(i, j int) float32) Matrix {
		a := Matrix{make([]float32, m*n), m, n}
		for i := range a.Data {
			a.Data[i] = f(i/n, i%n)
		}
		return a
	}
	zero := func(int, int) float32 { return 0 }
	constant := func(int, int) float32 { return 0.5 }
	one := func(i, j int) float32 { return float32(i+1) * float32(j-3) }
	identity := func(i, j int) float32 { return map[bool]float32{true: 1}[i == j] }
	huge := func(i, j int) float32 { return 1e38 * float32(1+(i*j)%3) }
	small := func(i, j int) float32 { return 1e-44 * float32(1+(i*j)%3) }
	kinds := []func(i, j int) float32{zero, constant, one, identity, huge, small}
	for _, size := range [][2]int{{1, 1}, {1, 9}, {9, 1}, {2, 2}, {3, 50}, {40, 40}, {90, 60}} {
		for a, f := range kinds {
			for b, g := range kinds {
				for _, mode := range bothModes {
					w0, w1 := fill(size[0], size[1], f), fill(size[0], size[1], g)
					r := mustCompare(t, w0, w1, Options{K: 16, Mode: mode})
					j, err := json.Marshal(r)
					if err != nil || !json.Valid(j) {
						t.Fatalf("%v %d %d: %v", size, a, b, err)
					}
					for _, q := range r.Inequalities {
						if q.Holds != nil && !*q.Holds {
							t.Errorf("%v kinds %d and %d, %s: %s is broken: %v > %v", size, a, b, mode, q.Name, q.Measured, q.Bound)
						}
					}
					if k := min(size[0], size[1]) / 2; k < 16 && (r.K != max(1, k) || len(r.Warnings) == 0) {
						t.Errorf("%v: k is %d, warnings %v", size, r.K, r.Warnings)
					}
				}
			}
		}
	}
}

func TestRefuses(t *testing.T) {
	good := Matrix{[]float32{1, 2, 3, 4, 5, 6}, 2, 3}
	bad := func(v float64) Matrix { return Matrix{[]float32{1, 2, 3, 4, float32(v), 6}, 2, 3} }
	for name, c := range map[string]struct {
		w0, w1 Matrix
		o      Options
		says   string
	}{
		"nan":      {bad(math.NaN()), good, Options{}, "the base has NaN at row 1, column 1"},
		"infinity": {good, bad(math.Inf(-1)), Options{}, "the tuned matrix has -Inf at row 1, column 1"},
		"empty":    {Matrix{nil, 0, 3}, Matrix{nil, 0, 3}, Options{}, "0×3"},
		"short":    {Matrix{nil, 2, 3}, good, Options{}, "has 0 elements"},
		"shapes":   {good, good.transpose(), Options{}, "2×3 and the tuned matrix 3×2"},
		"mode":     {good, good, Options{Mode: "best"}, `no mode "best"`},
		"k":        {good, good, Options{K: -1}, "k is -1"},
	} {
		if _, err := Compare(context.Background(), c.w0, c.w1, c.o); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v does not say %q", name, err, c.says)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, mode := range bothModes {
		if _, err := Compare(ctx, good, good, Options{Mode: mode}); err != context.Canceled {
			t.Errorf("%s, cancelled: %v", mode, err)
		}
	}
	if r, err := Compare(ctx, good, good, Options{Mode: None}); err != nil || r.Mode != None {
		t.Errorf("mode none: %v %v", r, err)
	}
}

// TestThreadsChangeNothing: the same bytes at any thread count.
func TestThreadsChangeNothing(t *testing.T) {
	defer tensor.SetThreads(0)
	r := rand.New(rand.NewPCG(15, 16))
	w0 := decaying(r, 130, 170)
	w1 := perturbed(r, w0, 1e-3)
	for _, mode := range bothModes {
		var first string
		for _, threads := range []int{1, 2, 3, 8} {
			tensor.SetThreads(threads)
			j, err := json.Marshal(mustCompare(t, w0, w1, Options{Mode: mode, Seed: "name"}))
			if err != nil {
				t.Fatal(err)
			}
			if first == "" {
				first = string(j)
			}
			if string(j) != first {
				t.Errorf("%s: %d threads give other bytes than one", mode, threads)
			}
		}
	}
}
