// Package eval runs methods on tasks side by side and says what each cost and
// what it got right: accuracy with intervals, tokens, latency, and how well
// confidence tells right traces from wrong ones.
//
// Every method sees the same problems, and trace i of a problem has the same
// seed under every method, so that methods are compared on the same draws.
package eval

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"orrery/task"
	"orrery/think/confidence"
	"orrery/think/llm"
	"orrery/think/reason"
)

// Options say what to run. Zero fields mean their defaults.
type Options struct {
	Tasks    []string
	Methods  []string
	N        int        // problems a task; 0: 200
	Level    task.Level // 0: standard
	Seed     uint64     // of the problems and of the traces
	Params   reason.Params
	Parallel int // problems at once; 0: 1, which makes the seconds a lone user's

	// Problems replaces generated ones, for a task read from a file, from which
	// Unanswerable were left out, see [Answerable].
	Problems     []task.Problem
	Unanswerable int

	// Instruct adds the task's instruction to each question, for models that
	// were not trained on the task.
	Instruct bool

	// Unmeasured asks for no confidence where a method can do without, for
	// servers that have no log-probabilities; there is no calibration then.
	Unmeasured bool

	// Log holds what an earlier, interrupted run has done; nil: none.
	Log *Log
}

// Record is one problem under one method: a line of --out.
type Record struct {
	Run      string        `json:"run"` // fingerprint of the settings
	Task     string        `json:"task"`
	Method   string        `json:"method"`
	Index    int           `json:"index"`
	Question string        `json:"question"`
	Expected string        `json:"expected"`
	Answer   *string       `json:"answer"`
	Correct  bool          `json:"correct"`
	Tokens   int           `json:"tokens"`
	Saved    *float64      `json:"saved_estimate"`
	Seconds  float64       `json:"seconds"`
	Stopped  string        `json:"stopped_by"`
	Fallback string        `json:"fallback,omitempty"`
	Traces   []TraceRecord `json:"traces"`
	Warnings []string      `json:"warnings,omitempty"`

	// Old says that the record is from the log of an earlier run.
	Old bool `json:"-"`
}

// TraceRecord is one trace of a record. Correct is the verifier's word on this
// trace's own answer.
type TraceRecord struct {
	Answer  *string  `json:"answer"`
	Correct bool     `json:"correct"`
	Stop    string   `json:"stop_reason"`
	Tokens  int      `json:"tokens"`
	Mean    *float64 `json:"mean"`
	Lowest  *float64 `json:"lowest_group"`
	Bottom  *float64 `json:"bottom10"`
	Tail    *float64 `json:"tail"`
}

// measure returns the named confidence, or nil.
func (t TraceRecord) measure(m confidence.Measure) *float64 {
	switch m {
	case confidence.Mean:
		return t.Mean
	case confidence.Lowest:
		return t.Lowest
	case confidence.Bottom10:
		return t.Bottom
	}
	return t.Tail
}

// Progress is called after each problem, from one goroutine at a time.
type Progress func(done, total int, last Record)

// Validate resolves names and checks every method's parameters before
// anything is run.
func (o *Options) Validate() error {
	if len(o.Tasks) == 0 || len(o.Methods) == 0 {
		return fmt.Errorf("evaluation needs at least one task and one method")
	}
	if o.N < 0 || o.Parallel < 0 {
		return fmt.Errorf("evaluation: the numbers of problems (%d) and of problems at once (%d) can't be negative", o.N, o.Parallel)
	}
	if o.Problems != nil && len(o.Tasks) != 1 {
		return fmt.Errorf("evaluation of a file is for one task, not %d", len(o.Tasks))
	}
	for _, names := range [][]string{o.Tasks, o.Methods} {
		for i, n := range names {
			if slices.Contains(names[:i], n) {
				return fmt.Errorf("evaluation: %s is listed twice", n)
			}
		}
	}
	for _, name := range o.Tasks {
		if _, err := task.Lookup(name); err != nil {
			return err
		}
	}
	used := map[string]bool{}
	for _, name := range o.Methods {
		m, err := reason.Lookup(name)
		if err != nil {
			return err
		}
		if err := m.Check(o.params(m)); err != nil {
			return err
		}
		for _, u := range m.Uses() {
			used[u] = true
		}
	}
	for _, set := range o.Params.Set() {
		if !used[set] {
			return fmt.Errorf("none of the methods %s uses %s: drop it", strings.Join(o.Methods, ", "), set)
		}
	}
	return nil
}

// params are the method's share of the common parameters. Majority is asked to
// measure confidence although it ignores it: its traces all run to their end,
// which is what calibration is read from.
func (o *Options) params(m reason.Method) reason.Params {
	p := o.Params
	if p.K == 0 && !o.Unmeasured && slices.Contains(m.Uses(), "k") {
		p.K = confidence.DefaultK
	}
	return p.Only(m)
}

// problems are the task's, the same for every method. Item i depends on the
// seed and i alone.
func (o *Options) problems(t task.Task) []task.Problem {
	if o.Problems != nil {
		if o.N > 0 {
			return o.Problems[:min(o.N, len(o.Problems))]
		}
		return o.Problems
	}
	n := o.N
	if n == 0 {
		n = 200
	}
	ps := make([]task.Problem, n)
	for i := range ps {
		ps[i] = t.Generate(rand.New(rand.NewPCG(o.Seed, evalStream+uint64(i))), o.Level)
	}
	return ps
}

// Answerable leaves out the problems whose text does not decide their answer,
// which some published files have: they can be read but not scored.
func Answerable(ps []task.Problem) (kept []task.Problem, out int) {
	for _, p := range ps {
		if a, ok := p.Data.(interface{ Answerable() bool }); ok && !a.Answerable() {
			out++
			continue
		}
		kept = append(kept, p)
	}
	return kept, out
}

// evalStream keeps evaluation problems apart from the training streams, which
// recipes draw from PCG sequences of other second words.
const evalStream = 0x6576616c00000000 // "eval" in the upper half

// fingerprinted is implemented by generators that know their model by more
// than its name.
type fingerprinted interface{ Fingerprint() string }

// recordVersion goes up when the same settings begin to mean other records.
const recordVersion = 2

// fingerprint names the settings that decide a record: two runs with equal
// fingerprints make records of the same distribution. How many traces and
// problems run at once is part of it, because DeepConf has launched more traces
// when it agrees, and because seconds count. The problems are not: each record
// holds its own, see [Record.of]. A server's model is known by its name alone.
func (o *Options) fingerprint(g llm.Generator) string {
	info := g.Info()
	weights := ""
	if f, ok := g.(fingerprinted); ok {
		weights = f.Fingerprint()
	}
	b, err := json.Marshal(map[string]any{"version": recordVersion, "params": o.Params, "seed": o.Seed, "level": o.Level,
		"instruct": o.Instruct, "unmeasured": o.Unmeasured, "problems_at_once": max(1, o.Parallel),
		"model": info.Model, "backend": info.Backend, "traces_at_once": info.MaxParallel, "weights": weights})
	if err != nil {
		panic(err) // plain data always marshals
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6])
}

// of reports whether the record is about problem p: a generator or a file may
// have changed since it was written.
func (r Record) of(p task.Problem) bool { return r.Question == p.Question && r.Expected == p.Answer }

// Run evaluates every method on every task. When ctx ends, or a problem can't
// be run, it stops and returns the error, with a report of what was done.
func Run(ctx context.Context, g llm.Generator, o Options, progress Progress) (*Report, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	run := o.fingerprint(g)
	if err := o.Log.begin(run); err != nil {
		return nil, err
	}
	r := &Report{Options: o, Model: g.Info().Model, Partial: true}
	sets := map[string][]task.Problem{}
	total := 0
	for _, name := range o.Tasks {
		t, _ := task.Lookup(name)
		sets[name] = o.problems(t)
		total += len(sets[name]) * len(o.Methods)
	}
	done := 0
	var mu sync.Mutex
	for _, name := range o.Tasks {
		t, _ := task.Lookup(name)
		for _, method := range o.Methods {
			m, _ := reason.Lookup(method)
			records := make([]Record, len(sets[name]))
			err := forEach(ctx, len(records), max(1, o.Parallel), func(ctx context.Context, i int) error {
				rec, err := o.record(ctx, g, t, m, sets[name][i], i, run)
				if err != nil {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				records[i] = rec
				done++
				if progress != nil {
					progress(done, total, rec)
				}
				if rec.Old {
					return nil
				}
				return o.Log.add(rec)
			})
			records = slices.DeleteFunc(records, func(rec Record) bool { return rec.Run == "" }) // not reached
			if len(records) > 0 {
				row := summarise(name, method, records)
				row.Thinking = o.thinking(g)
				r.Results = append(r.Results, row)
				r.Records = append(r.Records, records...)
			}
			if err != nil {
				return r, fmt.Errorf("evaluating %s on %s: %w", method, name, err)
			}
		}
	}
	r.Partial = false
	return r, nil
}

// record looks a problem's record up in the log, or makes it.
func (o *Options) record(ctx context.Context, g llm.Generator, t task.Task, m reason.Method, p task.Problem, i int, run string) (Record, error) {
	rec, old := o.Log.find(t.Name(), m.Name(), i)
	switch {
	case old && !rec.of(p):
		return Record{}, fmt.Errorf("evaluation log %s holds another problem %d than the one to ask: choose another file for --out, or the old problems", o.Log.path, i)
	case old:
		rec.Old = true
		return rec, nil
	}
	rec, err := o.one(ctx, g, t, m, p, i)
	rec.Run = run
	return rec, err
}

// forEach calls f(0) … f(n−1), at most k at once, and returns the first error.
func forEach(ctx context.Context, n, k int, f func(context.Context, int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(k, n) {
		wg.Go(func() {
			for i := range next {
				if err := f(ctx, i); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	for i := range n {
		select {
		case next <- i:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(next)
	wg.Wait()
	return context.Cause(ctx)
}

// one runs a method on a problem.
func (o *Options) one(ctx context.Context, g llm.Generator, t task.Task, m reason.Method, p task.Problem, i int) (Record, error) {
	question := p.Question
	if o.Instruct {
		question += "\n\n" + strings.TrimSpace(t.Instruction()+" "+reason.BoxInstruction)
	}
	params := o.params(m)
	params.Seed = reason.TraceSeed(o.Seed, i) // each problem has traces of its own
	res, err := m.Run(ctx, g, reason.Ask(question), params, func(reason.Event) {})
	if err != nil {
		return Record{}, fmt.Errorf("problem %d: %w", i, err)
	}
	if ctx.Err() != nil { // a partial result is not a measurement
		return Record{}, context.Cause(ctx)
	}
	rec := Record{
		Task: t.Name(), Method: m.Name(), Index: i, Question: p.Question, Expected: p.Answer,
		Answer: res.Answer, Correct: correct(t, p, res.Answer), Tokens: res.Tokens.Used, Saved: res.Tokens.SavedEstimate,
		Seconds: res.Seconds, Stopped: res.StoppedBy, Fallback: string(res.Fallback),
	}
	for _, w := range res.Warnings {
		rec.Warnings = append(rec.Warnings, w.Code)
	}
	for _, tr := range res.Traces {
		rec.Traces = append(rec.Traces, TraceRecord{
			Answer: tr.Answer, Correct: correct(t, p, tr.Answer), Stop: string(tr.StopReason), Tokens: tr.Tokens,
			Mean: tr.Mean, Lowest: tr.Lowest, Bottom: tr.Bottom10, Tail: tr.Tail,
		})
	}
	return rec, nil
}

func correct(t task.Task, p task.Problem, a *string) bool { return a != nil && t.Verify(p, *a) }
