package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"orrery/learn/grad"
	"orrery/learn/nn"
	"orrery/learn/sample"
	"orrery/learn/tensor"
)

// learner does the steps of GRPO.
type learner struct {
	*GRPO
	t      *trainer
	served *nn.Model // what responses come from; the trained model itself if that is the sampler
	dec    *nn.Decoder
}

func newLearner(g *GRPO, t *trainer) (*learner, error) {
	l := &learner{GRPO: g, t: t, served: t.model}
	if g.Sampler == bf16 {
		var err error
		if l.served, err = clone(t.model); err != nil {
			return nil, err
		}
	}
	l.dec = nn.NewDecoder(l.served)
	return l, nil
}

func (l *learner) stop() {}

// scale is what logits are multiplied by to temper them.
func (l *learner) scale() float32 { return float32(1 / l.Temperature) }

// sample draws a step's problems and responses with the current weights. A
// group is Group neighbours of the list.
func (l *learner) sample(ctx context.Context, n int) ([]*rollout, error) {
	if l.served != l.t.model {
		for i, p := range l.t.model.Params() {
			copy(l.served.Params()[i].Val.Data, p.Val.Data)
		}
		roundBF16(l.served.Params())
	}
	l.dec.Update()
	problems, prompts, most, err := l.pose(l.t, n)
	if err != nil {
		return nil, err
	}
	by := draws{set: sample.Settings{Temperature: 1}, scale: l.scale(), group: l.Group, most: most, eos: l.t.Vocab.EOS()}
	for i := range problems {
		for k := range l.Group {
			id := rollStream + uint64(n)<<24 + uint64(i)<<12 + uint64(k)
			by.seeds = append(by.seeds, stream(l.t.Config.Seed, id).Uint64())
		}
	}
	traces, err := roll(ctx, l.dec, prompts, by)
	if err != nil {
		if errors.Is(err, sample.ErrNotFinite) {
			err = &NaNError{Step: n, Good: l.t.saved, Err: err}
		}
		return nil, err
	}
	list := make([]*rollout, len(traces))
	for i, t := range traces {
		list[i] = rolled(problems[i/l.Group], prompts[i/l.Group], t)
		if err := list[i].example.check(l.t.Model.VocabSize, l.t.Model.MaxPositions); err != nil {
			return nil, fmt.Errorf("response %d of step %d: %w", i, n, err)
		}
	}
	return list, nil
}

// passes splits rollouts into neighbours of at most the budget of tokens, at
// least one each: what goes through the model together.
func (l *learner) passes(list []*rollout) (out [][]*rollout) {
	for lo := 0; lo < len(list); {
		hi, tokens := lo, 0
		for hi < len(list) && (hi == lo || tokens+len(list[hi].example.Tokens) <= l.t.Config.BatchTokens) {
			tokens += len(list[hi].example.Tokens)
			hi++
		}
		out, lo = append(out, list[lo:hi]), hi
	}
	return out
}

// pass runs a model over rollouts: tempered logits (T, V) before each of their
// T response tokens, and the tokens' log-probabilities (T).
func (l *learner) pass(tape *grad.Tape, m *nn.Model, part []*rollout) (logits, logp *grad.Var) {
	var list []Example
	for _, r := range part {
		list = append(list, r.example)
	}
	b := pack(list)
	logits = b.logits(tape, m)
	if s := l.scale(); s != 1 {
		logits = tape.Scale(logits, s)
	}
	return logits, tape.LogProb(logits, b.targets)
}

// each cuts per-token values into their rollouts'.
func each[T any](part []*rollout, values []T, f func(r *rollout, mine []T)) {
	for _, r := range part {
		f(r, values[:len(r.tokens)])
		values = values[len(r.tokens):]
	}
}

// note keeps the trainer's log-probabilities and entropies before the first
// update.
func note(part []*rollout, logits, logp *grad.Var) {
	rows, vocab := logits.Val.Dim(0), logits.Val.Dim(1)
	h := make([]float64, rows)
	tensor.Parallel(rows, 16, func(lo, hi int) {
		p := make([]float32, vocab)
		for i := lo; i < hi; i++ {
			x := logits.Val.Data[i*vocab : (i+1)*vocab]
			tensor.SoftmaxRow(p, x, vocab, 1, nil)
			h[i] = float64(tensor.LogSumExp(x)) - float64(tensor.Dot(p, x))
		}
	})
	each(part, logp.Val.Data, func(r *rollout, mine []float32) { r.old = slices.Clone(mine) })
	each(part, h, func(r *rollout, mine []float64) {
		r.entropy = 0
		for _, x := range mine {
			r.entropy += x
		}
	})
}

// score fills in the reference's log-probabilities, and the trainer's own of
// the rollouts in own. Where the KL is only measured, a response of each group is
// enough for the reference. It uses the trainer's tape, whose memory is
// there already.
func (l *learner) score(list, own []*rollout) {
	tape := l.t.tape
	tape.NoGrad = true
	defer func() { tape.NoGrad = false }()
	anchored := list
	if l.Beta == 0 {
		anchored = nil
		for i := 0; i < len(list); i += l.Group {
			anchored = append(anchored, list[i])
		}
	}
	for _, part := range l.passes(anchored) {
		_, logp := l.pass(tape, l.t.Base.Model, part)
		each(part, logp.Val.Data, func(r *rollout, mine []float32) { r.ref = slices.Clone(mine) })
		tape.Reset()
	}
	for _, part := range l.passes(own) {
		logits, logp := l.pass(tape, l.t.model, part)
		note(part, logits, logp)
		tape.Reset()
	}
}

// kept are the rollouts that have a gradient. Leaving the others out changes
// nothing: they still count in every mean.
func (l *learner) kept(list []*rollout) (kept, rest []*rollout) {
	for _, r := range list {
		if r.equal && l.Beta == 0 {
			rest = append(rest, r)
		} else {
			kept = append(kept, r)
		}
	}
	return kept, rest
}

func (l *learner) step(ctx context.Context, n int) (Metric, int, error) {
	clock := l.t.clock
	began := clock()
	list, err := l.sample(ctx, n)
	if err == nil {
		err = l.judge(l.t, list)
	}
	if err != nil {
		return Metric{}, 0, err
	}
	sampled := clock()
	kept, rest := l.kept(list)
	once := l.Epochs*l.Minibatches == 1
	own := list
	if once { // the only pass with gradients is before the first update, too
		own = rest
	}
	l.score(list, own)
	scored := clock()
	u := updates{}
	for range l.Epochs {
		for k := range l.Minibatches {
			lo, hi := k*l.Problems/l.Minibatches, (k+1)*l.Problems/l.Minibatches
			part := list[lo*l.Group : hi*l.Group]
			if !once {
				kept, _ = l.kept(part)
			}
			if err := l.learn(n, part, kept, once, &u); err != nil {
				return Metric{}, 0, err
			}
		}
	}
	rl, tokens := l.summary(list, u)
	rl.SampleSeconds, rl.ScoreSeconds, rl.TrainSeconds = sampled.Sub(began).Seconds(), scored.Sub(sampled).Seconds(), clock().Sub(scored).Seconds()
	line := Metric{RL: rl}
	if u.count > 0 {
		line.Loss, line.GradNorm = u.loss/float64(u.count), u.norm/float64(u.count)
	}
	return line, tokens, nil
}

// updates are a step's optimiser steps: sums over them.
type updates struct {
	count           int
	loss, norm      float64
	tokens, clipped int // tokens that went through a pass with gradients
}

// learn does one update with the rollouts of part, of which kept have a
// gradient; without any there is no update. first says that this is the step's
// first, so that the pass is also the trainer's view before it.
func (l *learner) learn(n int, part, kept []*rollout, first bool, u *updates) error {
	if len(kept) == 0 {
		return nil
	}
	loss, err := l.gradient(part, kept, first, u)
	if err != nil {
		return err
	}
	norm, err := l.t.update(n, loss, func() error {
		_, err := l.gradient(part, kept, first, u)
		return err
	})
	if err != nil {
		return err
	}
	u.count, u.loss, u.norm = u.count+1, u.loss+loss, u.norm+norm
	return nil
}

// gradient adds the gradient of part's loss to the parameters', and returns the
// loss.
func (l *learner) gradient(part, kept []*rollout, first bool, u *updates) (loss float64, err error) {
	total := 0
	for _, r := range part {
		total += len(r.tokens)
	}
	tape := l.t.tape
	for _, rolls := range l.passes(kept) {
		logits, logp := l.pass(tape, l.t.model, rolls)
		if first {
			note(rolls, logits, logp)
		}
		slopes := make([]float32, 0, logp.Val.Len())
		each(rolls, logp.Val.Data, func(r *rollout, now []float32) {
			share := l.share(len(now), len(part), total)
			for i, x := range now {
				w, _ := l.weight(r, i)
				ref := 0.0
				if l.Beta != 0 {
					ref = float64(r.ref[i])
				}
				value, slope, clipped := l.term(float64(x), float64(r.old[i]), ref, w, r.adv)
				loss += share * value
				slopes = append(slopes, float32(share*slope))
				u.tokens++
				u.clipped += int(one(clipped))
			}
		})
		// Σ slope·logp has the loss's gradient.
		if err := tape.Backward(tape.Sum(tape.Mul(logp, grad.Const(tensor.Of(slopes, len(slopes)))))); err != nil {
			return loss, err
		}
		tape.Reset()
	}
	return loss, nil
}

// summary is what a step logs, and its input tokens.
func (l *learner) summary(list []*rollout, u updates) (*RL, int) {
	s := &RL{Responses: len(list), Updates: u.count}
	n, inputs, tokens, anchored, equal, cut := float64(len(list)), 0, 0, 0, 0, 0
	for _, r := range list {
		s.Reward += r.reward
		s.Accuracy += one(r.right)
		s.Answered += one(r.answered)
		s.Truncated += one(r.tokens[len(r.tokens)-1] != l.t.Vocab.EOS())
		s.ZeroVariance += one(r.equal)
		s.Entropy += r.entropy
		inputs += len(r.example.Tokens)
		tokens += len(r.tokens)
		anchored += len(r.ref)
		for i, ref := range r.ref {
			s.KL += k3(float64(r.old[i]), float64(ref))
		}
		for i, said := range r.logp {
			d := math.Abs(float64(said) - float64(r.old[i]))
			s.AgreementMax = max(s.AgreementMax, d)
			s.AgreementMean += d
			if said == r.old[i] {
				equal++
			}
			w, over := l.weight(r, i)
			s.Importance += w
			if over {
				cut++
			}
		}
	}
	for _, x := range []*float64{&s.Reward, &s.Accuracy, &s.Answered, &s.Truncated, &s.ZeroVariance} {
		*x /= n
	}
	t := float64(tokens)
	s.ResponseTokens = tokens
	s.Length = t / n
	s.Entropy, s.KL, s.AgreementMean, s.Importance = s.Entropy/t, s.KL/float64(anchored), s.AgreementMean/t, s.Importance/t
	s.AgreementEqual, s.ImportanceCut = float64(equal)/t, float64(cut)/t
	if u.tokens > 0 {
		s.Clipped = float64(u.clipped) / float64(u.tokens)
	}
	return s, inputs
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
