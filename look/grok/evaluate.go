package grok

import (
	"fmt"
	"math"

	"orrery/learn/tensor"
)

// Score is the network on some pairs.
type Score struct {
	Loss     float64 `json:"loss"`     // mean ‖õ − (onehot − 1/M)‖²
	Accuracy float64 `json:"accuracy"` // the largest output is the product; the first of equal ones counts
}

// evaluator scores a network on the whole table.
type evaluator struct {
	all     samples
	trained []bool
	direct  *direct
	read    *readout
	sums    [shards][2]sum // of training and held-out pairs
}

type sum struct {
	loss        float64
	right, pair int
}

func newEvaluator(g table, k int, split Split) *evaluator {
	m := g.Order()
	e := &evaluator{direct: newDirect(m, k), read: newReadout(m, k), trained: make([]bool, m*m)}
	pairs := make([]int, m*m)
	for i := range pairs {
		pairs[i] = i
	}
	e.all = newSamples(g, pairs)
	for _, p := range split.Train {
		e.trained[p] = true
	}
	return e
}

// score is of the training pairs and of the held-out ones; of none it is NaN.
func (e *evaluator) score(n *Net) (train, test Score) {
	e.read.set(n)
	tensor.Parallel(shards, 1, func(lo, hi int) {
		b := e.direct.free.Get().(*block)
		for i := lo; i < hi; i++ {
			e.shard(i, n, b)
		}
		e.direct.free.Put(b)
	})
	var total [2]sum
	for _, s := range e.sums {
		for i := range total {
			total[i].loss += s[i].loss
			total[i].right += s[i].right
			total[i].pair += s[i].pair
		}
	}
	score := func(s sum) Score {
		return Score{s.loss / float64(s.pair), float64(s.right) / float64(s.pair)}
	}
	return score(total[0]), score(total[1])
}

func (e *evaluator) shard(i int, n *Net, b *block) {
	d, rows := e.direct, blockRows(n.K)
	e.sums[i] = [2]sum{}
	for lo := e.all.cuts[i]; lo < e.all.cuts[i+1]; lo += rows {
		hi := min(lo+rows, e.all.cuts[i+1])
		d.outputs(n, e.read, e.all, lo, hi, b)
		for r := lo; r < hi; r++ {
			o := b.r[(r-lo)*d.mp : (r-lo)*d.mp+n.M]
			best, label := 0, int(e.all.t[r])
			for s, v := range o {
				if v > o[best] {
					best = s
				}
			}
			at := &e.sums[i][1]
			if e.trained[int(e.all.x[r])*n.M+int(e.all.y[r])] {
				at = &e.sums[i][0]
			}
			at.pair++
			if best == label {
				at.right++
			}
			o[label]--
			at.loss += float64(tensor.Dot(o, o)) - 1/float64(n.M)
		}
	}
}

// NaNError says that training left the numbers.
type NaNError struct {
	Epoch int    // 1-based
	What  string // "the loss", "the gradient of W_c"
	Good  int    // epoch of the last saved state, −1: none
}

func (e *NaNError) Error() string {
	from := "nothing is saved yet"
	if e.Good >= 0 {
		from = fmt.Sprintf("the state of epoch %d is good", e.Good)
	}
	return fmt.Sprintf("training, epoch %d: %s is not a finite number: lower the learning rate; %s", e.Epoch, e.What, from)
}

// finite reports whether all of x is finite: a sum of squares is, or it
// overflows only where an update would as well.
func finite(x []float32) bool {
	s := float64(tensor.Dot(x, x))
	return !math.IsNaN(s) && !math.IsInf(s, 0)
}
