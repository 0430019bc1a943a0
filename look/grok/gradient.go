package grok

import "orrery/learn/tensor"

// gradient has the weights' layout. While it is summed up, a and b hold a
// quarter of it and c a half.
type gradient struct {
	w, a, b, c []float32
}

// Objective is the loss of a network on some pairs, averaged over them, with
// its gradient:
//
//	L = mean ‖õ − (onehot(xy) − 1/M)‖²,  õ = o − mean over outputs
//
// which is the loss of both papers' code. It may not be used by two goroutines
// at once, but spreads its own work over tensor.Threads(); the bits of its
// results do not depend on how many there are.
type Objective struct {
	train  samples
	others samples // if full: the pairs that are not trained on
	full   *full   // nil: sample by sample
	direct *direct
	read   *readout
	g      gradient
}

// NewObjective prepares for the pairs x·M+y, ascending, of a group. With the
// square, the whole table minus what is not trained on is cheaper than the
// pairs themselves where few are left out.
func NewObjective(g table, k int, act Activation, pairs []int) *Objective {
	m := g.Order()
	rest := m*m - len(pairs)
	return newObjective(g, k, pairs, act == Square && wholeIsCheaper(m, k, len(pairs), rest))
}

// wholeIsCheaper compares multiply-adds: three products of n·K·M against six
// of K²·M, the labels' three sums and six small products, and what is left out.
func wholeIsCheaper(m, k, n, rest int) bool {
	return 3*n*m > 6*k*m+24*m*m+3*rest*m
}

func newObjective(g table, k int, pairs []int, whole bool) *Objective {
	m := g.Order()
	o := &Objective{direct: newDirect(m, k), read: newReadout(m, k)}
	o.train = newSamples(g, pairs)
	if whole {
		o.full = newFull(g, k)
		in := make([]bool, m*m)
		for _, p := range pairs {
			in[p] = true
		}
		var rest []int
		for p, trained := range in {
			if !trained {
				rest = append(rest, p)
			}
		}
		o.others = newSamples(g, rest)
	}
	w := make([]float32, 2*m*k)
	o.g = gradient{w: w, a: w[:m*k], b: w[m*k:], c: make([]float32, m*k)}
	return o
}

// Gradient returns the loss; W and C hold its gradient until the next call.
func (o *Objective) Gradient(n *Net) float64 {
	clear(o.g.w)
	clear(o.g.c)
	o.read.set(n)
	var loss float64
	if o.full != nil {
		loss = o.full.add(&o.g, n, o.read)
		loss -= o.direct.add(&o.g, n, o.read, o.others, -1)
	} else {
		loss = o.direct.add(&o.g, n, o.read, o.train, 1)
	}
	count := float32(len(o.train.x))
	tensor.Parallel(len(o.g.w), 1<<14, func(lo, hi int) { tensor.Scale(o.g.w[lo:hi], o.g.w[lo:hi], 4/count) })
	mean := o.read.mean
	centred(o.g.c, n.K, o.g.c, n.M, n.K, mean)
	tensor.Scale(o.g.c, o.g.c, 2/count)
	return loss / float64(count)
}

// W is the gradient of Net.W, (2M, K).
func (o *Objective) W() []float32 { return o.g.w }

// C is the gradient of Net.C, (M, K).
func (o *Objective) C() []float32 { return o.g.c }
