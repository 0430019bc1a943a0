package spectrum

import (
	"math"
	"slices"
)

const degree = math.Pi / 180

// angles sets the principal angles of both sides and their error.
func (r *Result) angles(f0, f1 *factors) {
	// The angles between two pairs of subspaces differ by at most the angles
	// within the pairs (Qiu, Zhang and Li 2005); each is an arcsine.
	e := arcsin(f0.angleError()) + arcsin(f1.angleError())
	r.AngleError = Num(e / degree)
	r.AnglesU, r.AnglesUBound = judged(principalAngles(f0.u, f1.u), e)
	r.AnglesV, r.AnglesVBound = judged(principalAngles(f0.v, f1.v), e)
}

// arcsin is 90° for a bound that is no sine.
func arcsin(x float64) float64 {
	if x >= 1 {
		return math.Pi / 2
	}
	return math.Asin(x)
}

// judged converts angles to degrees and bounds those that the error e, NaN if
// unknown, does not resolve.
func judged(angles []float64, e float64) (degrees, bounds []Num) {
	for _, a := range angles {
		bound := nan
		switch {
		case math.IsNaN(e):
			bound = 90
		case a <= 10*e:
			bound = Num(min(90, (a+e)/degree))
		}
		degrees, bounds = append(degrees, Num(a/degree)), append(bounds, bound)
	}
	return degrees, bounds
}

// principalAngles between the column spans of a and b, both orthonormal (m, k),
// in radians, descending: cosines σ(AᵀB), sines σ(B − A·AᵀB), each used where it
// is well-conditioned (Björck and Golub 1973).
func principalAngles(a, b dense) []float64 {
	c := a.transposeTimes(b)
	_, cosines, _ := svd(c)
	d := a.times(c)
	for i, v := range d.data {
		d.data[i] = b.data[i] - v
	}
	sines := singularValues(d)
	slices.Reverse(cosines)
	out := make([]float64, len(cosines))
	for i, cos := range cosines { // ascending, as the sines descend
		if cos*cos > 0.5 {
			out[i] = math.Asin(min(sines[i], 1))
		} else {
			out[i] = math.Acos(max(cos, 0))
		}
	}
	// Where both formulas meet, rounding may swap neighbours.
	slices.SortFunc(out, func(x, y float64) int { return -compare(x, y) })
	return out
}

func compare(x, y float64) int {
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// Subspace is a span of right singular vectors of an update.
type Subspace struct{ v dense }

// Dim is its dimension: SubspaceSize, or fewer where the update's rank is less.
func (s *Subspace) Dim() int { return s.v.cols }

// Similarity is ‖V_aᵀV_b‖_F² over the larger dimension: 1 for equal spans, 0
// for orthogonal ones, null if either is empty or they are of different spaces.
func Similarity(a, b *Subspace) Num {
	if a.Dim() == 0 || b.Dim() == 0 || a.v.rows != b.v.rows {
		return nan
	}
	return Num(a.v.transposeTimes(b.v).sumSquares() / float64(max(a.Dim(), b.Dim())))
}
