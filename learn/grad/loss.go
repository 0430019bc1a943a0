package grad

import (
	"fmt"

	"orrery/learn/tensor"
)

// CrossEntropy is the weighted mean of −log softmax(logits)[target] over the
// rows of logits (N, V): targets (N), of which −1 leaves a row out; weights is
// nil (all 1) or (N). It returns the loss and each row's log-probability of its
// target (0 in rows left out), computed as x[target] − tensor.LogSumExp(x), in
// memory that survives the tape's Reset. If the weights add up to nothing the
// loss is 0.
func (t *Tape) CrossEntropy(logits *Var, targets []int, weights []float32) (loss *Var, logp []float32) {
	n, vocab := checkTargets("CrossEntropy", logits, targets)
	if weights != nil && len(weights) != n {
		misuse("CrossEntropy", fmt.Sprintf("logits (%d weights, V)", len(weights)), logits)
	}
	targets = append([]int(nil), targets...)
	logp = targetLogProbs(logits.Val.Data, targets, vocab)
	w := make([]float32, n) // each row's share of the mean
	var total, sum float64
	for i, target := range targets {
		if target >= 0 {
			w[i] = 1
			if weights != nil {
				w[i] = weights[i]
			}
			total += float64(w[i])
			sum -= float64(w[i]) * float64(logp[i])
		}
	}
	loss = t.node(nil, logits)
	loss.Val.Data[0] = 0
	if total != 0 {
		loss.Val.Data[0] = float32(sum / total)
		for i := range w {
			w[i] = float32(float64(w[i]) / total)
		}
	}
	return t.done("CrossEntropy", loss, func() {
		g := loss.Grad.Data[0]
		t.logProbGrad(logits, targets, func(i int) float32 { return -g * w[i] })
	}), logp
}

// LogProb is log softmax(logits)[target] of each row: logits (N, V), targets
// (N), of which −1 gives 0 and no gradient; the result is (N). Its numbers are
// those of CrossEntropy and of the sampler.
func (t *Tape) LogProb(logits *Var, targets []int) *Var {
	n, vocab := checkTargets("LogProb", logits, targets)
	targets = append([]int(nil), targets...)
	out := t.node([]int{n}, logits)
	copy(out.Val.Data, targetLogProbs(logits.Val.Data, targets, vocab))
	return t.done("LogProb", out, func() {
		t.logProbGrad(logits, targets, func(i int) float32 { return out.Grad.Data[i] })
	})
}

func checkTargets(op string, logits *Var, targets []int) (n, vocab int) {
	n, vocab = matrix(logits)
	if len(targets) != n {
		misuse(op, fmt.Sprintf("logits (%d targets, V)", len(targets)), logits)
	}
	for i, target := range targets {
		if target < -1 || target >= vocab {
			panic(fmt.Sprintf("grad.%s: target %d of row %d is outside a vocabulary of %d", op, target, i, vocab))
		}
	}
	return n, vocab
}

func targetLogProbs(x []float32, targets []int, vocab int) []float32 {
	logp := make([]float32, len(targets))
	rowwise(len(targets), vocab, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			if targets[i] >= 0 {
				row := x[i*vocab : (i+1)*vocab]
				logp[i] = row[targets[i]] - tensor.LogSumExp(row)
			}
		}
	})
	return logp
}

// logProbGrad adds up(i)·(onehot − softmax) to row i of the logits' gradient.
func (t *Tape) logProbGrad(logits *Var, targets []int, up func(i int) float32) {
	n, vocab := matrix(logits)
	x := logits.Val.Data
	d, fresh := t.grad(logits)
	p := d
	if !fresh {
		p = t.arena.get(n * vocab)
		defer t.arena.put(p)
	}
	rowwise(n, vocab, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			row, g := p[i*vocab:(i+1)*vocab], up(i)
			if targets[i] < 0 || g == 0 {
				clear(row)
			} else {
				tensor.SoftmaxRow(row, x[i*vocab:(i+1)*vocab], vocab, 1, nil)
				tensor.Scale(row, row, -g)
				row[targets[i]] += g
			}
			if !fresh {
				tensor.Add(d[i*vocab:(i+1)*vocab], d[i*vocab:(i+1)*vocab], row)
			}
		}
	})
}
