package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"orrery/internal/server"
	"orrery/record"
	"orrery/think/confidence"
	"orrery/think/llm"
	"orrery/think/llm/llmtest"
	"orrery/think/reason"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("database/sql.(*DB).connectionOpener"))
}

// opened is a journal over a store of its own.
func opened(t *testing.T, o Options) (*Journal, *record.Store) {
	t.Helper()
	s, err := record.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "record.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	j := New(s, o)
	t.Cleanup(func() {
		if err := j.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return j, s
}

// think runs a method under the journal's eyes and returns what it came to and the
// recorded run.
func think(t *testing.T, j *Journal, s *record.Store, g llm.Generator, method string, p reason.Params) (*reason.Result, *record.Run) {
	t.Helper()
	return thinkWith(t, j, s, g, method, p, func(w server.Watch) server.Watch { return w })
}

// thinkWith is think under the eyes of whoever wraps the journal.
func thinkWith(t *testing.T, j *Journal, s *record.Store, g llm.Generator, method string, p reason.Params, wrap func(server.Watch) server.Watch) (*reason.Result, *record.Run) {
	t.Helper()
	m, err := reason.Lookup(method)
	if err != nil {
		t.Fatal(err)
	}
	id := fmt.Sprint("request ", record.NewID(time.Now()))
	q := reason.Ask("What is SECRETQUESTION?")
	w := wrap(j.Asked(server.Asked{ID: id, Time: time.Now(), Client: "alice", Route: "/v1/chat/completions", Model: g.Info().Model, Method: method, Question: q, Params: p}))
	res, err := m.Run(t.Context(), w.Tap(g), q, p, w.Event)
	end := server.Ended{Time: time.Now(), Reason: server.Completed, Result: res}
	if err != nil {
		end.Reason, end.Error = server.UpstreamError, err.Error()
	}
	w.Ended(end)
	if err := j.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	runs, err := s.List(t.Context(), record.Filter{Request: id})
	if err != nil || len(runs) != 1 {
		t.Fatalf("%d runs, %v", len(runs), err)
	}
	run, err := s.Run(t.Context(), runs[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	return res, run
}

// random is a generator whose traces differ in length, confidence and answer, with
// tokens that have no log-probabilities, lists out of order, and hidden reasoning.
func random(seed uint64) *llmtest.Scripted {
	return &llmtest.Scripted{Model: "m", Pick: func(r llm.Request) llmtest.Script {
		var n uint64
		fmt.Sscanf(r.Label, "trace %d", &n)
		rng := rand.New(rand.NewPCG(seed, n))
		s := llmtest.Random(seed<<8+n, llmtest.Shape{Tokens: 10 + rng.IntN(70), Reasoning: rng.IntN(8), Rare: true})
		scale := 0.5 + rng.Float64()
		for i := range s.Tokens {
			tok := &s.Tokens[i]
			tok.Verbatim = true
			tok.Logprob *= scale
			for j := range tok.Top {
				tok.Top[j].Logprob *= scale
			}
			switch rng.IntN(12) {
			case 0:
				tok.Top = nil
			case 1:
				tok.Top[3].Logprob = math.NaN()
			case 2:
				rng.Shuffle(len(tok.Top), func(i, j int) { tok.Top[i], tok.Top[j] = tok.Top[j], tok.Top[i] })
			}
		}
		if rng.IntN(8) > 0 {
			s.Tokens = append(s.Tokens, llmtest.Words(20, fmt.Sprintf(` so \boxed{%d} .`, rng.IntN(3))).Tokens...)
		}
		return s
	}}
}

// variants are settings that decide differently.
func variants(rng *rand.Rand) (method string, p reason.Params) {
	p = reason.Params{Budget: 10, Concurrency: 1, Seed: rng.Uint64(), Window: reason.Window(1 + rng.IntN(20))}
	threshold, no := 3+3*rng.Float64(), false
	switch rng.IntN(6) {
	case 0:
		return "deepconf-high", reason.Params{Budget: 10, Concurrency: 1, Warmup: 4, K: 5, Window: reason.Auto}
	case 1:
		p.Threshold = &threshold
		return "deepconf", p
	case 2:
		p.Warmup, p.Consensus, p.Floor = 3, &no, -4
		return "deepconf-low", p
	case 3:
		p.TokenBudget, p.Tail, p.Warmup = 300, 7, 2
		return "deepconf-low", p
	case 4:
		p.Warmup, p.Tau, p.MinVotes, p.Eta = 5, 0.6, 3, 50
		return "deepconf", p
	}
	p.Warmup = 4
	return "deepconf-low", p
}

// TestReplayIsTheRun: of a run that decides one trace at a time, a replay from the
// store decides everything again, to the bit, whatever of its tokens was kept.
func TestReplayIsTheRun(t *testing.T) {
	stopped, agreed, seeds := 0, 0, uint64(20)
	if testing.Short() {
		seeds = 6
	}
	for _, keep := range []record.Keep{record.KeepDefault, record.KeepConfidence, record.KeepAll, record.KeepAlternatives} {
		j, s := opened(t, Options{Keep: keep})
		for seed := range seeds {
			method, p := variants(rand.New(rand.NewPCG(seed, 7)))
			res, run := think(t, j, s, random(seed), method, p)
			rep, err := Replay(t.Context(), s, run.ID, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := decisions(rep), decided(res, keep); got != want {
				t.Fatalf("keep %s, seed %d, %s %+v:\nreplayed %s\ndecided  %s", keep, seed, method, p, got, want)
			}
			for _, tr := range res.Traces {
				if tr.StopReason == "low_confidence" {
					stopped++
				}
			}
			if res.StoppedBy == "consensus" {
				agreed++
			}
		}
	}
	if stopped < int(5*seeds) || agreed < int(seeds/4) { // or else nothing was compared
		t.Errorf("only %d traces were stopped and %d runs ended by consensus", stopped, agreed)
	}
}

// bits prints a number so that equal prints are equal bits.
func bits(v *float64) string {
	if v == nil {
		return "null"
	}
	return fmt.Sprintf("%x", math.Float64bits(*v))
}

// decisions is what a replay decided, in text.
func decisions(r *reason.Report) string {
	var b strings.Builder
	o := r.Online
	fmt.Fprintf(&b, "s %s used %d\n", bits(o.S), o.TokensUsed)
	for _, t := range o.Traces {
		fmt.Fprintf(&b, "%s %s %s %d %s %v %v %s\n", t.ID, t.Phase, t.StopReason, t.TokensUsed, bits(t.Lowest), t.Votes, t.Excluded != nil, bits(t.Weight))
	}
	var answers []string
	for a, v := range o.V {
		answers = append(answers, fmt.Sprintf("%s %x %d", a, math.Float64bits(v), o.Counts[a]))
	}
	slices.Sort(answers)
	fmt.Fprintln(&b, answers)
	return b.String()
}

// decided is the same of a run. Answers that were not kept are labels.
func decided(r *reason.Result, keep record.Keep) string {
	if keep&record.KeepText == 0 {
		l := labels{}
		for _, t := range r.Traces { // in the order in which they ended; what stopped ones had boxed is found last
			if t.StopReason.Completed() {
				l.of(t.Answer)
			}
		}
		r = l.result(r)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "s %s used %d\n", bits(r.S), r.Tokens.Used)
	for _, t := range r.Traces {
		reason := string(t.StopReason)
		if t.StopReason.Completed() {
			reason = "completed"
		}
		fmt.Fprintf(&b, "%d %s %s %d %s %v %v %s\n", t.ID, t.Phase, reason, t.Tokens, bits(t.Lowest), t.Votes, t.Excluded != nil, bits(t.Weight))
	}
	var answers []string
	for _, c := range r.Votes {
		answers = append(answers, fmt.Sprintf("%s %x %d", c.Answer, math.Float64bits(c.Weight), c.Count))
	}
	slices.Sort(answers)
	fmt.Fprintln(&b, answers)
	return b.String()
}

// TestConcurrent: with many traces at once a replay cannot know which of them a
// consensus cut short, but finds the threshold and every trace below it.
func TestConcurrent(t *testing.T) {
	j, s := opened(t, Options{Keep: record.KeepDefault})
	for seed := range uint64(10) {
		res, run := think(t, j, s, random(seed), "deepconf-low", reason.Params{Budget: 16, Warmup: 6, Window: 8, Consensus: new(bool)})
		rep, err := Replay(t.Context(), s, run.ID, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := decisions(rep), decided(res, record.KeepDefault); got != want {
			t.Fatalf("seed %d:\nreplayed %s\ndecided  %s", seed, got, want)
		}
	}
}

// TestChanged: a replay under other settings is that of the exported traces.
func TestChanged(t *testing.T) {
	j, s := opened(t, Options{Keep: record.KeepDefault})
	_, run := think(t, j, s, random(3), "majority", reason.Params{Budget: 12, K: 20, Concurrency: 1})
	change := func(p *reason.ReplayParams) { p.Eta, p.Warmup, p.Window = 50, 4, 10 }
	got, err := Replay(t.Context(), s, run.ID, change)
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if n, err := WriteTraces(t.Context(), &file, s, run.ID); err != nil || n.Traces != 12 || n.Failed != 0 || n.Unkept {
		t.Fatalf("%+v, %v", n, err)
	}
	p, err := ReplayParams(run)
	if err != nil {
		t.Fatal(err)
	}
	change(&p)
	want, err := reason.Replay(t.Context(), &file, p)
	if err != nil {
		t.Fatal(err)
	}
	if g, w := asJSON(t, got), asJSON(t, want); g != w {
		t.Errorf("got %s\nwant %s", g, w)
	}
	if len(got.Online.Traces) == 0 || !slices.ContainsFunc(got.Online.Traces, func(d reason.ReplayedDecision) bool { return d.StopReason == "low_confidence" }) {
		t.Error("no trace would have been stopped: nothing was tested")
	}
	if _, err := Replay(t.Context(), s, run.ID, func(p *reason.ReplayParams) { p.K = 5 }); err == nil {
		t.Error("k was changed although no alternatives were kept")
	}
	other := record.Run{Kind: "train"}
	if err := s.Begin(t.Context(), &other); err != nil {
		t.Fatal(err)
	}
	if _, err := Replay(t.Context(), s, other.ID, nil); err == nil {
		t.Error("a training was replayed")
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestKept: what is recorded is what the run knew.
func TestKept(t *testing.T) {
	j, s := opened(t, Options{Keep: record.KeepAll})
	res, run := think(t, j, s, random(5), "deepconf-high", reason.Params{Budget: 8, Warmup: 4, Window: 5, Concurrency: 1})
	if run.Kind != "serve" || run.Method != "deepconf-high" || run.Model != "m" || run.Client != "alice" || run.State != record.Done ||
		*run.Question != "What is SECRETQUESTION?" || *run.Answer != *res.Answer || run.Tokens != res.Tokens.Used || run.Traces != res.Launched || run.Error != "" {
		t.Errorf("%+v", run)
	}
	var again reason.Result
	if err := json.Unmarshal(run.Result, &again); err != nil || asJSON(t, again) != asJSON(t, res) {
		t.Errorf("result %s, %v", run.Result, err)
	}
	traces, err := s.Traces(t.Context(), run.ID, record.KeepAll)
	if err != nil || len(traces) != len(res.Traces) {
		t.Fatalf("%d traces, %v", len(traces), err)
	}
	named := 0
	for i, tr := range traces {
		r := res.Traces[i]
		if tr.Text != r.Text || tr.Reasoning != r.Reasoning || tr.Seed != r.Seed || tr.StopReason != string(r.StopReason) || tr.Tokens != r.Tokens || *tr.Votes != r.Votes ||
			bits(tr.Mean) != bits(r.Mean) || bits(tr.Bottom10) != bits(r.Bottom10) || bits(tr.Tail) != bits(r.Tail) {
			t.Errorf("trace %d: %+v\nwant %+v", i, tr, r)
		}
		if string(tr.Detail) != asJSON(t, r) {
			t.Errorf("trace %d: %s, want %s", i, tr.Detail, asJSON(t, r))
		}
		if len(tr.Confidences) != tr.Tokens || len(tr.Top) != tr.Tokens || len(tr.Logprobs) != tr.Tokens {
			t.Errorf("trace %d of %d tokens: %d, %d, %d", i, tr.Tokens, len(tr.Confidences), len(tr.Top), len(tr.Logprobs))
		}
		c := confidence.New(confidence.Config{})
		for k := range tr.Top {
			v, ok := c.Confidence(tr.Top[k])
			if ok != !math.IsNaN(tr.Confidences[k]) || ok && v != tr.Confidences[k] {
				t.Fatalf("trace %d token %d: confidence %v, of its alternatives %v", i, k, tr.Confidences[k], v)
			}
		}
		for _, text := range TokenTexts(&tr) {
			if text != "" && strings.Contains(tr.Reasoning+tr.Text, text) {
				named++
			}
		}
		if groups := Groups(&tr, 5); len(groups) > 5 && slices.Min(groups[4:]) != *tr.Lowest {
			t.Errorf("trace %d: lowest group %v, want %v", i, slices.Min(groups[4:]), *tr.Lowest)
		}
	}
	if named < 100 {
		t.Errorf("only %d tokens have a text", named)
	}
}

// TestNothingKept: what is not to be kept is in no file.
func TestNothingKept(t *testing.T) {
	g := &llmtest.Scripted{Model: "m", Pick: func(r llm.Request) llmtest.Script {
		return llmtest.Words(20, `SECRETTEXT \boxed{SECRETANSWER} .`)
	}}
	broken := &llmtest.Scripted{Model: "m", Pick: func(r llm.Request) llmtest.Script {
		s := llmtest.Words(20, `SECRETTEXT`)
		s.Finish, s.Err = llm.FinishError, &llm.Error{Kind: llm.BadRequest, Words: "you asked SECRETQUESTION"}
		return s
	}}
	for _, keep := range []record.Keep{0, record.KeepConfidence, record.KeepText} {
		j, s := opened(t, Options{Keep: keep})
		_, run := think(t, j, s, g, "majority", reason.Params{Budget: 3})
		_, failed := think(t, j, s, broken, "majority", reason.Params{Budget: 3})
		if failed.State != record.Failed || failed.Error == "" {
			t.Errorf("failed: %+v", failed)
		}
		found := 0
		files, _ := filepath.Glob(s.Name() + "*")
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			found += bytes.Count(b, []byte("SECRET"))
		}
		if keep&record.KeepText == 0 && (found > 0 || run.Question != nil || run.Answer != nil) {
			t.Errorf("keep %s: %d secrets in %v", keep, found, files)
		}
		if keep&record.KeepText != 0 && found == 0 {
			t.Error("the search finds nothing where there is something")
		}
	}
}

// TestLabels: labels are as different as the answers that they stand for.
func TestLabels(t *testing.T) {
	l, twice := labels{}, labels{}
	for i := range 600 { // more than the traces of a request
		a := fmt.Sprint(i, " + x")
		label := l.of(&a)
		if *label != fmt.Sprintf("#%d", i+1) || *l.of(&a) != *label {
			t.Fatalf("%s: %s", a, *label)
		}
		if *twice.of(label) != *label {
			t.Fatalf("label %s is taken for another", *label)
		}
	}
	half, other := "1/2", "0.5"
	if *l.of(&half) != *l.of(&other) {
		t.Error("equal answers have different labels")
	}
}

// TestKilledInTheMiddle: traces are there as soon as they have ended.
func TestKilledInTheMiddle(t *testing.T) {
	j, s := opened(t, Options{Keep: record.KeepDefault})
	m, _ := reason.Lookup("majority")
	a := server.Asked{ID: "x", Time: time.Now(), Model: "m", Method: "majority", Question: reason.Ask("q")}
	w := j.Asked(a)
	ended := 0
	_, err := m.Run(t.Context(), w.Tap(random(1)), a.Question, reason.Params{Budget: 5, K: 20, Concurrency: 1}, func(ev reason.Event) {
		w.Event(ev)
		if ev.Type() != "trace_finished" {
			return
		}
		ended++
		if err := j.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		runs, err := s.List(t.Context(), record.Filter{Request: "x"})
		if err != nil || len(runs) != 1 || runs[0].State != record.Running || runs[0].Traces != ended {
			t.Fatalf("after %d traces: %+v, %v", ended, runs, err)
		}
		traces, err := s.Traces(t.Context(), runs[0].ID, record.KeepAll)
		if err != nil || len(traces) != ended || len(traces[ended-1].Confidences) != traces[ended-1].Tokens || traces[ended-1].Text == "" {
			t.Fatalf("after %d traces %d are there, %v", ended, len(traces), err)
		}
	})
	if err != nil || ended != 5 {
		t.Fatalf("%d traces, %v", ended, err)
	}
	w.Ended(server.Ended{Time: time.Now(), Reason: server.ClientCancelled, Error: "gone"})
	if err := j.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if runs, err := s.List(t.Context(), record.Filter{State: record.Stopped}); err != nil || len(runs) != 1 {
		t.Errorf("%d stopped runs, %v", len(runs), err)
	}
}

// TestStoreGone: a store that is gone costs no request anything, and what was lost is
// counted.
func TestStoreGone(t *testing.T) {
	s, err := record.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "record.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 10)
	j := New(s, Options{Keep: record.KeepDefault, Warn: func(text string) { said <- text }})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	m, _ := reason.Lookup("majority")
	for range 3 {
		a := server.Asked{ID: "x", Time: time.Now(), Model: "m", Method: "majority", Question: reason.Ask("q")}
		w := j.Asked(a)
		res, err := m.Run(t.Context(), w.Tap(random(1)), a.Question, reason.Params{Budget: 4}, w.Event)
		if err != nil || len(res.Traces) != 4 {
			t.Fatal(err)
		}
		w.Ended(server.Ended{Time: time.Now(), Reason: server.Completed, Result: res})
	}
	err = j.Close(context.Background())
	st := j.Stats()
	if err == nil || st.Runs.Dropped != 3 || st.Traces.Dropped != 12 || st.Runs.Recorded+st.Traces.Recorded != 0 || len(st.Why) == 0 {
		t.Errorf("%v, %+v", err, st)
	}
	if text := <-said; !strings.Contains(text, "recording fails") {
		t.Errorf("said %q", text)
	}
}
