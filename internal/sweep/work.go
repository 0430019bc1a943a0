package sweep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"

	"orrery/learn/recipe"
)

// trialArgs are a job's arguments in River's table.
type trialArgs struct {
	Key      string          `json:"key" river:"unique"`
	Recipe   string          `json:"recipe"`
	Settings json.RawMessage `json:"settings"`
}

func (trialArgs) Kind() string { return "trial" }

// mostAttempts is how often a trial may lose its worker, or its database, before
// it is given up: it may be the reason.
const mostAttempts = 5

func (trialArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: mostAttempts, UniqueOpts: river.UniqueOpts{ByArgs: true}}
}

// worker runs trials for River.
type worker[Tx any] struct {
	river.WorkerDefaults[trialArgs]
	*backend[Tx]
	build, host string
	lease       time.Duration // 0: jobs are nobody else's
	held        *held
}

// Timeout is none for a trial that runs: how long it takes is its own affair.
// River's rescuer asks as well, and leaves jobs without a timeout alone; of the
// jobs that it asks about, those are dead whose lease has run out.
func (w *worker[Tx]) Timeout(job *river.Job[trialArgs]) time.Duration {
	if job.AttemptedAt != nil && time.Since(*job.AttemptedAt) > w.lease {
		return max(w.lease, 1)
	}
	return -1
}

// NextRetry is soon: what is tried again lost its worker or its database.
func (w *worker[Tx]) NextRetry(*river.Job[trialArgs]) time.Time { return time.Now() }

// Work runs one trial and stores its result in the transaction that completes
// the job.
func (w *worker[Tx]) Work(ctx context.Context, job *river.Job[trialArgs]) error {
	t := Trial(job.Args)
	// It is there if its first worker was thought dead and was not.
	done, err := w.has(ctx, t.Key)
	if err != nil {
		return fmt.Errorf("looking for the result of trial %s: %w", t.Key, err)
	}
	if done {
		return w.complete(ctx, job, nil)
	}
	trial, release := w.held.hold(ctx, job.ID)
	defer release()
	start := time.Now()
	// PostgreSQL orders the fields anew.
	whole, err := NewTrial(t.Recipe, t.Settings)
	if err == nil && whole.Key != t.Key {
		err = errors.New("its settings mean another trial to this program than to the one that queued it")
	}
	var out json.RawMessage
	if err == nil {
		t = whole
		out, err = perform(trial, t)
	}
	if trial.Err() != nil {
		return river.JobSnooze(0) // back to the queue, without an attempt
	}
	r := Result{Trial: t, State: Done, Result: out, Build: w.build, Worker: w.host, Seconds: time.Since(start).Seconds()}
	if err != nil {
		r.State, r.Result, r.Error = Failed, json.RawMessage("null"), err.Error()
	}
	// What is computed is kept, also while the program stops.
	return w.complete(context.WithoutCancel(ctx), job, &r)
}

// complete completes a job and stores its result, if there is one, or neither.
func (w *worker[Tx]) complete(ctx context.Context, job *river.Job[trialArgs], r *Result) error {
	err := w.within(ctx, func(tx Tx, exec func(string, ...any) error) error {
		if r != nil {
			if err := exec(w.q(insertResult), r.values()...); err != nil {
				return err
			}
		}
		_, err := river.JobCompleteTx[riverdriver.Driver[Tx]](ctx, tx, job)
		return err
	})
	if err != nil {
		return fmt.Errorf("storing the result of trial %s: %w", job.Args.Key, err)
	}
	return nil
}

// perform runs a trial. A panic is the trial's own end.
func perform(ctx context.Context, t Trial) (out json.RawMessage, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the program failed in it, which is a mistake in it: %v", p)
		}
	}()
	r, err := recipe.Lookup(t.Recipe)
	if err != nil {
		return nil, err
	}
	if r, err = r.With(t.Settings); err != nil {
		return nil, err
	}
	s, err := r.Settings()
	if err != nil {
		return nil, err
	}
	one, ok := s.(recipe.Trial)
	if !ok {
		return nil, fmt.Errorf("recipe %s cannot be a trial", t.Recipe)
	}
	v, err := one.Trial(ctx)
	if err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

// held are the trials that run in this process, by job.
type held struct {
	mu sync.Mutex
	by map[int64]context.CancelCauseFunc
}

var errTaken = errors.New("the trial's lease ran out and its job went to another worker")

// hold registers a running job; its context ends when the job is lost.
func (h *held) hold(ctx context.Context, id int64) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	h.mu.Lock()
	h.by[id] = cancel
	h.mu.Unlock()
	return ctx, func() {
		h.mu.Lock()
		delete(h.by, id)
		h.mu.Unlock()
		cancel(nil)
	}
}

// ids are the jobs that run here.
func (h *held) ids() []int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []int64
	for id := range h.by {
		out = append(out, id)
	}
	return out
}

// lost stops the trial of a job.
func (h *held) lost(id int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if cancel, ok := h.by[id]; ok {
		cancel(errTaken)
	}
}
