package reason

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"orrery/think/llm"
	"orrery/think/vote"
)

// ticking is scripts whose tokens come 10 ms apart.
func ticking(s ...script) []script {
	for i := range s {
		s[i].pace = 10 * time.Millisecond
	}
	return s
}

func TestConcurrencyBound(t *testing.T) {
	for _, c := range []struct{ ask, parallel, want int }{{3, 0, 3}, {0, 5, 5}, {8, 5, 5}, {0, 0, 12}} {
		synctest.Test(t, func(t *testing.T) {
			g := &scripted{scripts: ticking(boxed("1", 1, 7)), info: llm.Info{MaxParallel: c.parallel}}
			start := time.Now()
			mustRun(t, t.Context(), "majority", g, Params{Budget: 12, Concurrency: c.ask})
			if g.peak != c.want {
				t.Errorf("%+v: peak %d", c, g.peak)
			}
			waves := (12 + c.want - 1) / c.want // all of equal length
			if got := time.Since(start); got != time.Duration(waves*70)*time.Millisecond {
				t.Errorf("%+v: took %v for %d waves", c, got, waves)
			}
		})
	}
}

func TestDeadlineIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &scripted{scripts: ticking(boxed("1", 1, 10), boxed("2", 2, 10), boxed("2", 2, 1000))}
		start := time.Now()
		r, _ := mustRun(t, t.Context(), "majority", g, Params{Budget: 3, DeadlineSeconds: 0.25})
		if got := time.Since(start); got != 250*time.Millisecond || r.Seconds != 0.25 {
			t.Errorf("took %v (%v)", got, r.Seconds)
		}
		if r.StoppedBy != "deadline" || r.Traces[2].StopReason != vote.Deadline || r.Traces[2].Tokens > 25 || *r.Answer != "1" {
			t.Errorf("%+v", r)
		}
		// In the warm-up: unfiltered, not calibrated.
		r, _ = mustRun(t, t.Context(), "deepconf-low", g, Params{Budget: 3, Warmup: 3, DeadlineSeconds: 0.25})
		if r.Calibrated || r.S != nil || *r.Answer != "2" || r.Votes[0].Weight != 2 || len(r.Votes) != 2 {
			t.Errorf("%+v", r)
		}
	})
	synctest.Test(t, func(t *testing.T) { // the caller's own deadline is one as well
		ctx, cancel := context.WithTimeout(t.Context(), 120*time.Millisecond)
		defer cancel()
		r, _ := mustRun(t, ctx, "single", &scripted{scripts: ticking(boxed("1", 1, 100))}, Params{})
		if r.StoppedBy != "deadline" || r.Answer != nil || r.Seconds != 0.12 {
			t.Errorf("%+v", r)
		}
	})
}

// Cancel before the n-th token of the whole run, for every n: a valid partial
// result, one terminal event, nothing left running (synctest fails if so).
func TestCancelAnywhere(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 22))
	for _, name := range []string{"single", "majority", "deepconf-low", "deepconf-offline"} {
		scripts := randomScripts(rng, 6)
		for i := range scripts {
			scripts[i].after = rng.IntN(3)
		}
		for n := 0; ; n += 1 + n/8 {
			reached := false
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				count := 0
				g := &scripted{scripts: scripts}
				g.gate = func(int, int) {
					g.mu.Lock()
					defer g.mu.Unlock()
					if count++; count == n {
						reached = true
						cancel()
					}
				}
				if n == 0 {
					cancel()
				}
				p := Params{}
				switch name {
				case "deepconf-low":
					p = Params{Budget: 6, Warmup: 3, Window: 3, Concurrency: 2}
				case "majority", "deepconf-offline":
					p = Params{Budget: 6, Concurrency: 2}
				}
				r, l := mustRun(t, ctx, name, g, p)
				if n == 0 && (len(r.Traces) != 0 || r.StoppedBy != "client_cancelled") {
					t.Errorf("cancelled before the start: %+v", r)
				}
				if reached && r.StoppedBy != "client_cancelled" && r.StoppedBy != "consensus" && r.StoppedBy != "budget" {
					t.Errorf("%s at %d: %s", name, n, r.StoppedBy)
				}
				if strings.Count(l.types(), "answer") != 1 {
					t.Error(l.types())
				}
				for _, tr := range r.Traces {
					if tr.StopReason == vote.UpstreamError {
						t.Errorf("a cancelled trace reads as failed: %+v", tr)
					}
				}
			})
			if n > 0 && !reached {
				break
			}
		}
	}
}

// Two traces complete at the same instant, and each alone would end the run:
// whichever is first decides, the other one does not vote.
func TestConsensusRacesCompletion(t *testing.T) {
	for range 30 {
		synctest.Test(t, func(t *testing.T) {
			g := &scripted{scripts: ticking(boxed("1", 5, 4), boxed("2", 5, 4), boxed("1", 500, 4), boxed("1", 500, 4), boxed("1", 500, 4))}
			for i := range g.scripts[2:] {
				g.scripts[2+i].c[0] = 90
			}
			r, l := mustRun(t, t.Context(), "deepconf-high", g, Params{Budget: 5, Warmup: 2, Window: 2, Tau: 0.9})
			ended := 0
			for _, tr := range r.Traces[2:] {
				switch {
				case tr.StopReason == vote.EOS && tr.Votes:
					ended++
				case tr.StopReason == vote.Consensus && *tr.Excluded == vote.ExCancelled:
				default:
					t.Errorf("%+v", tr)
				}
			}
			if r.StoppedBy != "consensus" || ended != 1 || *r.Answer != "1" {
				t.Errorf("%d of three completed\n%s", ended, l.types())
			}
		})
	}
}

// A server that keeps sending after a cancel changes only the after-stop count.
func TestLateTokensOnlyCount(t *testing.T) {
	rng := rand.New(rand.NewPCG(23, 24))
	stoppedLate := 0
	for range 40 {
		scripts := randomScripts(rng, 10)
		var results [2]*Result
		for late := range 2 {
			synctest.Test(t, func(t *testing.T) {
				s := slices.Clone(scripts)
				for i := range s {
					s[i].after = 7 * late
				}
				results[late], _ = mustRun(t, t.Context(), "deepconf", &scripted{scripts: s}, Params{Budget: 10, Warmup: 4, Window: 4, Eta: 50, Concurrency: 1})
			})
		}
		a, b := results[0], results[1]
		stoppedLate += b.Tokens.AfterStop
		if a.Tokens.AfterStop > b.Tokens.AfterStop {
			t.Fatalf("%d late tokens without any", a.Tokens.AfterStop)
		}
		for _, r := range results {
			r.Tokens.AfterStop = 0
			for i := range r.Traces {
				r.Traces[i].AfterStop = 0
			}
		}
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("late tokens changed the result:\n%+v\n%+v", a, b)
		}
	}
	if stoppedLate == 0 {
		t.Error("no trace was stopped early")
	}
}

// How many tokens arrive together changes nothing either.
func TestChunksDoNotMatter(t *testing.T) {
	rng := rand.New(rand.NewPCG(25, 26))
	for range 30 {
		scripts := randomScripts(rng, 10)
		var want []byte
		for _, chunk := range []int{1, 2, 5, 1000} {
			synctest.Test(t, func(t *testing.T) {
				s := slices.Clone(scripts)
				for i := range s {
					s[i].chunk = chunk
				}
				r, l := mustRun(t, t.Context(), "deepconf", &scripted{scripts: s}, Params{Budget: 10, Warmup: 4, Window: 4, Eta: 50, Concurrency: 1})
				r.Tokens.AfterStop = 0
				for i := range r.Traces {
					r.Traces[i].AfterStop = 0
				}
				got, _ := json.Marshal(r)
				got = append(got, l.types()...)
				if want == nil {
					want = got
				} else if string(got) != string(want) {
					t.Fatalf("chunks of %d:\n%s\nwant\n%s", chunk, got, want)
				}
			})
		}
	}
}

func TestSeeds(t *testing.T) {
	seeds := map[string][]uint64{}
	for _, name := range []string{"majority", "deepconf-low", "deepconf-offline"} {
		synctest.Test(t, func(t *testing.T) {
			g := &scripted{scripts: []script{boxed("1", 1, 3), boxed("2", 1, 3)}}
			mustRun(t, t.Context(), name, g, Params{Budget: 5, Seed: 42, Concurrency: 1})
			for _, r := range g.requests {
				seeds[name] = append(seeds[name], r.Seed)
			}
		})
	}
	first := seeds["majority"]
	if len(first) != 5 || !slices.Equal(first, seeds["deepconf-low"]) || !slices.Equal(first, seeds["deepconf-offline"]) {
		t.Errorf("%v", seeds)
	}
	distinct := map[uint64]bool{}
	for i := range 512 {
		s := TraceSeed(42, i)
		if distinct[s] = true; s > math.MaxInt32 {
			t.Errorf("seed %d is %d", i, s)
		}
	}
	// SplitMix64's published first value for seed 1234567, upper 31 bits.
	if got := TraceSeed(1234567, 0); got != 6457827717110365317>>33 {
		t.Errorf("first value %d", got)
	}
	if len(distinct) != 512 || TraceSeed(42, 3) == TraceSeed(43, 3) {
		t.Error("seeds collide")
	}
}

func TestUpstreamErrors(t *testing.T) {
	broken := &llm.Error{Kind: llm.StreamTruncated, Words: "cut"}
	synctest.Test(t, func(t *testing.T) { // a warm-up is retried once, under the next index
		s := []script{boxed("1", 1, 4), {c: []float64{1}, err: broken}, boxed("1", 2, 4), boxed("1", 3, 4)}
		g := &scripted{scripts: s}
		r, _ := mustRun(t, t.Context(), "deepconf-high", g, Params{Budget: 4, Warmup: 3, Window: 2, Concurrency: 1})
		if len(r.Traces) < 4 || *r.Traces[3].RetryOf != 1 || r.Traces[3].Phase != vote.Warmup || r.Traces[1].StopReason != vote.UpstreamError ||
			*r.Traces[1].Excluded != vote.ExError || r.S == nil || r.Traces[1].Error == "" || !slices.ContainsFunc(r.Warnings, func(w Warning) bool { return w.Code == "upstream_error" }) {
			t.Errorf("%+v", r)
		}
	})
	synctest.Test(t, func(t *testing.T) { // the traces that a hopeless error ends did not fail themselves: we stopped them
		long := boxed("2", 1, 50)
		long.pace = time.Second
		g := &scripted{scripts: []script{boxed("7", 1, 4), {c: []float64{1}, pace: time.Second, err: &llm.Error{Kind: llm.Auth}}, long}}
		r, l := mustRun(t, t.Context(), "majority", g, Params{Budget: 3})
		cut := r.Traces[2]
		if *r.Answer != "7" || cut.StopReason != vote.UpstreamError || cut.Error != "" || cut.TokenIndex == nil || r.Traces[1].TokenIndex != nil {
			t.Errorf("%+v", r.Traces)
		}
		if !slices.ContainsFunc(l.events, func(e Event) bool {
			s, ok := e.(TraceStopped)
			return ok && s.Trace == 2 && s.Reason == vote.UpstreamError
		}) {
			t.Errorf("trace 2 was not reported as stopped: %s", l.types())
		}
	})
	for kind, words := range map[llm.ErrorKind]string{
		llm.NoTopLogprobs:   "method deepconf-low needs the log-probabilities",
		llm.Auth:            "method deepconf-low: no trace could be completed and 1 failed",
		llm.StreamTruncated: "and 4 failed",
	} {
		synctest.Test(t, func(t *testing.T) {
			g := &scripted{scripts: []script{{err: &llm.Error{Kind: kind, Words: "server's words"}}}}
			m, _ := Lookup("deepconf-low")
			l := &log{}
			r, err := m.Run(t.Context(), g, Ask("?"), Params{Budget: 2, Warmup: 2, Concurrency: 1}, l.emit)
			if r != nil || err == nil || !strings.Contains(err.Error(), words) || !strings.Contains(err.Error(), "server's words") {
				t.Errorf("%s: %v", kind, err)
			}
			if le, ok := errors.AsType[*llm.Error](err); !ok || le.Kind != kind {
				t.Errorf("%s: the cause is lost in %v", kind, err)
			}
			if !strings.HasSuffix(l.types(), " error") || strings.Count(l.types(), "error") != 1 {
				t.Errorf("%s: %s", kind, l.types())
			}
			if n := len(g.requests); kind != llm.StreamTruncated && n != 1 {
				t.Errorf("%s: %d requests although it is hopeless", kind, n)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) { // what had completed is not thrown away
		g := &scripted{scripts: []script{boxed("7", 1, 4), {err: &llm.Error{Kind: llm.Auth}}}}
		r, _ := mustRun(t, t.Context(), "majority", g, Params{Budget: 5, Concurrency: 1})
		if *r.Answer != "7" || r.StoppedBy != "upstream_error" || r.NotLaunched != 3 {
			t.Errorf("%+v", r)
		}
	})
}

func TestWildGenerator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wild := boxed("1", 1, 50)
		wild.wild, wild.early = true, `\boxed{3}`
		r, _ := mustRun(t, t.Context(), "majority", &scripted{scripts: []script{wild}}, Params{Budget: 1, MaxTokens: 10, K: 20})
		tr := r.Traces[0]
		if tr.StopReason != vote.Length || tr.Tokens != 10 || tr.AfterStop == 0 || *r.Answer != "3" {
			t.Errorf("%+v", tr)
		}
	})
	synctest.Test(t, func(t *testing.T) { // text without end
		wild := script{c: slices.Repeat([]float64{1}, 5), plain: true, early: strings.Repeat("ha ", 1<<20)}
		r, _ := mustRun(t, t.Context(), "single", &scripted{scripts: []script{wild}}, Params{MaxTokens: 10})
		if tr := r.Traces[0]; tr.StopReason != vote.Length {
			t.Errorf("%+v", tr)
		}
	})
}

func TestCountsWithoutLogprobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := script{plain: true, text: strings.Repeat("abc", 5), c: []float64{1}}
		r, _ := mustRun(t, t.Context(), "single", &scripted{scripts: []script{s}}, Params{})
		if r.Tokens.Used != 5 || *r.Answer != s.text || r.Text != s.text {
			t.Errorf("estimated by text: %+v", r)
		}
		s.usage = 77
		r, _ = mustRun(t, t.Context(), "majority", &scripted{scripts: []script{s}}, Params{Budget: 2, TokenBudget: 100, Concurrency: 2})
		if r.Tokens.Used != 77 && r.Tokens.Used != 154 {
			t.Errorf("counted by usage: %+v", r)
		}
	})
	synctest.Test(t, func(t *testing.T) { // what was said before a deadline took tokens, although nobody counted them
		s := script{plain: true, early: strings.Repeat("abc", 5), c: []float64{1}, pace: time.Minute}
		r, _ := mustRun(t, t.Context(), "single", &scripted{scripts: []script{s}}, Params{DeadlineSeconds: 1})
		if tr := r.Traces[0]; tr.Tokens != 5 || tr.Counted != llm.CountEstimate || *tr.TokenIndex != 5 || tr.StopReason != vote.Deadline {
			t.Errorf("stopped without a count: %+v", tr)
		}
	})
}

func TestWarningsAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &scripted{scripts: []script{boxed("1", 1, 4)}, info: llm.Info{TopLogprobs: 5, MaxParallel: 1, Basis: llm.BasisAfter}}
		r, _ := mustRun(t, t.Context(), "deepconf-low", g, Params{Budget: 4, Warmup: 4, Window: 100})
		var got []string
		for _, w := range r.Warnings {
			got = append(got, w.Code)
		}
		want := []string{"warmup_fills_budget", "k_reduced", "serialised", "basis_after_temperature", "window_too_large"}
		if !slices.Equal(got, want) || g.requests[0].TopLogprobs != 5 {
			t.Errorf("%v, want %v", got, want)
		}
	})
}

// A text that the limit on its length broke off votes with a complete answer
// only: "4" may have become "42".
func TestTruncatedAnswers(t *testing.T) {
	for text, want := range map[string]string{
		`The final answer is 4`: "", "The final answer is 4\nLet": "4", `So \boxed{4} is`: "4", `So \boxed{3}, no, \boxed{4`: "3",
	} {
		s := script{c: []float64{1, 1}, text: text, finish: llm.FinishLength}
		var file strings.Builder
		g := NewRecorder(&scripted{scripts: []script{s}}, &file)
		r, _ := mustRun(t, t.Context(), "majority", g, Params{Budget: 2, K: 20})
		for _, tr := range r.Traces {
			if got := tr.Answer; (got == nil) != (want == "") || got != nil && *got != want {
				t.Errorf("%q: answer %v, want %q", text, got, want)
			}
		}
		for rec, err := range ReadTraces(strings.NewReader(file.String())) { // and a replay sees the same
			if err != nil || (rec.Answer == nil) != (want == "") || rec.Answer != nil && *rec.Answer != want {
				t.Errorf("%q: recorded %v, want %q (%v)", text, rec.Answer, want, err)
			}
		}
	}
}

// Progress carries the group of every scored token, once.
func TestProgressCarriesGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := script{c: []float64{3, 5, math.NaN(), 7, 1}, text: `\boxed{1}`, pace: 70 * time.Millisecond}
		later := script{c: []float64{4, 6, 2, 9}, text: `\boxed{1}`, pace: 70 * time.Millisecond}
		_, l := mustRun(t, t.Context(), "deepconf-low", &scripted{scripts: []script{first, later}},
			Params{Budget: 2, Warmup: 1, Window: 2, Concurrency: 1})
		groups := map[int][]float64{}
		for _, e := range l.events {
			switch e := e.(type) {
			case TraceProgress:
				groups[e.Trace] = append(groups[e.Trace], e.Groups...)
			case TraceStopped:
				groups[e.Trace] = append(groups[e.Trace], *e.Group)
			}
		}
		// By hand: the mean of the last two scored tokens, of the first alone. The
		// threshold is the first trace's lowest group, 4, which the third of the
		// second, (6+2)/2, equals and nothing falls below.
		want := map[int][]float64{0: {3, 4, 6, 4}, 1: {4, 5, 4, 5.5}}
		for trace := range want {
			if !slices.Equal(groups[trace], want[trace]) {
				t.Errorf("trace %d: groups %v, want %v", trace, groups[trace], want[trace])
			}
		}
	})
}

func TestProgressIsThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := boxed("1", 1, 100) // 1 s of tokens
		s.pace = 10 * time.Millisecond
		_, l := mustRun(t, t.Context(), "majority", &scripted{scripts: []script{s}}, Params{Budget: 1, K: 1, Window: 10})
		n := 0
		for _, e := range l.events {
			if p, ok := e.(TraceProgress); ok {
				n++
				if p.Tokens%10 == 0 && p.Tokens < 100 && (*p.Confidence != 1 || *p.Group != 1) {
					t.Errorf("%+v", p)
				}
			}
		}
		if n != 11 { // ten intervals, and the text at the end
			t.Errorf("%d progress events", n)
		}
	})
}

func TestFreeFormRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		say := func(text string, c float64) script {
			return script{c: slices.Repeat([]float64{c}, 6), text: text}
		}
		g := &scripted{scripts: []script{say("<think>hm</think> A poem.", 3), say("A song.", 9), say("A tale.", 4)}}
		r, _ := mustRun(t, t.Context(), "deepconf-offline", g, Params{Budget: 3, Eta: 100})
		if *r.Answer != "A song." || r.Vote != "top_confidence" || r.Text != "A song." {
			t.Errorf("%+v", r)
		}
		g.scripts[2] = say("a poem", 8)
		r, _ = mustRun(t, t.Context(), "deepconf-offline", g, Params{Budget: 3, Eta: 100})
		if *r.Answer != "a poem" || r.Vote != "weighted" {
			t.Errorf("%+v", r)
		}
	})
}

func TestParams(t *testing.T) {
	f := func(v float64) *float64 { return &v }
	off := false
	for name, p := range map[string]Params{
		"single budget":             {Budget: 3},
		"deepconf-low eta":          {Eta: 50},
		"majority eta":              {Eta: 50},
		"deepconf eta":              {Eta: 101},
		"deepconf budget":           {Budget: -1},
		"deepconf warmup threshold": {Threshold: f(3), Warmup: 4},
		"deepconf window threshold": {Threshold: f(3), Window: Auto},
		"deepconf budget warmup":    {Budget: 3, Warmup: 4},
		"deepconf consensus tau":    {Consensus: &off, Tau: 0.9},
		"deepconf temperature":      {Temperature: f(math.NaN())},
		"deepconf k":                {K: 5000},
		"deepconf-offline weight":   {Weight: "best"},
		"deepconf floor":            {Floor: 3},
	} {
		words := strings.Fields(name)
		m, err := Lookup(words[0])
		if err != nil {
			t.Fatal(err)
		}
		err = m.Check(p)
		if err == nil {
			t.Errorf("%s: %+v was accepted", name, p)
			continue
		}
		for _, w := range words[1:] {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v does not name %s", name, err, w)
			}
		}
		if _, err2 := m.Run(t.Context(), &scripted{}, Ask("?"), p, func(Event) { t.Error("an event") }); err2 == nil || err2.Error() != err.Error() {
			t.Errorf("%s: Run says %v", name, err2)
		}
	}
	for _, name := range Names() {
		m, _ := Lookup(name)
		if err := m.Check(Params{}); err != nil {
			t.Errorf("%s: the zero value: %v", name, err)
		}
		all := Params{Budget: 20, Eta: 10, Tau: 0.9, Weight: "mean", K: 5, Seed: 3, Warmup: 4}
		if name == "deepconf-high" {
			all.Eta = 90
		}
		if err := m.Check(all.Only(m)); err != nil {
			t.Errorf("%s: what it uses of %+v: %v", name, all, err)
		}
	}
	if _, err := Lookup("magic"); err == nil || !strings.Contains(err.Error(), "deepconf-low") {
		t.Errorf("%v", err)
	}
	if m, _ := Lookup("single"); m != nil {
		if _, err := m.Run(t.Context(), &scripted{}, Question{}, Params{}, nil); err == nil {
			t.Error("a run without a question")
		}
	}
	var p Params
	if err := json.Unmarshal([]byte(`{"window":"auto","eta":10,"temperature":0}`), &p); err != nil || p.Window != Auto || *p.Temperature != 0 {
		t.Errorf("%+v %v", p, err)
	}
	if b, _ := json.Marshal(p); string(b) != `{"eta":10,"window":"auto","temperature":0}` {
		t.Errorf("%s", b)
	}
	for _, bad := range []string{`{"window":"wide"}`, `{"window":-3}`, `{"window":1.5}`} {
		if json.Unmarshal([]byte(bad), &p) == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}

// The names and the order of the contract for `ask --json`.
func TestResultShape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := mustRun(t, t.Context(), "single", &scripted{scripts: []script{boxed("7", 1, 5)}, info: llm.Info{Model: "m"}}, Params{K: 1})
		b, err := json.Marshal(r)
		want := `{"version":1,"answer":"7","text":"so \\boxed{7}","method":"single","votes":[{"answer":"7","weight":1,"traces":[0],"count":1}],` +
			`"traces":[{"id":0,"answer":"7","stop_reason":"eos","excluded":null,"tokens":5,"mean":1,"lowest_group":1,"bottom10":1,"tail":1,`
		if err != nil || !strings.HasPrefix(string(b), want) {
			t.Errorf("%s (%v)\nwant prefix\n%s", b, err, want)
		}
		for _, part := range []string{`"tokens":{"used":5,"after_stop":0,"saved_estimate":0,`, `"seconds":0,"model":"m","warnings":[],`} {
			if !strings.Contains(string(b), part) {
				t.Errorf("%s lacks %s", b, part)
			}
		}
	})
}

// tokens_saved_estimate by hand: completed traces are 10 and 20 long (m = 15),
// one was stopped at 4 (saves 11), one was never launched (saves 15).
func TestSavedEstimate(t *testing.T) {
	got := Count([]TraceResult{{StopReason: vote.EOS, Tokens: 10}, {StopReason: vote.Length, Tokens: 20},
		{StopReason: vote.LowConfidence, Tokens: 4, TokenIndex: new(int)}, {StopReason: vote.UpstreamError, Tokens: 3},
		{StopReason: vote.Consensus, Tokens: 40, TokenIndex: new(int)}}, 1)
	if *got.SavedEstimate != 26 || got.Used != 77 {
		t.Errorf("%+v", got)
	}
	if Count(nil, 3).SavedEstimate != nil {
		t.Error("an estimate without completed traces")
	}
}
