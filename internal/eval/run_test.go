package eval

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"orrery/task"
	"orrery/think/llm"
	"orrery/think/llm/llmtest"
	"orrery/think/reason"
)

// guesser answers small numbers that depend on the seed, so that some traces
// agree, some are right and all runs are reproducible.
func guesser() *llmtest.Scripted {
	return &llmtest.Scripted{Pick: func(r llm.Request) llmtest.Script {
		answers := []string{"2", "3", "3", "7", "10"}
		return llmtest.Words(20, `I think that \boxed{`+answers[r.Seed%5]+`}`)
	}}
}

func options() Options {
	return Options{Tasks: []string{"arithmetic"}, Methods: []string{"single", "majority", "deepconf-high"}, N: 12,
		Level: 1, Seed: 3, Params: reason.Params{Budget: 8, Warmup: 4}}
}

func TestRunComparesMethodsOnTheSameDraws(t *testing.T) {
	o := options()
	calls := 0
	r, err := Run(t.Context(), guesser(), o, func(done, total int, _ Record) {
		if calls++; done != calls || total != 36 {
			t.Errorf("progress %d of %d at call %d", done, total, calls)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	single, majority := r.records("arithmetic", "single"), r.records("arithmetic", "majority")
	for i := range single {
		if single[i].Question != majority[i].Question || *single[i].Traces[0].Answer != *majority[i].Traces[0].Answer {
			t.Errorf("problem %d: single and majority saw different questions or draws", i)
		}
	}
	// Trace records, the table and the JSON tell of the same tokens.
	for _, x := range r.Results {
		sum := 0
		for _, rec := range r.records(x.Task, x.Method) {
			for _, tr := range rec.Traces {
				sum += tr.Tokens
			}
		}
		if got := x.TokensMean * float64(x.N); got != float64(sum) {
			t.Errorf("%s: %v tokens in the table, %d in its traces", x.Method, got, sum)
		}
	}
	// The curve's ends are single traces and the full vote.
	c := majorityCurve(majority, r.verify("arithmetic"))
	for i, want := range map[int]float64{0: r.Results[0].Accuracy, len(c.Accuracy) - 1: r.Results[1].Accuracy} {
		if c.Accuracy[i] != want {
			t.Errorf("the majority curve has %v at %d traces, the table %v", c.Accuracy[i], c.Budget[i], want)
		}
	}
	if c.Tokens[len(c.Tokens)-1] != r.Results[1].TokensMean {
		t.Errorf("the majority curve ends at %v tokens, the table says %v", c.Tokens[len(c.Tokens)-1], r.Results[1].TokensMean)
	}
	var page, table strings.Builder
	if err := errors.Join(r.Page().Write(&page), r.WriteTable(&table)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Accuracy against tokens, arithmetic", "Confidence and correctness"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Count(table.String(), "\n") != 4 {
		t.Errorf("want a head and three rows, got\n%s", table.String())
	}
}

func TestLogResumesAndRefusesOtherSettings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.jsonl")
	run := func(o Options, stopAfter int) (*Report, *llmtest.Scripted, error) {
		log, err := OpenLog(path)
		if err != nil {
			return nil, nil, err
		}
		defer log.Close()
		o.Log = log
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		g := guesser()
		r, err := Run(ctx, g, o, func(done, _ int, _ Record) {
			if done == stopAfter {
				cancel()
			}
		})
		return r, g, err
	}
	part, _, err := run(options(), 20)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("a cancelled run returned %v", err)
	}
	// What was done is reported: 12 problems of single and 8 of majority.
	if !part.Partial || len(part.Results) != 2 || part.Results[0].N != 12 || part.Results[1].N != 8 {
		t.Errorf("the cancelled run reports %+v", part.Results)
	}
	whole, err := Run(t.Context(), guesser(), options(), nil)
	if err != nil {
		t.Fatal(err)
	}
	// A kill in the middle of a line loses that line only.
	b, _ := os.ReadFile(path)
	if n := strings.Count(string(b), "\n"); n != 20 {
		t.Fatalf("%d lines after 20 problems", n)
	}
	if err := os.WriteFile(path, b[:len(b)-10], 0o644); err != nil {
		t.Fatal(err)
	}
	resumed, g, err := run(options(), -1)
	if err != nil {
		t.Fatal(err)
	}
	// 19 of the 36 are on file: 12 single and 7 majority problems. What is left
	// is 5 majority problems of 8 traces, and deepconf's.
	left := 5 * 8
	for _, rec := range resumed.records("arithmetic", "deepconf-high") {
		left += len(rec.Traces)
	}
	if asked := len(g.Requests()); asked != left {
		t.Errorf("the resumed run sent %d requests, want %d", asked, left)
	}
	for i, x := range whole.Results {
		y := resumed.Results[i]
		x.SecondsMean, y.SecondsMean = 0, 0
		if x != y {
			t.Errorf("resumed %+v, uninterrupted %+v", y, x)
		}
	}
	other := options()
	other.Params.Budget = 9
	if _, _, err := run(other, -1); err == nil || !strings.Contains(err.Error(), "other settings") {
		t.Errorf("other settings on an old log: %v", err)
	}
	// More problems are the same settings; other problems are not the logged ones.
	more := options()
	more.N = 14
	grown, g, err := run(more, -1)
	if err != nil {
		t.Fatal(err)
	}
	left = 0
	for _, rec := range grown.Records {
		if rec.Old != (rec.Index < 12) {
			t.Errorf("%s %d: old is %v", rec.Method, rec.Index, rec.Old)
		} else if !rec.Old {
			left += len(rec.Traces)
		}
	}
	if asked := len(g.Requests()); asked != left {
		t.Errorf("2 new problems sent %d requests, want %d", asked, left)
	}
	file := options()
	file.Problems = []task.Problem{{Task: "arithmetic", Question: "Compute 1 + 1.", Answer: "2"}}
	if _, _, err := run(file, -1); err == nil || !strings.Contains(err.Error(), "another problem 0") {
		t.Errorf("another file's problems on an old log: %v", err)
	}
}

// known is a guesser that has a fingerprint and a number of places.
type known struct {
	*llmtest.Scripted
	weights string
	places  int
}

func (k known) Fingerprint() string { return k.weights }

func (k known) Info() llm.Info {
	info := k.Scripted.Info()
	info.MaxParallel = k.places
	return info
}

// TestFingerprintHasAllThatChangesRecords: each change of settings is another
// run; only what each record holds itself, tasks, methods and n, is not.
func TestFingerprintHasAllThatChangesRecords(t *testing.T) {
	seen := map[string]string{}
	add := func(what string, g llm.Generator, change func(*Options)) {
		o := options()
		if change != nil {
			change(&o)
		}
		f := o.fingerprint(g)
		if other, dup := seen[f]; dup {
			t.Errorf("%s and %s have one fingerprint", what, other)
		}
		seen[f] = what
	}
	g := known{guesser(), "a", 4}
	add("the base", g, nil)
	add("other weights of that name", known{guesser(), "b", 4}, nil)
	add("more places", known{guesser(), "a", 8}, nil)
	for what, change := range map[string]func(*Options){
		"seed":             func(o *Options) { o.Seed++ },
		"level":            func(o *Options) { o.Level++ },
		"params":           func(o *Options) { o.Params.Budget++ },
		"instruct":         func(o *Options) { o.Instruct = true },
		"unmeasured":       func(o *Options) { o.Unmeasured = true },
		"problems at once": func(o *Options) { o.Parallel = 2 },
	} {
		add(what, g, change)
	}
	o := options()
	o.Tasks, o.Methods, o.N = []string{"countdown"}, []string{"single"}, 1
	if _, same := seen[o.fingerprint(g)]; !same {
		t.Error("task, method and n are another run")
	}
}

func TestAnswerableLeavesOutOnlyWhatCannotBeScored(t *testing.T) {
	ps, err := (task.ProsQA{}).ReadFile(strings.NewReader(`[
		{"question": "Every brimpus is a gorpus. Rex is a brimpus. Is Rex a zumpus or gorpus?", "answer": "Rex is a gorpus.",
		 "steps": ["Rex is a brimpus.", "Every brimpus is a gorpus."]},
		{"question": "Every brimpus is a gorpus. Every dumpus is a zumpus. Is Rex a gorpus or a zumpus?", "answer": "Rex is a gorpus.",
		 "steps": ["Every brimpus is a gorpus, so Rex is a gorpus."]},
		{"question": "How many?", "answer": "2", "steps": []}]`))
	if err != nil {
		t.Fatal(err)
	}
	kept, out := Answerable(ps)
	if out != 1 || len(kept) != 2 || kept[0].Question != ps[0].Question || kept[1].Question != ps[2].Question {
		t.Errorf("left %d out, kept %v", out, kept)
	}
}

// TestUnmeasuredNeedsNoLogprobs: a server without them is enough for methods
// that vote without confidence.
func TestUnmeasuredNeedsNoLogprobs(t *testing.T) {
	o := options()
	o.Methods, o.Unmeasured, o.Params.Warmup = []string{"single", "majority"}, true, 0
	g := guesser()
	if _, err := Run(t.Context(), g, o, nil); err != nil {
		t.Fatal(err)
	}
	for _, r := range g.Requests() {
		if r.TopLogprobs != 0 {
			t.Fatalf("%d alternatives were asked for", r.TopLogprobs)
		}
	}
}

func TestOpenLogNamesABadLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.jsonl")
	for name, text := range map[string]string{
		"not JSON":       "hello\n",
		"another object": "{\"a\": 1}\n",
		"a file that is not ours and lacks a newline": `{"precious": 1}`,
		"two runs": "{\"run\":\"a\",\"task\":\"t\"}\n{\"run\":\"b\",\"task\":\"t\"}\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenLog(path); err == nil || !strings.Contains(err.Error(), "line") {
			t.Errorf("%s: %v", name, err)
		}
		if left, err := os.ReadFile(path); err != nil || string(left) != text {
			t.Errorf("%s: the file was changed to %q (%v)", name, left, err)
		}
	}
}

func TestValidateSaysWhatIsWrong(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"at least one task":  func(o *Options) { o.Tasks = nil },
		"unknown task":       func(o *Options) { o.Tasks = []string{"chess"} },
		"unknown method":     func(o *Options) { o.Methods = []string{"telepathy"} },
		"listed twice":       func(o *Options) { o.Methods = []string{"single", "single"} },
		"none of the method": func(o *Options) { o.Methods, o.Params = []string{"single"}, reason.Params{Budget: 3} },
		"parameter tau":      func(o *Options) { o.Params.Tau = 7 },
		"negative":           func(o *Options) { o.N = -1 },
	} {
		o := options()
		change(&o)
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
}

// TestCalibrationTellsRightFromWrong: a measure that orders traces perfectly
// within each problem, but not across problems.
func TestCalibrationTellsRightFromWrong(t *testing.T) {
	f := func(v float64) *float64 { return &v }
	record := func(base float64) Record {
		return Record{Traces: []TraceRecord{
			{Stop: "eos", Tail: f(base + 1), Correct: true},
			{Stop: "eos", Tail: f(base), Correct: false},
			{Stop: "low_confidence", Tail: f(base - 9), Correct: true}, // cut: not counted
		}}
	}
	c := calibrate([]Record{record(0), record(10)}, "tail")
	if c.Within != 1 || c.AUC != 0.75 || c.Traces != 4 {
		t.Errorf("within %v, AUC %v over %d traces; want 1, 0.75 over 4", c.Within, c.AUC, c.Traces)
	}
}
