package train

import (
	"orrery/learn/checkpoint"
	"orrery/learn/grad"
	"orrery/learn/tensor"
)

// Where bfloat16 stands in a run decides which updates can be seen afterwards. Its
// gap above |w| is 2⁻⁷ of the power of two below |w|, so storing a weight
// forgets any change below half of that, 0.2 to 0.4 % of |w|.
//
// With Weights "fp32" such changes add up in the float32 master: many small steps
// one way do cross the gap, and Storage "bf16" hides only what has not crossed
// it when training ends. Storage "both" writes the same weights in both types:
// what differs in final-fp32/ but not in final/ is hidden by storage alone (the
// precision gate of arXiv 2511.08567).
//
// With Weights "bf16" the weights themselves are rounded after every step, as
// where memory is short: a step below half a gap is lost at once, so weights
// that a small learning rate can't move in one step never move, whatever the
// gradient says. Moments and gradients are float32 in either.
const (
	fp32 = "fp32"
	bf16 = "bf16"
	both = "both"
)

// stored is a folder with the finished model and its type.
type stored struct {
	folder string
	dtype  checkpoint.DType
}

// stores lists what a run's Storage asks for.
func (c Config) stores() []stored {
	switch c.Storage {
	case fp32:
		return []stored{{"final", checkpoint.F32}}
	case both:
		return []stored{{"final", checkpoint.BF16}, {"final-fp32", checkpoint.F32}}
	}
	return []stored{{"final", checkpoint.BF16}}
}

// roundBF16 rounds parameters to bfloat16, to nearest, ties to even.
func roundBF16(params []*grad.Var) {
	for _, p := range params {
		w := p.Val.Data
		tensor.Parallel(len(w), chunk, func(lo, hi int) {
			short := make([]uint16, hi-lo)
			tensor.ToBF16(short, w[lo:hi])
			tensor.FromBF16(w[lo:hi], short)
		})
	}
}
