// Package train is the loop that makes a model: ragged batches, an objective
// (cross-entropy, or GRPO with verifiable rewards), Adam, a schedule,
// checkpoints and an exact resume. It starts from random weights or from a Base.
//
// # What a run depends on
//
// Batch i is a pure function of the seed and i, a trace that is sampled of the
// weights, the seed, the step, its problem and its number in the group,
// evaluation of the weights, the seed and the
// step, and no kernel's result depends on the number of threads. So a run that
// was interrupted, by Ctrl-C or by kill -9, and then resumed, ends in the same
// bytes as one that was not, and writes the same metrics except for timings.
//
// # Held-out problems
//
// Random numbers come from PCG streams under the run's seed: training batches
// and problems from one range of streams, held-out problems from another, the
// traces of evaluation from a third, and those that GRPO learns from from a
// fourth. A question that is held out is never trained on,
// even where both streams happen to draw it.
//
// The package knows neither recipes nor servers.
package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"orrery/learn/grad"
	"orrery/learn/nn"
	"orrery/learn/tensor"
	"orrery/learn/token"
)

// Run is one training: fill it in, then call Train.
type Run struct {
	Dir    string // the run folder; made if need be
	Resume bool   // continue what is there, from the start if there is no checkpoint yet
	Recipe any    // what the run was made from, kept in config.json; nil: Config and Model are kept

	Config    Config
	Objective Objective // nil: CrossEntropy
	Base      *Base     // nil: random weights. Model and Vocab are then the Base's, and need not be set
	Model     nn.Config
	Vocab     *token.Vocab
	Files     map[string][]byte // written into each folder of the model, by name
	Source    Source            // a HeldOut too, if Config.Eval asks for evaluation; a Poser for GRPO

	clock func() time.Time // nil: time.Now
}

// NaNError says that the loss or the gradient stopped being a number.
type NaNError struct {
	Step int   // 1-based
	Good int   // step of the last checkpoint, 0: none
	Err  error // a *grad.NaNError names the operation
}

func (e *NaNError) Error() string {
	from := "there is no checkpoint yet"
	if e.Good > 0 {
		from = fmt.Sprintf("the checkpoint of step %d is good", e.Good)
	}
	return fmt.Sprintf("training step %d: %v; %s", e.Step, e.Err, from)
}

func (e *NaNError) Unwrap() error { return e.Err }

// trainer is a running Run.
type trainer struct {
	*Run
	store   store
	model   *nn.Model
	opt     *optimizer
	tape    *grad.Tape
	metrics *metrics
	st      state
	saved   int // step of the newest checkpoint
	report  func(Progress)
	began   time.Time // when this process started, less the seconds of earlier ones
	rate    rate
}

// Train runs to the last step and writes final/. Cancelling ctx finishes the
// step that is under way, writes a checkpoint and returns an error that wraps
// ctx.Err(). progress may be nil; it is called from the calling goroutine after
// every line of metrics. Training that is already finished returns nil.
func (r *Run) Train(ctx context.Context, progress func(Progress)) (err error) {
	t := &trainer{Run: r, store: store{r.Dir, r.Files}, tape: grad.NewTape(), report: progress}
	if t.clock == nil {
		t.clock = time.Now
	}
	if t.report == nil {
		t.report = func(Progress) {}
	}
	if err := r.check(); err != nil {
		return err
	}
	if err := os.MkdirAll(t.store.checkpoints(), 0o777); err != nil {
		return fmt.Errorf("making the run folder: %w: choose a folder that can be written", err)
	}
	lock, err := t.store.lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := t.open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.metrics.f.Close()) }()
	if err := t.loop(ctx); err != nil {
		return err
	}
	m, err := t.finished()
	if err != nil {
		return err
	}
	for _, f := range r.Config.stores() {
		if err := t.store.finish(f, m, t.Vocab); err != nil {
			return err
		}
	}
	return nil
}

// finished is the model that final/ gets.
func (t *trainer) finished() (*nn.Model, error) {
	if t.Config.Finish != "best" || t.st.Best == t.st.Step {
		return t.model, nil
	}
	m, err := nn.Load(t.store.path(t.st.Best))
	if err != nil {
		return nil, fmt.Errorf("finishing with the best checkpoint, of step %d: %w: restore the folder, or set finish to \"last\" in a new run", t.st.Best, err)
	}
	return m, nil
}

// check fills in what is left out and finds contradictions, before anything is
// written.
func (r *Run) check() error {
	if r.Objective == nil {
		r.Objective = CrossEntropy{}
	}
	if r.Base != nil {
		if err := r.Base.Check(); err != nil {
			return err
		}
		r.Model, r.Vocab = r.Base.Model.Config, r.Base.Vocab
	}
	if err := r.Config.Validate(); err != nil {
		return err
	}
	var err error
	if r.Model, err = r.Model.Resolved(); err != nil { // as checkpoints state it
		return err
	}
	if err := r.Objective.Validate(); err != nil {
		return err
	}
	if _, ok := r.Source.(HeldOut); !ok && r.Config.Eval.Problems > 0 {
		return fmt.Errorf("training config: eval.problems is %d, but the source of examples holds none out: set it to 0", r.Config.Eval.Problems)
	}
	return r.Objective.fits(r)
}

// open starts anew or loads the latest checkpoint.
func (t *trainer) open() error {
	recipe := t.Recipe
	if recipe == nil {
		recipe = map[string]any{"train": t.Config, "model": t.Model, "objective": t.Objective}
	}
	if err := t.store.describe(recipe, t.Base, t.Resume); err != nil {
		return err
	}
	step, err := t.store.latest()
	if err != nil {
		return err
	}
	if step == 0 {
		if t.model, err = t.initial(); err != nil {
			return err
		}
		t.opt = newOptimizer(t.Config.Optimizer, t.model.Params())
		t.st = state{Version: 1, BestScore: -1}
	} else {
		open := func(m *nn.Model) *optimizer { return newOptimizer(t.Config.Optimizer, m.Params()) }
		if t.model, t.opt, t.st, err = t.store.load(step, t.Model, open); err != nil {
			return err
		}
	}
	t.saved = step
	t.began = t.clock().Add(-time.Duration(t.st.Seconds * float64(time.Second)))
	t.metrics, err = openMetrics(t.Dir, t.st.Metrics)
	return err
}

// initial makes the model of step 0.
func (t *trainer) initial() (m *nn.Model, err error) {
	if t.Base != nil {
		m, err = clone(t.Base.Model)
	} else {
		m, err = nn.New(t.Model, t.Config.Seed)
	}
	if err != nil {
		return nil, err
	}
	if s := float32(t.Config.InitScale); s != 0 && t.Base == nil {
		for _, p := range m.Params() {
			if len(p.Val.Shape) >= 2 {
				tensor.Scale(p.Val.Data, p.Val.Data, s)
			}
		}
	}
	if t.Config.Init == "lookup" && t.Base == nil {
		if err := m.InitLookup(t.Config.Seed); err != nil {
			return nil, err
		}
	}
	if t.Config.Weights == bf16 {
		roundBF16(m.Params())
	}
	return m, nil
}

// seconds is the time spent in this run, over all its processes.
func (t *trainer) seconds() float64 { return t.clock().Sub(t.began).Seconds() }

// loop does the steps that are left.
func (t *trainer) loop(ctx context.Context) error {
	if err := t.after(ctx, t.st.Step > 0); err != nil { // an evaluation that was cut short
		return err
	}
	steps, err := t.Objective.begin(ctx, t)
	if err != nil {
		return err
	}
	defer steps.stop()
	t.rate.start(t.clock())
	for t.st.Step < t.Config.Steps {
		if ctx.Err() != nil {
			return t.interrupted(ctx)
		}
		n := t.st.Step + 1
		if slices.Contains(t.Config.ResetAt, t.st.Step) {
			t.opt.reset()
			t.st.Updates = 0
		}
		line, tokens, err := steps.step(ctx, n)
		if err != nil {
			if cause := ctx.Err(); cause != nil && errors.Is(err, cause) {
				return t.interrupted(ctx)
			}
			return err
		}
		t.st.Step, t.st.Evaluated = n, false
		t.st.Tokens += int64(tokens)
		line.Kind, line.Step, line.LR, line.Tokens = "step", n, t.Config.LR(n), t.st.Tokens
		line.TokensPerSecond = t.rate.add(t.clock(), tokens)
		if err := t.log(line); err != nil {
			return err
		}
		if err := t.after(ctx, false); err != nil {
			return err
		}
	}
	return nil
}

// update does one optimiser step of training step n with the parameters'
// gradients and returns their norm before clipping. Where the loss or the norm
// is no number it changes nothing; again, which computes the gradients once
// more, then finds the first operation that went wrong.
func (t *trainer) update(n int, loss float64, again func() error) (norm float64, err error) {
	norm = t.opt.norm()
	if bad := loss + norm; math.IsNaN(bad) || math.IsInf(bad, 0) {
		return norm, t.nameNaN(n, loss, norm, again)
	}
	t.st.Updates++
	t.opt.step(t.st.Updates, t.Config.LR(n), clipScale(norm, t.Config.Clip))
	if t.Config.Weights == bf16 {
		roundBF16(t.model.Params())
	}
	return norm, nil
}

// nameNaN computes gradients that went wrong again, looking at every operation.
func (t *trainer) nameNaN(n int, loss, norm float64, again func() error) error {
	t.tape.Reset()
	for _, p := range t.model.Params() {
		p.ZeroGrad()
	}
	t.tape.CheckNaN = true
	err := again()
	if err == nil {
		err = fmt.Errorf("the loss is %v and the gradient's norm %v although every operation is finite: lower optimizer.lr or schedule a longer warm-up", loss, norm)
	}
	return &NaNError{Step: n, Good: t.saved, Err: err}
}

// after evaluates and saves where the current step asks for it; again says that
// the step comes from a checkpoint, which only its evaluation can be missing.
// Step 0 is worth an evaluation where the weights are not random.
func (t *trainer) after(ctx context.Context, again bool) error {
	c, n := t.Config, t.st.Step
	if c.SnapshotEvery > 0 && n > 0 && n%c.SnapshotEvery == 0 {
		if err := t.store.snapshot(n, t.model, t.Vocab, c.stores()[0].dtype); err != nil {
			return err
		}
	}
	last := n == c.Steps
	due := c.Eval.Problems > 0 && (last || n == 0 && t.Base != nil || n > 0 && c.Eval.Every > 0 && n%c.Eval.Every == 0)
	switch {
	case due && !t.st.Evaluated:
		if err := t.evaluate(ctx); err != nil {
			if ctx.Err() != nil {
				return t.interrupted(ctx)
			}
			return err
		}
	case again:
		return nil
	}
	if n == 0 {
		return nil // it begins again from the start
	}
	if again {
		t.st.Metrics, t.st.Seconds = t.metrics.bytes, t.seconds()
		return writeState(t.store.path(n), t.st)
	}
	if due || last || c.CheckpointEvery > 0 && n%c.CheckpointEvery == 0 {
		return t.save()
	}
	return nil
}

// save writes a checkpoint of the current step and removes old ones.
func (t *trainer) save() error {
	if err := t.metrics.f.Sync(); err != nil {
		return fmt.Errorf("writing metrics up to step %d: %w", t.st.Step, err)
	}
	t.st.Metrics, t.st.Seconds = t.metrics.bytes, t.seconds()
	if err := t.store.save(t.model, t.Vocab, t.opt, t.st); err != nil {
		return err
	}
	t.saved = t.st.Step
	return t.store.prune(t.st.Best)
}

// interrupted saves what is there and says how to go on.
func (t *trainer) interrupted(ctx context.Context) error {
	if t.st.Step > t.saved {
		if err := t.save(); err != nil {
			return errors.Join(err, ctx.Err())
		}
	}
	if t.st.Step == 0 {
		return fmt.Errorf("training in %s stopped before its first step was done (resume it to begin again): %w", t.Dir, ctx.Err())
	}
	return fmt.Errorf("training in %s stopped after step %d of %d, which is saved (resume it to go on): %w", t.Dir, t.st.Step, t.Config.Steps, ctx.Err())
}

// evaluate examines every task's held-out problems and logs the scores.
func (t *trainer) evaluate(ctx context.Context) error {
	e := t.Config.Eval
	line := Metric{Kind: "eval", Step: t.st.Step, Tasks: map[string]Score{}}
	held := t.Source.(HeldOut).HeldOut()
	for at, problems := range held {
		problems = problems[:min(len(problems), e.Problems)]
		if len(problems) == 0 {
			return fmt.Errorf("evaluation at step %d: task %d of the source holds no problems out: set eval.problems to 0", t.st.Step, at)
		}
		seed := func(i int) uint64 {
			return stream(t.Config.Seed, traceStream+uint64(t.st.Step)<<24+uint64(at)<<16+uint64(i)).Uint64()
		}
		s, err := examine(ctx, t.model, t.style(), problems, seed)
		if err != nil {
			return fmt.Errorf("evaluation at step %d: %w", t.st.Step, err)
		}
		line.Tasks[problems[0].Task] = s
		line.Accuracy += s.Accuracy / float64(len(held))
	}
	t.st.Evaluated = true
	if line.Accuracy > t.st.BestScore && t.st.Step >= max(1, e.BestFrom) { // step 0 has no checkpoint
		t.st.Best, t.st.BestScore = t.st.Step, line.Accuracy
	}
	t.rate.start(t.clock()) // evaluation is not part of the training speed
	return t.log(line)
}

// log writes a line and reports it.
func (t *trainer) log(line Metric) error {
	line.Seconds = t.seconds()
	if err := t.metrics.write(line); err != nil {
		return err
	}
	p := Progress{Step: t.st.Step, Steps: t.Config.Steps, Metric: line, TokensPerSecond: t.rate.mean}
	if t.rate.step > 0 {
		p.Left = time.Duration(float64(p.Steps-p.Step) * t.rate.step * float64(time.Second))
	}
	t.report(p)
	return nil
}

// rate smooths the speed over the latest steps.
type rate struct {
	last time.Time
	mean float64 // tokens a second
	step float64 // seconds a step
}

func (r *rate) start(now time.Time) { r.last = now }

// add counts one step and returns its own speed, 0 if no time has passed.
func (r *rate) add(now time.Time, tokens int) float64 {
	d := now.Sub(r.last).Seconds()
	r.last = now
	if d <= 0 {
		return 0
	}
	speed := float64(tokens) / d
	if r.mean == 0 {
		r.mean, r.step = speed, d
	}
	r.mean += (speed - r.mean) / 8
	r.step += (d - r.step) / 8
	return speed
}
