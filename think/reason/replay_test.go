package reason

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"orrery/think/confidence"
	"orrery/think/vote"
)

// lines writes scripts as a trace file with ids "t0", "t1", …
func lines(t *testing.T, scripts []script) []byte {
	t.Helper()
	var out bytes.Buffer
	for i, s := range scripts {
		rec := TraceRecord{ID: fmt.Appendf(nil, `"t%d"`, i), Tokens: []TokenRecord{}}
		if _, rest, ok := strings.Cut(s.text, `\boxed{`); ok {
			a := strings.TrimSuffix(rest, "}")
			rec.Answer = &a
		}
		for _, c := range s.c {
			tok := TokenRecord{Top: Entries{}}
			if c == c {
				lp := -c
				tok = TokenRecord{Logprob: &lp, Top: Entries{lp}}
			}
			rec.Tokens = append(rec.Tokens, tok)
		}
		b, err := json.Marshal(rec)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(append(b, '\n'))
	}
	return out.Bytes()
}

func randomReplay(rng *rand.Rand) ([]script, ReplayParams) {
	scripts := randomScripts(rng, 1+rng.IntN(24))
	for i := range scripts {
		for j := range scripts[i].c {
			if rng.IntN(10) == 0 {
				scripts[i].c[j] = math.NaN()
			}
		}
		if rng.IntN(12) == 0 {
			scripts[i].c = slices.Repeat([]float64{math.NaN()}, 3)
		}
		if rng.IntN(3) == 0 && i > 0 { // exact ties of whole traces
			scripts[i].c = slices.Clone(scripts[rng.IntN(i)].c)
		}
	}
	p := ReplayParams{Window: Window(1 + rng.IntN(16)), Warmup: 1 + rng.IntN(8), Eta: []float64{10, 50, 90, 100}[rng.IntN(4)],
		Tau: []float64{0.5, 0.95, 1}[rng.IntN(3)], MinVotes: 1 + rng.IntN(3), NoConsensus: rng.IntN(4) == 0, Raw: true}
	if rng.IntN(2) == 0 {
		p.Budget = 1 + rng.IntN(27) // less than the warm-up, too
	}
	if rng.IntN(2) == 0 {
		p.TokenBudget = 1 + rng.IntN(600)
	}
	return scripts, p
}

// near is the specification's tolerance between implementations.
const near = 1e-9

func closeTo(got *float64, want float64) bool {
	if got == nil || want != want {
		return got == nil && want != want
	}
	return math.Abs(*got-want) <= near
}

func TestReplayEqualsNaive(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	seen := map[string]int{}
	skipped := 0
	for trial := range 800 {
		scripts, p := randomReplay(rng)
		r, err := Replay(t.Context(), bytes.NewReader(lines(t, scripts)), p)
		if err != nil {
			t.Fatal(err)
		}
		want := naiveDecide(scripts, p)
		on := r.Online
		if slices.ContainsFunc(on.Traces, func(d ReplayedDecision) bool {
			return d.Margin != nil && *d.Margin < near && *d.Margin != 0
		}) {
			skipped++ // rounding decides: exact ties (margin 0) are not skipped
			continue
		}
		if !closeTo(on.S, want.s) || len(on.Traces) != len(want.used) || on.StoppedBy != want.stoppedBy || len(on.Beta) != len(want.beta) {
			t.Fatalf("trial %d %+v:\ngot  s %v, %d traces, %s, %d β\nwant %+v", trial, p, on.S, len(on.Traces), on.StoppedBy, len(on.Beta), want)
		}
		for i, d := range on.Traces {
			ex := ""
			if d.Excluded != nil {
				ex = string(*d.Excluded)
			}
			stop := 0
			if d.StopToken != nil {
				stop = *d.StopToken
			}
			if d.TokensUsed != want.used[i] || d.StopReason != want.reason[i] || ex != want.excluded[i] || stop != want.stop[i] {
				t.Fatalf("trial %d %+v: trace %d is %+v (%s), want used %d, %s at %d, %q", trial, p, i, d, ex, want.used[i], want.reason[i], want.stop[i], want.excluded[i])
			}
			seen[d.StopReason]++
			seen[ex]++
		}
		for i, b := range on.Beta {
			if !closeTo(b, want.beta[i]) {
				t.Fatalf("trial %d: β %d is %v, want %v", trial, i, b, want.beta[i])
			}
		}
		got, label := "", ""
		if on.Answer != nil {
			got = *on.Answer
		}
		if on.Fallback != nil {
			label = string(*on.Fallback)
		}
		if got != want.answer || label != want.fallback {
			t.Fatalf("trial %d %+v: answer %q (%s), want %q (%s)", trial, p, got, label, want.answer, want.fallback)
		}
		seen[label]++
		seen[on.StoppedBy]++
		sum := 0
		for _, d := range on.Traces {
			sum += d.TokensUsed
		}
		if sum != on.TokensUsed || on.TokensSaved != on.TokensIfAllFull-sum || p.TokenBudget > 0 && sum > p.TokenBudget {
			t.Fatalf("trial %d: totals %+v", trial, on)
		}
	}
	for _, what := range []string{"completed", "low_confidence", "token_budget", "below_threshold", "no_answer", "unscored", "cancelled",
		"completed_warmups", "completed_others", "consensus", "budget", "exhausted"} {
		if seen[what] == 0 {
			t.Errorf("no trial reached %s", what)
		}
	}
	if skipped > 160 {
		t.Errorf("%d of 800 trials were decided by rounding", skipped)
	}
}

// Replay is what a live run at concurrency 1 does.
func TestReplayEqualsLive(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	for trial := range 250 {
		scripts, p := randomReplay(rng)
		for i := range scripts {
			scripts[i].chunk = 1 + rng.IntN(5)
		}
		p.Raw, p.Warmup, p.Budget, p.MinVotes = false, min(p.Warmup, len(scripts)), len(scripts), min(p.MinVotes, len(scripts))
		if rng.IntN(3) == 0 {
			p.Window = Auto
		}
		file := lines(t, scripts)
		r, err := Replay(t.Context(), bytes.NewReader(file), p)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			var recorded bytes.Buffer
			g := NewRecorder(&scripted{scripts: scripts}, &recorded)
			lp := Params{Window: p.Window, Warmup: p.Warmup, Eta: p.Eta, Tau: p.Tau, MinVotes: p.MinVotes, Budget: p.Budget, TokenBudget: p.TokenBudget, Concurrency: 1}
			if p.NoConsensus {
				off := false
				lp.Consensus, lp.Tau, lp.MinVotes = &off, 0, 0
			}
			live, _ := mustRun(t, context.Background(), "deepconf", g, lp)
			on := r.Online
			if !reflect.DeepEqual(live.S, on.S) || len(live.Traces) != len(on.Traces) || live.StoppedBy != on.StoppedBy || live.Tokens.Used != on.TokensUsed || live.NotLaunched != len(on.NotLaunched) {
				t.Fatalf("trial %d %+v:\nlive   %+v\nreplay %+v", trial, p, live, on)
			}
			killedWithBox := false // a live run sees boxes that a record does not place
			for i, d := range on.Traces {
				l := live.Traces[i]
				same := reflect.DeepEqual(l.Lowest, d.Lowest) && reflect.DeepEqual(l.Excluded, d.Excluded) && l.Tokens == d.TokensUsed &&
					reflect.DeepEqual(l.Weight, d.Weight) && reflect.DeepEqual(l.TokenIndex, d.StopToken) && l.Phase == d.Phase
				if !same {
					t.Fatalf("trial %d %+v: trace %d\nlive   %+v\nreplay %+v", trial, p, i, l, d)
				}
				killedWithBox = killedWithBox || d.StopToken != nil && d.TokensUsed == len(scripts[i].c)
			}
			for _, l := range live.Traces { // without any box a live run still has texts to offer
				if on.Answer == nil && !killedWithBox && l.Answer != nil {
					t.Fatalf("trial %d: trace %d answers %q, replay finds no answer", trial, l.ID, *l.Answer)
				}
			}
			if on.Answer != nil && !killedWithBox && *live.Answer != *on.Answer {
				t.Fatalf("trial %d %+v: live answers %v (%s), replay %v (%v)\n%+v\n%+v", trial, p, *live.Answer, live.Fallback, *on.Answer, on.Fallback, live.Votes, on.V)
			}
			// What was recorded is the prefix of each trace that was received.
			n := 0
			for rec, err := range ReadTraces(&recorded) {
				if err != nil {
					t.Fatal(err)
				}
				if want := live.Traces[n]; len(rec.Tokens) != want.Tokens+want.AfterStop {
					t.Fatalf("trace %d: %d tokens recorded, %d + %d received", n, len(rec.Tokens), want.Tokens, want.AfterStop)
				}
				n++
			}
			if n != len(live.Traces) || g.Err() != nil {
				t.Fatalf("%d of %d traces recorded (%v)", n, len(live.Traces), g.Err())
			}
		})
	}
}

// stops maps each launched trace to the token that stopped it, or its length.
func stops(r *Report) []int {
	var n []int
	for _, d := range r.Online.Traces {
		n = append(n, d.TokensUsed)
	}
	return n
}

func TestReplayMonotonicities(t *testing.T) {
	rng := rand.New(rand.NewPCG(15, 16))
	for range 60 {
		scripts, p := randomReplay(rng)
		p.TokenBudget, p.NoConsensus, p.Tau, p.MinVotes, p.Budget = 0, false, 0, 0, 0
		file := lines(t, scripts)
		play := func(change func(p *ReplayParams)) *Report {
			q := p
			change(&q)
			r, err := Replay(t.Context(), bytes.NewReader(file), q)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		launches := func(r *Report) int { return len(r.Online.Traces) }
		for _, c := range []struct {
			name string
			at   func(p *ReplayParams, step int)
		}{
			{"tau", func(p *ReplayParams, i int) { p.Tau = 0.3 + 0.2*float64(i) }},
			{"budget", func(p *ReplayParams, i int) { p.Budget = p.Warmup + i*3 }},
			{"min_votes", func(p *ReplayParams, i int) { p.MinVotes = 1 + i }},
		} {
			last := 0
			for i := range 4 {
				n := launches(play(func(p *ReplayParams) { c.at(p, i) }))
				if n < last {
					t.Fatalf("raising %s lowered launches from %d to %d", c.name, last, n)
				}
				last = n
			}
		}
		var lastS float64
		var lastStops []int
		for i, eta := range []float64{100, 90, 50, 10, 1} {
			r := play(func(p *ReplayParams) { p.Eta, p.NoConsensus = eta, true })
			if r.Online.S == nil {
				break
			}
			if i > 0 {
				if *r.Online.S < lastS {
					t.Fatalf("η %v lowered s from %v to %v", eta, lastS, *r.Online.S)
				}
				for j, n := range stops(r) {
					if n > lastStops[j] {
						t.Fatalf("η %v stops trace %d later: %d, before %d", eta, j, n, lastStops[j])
					}
				}
			}
			lastS, lastStops = *r.Online.S, stops(r)
			kept := 0
			for _, d := range r.Online.Traces {
				if d.Lowest != nil && *d.Lowest == *r.Online.S && d.StopReason == "low_confidence" {
					t.Fatalf("a trace whose lowest equals s was stopped: %+v", d)
				}
				if d.Phase == vote.Warmup && d.Lowest != nil && *d.Lowest >= *r.Online.S {
					kept++
				}
			}
			if kept == 0 {
				t.Fatalf("η %v keeps no warm-up", eta)
			}
			for _, m := range confidence.AllMeasures {
				if f, _ := r.Offline.Filtered.Get(m); f.Threshold != nil && len(f.Kept) == 0 {
					t.Fatalf("η %v: the %s filter keeps nothing", eta, m)
				}
			}
		}
	}
}

func TestReplayShape(t *testing.T) {
	in := `{"id": 7, "answer": "4 ", "tokens": [{"logprob": -1, "top": [-1, null, -3]}, {"logprob": null, "top": [null]}]}

{"id":"b","answer":null,"tokens":[]}`
	r, err := Replay(t.Context(), strings.NewReader(in), ReplayParams{Window: 4, K: 2})
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	none := `{"threshold":2,"kept":[7],"answer":"4","V":{"4":2}}`
	one := `{"answer":"4","V":{"4":2},"voters":[7]}`
	want := `{"version":1,"params":{"window":4,"auto_window":false,"tail":4,"k":2,"eta":10,"warmup":16,"threshold":null,"tau":0.95,"budget":null,"token_budget":null,"min_votes":2,"consensus":true,"floor":-100,"answers":"math"},` +
		`"traces":[{"id":7,"answer":"4","tokens":2,"scored_tokens":1,"mean":2,"lowest_group":2,"bottom10":2,"tail":2},` +
		`{"id":"b","answer":null,"tokens":0,"scored_tokens":0,"mean":null,"lowest_group":null,"bottom10":null,"tail":null}],` +
		`"offline":{"majority":{"answer":"4","V":{"4":1},"voters":[7]},` +
		`"weighted":{"mean":` + one + `,"lowest_group":` + one + `,"bottom10":` + one + `,"tail":` + one + `},` +
		`"filtered":{"mean":` + none + `,"lowest_group":` + none + `,"bottom10":` + none + `,"tail":` + none + `}},` +
		`"online":{"s":2,"traces":[{"id":7,"phase":"warmup","stop_reason":"completed","stop_token":null,"tokens_used":2,"lowest_group":2,"votes":true,"excluded":null,"weight":2,"margin":0},` +
		`{"id":"b","phase":"warmup","stop_reason":"completed","stop_token":null,"tokens_used":0,"lowest_group":null,"votes":false,"excluded":"no_answer","weight":null,"margin":null}],` +
		`"not_launched":[],"beta":[1],"stopped_by":"exhausted","tokens_used":2,"tokens_if_all_full":2,"tokens_saved":0,"answer":"4","fallback":null,"V":{"4":2},"counts":{"4":1}}}`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestReplayErrors(t *testing.T) {
	ok := `{"id":1,"answer":null,"tokens":[]}` + "\n"
	for in, want := range map[string]string{
		ok + `{"id":2`:                     "line 2: it is not one JSON object: unexpected end",
		ok + `{"id":2,"tokens":[]} {}`:     "line 2: it is not one JSON object",
		`[1]`:                              "line 1: it is not a JSON object but \"[1]\"",
		"{\"id\":\"\xff\",\"tokens\":[]}":  "line 1: it is not text in UTF-8",
		`{"id":1,"tokens":{}}`:             "line 1: field tokens: \"{}\" is not a list",
		`{"id":1,"tokens":[{"top":[]},5]}`: "line 1: field tokens[1]: \"5\" is not an object",
		`{"id":1,"tokens":[{"logprob":-1e400,"top":[]}]}`: "line 1: field tokens[0].logprob: \"-1e400\" is neither",
		ok + `{"answer":null,"tokens":[]}`:                "line 2: field id is missing",
		`{"id":[1],"answer":null,"tokens":[]}`:            "line 1: field id",
		ok + "\n" + ok:                                    "line 3: field id: 1 was already used on line 1",
		`{"id":1,"answer":3,"tokens":[]}`:                 "line 1: field answer",
		`{"id":1,"answer":null}`:                          "line 1: field tokens is missing",
		`{"id":1,"tokens":[{"logprob":1}]}`:               "line 1: field tokens[0].top is missing",
		`{"id":1,"tokens":[{"top":[]},{"top":["x"]}]}`:    "line 1: field tokens[1].top",
		`{"id":1,"tokens":[{"top":3}]}`:                   "line 1: field tokens[0].top",
		`{"id":1,"tokens":[{"top":[-Infinity]}]}`:         "line 1: it is not one JSON object: invalid character 'I' in numeric literal; JSON has no NaN",
	} {
		_, err := Replay(t.Context(), strings.NewReader(in), ReplayParams{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngave %v\nwant %s", in, err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Replay(ctx, strings.NewReader(ok), ReplayParams{}); err == nil {
		t.Error("a cancelled replay went on")
	}
}

// What one changed parameter leaves without effect is no error in a replay.
func TestReplayWithoutEffect(t *testing.T) {
	rng := rand.New(rand.NewPCG(17, 18))
	scripts := randomScripts(rng, 20)
	file := lines(t, scripts)
	play := func(in []byte, p ReplayParams) string {
		p.Window = 4
		r, err := Replay(t.Context(), bytes.NewReader(in), p)
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(r.Online)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if a, b := play(file, ReplayParams{NoConsensus: true, Tau: 0.5, MinVotes: 9}), play(file, ReplayParams{NoConsensus: true}); a != b {
		t.Errorf("τ changed a run without consensus:\n%s\n%s", a, b)
	}
	s := 1.5
	if a, b := play(file, ReplayParams{Threshold: &s, Eta: 90}), play(file, ReplayParams{Threshold: &s}); a != b {
		t.Errorf("η changed a run with a threshold:\n%s\n%s", a, b)
	}
	short := play(lines(t, scripts[:5]), ReplayParams{Warmup: 9, MinVotes: 7})
	cut := play(file, ReplayParams{Warmup: 9, MinVotes: 7, Budget: 5})
	if want := strings.Replace(short, `"exhausted"`, `"budget"`, 1); cut != want {
		t.Errorf("a budget of 5:\n%s\na file of 5:\n%s", cut, want)
	}
	for _, p := range []ReplayParams{{Threshold: &s, Warmup: 4}, {Threshold: &s, Window: Auto}, {Eta: 101}, {Tau: -1}} {
		if p.Validate() == nil {
			t.Errorf("%+v is valid", p)
		}
	}
}

// One line of more than 16 MiB, as a long trace at k = 20 has.
func TestReplayLongLine(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(`{"id":1,"answer":"1","tokens":[`)
	token := `{"logprob":-0.25,"top":[-0.25` + strings.Repeat(`,-0.12345678901234567`, 400) + `]}`
	n := 17<<20/len(token) + 1
	b.WriteString(token + strings.Repeat(","+token, n-1) + "]}")
	r, err := Replay(t.Context(), &b, ReplayParams{K: 1})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Traces[0]; got.Tokens != n || math.Abs(*got.Mean-0.12345678901234567) > 1e-12 {
		t.Errorf("%+v", got)
	}
}

func TestEntries(t *testing.T) {
	in := Entries{-1, math.NaN(), math.Inf(1), math.Inf(-1), 0.5, -1e-300}
	b, err := json.Marshal(in)
	if err != nil || string(b) != `[-1,null,null,-1.7976931348623157e+308,0.5,-1e-300]` {
		t.Fatalf("%s %v", b, err)
	}
	var out Entries
	if err := json.Unmarshal([]byte(" [ -1 , null, -1e999,3 ] "), &out); err != nil || len(out) != 4 || out[1] == out[1] || !math.IsInf(out[2], -1) {
		t.Errorf("%v %v", out, err)
	}
}

// Bytes of a trace file decided a second, at 20 alternatives a token.
func BenchmarkReplay(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	var file bytes.Buffer
	for id := range 4 {
		rec := TraceRecord{ID: fmt.Appendf(nil, "%d", id)}
		for range 2000 {
			tok := TokenRecord{Top: make(Entries, 20)}
			for i := range tok.Top {
				tok.Top[i] = -15 * rng.Float64()
			}
			tok.Logprob = &tok.Top[0]
			rec.Tokens = append(rec.Tokens, tok)
		}
		line, err := json.Marshal(rec)
		if err != nil {
			b.Fatal(err)
		}
		file.Write(append(line, '\n'))
	}
	b.SetBytes(int64(file.Len()))
	for b.Loop() {
		if _, err := Replay(b.Context(), bytes.NewReader(file.Bytes()), ReplayParams{Warmup: 2, Window: 64}); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzReadTraces(f *testing.F) {
	f.Add([]byte(`{"id":1,"answer":"2","tokens":[{"logprob":-1,"top":[-1,null,-1e999]}]}`))
	f.Add([]byte(`{"id":"a","tokens":[{"top":[[1],"x,y",{}]}]}` + "\n{"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := Replay(t.Context(), bytes.NewReader(in), ReplayParams{Warmup: 1, Window: 2, TokenBudget: 3})
		if err != nil {
			if !strings.HasPrefix(err.Error(), "traces: line ") {
				t.Fatalf("%v names no line", err)
			}
			return
		}
		if _, err := json.Marshal(r); err != nil {
			t.Fatal(err)
		}
	})
}
