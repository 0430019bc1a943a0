package nn

import (
	"fmt"
	"math"
	"math/rand/v2"

	"orrery/learn/grad"
)

// InitLookup adds to fresh weights what a look-up needs, so that training
// begins with a circuit that otherwise forms late or, in a small model and a few
// million tokens, not at all: find where the present token stood before, copy
// what came after it (an induction head, arXiv 2209.11895; initial weights that
// look like those that training would reach: arXiv 2305.09828). Nothing about any
// task is in it, and training may undo it.
//
// With u, V and P drawn together as orthonormal rows of length d, 1, HeadDim and
// HeadDim of them, and for each group of heads U and W as HeadDim orthonormal rows:
//
//   - every embedding gets a common part along u, as long as its random one is
//     across it;
//   - in all layers, queries and keys get 0.3·U (a token attends to its likes),
//     values W and outputs 0.06·Wᵀ (and copies them);
//   - the first group of the first layer attends to the token before: its query
//     is 1 along u in the cosine half of each rotary pair, its key the same
//     turned by one position, so that their product Σ cos((Δ−1)θ_i) is largest
//     at a distance of one; it writes what V reads there to where P reads;
//   - the first group of the second layer compares 3·V of the present token with
//     3·P of earlier ones, that is with the tokens before those, in the slower
//     half of the rotary pairs.
//
// It wants a causal model of two layers or more with rotary positions. The
// sizes fit initial matrices of a standard deviation of about 0.04.
func (m *Model) InitLookup(seed uint64) error {
	c := m.Config
	if c.Layers < 2 || c.Positions != "rotary" || c.Bidirectional || 2*c.HeadDim >= c.HiddenSize {
		return fmt.Errorf("nn: a look-up begins with two layers, rotary positions and causal attention, and heads less than half as wide as the model; this one has %d layers, %q positions, bidirectional %v, head_dim %d of %d", c.Layers, c.Positions, c.Bidirectional, c.HeadDim, c.HiddenSize)
	}
	const (
		like   = 0.3  // queries and keys of like tokens
		match  = 3    // of a token and the one before another
		before = 0.15 // output of the token before: clear of what P reads of a token itself
		copy   = 0.06 // outputs: the residual stream is small at the beginning
	)
	rng := rand.New(rand.NewPCG(seed, 0x6c6f6f6b7570)) // "lookup"
	group := c.Heads / c.KVHeads
	for i := range m.layers {
		l := &m.layers[i]
		for kv := range c.KVHeads {
			u, w := orthonormal(rng, c.HeadDim, c.HiddenSize), orthonormal(rng, c.HeadDim, c.HiddenSize)
			addRows(l.k.w, kv, u, like)
			addRows(l.v.w, kv, w, 1)
			for h := kv * group; h < (kv+1)*group; h++ {
				addRows(l.q.w, h, u, like)
				addColumns(l.o.w, h, w, copy)
			}
		}
	}
	frame := orthonormal(rng, 2*c.HeadDim+1, c.HiddenSize)
	u, v, p := frame[0], frame[1:1+c.HeadDim], frame[1+c.HeadDim:]
	addCommon(m.embed, u)
	still, turned := make([][]float64, c.HeadDim), make([][]float64, c.HeadDim)
	for i := range c.HeadDim / 2 {
		sin, cos := math.Sincos(math.Pow(c.RopeTheta, -2*float64(i)/float64(c.HeadDim)))
		still[i], still[i+c.HeadDim/2] = u, make([]float64, len(u))
		turned[i], turned[i+c.HeadDim/2] = times(u, cos), times(u, sin)
	}
	slowV, slowP := slow(v, c.RopeTheta), slow(p, c.RopeTheta)
	first, second := &m.layers[0], &m.layers[1]
	setRows(first.k.w, 0, turned, 1)
	setRows(first.v.w, 0, v, 1)
	setRows(second.k.w, 0, slowP, match)
	for h := range group {
		setRows(first.q.w, h, still, 1)
		setColumns(first.o.w, h, p, before)
		setRows(second.q.w, h, slowV, match)
	}
	return nil
}

// slow keeps the rows of the rotary pairs that turn by less than a radian in 32
// positions: in the others, likes that stand apart would not meet.
func slow(rows [][]float64, theta float64) [][]float64 {
	kept := make([][]float64, len(rows))
	half := len(rows) / 2
	for i, r := range rows {
		kept[i] = r
		if math.Pow(theta, -float64(i%half)/float64(half)) > 1./32 {
			kept[i] = make([]float64, len(r))
		}
	}
	return kept
}

// addCommon makes every row its part orthogonal to the unit vector u, brought to
// the rows' common length, plus as much of u: the norm before attention then
// leaves the same amount of u in every token, and its products with u tell
// positions apart, not tokens.
func addCommon(p *grad.Var, u []float64) {
	d := len(u)
	sum := 0.0
	for _, x := range p.Val.Data {
		sum += float64(x) * float64(x)
	}
	length := math.Sqrt(sum / float64(p.Val.Dim(0)))
	for lo := 0; lo < len(p.Val.Data); lo += d {
		r := p.Val.Data[lo : lo+d]
		along, own := 0.0, 0.0
		for i, x := range r {
			along += float64(x) * u[i]
		}
		for i, x := range r {
			own += (float64(x) - along*u[i]) * (float64(x) - along*u[i])
		}
		if own == 0 {
			own = 1 // a row along u, or of zeros, keeps no part of its own
		}
		for i, x := range r {
			r[i] = float32(length * ((float64(x)-along*u[i])/math.Sqrt(own) + u[i]))
		}
	}
}

// orthonormal draws n orthonormal rows of length d by Gram and Schmidt, n ≤ d.
func orthonormal(rng *rand.Rand, n, d int) [][]float64 {
	var rows [][]float64
	for len(rows) < n {
		r := make([]float64, d)
		for i := range r {
			r[i] = rng.NormFloat64()
		}
		for range 2 { // the second time removes what rounding left
			for _, q := range rows {
				dot := 0.0
				for i := range r {
					dot += r[i] * q[i]
				}
				for i := range r {
					r[i] -= dot * q[i]
				}
			}
		}
		length := 0.0
		for _, x := range r {
			length += x * x
		}
		rows = append(rows, times(r, 1/math.Sqrt(length)))
	}
	return rows
}

func times(x []float64, by float64) []float64 {
	y := make([]float64, len(x))
	for i := range x {
		y[i] = x[i] * by
	}
	return y
}

// addRows adds by·rows to head h's rows of a projection (heads·HeadDim, d).
func addRows(p *grad.Var, h int, rows [][]float64, by float64) {
	d := len(rows[0])
	for i, r := range rows {
		for j, x := range r {
			p.Val.Data[(h*len(rows)+i)*d+j] += float32(by * x)
		}
	}
}

// setRows puts by·rows in the place of head h's rows.
func setRows(p *grad.Var, h int, rows [][]float64, by float64) {
	d := len(rows[0])
	clear(p.Val.Data[h*len(rows)*d : (h+1)*len(rows)*d])
	addRows(p, h, rows, by)
}

// addColumns adds by·rowsᵀ to head h's columns of an output (d, heads·HeadDim).
func addColumns(p *grad.Var, h int, rows [][]float64, by float64) {
	wide := p.Val.Dim(1)
	for i, r := range rows {
		for j, x := range r {
			p.Val.Data[j*wide+h*len(rows)+i] += float32(by * x)
		}
	}
}

// setColumns puts by·rowsᵀ in the place of head h's columns.
func setColumns(p *grad.Var, h int, rows [][]float64, by float64) {
	wide := p.Val.Dim(1)
	for j := range p.Val.Dim(0) {
		clear(p.Val.Data[j*wide+h*len(rows) : j*wide+(h+1)*len(rows)])
	}
	addColumns(p, h, rows, by)
}
