package train

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"orrery/learn/grad"
	"orrery/learn/nn"
	"orrery/learn/sample"
	"orrery/learn/tensor"
	"orrery/learn/token"
	"orrery/task"
)

func contains(err error, part string) bool { return strings.Contains(err.Error(), part) }

// newBase is a small model with weights large enough to have preferences.
func newBase(t testing.TB) *Base {
	t.Helper()
	m, err := nn.New(smallModel(), 5)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range m.Params() {
		if len(p.Shape()) == 2 {
			tensor.Scale(p.Val.Data, p.Val.Data, 6)
		}
	}
	return &Base{Name: "small", Model: m, Vocab: vocab}
}

// evenFirst rewards a response whose first token has an even number: about half
// of a random model's do, and one token decides.
func evenFirst(_ task.Problem, response []int) float64 { return one(response[0]%2 == 0) }

// newRL is a small run of GRPO in dir, of as many steps as newRun.
func newRL(t testing.TB, dir string) *Run {
	t.Helper()
	r := newRun(t, dir)
	g := plainGRPO()
	g.Reward = evenFirst
	r.Base, r.Objective = newBase(t), g
	r.Config.Optimizer.Decay = 0
	return r
}

// testLearner is a learner of a run that is not running, with a step's rollouts
// judged and scored.
func testLearner(t testing.TB, r *Run) (*learner, []*rollout) {
	t.Helper()
	if err := r.check(); err != nil {
		t.Fatal(err)
	}
	tr := &trainer{Run: r, tape: grad.NewTape()}
	tr.clock = func() time.Time { return time.Time{} }
	var err error
	if tr.model, err = tr.initial(); err != nil {
		t.Fatal(err)
	}
	tr.opt = newOptimizer(r.Config.Optimizer, tr.model.Params())
	l, err := newLearner(r.Objective.(*GRPO), tr)
	if err != nil {
		t.Fatal(err)
	}
	list, err := l.sample(t.Context(), 1)
	if err == nil {
		err = l.judge(tr, list)
	}
	if err != nil {
		t.Fatal(err)
	}
	l.score(list, list)
	return l, list
}

// twin is GRPO's loss of one response, written with the tape's own operations.
func twin(tape *grad.Tape, g *GRPO, logp *grad.Var, r *rollout) *grad.Var {
	n := len(r.tokens)
	of := func(f func(i int) float32) *grad.Var {
		x := tensor.New(n)
		for i := range x.Data {
			x.Data[i] = f(i)
		}
		return grad.Const(x)
	}
	ratio := tape.Exp(tape.Sub(logp, of(func(i int) float32 { return r.old[i] })))
	adv := of(func(int) float32 { return float32(r.adv) })
	held := tape.Clamp(ratio, float32(1-g.ClipLow), float32(1+g.ClipHigh))
	gain := tape.Mul(tape.Min(tape.Mul(ratio, adv), tape.Mul(held, adv)), of(func(i int) float32 {
		w, _ := g.weight(r, i)
		return float32(w)
	}))
	d := tape.Sub(of(func(i int) float32 { return r.ref[i] }), logp)
	kl := tape.Sub(tape.Exp(d), tape.Add(d, of(func(int) float32 { return 1 })))
	return tape.Sum(tape.Sub(tape.Scale(kl, float32(g.Beta)), gain))
}

// TestGradientAgainstTwin compares the parameters' gradient with that of the
// loss written in operations of the tape, one response at a time, with weights
// that differ from the sampling ones, so that ratios are not 1 and some are
// clipped; and with central differences along the gradient.
func TestGradientAgainstTwin(t *testing.T) {
	for _, average := range []string{perSequence, perToken, constant} {
		r := newRL(t, "")
		g := r.Objective.(*GRPO)
		g.Average, g.Sampler, g.ImportanceCap, g.Temperature = average, bf16, 1.001, 0.8
		l, list := testLearner(t, r)
		rng := rand.New(rand.NewPCG(6, 6))
		for _, p := range l.t.model.Params() {
			for i := range p.Val.Data {
				p.Val.Data[i] += float32(rng.NormFloat64() * 0.02)
			}
		}
		u := updates{}
		loss, err := l.gradient(list, list, false, &u)
		if err != nil {
			t.Fatal(err)
		}
		if u.clipped < 3 || u.clipped > u.tokens-3 {
			t.Fatalf("%d of %d tokens are clipped: this test needs some of both", u.clipped, u.tokens)
		}
		params := l.t.model.Params()
		var got [][]float32
		square := 0.0
		for _, p := range params {
			got = append(got, slices.Clone(p.Grad.Data))
			for _, x := range p.Grad.Data {
				square += float64(x) * float64(x)
			}
			p.ZeroGrad()
		}
		tokens, want := 0, 0.0
		for _, r := range list {
			tokens += len(r.tokens)
		}
		tape := grad.NewTape()
		for _, r := range list {
			b := pack([]Example{r.example})
			logits := tape.Scale(l.t.model.Logits(tape, l.t.model.Hidden(tape, b.input), b.rows), float32(1/0.8))
			one := tape.Scale(twin(tape, g, tape.LogProb(logits, b.targets), r), float32(g.share(len(r.tokens), len(list), tokens)))
			want += float64(one.Val.Data[0])
			if err := tape.Backward(one); err != nil {
				t.Fatal(err)
			}
			tape.Reset()
		}
		// Float32 sums in another order, and 1e-7 of each term.
		if math.Abs(loss-want) > 1e-5 {
			t.Errorf("%s: the loss is %v, the twin's %v", average, loss, want)
		}
		norm := math.Sqrt(square)
		for k, p := range params {
			for i, x := range p.Grad.Data {
				if math.Abs(float64(x-got[k][i])) > 1e-4*norm {
					t.Fatalf("%s: %s[%d] has gradient %v, the twin's is %v (norm %v)", average, p.Name, i, got[k][i], x, norm)
				}
			}
		}
		at := func(h float64) float64 {
			for k, p := range params {
				tensor.Axpy(p.Val.Data, float32(h/norm), got[k])
			}
			v, err := l.gradient(list, list, false, &updates{})
			if err != nil {
				t.Fatal(err)
			}
			for k, p := range params {
				tensor.Axpy(p.Val.Data, float32(-h/norm), got[k])
			}
			return v
		}
		// Along the gradient the slope is its norm. A step of 2e-3 passes few of
		// the kinks; float32 log-probabilities leave 1e-7/2e-3 of noise.
		const h = 2e-3
		if slope := (at(h) - at(-h)) / (2 * h); math.Abs(slope-norm) > 0.02*norm {
			t.Errorf("%s: the loss rises by %v along its gradient, whose norm is %v", average, slope, norm)
		}
	}
}

// TestEqualRewards: a group without differences has no gradient at all, so
// leaving it out is exact, and a step of such groups alone changes no weight.
func TestEqualRewards(t *testing.T) {
	r := newRL(t, "")
	g := r.Objective.(*GRPO)
	g.Beta = 0
	g.Reward = func(task.Problem, []int) float64 { return 0.1 }
	l, list := testLearner(t, r)
	if kept, rest := l.kept(list); len(kept) != 0 || len(rest) != len(list) {
		t.Fatalf("%d of %d equal responses are kept", len(kept), len(list))
	}
	if loss, err := l.gradient(list, list, false, &updates{}); err != nil || loss != 0 {
		t.Errorf("the loss is %v, %v, want exactly 0", loss, err)
	}
	for _, p := range l.t.model.Params() {
		for _, x := range p.Grad.Data {
			if x != 0 {
				t.Fatalf("%s has a gradient of %v, want exactly 0", p.Name, x)
			}
		}
	}
	before := (&Base{Model: l.t.model, Vocab: vocab}).Fingerprint()
	line, _, err := l.step(t.Context(), 1)
	if err != nil || line.RL.Updates != 0 || line.RL.ZeroVariance != 1 || line.RL.AgreementEqual != 1 {
		t.Errorf("the step reports %+v, %v", line.RL, err)
	}
	if after := (&Base{Model: l.t.model, Vocab: vocab}).Fingerprint(); after != before {
		t.Error("the step changed weights")
	}
}

// TestSkippingIsExact: with some equal groups and no KL, the gradient of the
// others is bit for bit the gradient of all.
func TestSkippingIsExact(t *testing.T) {
	r := newRL(t, "")
	r.Objective.(*GRPO).Beta = 0
	r.Config.BatchTokens = 1 // a response a pass, so that passes are the same in both
	l, list := testLearner(t, r)
	for _, r := range list[:4] {
		r.adv, r.equal = 0, true
	}
	var sums [2][]float32
	kept, _ := l.kept(list)
	if len(kept) == 0 || len(kept) == len(list) {
		t.Fatalf("%d of %d responses are kept: this test needs some of both", len(kept), len(list))
	}
	for i, k := range [][]*rollout{list, kept} {
		if _, err := l.gradient(list, k, false, &updates{}); err != nil {
			t.Fatal(err)
		}
		for _, p := range l.t.model.Params() {
			sums[i] = append(sums[i], p.Grad.Data...)
			p.ZeroGrad()
		}
	}
	if !slices.Equal(sums[0], sums[1]) {
		t.Error("leaving equal groups out changed the gradient")
	}
}

// TestGroupsShareTheirPrompt: a trace of a group, whose members continue one
// prompt's cache, is the trace that its seed gives alone.
func TestGroupsShareTheirPrompt(t *testing.T) {
	r := newRL(t, "")
	r.Objective.(*GRPO).Temperature = 1.3
	l, list := testLearner(t, r)
	_, prompts, most, err := l.pose(l.t, 1)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i, want := range list {
		k := i / l.Group
		seed := stream(r.Config.Seed, rollStream+1<<24+uint64(k)<<12+uint64(i%l.Group)).Uint64()
		by := draws{set: sample.Settings{Temperature: 1}, scale: l.scale(), group: 1, seeds: []uint64{seed}, most: most[k : k+1], eos: vocab.EOS()}
		alone, err := roll(t.Context(), l.dec, prompts[k:k+1], by)
		if err != nil || !slices.Equal(alone[0].tokens, want.tokens) || !slices.Equal(alone[0].logp, want.logp) {
			t.Fatalf("response %d is %+v alone, %+v in its group (%v)", i, alone, want.trace, err)
		}
		seen[fmt.Sprint(want.tokens)] = true
	}
	if len(seen) < len(list) {
		t.Errorf("%d responses of a random model are only %d different ones", len(list), len(seen))
	}
}

// TestBandit trains the choice of the first token, half of which are rewarded.
func TestBandit(t *testing.T) {
	r := newRL(t, t.TempDir())
	g := r.Objective.(*GRPO)
	g.MaxTokens, g.Problems, g.Group, g.Beta = 1, 8, 8, 0
	r.Config.Steps, r.Config.Eval.Problems, r.Config.CheckpointEvery, r.Config.BatchTokens = 40, 0, 0, 2000
	r.Config.Optimizer.LR = 3e-2
	var rewards []float64
	err := r.Train(t.Context(), func(p Progress) {
		rl := p.Metric.RL
		rewards = append(rewards, rl.Reward)
		if rl.AgreementEqual != 1 || rl.AgreementMax != 0 || rl.Clipped != 0 || rl.Importance != 1 {
			t.Errorf("step %d: one update a step on the sampler's own weights reports %+v", p.Step, rl)
		}
		if p.Step == 1 && rl.KL != 0 {
			t.Errorf("the KL to the reference is %v before the first update", rl.KL)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	// 64 draws a step: the mean of a fair coin is within ½ ± 0.2 (3 deviations).
	if first, last := rewards[0], rewards[len(rewards)-1]; math.Abs(first-0.5) > 0.2 || last < 0.95 {
		t.Errorf("the reward went from %v to %v, want from about ½ to above 0.95", first, last)
	}
}

// TestOffPolicy does several updates a step: ratios leave 1, clipping acts, and
// the agreement is still that of the step's first weights.
func TestOffPolicy(t *testing.T) {
	r := newRL(t, t.TempDir())
	g := r.Objective.(*GRPO)
	g.Epochs, g.Minibatches, g.Temperature = 3, 2, 0.7 // tempered log-probabilities agree, too
	r.Config.Steps, r.Config.Eval.Problems, r.Config.CheckpointEvery = 3, 0, 0
	r.Config.Optimizer.LR, r.Config.Schedule.Warmup = 3e-2, 0
	clipped := 0.0
	if err := r.Train(t.Context(), func(p Progress) {
		rl := p.Metric.RL
		clipped += rl.Clipped
		if rl.AgreementEqual != 1 || rl.Updates != 6 {
			t.Errorf("step %d reports %+v, want exact agreement and 6 updates", p.Step, rl)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if clipped == 0 {
		t.Error("nothing was clipped in updates of 6 a step at a high rate")
	}
}

// TestRoundedSampler: responses from weights in bfloat16 disagree with the
// float32 master's log-probabilities, the importance weights say by how much,
// and disagreement ends where the master is rounded itself.
func TestRoundedSampler(t *testing.T) {
	first := func(weights string, cap float64) *RL {
		r := newRL(t, t.TempDir())
		g := r.Objective.(*GRPO)
		g.Sampler, g.ImportanceCap = bf16, cap
		r.Config.Steps, r.Config.Eval.Problems, r.Config.Weights = 1, 0, weights
		var rl *RL
		if err := r.Train(t.Context(), func(p Progress) { rl = p.Metric.RL }); err != nil {
			t.Fatal(err)
		}
		return rl
	}
	// Weights are off by up to 2⁻⁹ of themselves, so logits of a few units are
	// off by some hundredths.
	apart := first(fp32, 1.001)
	if apart.AgreementEqual > 0.5 || apart.AgreementMax < 1e-4 || apart.AgreementMax > 0.5 || apart.AgreementMean > apart.AgreementMax {
		t.Errorf("a rounded sampler agrees as %+v", apart)
	}
	if apart.Importance > 1.001 || apart.Importance < 0.9 || apart.ImportanceCut == 0 {
		t.Errorf("importance weights capped at 1.001 have mean %v, share cut %v", apart.Importance, apart.ImportanceCut)
	}
	if off := first(fp32, 0); off.Importance != 1 || off.ImportanceCut != 0 {
		t.Errorf("without correction the weights are %v, cut %v", off.Importance, off.ImportanceCut)
	}
	if same := first(bf16, 2); same.AgreementEqual != 1 || same.AgreementMax != 0 || same.Importance != 1 {
		t.Errorf("with rounded master weights the sampler agrees as %+v", same)
	}
}

// watched is a source of problems that says when one is drawn.
type watched struct {
	*Problems
	drawn func()
}

func (w watched) Pose(rng *rand.Rand, step int) task.Problem {
	w.drawn()
	return w.Problems.Pose(rng, step)
}

// TestInterruptedGRPOEndsTheSame cancels before and after responses are
// sampled, and resumes.
func TestInterruptedGRPOEndsTheSame(t *testing.T) {
	want, dir := t.TempDir(), t.TempDir()
	if err := newRL(t, want).Train(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for trial, rng := 0, rand.New(rand.NewPCG(9, 9)); ; trial++ {
		r := newRL(t, dir)
		r.Resume = true
		ctx, cancel := context.WithCancel(t.Context())
		left := 2 + rng.IntN(40) // of 3 problems and 12 rewards a step
		count := func() {
			if left--; left == 0 {
				cancel()
			}
		}
		r.Source = watched{r.Source.(*Problems), count}
		r.Objective.(*GRPO).Reward = func(p task.Problem, ids []int) float64 {
			count()
			return evenFirst(p, ids)
		}
		err := r.Train(ctx, nil)
		cancel()
		if err == nil {
			if trial < 3 {
				t.Errorf("the run was interrupted %d times, want at least 3", trial)
			}
			break
		}
		if !errors.Is(err, context.Canceled) || trial > 60 {
			t.Fatal(err)
		}
	}
	sameRun(t, want, dir)
}

// TestBaseOfARun: the first evaluation is the base's, the base itself is never
// changed, config.json names it, and another base is refused.
func TestBaseOfARun(t *testing.T) {
	dir := t.TempDir()
	r := newRL(t, dir)
	r.Config.Steps, r.Config.Storage = 2, both
	before := r.Base.Fingerprint()
	var kinds []string
	if err := r.Train(t.Context(), func(p Progress) { kinds = append(kinds, p.Metric.Kind) }); err != nil {
		t.Fatal(err)
	}
	if want := []string{"eval", "step", "step", "eval"}; !slices.Equal(kinds, want) {
		t.Errorf("lines are %v, want %v", kinds, want)
	}
	if r.Base.Fingerprint() != before {
		t.Error("training changed its base")
	}
	var doc struct{ Base origin }
	b, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil || json.Unmarshal(b, &doc) != nil || doc.Base != (origin{"small", before}) {
		t.Errorf("config.json says %s, %v", b, err)
	}
	other := newRL(t, dir)
	other.Config, other.Resume = r.Config, true
	other.Base.Model.Params()[0].Val.Data[3] += 1e-6
	if err := other.Train(t.Context(), nil); err == nil || !contains(err, before[:16]) {
		t.Errorf("resuming from another base: %v", err)
	}
	other.Base = nil
	if err := other.Train(t.Context(), nil); err == nil {
		t.Error("resuming without a base was taken")
	}

	// Both types of final/ hold the checkpoint's weights, one of them rounded.
	last := filepath.Join(dir, "checkpoints", stepName(2), "model.safetensors")
	full := filepath.Join(dir, "final-fp32", "model.safetensors")
	x, _ := os.ReadFile(last)
	y, _ := os.ReadFile(full)
	if len(x) == 0 || !bytes.Equal(x, y) {
		t.Error("final-fp32/ does not hold the checkpoint's weights")
	}
	m, err := nn.Load(filepath.Join(dir, "final-fp32"))
	if err != nil {
		t.Fatal(err)
	}
	short, err := nn.Load(filepath.Join(dir, "final"))
	if err != nil {
		t.Fatal(err)
	}
	roundBF16(m.Params())
	if (&Base{Model: m, Vocab: vocab}).Fingerprint() != (&Base{Model: short, Vocab: vocab}).Fingerprint() {
		t.Error("final/ is not final-fp32/ rounded")
	}
}

// TestPrecisionGate trains weights of about 1 at a rate far below half of
// bfloat16's gap there: rounded after every step none ever moves, in a float32
// master all do, and storage hides what they moved by.
func TestPrecisionGate(t *testing.T) {
	moved := func(weights, folder string) (n int) {
		r := newRL(t, t.TempDir())
		r.Config.Steps, r.Config.Eval.Problems, r.Config.Weights, r.Config.Storage = 3, 0, weights, both
		r.Config.Optimizer.LR, r.Config.Schedule = 1e-4, Schedule{Final: 1} // 3e-4 in all, half a gap below 1 is 2e-3
		if err := r.Train(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		m, err := nn.Load(filepath.Join(r.Dir, folder))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range m.Params() {
			if len(p.Shape()) == 1 { // norms begin at 1, which bfloat16 holds
				for _, x := range p.Val.Data {
					n += int(one(x != 1))
				}
			}
		}
		return n
	}
	norms := 5 * 16
	if n := moved(fp32, "final-fp32"); n != norms {
		t.Errorf("%d of %d norms moved in float32", n, norms)
	}
	if n := moved(fp32, "final"); n != 0 {
		t.Errorf("%d norms moved as stored in bfloat16, want 0", n)
	}
	if n := moved(bf16, "final-fp32"); n != 0 {
		t.Errorf("%d norms moved in weights that are rounded every step, want 0", n)
	}
}

func TestBadBases(t *testing.T) {
	small, err := token.New(token.Pieces([]string{"one", "word"}))
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(r *Run){
		"tokenizer has":      func(r *Run) { r.Base.Vocab = small },
		"bidirectional":      func(r *Run) { r.Base.Model.Config.Bidirectional = true },
		"begins and ends":    func(r *Run) { r.Base.Model.Config.EOS = 7 },
		"is NaN":             func(r *Run) { r.Base.Model.Params()[1].Val.Data[2] = float32(math.NaN()) },
		"from no model":      func(r *Run) { r.Base = nil },
		"puts no problems":   func(r *Run) { r.Source = sourceFunc(nil); r.Config.Eval.Problems = 0 },
		"group is 1":         func(r *Run) { r.Objective.(*GRPO).Group = 1 },
		"is NaN: correct":    func(r *Run) { r.Objective.(*GRPO).Reward = func(task.Problem, []int) float64 { return math.NaN() } },
		"storage is \"fp8\"": func(r *Run) { r.Config.Storage = "fp8" },
	} {
		r := newRL(t, t.TempDir())
		spoil(r)
		if err := r.Train(t.Context(), nil); err == nil || !contains(err, strings.ReplaceAll(name, `"`, "")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNaNInGRPO trains at a rate that no model survives.
func TestNaNInGRPO(t *testing.T) {
	r := newRL(t, t.TempDir())
	r.Config.Optimizer.LR, r.Config.Schedule.Warmup, r.Config.Clip, r.Config.CheckpointEvery, r.Config.Eval.Problems = 1e30, 0, 0, 1, 0
	err := r.Train(t.Context(), nil)
	var mine *NaNError
	if !errors.As(err, &mine) || mine.Good != mine.Step-1 {
		t.Errorf("training at learning rate 1e30: %v", err)
	}
}
