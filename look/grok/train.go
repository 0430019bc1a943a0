package grok

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"orrery/learn/checkpoint"
	"orrery/learn/recipe"
	"orrery/learn/tensor"
	"orrery/learn/train"
)

// Evaluation is one line of metrics.jsonl. Everything but Seconds is the same
// however often a run was interrupted.
type Evaluation struct {
	Epoch    int                `json:"epoch"` // finished passes over the training pairs
	Train    Score              `json:"train"`
	Test     *Score             `json:"test,omitempty"` // absent if nothing is held out
	Measures map[string]float64 `json:"measures,omitempty"`
	Seconds  float64            `json:"seconds"` // of training and evaluation so far, over all resumptions
}

const (
	// watchEvery is how often progress is told between evaluations.
	watchEvery = 200 * time.Millisecond
	// saveEvery is how much work a killed run may lose.
	saveEvery = 2 * time.Second
)

// Learner is a training that RunIn takes through a folder, pass by pass. Its
// bytes may depend on its settings alone.
type Learner interface {
	// Step does one pass over the training pairs. The error may be a *NaNError.
	Step() (loss float64, err error)
	// Score scores both sides of the split; nothing uses test if nothing is held out.
	Score() (train, test Score)
	// Measure is what goes into metrics.jsonl besides; nil: nothing.
	Measure(epoch int) (map[string]float64, error)
	// Weights are what is kept of an epoch, and State what a run that goes on needs
	// besides. They are written before the next Step.
	Weights() []checkpoint.Entry
	State() []checkpoint.Entry
	// Restore takes weights and state of an epoch out of a file with both.
	Restore(f *checkpoint.File, epoch int) error
	// Metadata describes the weights to whoever finds the file.
	Metadata() map[string]string
}

// Plan is how long a run is and when it is looked at.
type Plan struct {
	Epochs, Every int  // as in Settings
	HeldOut       bool // there are pairs that are not trained on
}

// loop is a training in a folder.
type loop struct {
	Learner
	plan     Plan
	epoch    int // finished passes
	folder   *train.Folder
	watch    func(recipe.Reading)
	curves   [2]recipe.Curve
	note     string
	told     time.Time
	began    time.Time
	saved    int // epoch of the newest state, −1: none
	savedAt  time.Time
	measured int // epoch of the newest evaluation, −1: none
}

// RunIn runs or resumes a training in a folder. Cancelling ctx finishes the
// pass under way, saves the state and returns an error that wraps ctx.Err().
func RunIn(ctx context.Context, t Learner, plan Plan, choice any, o recipe.Options) (err error) {
	l := &loop{Learner: t, plan: plan, watch: o.Watch, saved: -1, measured: -1}
	l.curves[0].Name, l.curves[1].Name = "train", "test"
	if l.folder, err = train.OpenFolder(o.Dir, choice, o.Resume); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.folder.Close()) }()
	l.began = time.Now()
	if err := l.open(); err != nil {
		return err
	}
	if err := l.run(ctx); err != nil {
		var nan *NaNError
		if errors.As(err, &nan) {
			nan.Good = l.saved
		}
		return err
	}
	final := filepath.Join(o.Dir, "final")
	if err := os.MkdirAll(final, 0o777); err != nil {
		return fmt.Errorf("writing the finished weights: %w", err)
	}
	return checkpoint.Write(filepath.Join(final, modelFile), l.Weights(), l.Metadata())
}

// trainIn runs or resumes a two-layer net's training in a folder.
func trainIn(ctx context.Context, s Settings, choice any, o recipe.Options) error {
	t, err := NewTrainer(s)
	if err != nil {
		return err
	}
	l := learner{Trainer: t}
	if l.observers, err = observe(t.Experiment()); err != nil {
		return err
	}
	return RunIn(ctx, l, Plan{s.Epochs, s.Every, len(t.Split.Test) > 0}, choice, o)
}

// learner is a Trainer with what is observed of it.
type learner struct {
	*Trainer
	observers map[string]Observer
}

func (l learner) Measure(epoch int) (map[string]float64, error) {
	return measures(l.observers, epoch, l.Net)
}

func (l learner) Weights() []checkpoint.Entry { return l.Net.entries(l.Settings.Net) }

func (l learner) State() []checkpoint.Entry {
	var e []checkpoint.Entry
	l.opt.named(func(name string, data []float32) {
		e = append(e, checkpoint.Entry{Name: name, Tensor: tensor.Of(data, len(data))})
	})
	return e
}

func (l learner) Metadata() map[string]string { return l.Experiment().metadata() }

func (l learner) Restore(f *checkpoint.File, epoch int) error {
	n, err := l.Experiment().readNet(f)
	if err != nil {
		return err
	}
	copy(l.Net.W, n.W)
	copy(l.Net.C, n.C)
	l.opt.named(func(name string, data []float32) {
		err = errors.Join(err, take(f, name, tensor.Of(data, len(data))))
	})
	l.Epoch = epoch
	l.updates = l.updatesAfter(epoch)
	return err
}

// open takes up the saved state, if there is one, and removes what is newer.
func (l *loop) open() error {
	path := l.folder.Checkpoint(stateFile)
	f, err := checkpoint.Open(path)
	size := int64(0)
	switch {
	case err == nil:
		size, err = l.take(f)
		if err = errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("resuming from %s: %w: restore the file, or remove it to start from the beginning", path, err)
		}
	case errors.Is(err, fs.ErrNotExist):
	default:
		return err
	}
	epochs, err := KeptEpochs(l.folder.Dir)
	if err != nil {
		return err
	}
	for _, e := range epochs {
		if e > l.saved {
			if err := os.Remove(l.folder.Checkpoint(EpochFile(e))); err != nil {
				return fmt.Errorf("removing weights that are newer than the saved state: %w", err)
			}
		}
	}
	if err := l.folder.Metrics(size); err != nil {
		return err
	}
	done, err := ReadMetrics(l.folder.Dir)
	if err != nil {
		return err
	}
	for _, e := range done {
		l.add(e)
	}
	return nil
}

// take reads a state and returns the size of the metrics that belong to it.
func (l *loop) take(f *checkpoint.File) (int64, error) {
	m := f.Metadata()
	epoch, err1 := strconv.Atoi(m["epoch"])
	size, err2 := strconv.ParseInt(m["metrics"], 10, 64)
	seconds, err3 := strconv.ParseFloat(m["seconds"], 64)
	if err := errors.Join(err1, err2, err3); err != nil {
		return 0, fmt.Errorf("its metadata are %v: %w", m, err)
	}
	if err := l.Restore(f, epoch); err != nil {
		return 0, err
	}
	l.epoch, l.saved = epoch, epoch
	l.began = l.began.Add(-time.Duration(seconds * float64(time.Second)))
	return size, nil
}

// save writes the state to resume from.
func (l *loop) save() error {
	size, err := l.folder.Sync()
	if err != nil {
		return err
	}
	m := l.Metadata()
	m["epoch"], m["metrics"] = strconv.Itoa(l.epoch), strconv.FormatInt(size, 10)
	m["seconds"] = strconv.FormatFloat(time.Since(l.began).Seconds(), 'f', 3, 64)
	if err := checkpoint.Write(l.folder.Checkpoint(stateFile), append(l.Weights(), l.State()...), m); err != nil {
		return err
	}
	l.saved, l.savedAt = l.epoch, time.Now()
	return nil
}

// run does the passes that are left.
func (l *loop) run(ctx context.Context) error {
	at, kept := l.plan.evaluations()
	for {
		for len(at) > 0 && at[0] < l.epoch {
			at = at[1:]
		}
		if len(at) > 0 && at[0] == l.epoch {
			if l.measured < l.epoch {
				if err := l.evaluate(kept[l.epoch]); err != nil {
					return err
				}
			}
			at = at[1:]
		}
		if l.epoch >= l.plan.Epochs {
			return nil
		}
		if ctx.Err() != nil {
			if l.saved < l.epoch {
				if err := l.save(); err != nil {
					return errors.Join(err, ctx.Err())
				}
			}
			return fmt.Errorf("training in %s stopped after epoch %d of %d, which is saved (resume it to go on): %w", l.folder.Dir, l.epoch, l.plan.Epochs, ctx.Err())
		}
		if _, err := l.Step(); err != nil {
			return err
		}
		l.epoch++
		l.tell(false)
	}
}

// evaluate scores, measures, logs and, if keep is set, saves.
func (l *loop) evaluate(keep bool) error {
	e := Evaluation{Epoch: l.epoch}
	var test Score
	if e.Train, test = l.Score(); l.plan.HeldOut {
		e.Test = &test
	}
	bad := func(s Score) bool { return math.IsNaN(s.Loss) || math.IsInf(s.Loss, 0) }
	if bad(e.Train) || e.Test != nil && bad(*e.Test) {
		return &NaNError{Epoch: l.epoch, What: "the loss after it"}
	}
	var err error
	if e.Measures, err = l.Measure(l.epoch); err != nil {
		return err
	}
	e.Seconds = time.Since(l.began).Seconds()
	if err := l.folder.Log(l.epoch, e); err != nil {
		return err
	}
	l.add(e)
	l.tell(true)
	if !keep {
		return nil
	}
	if err := checkpoint.Write(l.folder.Checkpoint(EpochFile(l.epoch)), l.Weights(), l.Metadata()); err != nil {
		return err
	}
	// A state is flushed to disk three times over; runs of a second have fifty
	// kept epochs.
	if l.saved >= 0 && l.epoch < l.plan.Epochs && time.Since(l.savedAt) < saveEvery {
		return nil
	}
	return l.save()
}

// add extends the curves that are shown.
func (l *loop) add(e Evaluation) {
	l.measured = e.Epoch
	note := fmt.Sprintf("train %.1f %%, loss %.2g", 100*e.Train.Accuracy, e.Train.Loss)
	if e.Test != nil {
		note = fmt.Sprintf("train %.1f %%, test %.1f %%, loss %.2g, %.2g", 100*e.Train.Accuracy, 100*e.Test.Accuracy, e.Train.Loss, e.Test.Loss)
	}
	l.note = note
	if e.Epoch == 0 {
		return // no place on a logarithmic axis
	}
	c := &l.curves
	c[0].X, c[0].Y = append(c[0].X, float64(e.Epoch)), append(c[0].Y, e.Train.Accuracy)
	if e.Test != nil {
		c[1].X, c[1].Y = append(c[1].X, float64(e.Epoch)), append(c[1].Y, e.Test.Accuracy)
	}
}

// tell reports progress, now or if it is time to.
func (l *loop) tell(now bool) {
	if l.watch == nil || !now && time.Since(l.told) < watchEvery {
		return
	}
	l.told = time.Now()
	curves := l.curves[:]
	if !l.plan.HeldOut {
		curves = curves[:1]
	}
	l.watch(recipe.Reading{Step: l.epoch, Steps: l.plan.Epochs, Note: strings.TrimSpace(l.note), Curves: curves})
}
