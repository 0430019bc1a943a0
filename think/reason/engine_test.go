package reason

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"

	"orrery/think/vote"
)

// checkRun holds the invariants of every run that has a result.
func checkRun(t *testing.T, l *log, r *Result) {
	t.Helper()
	open := map[int]string{} // trace → its last event
	texts := map[int]string{}
	for i, e := range l.events {
		last := i == len(l.events)-1
		switch ev := e.(type) {
		case RunStarted:
			if i != 0 {
				t.Errorf("run_started is event %d", i)
			}
		case TraceStarted:
			if open[ev.Trace] != "" {
				t.Errorf("trace %d started twice", ev.Trace)
			}
			open[ev.Trace] = "running"
		case TraceProgress:
			if open[ev.Trace] != "running" {
				t.Errorf("trace %d: progress while %q", ev.Trace, open[ev.Trace])
			}
			texts[ev.Trace] += ev.Text
		case TraceStopped:
			if open[ev.Trace] != "running" || r.Traces[ev.Trace].StopReason != ev.Reason || r.Traces[ev.Trace].Tokens != ev.TokenIndex {
				t.Errorf("trace %d: stopped while %q with %+v, result %+v", ev.Trace, open[ev.Trace], ev, r.Traces[ev.Trace])
			}
			open[ev.Trace] = "stopped"
		case TraceFinished:
			if open[ev.Trace] != "running" || r.Traces[ev.Trace].StopReason != ev.Reason {
				t.Errorf("trace %d: finished while %q with %+v", ev.Trace, open[ev.Trace], ev)
			}
			if ev.Votes != nil && *ev.Votes != r.Traces[ev.Trace].Votes {
				t.Errorf("trace %d: event says votes %v, the result %v", ev.Trace, *ev.Votes, r.Traces[ev.Trace].Votes)
			}
			open[ev.Trace] = "finished"
		case Answer, Failed:
			if !last {
				t.Errorf("terminal event %d of %d", i, len(l.events))
			}
		}
		if _, terminal := e.(Answer); last && !terminal {
			t.Errorf("last event is %s", e.Type())
		}
	}
	sum, after := 0, 0
	for _, tr := range r.Traces {
		if open[tr.ID] != "stopped" && open[tr.ID] != "finished" {
			t.Errorf("trace %d is left %q", tr.ID, open[tr.ID])
		}
		if texts[tr.ID] != tr.Text {
			t.Errorf("trace %d: progress texts join to %q, want %q", tr.ID, texts[tr.ID], tr.Text)
		}
		if tr.Votes != (tr.Excluded == nil) || tr.Votes != (tr.Weight != nil) {
			t.Errorf("trace %d: votes %v, excluded %v, weight %v", tr.ID, tr.Votes, tr.Excluded, tr.Weight)
		}
		sum += tr.Tokens
		after += tr.AfterStop
	}
	phases, reasons := 0, 0
	for _, n := range r.Tokens.ByPhase {
		phases += n
	}
	for _, n := range r.Tokens.ByReason {
		reasons += n
	}
	if sum != r.Tokens.Used || phases != sum || reasons != sum || after != r.Tokens.AfterStop || r.Launched != len(r.Traces) {
		t.Errorf("totals %+v (launched %d) differ from the traces' %d, %d after stops", r.Tokens, r.Launched, sum, after)
	}
	for _, c := range r.Votes {
		if c.Count != len(c.Traces) {
			t.Errorf("class %+v", c)
		}
	}
	if _, err := json.Marshal(r); err != nil {
		t.Errorf("result does not marshal: %v", err)
	}
	for _, e := range l.events {
		b, err := EncodeEvent(e)
		var m map[string]any
		if err != nil || json.Unmarshal(b, &m) != nil || m["type"] != e.Type() {
			t.Errorf("%s encodes as %s (%v)", e.Type(), b, err)
		}
	}
}

func TestSingleAndMajority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &scripted{scripts: []script{boxed("7", 1, 5), boxed("8", 9, 5), boxed("7.0", 1, 6), {c: []float64{1}, text: "well"}}}
		r, _ := mustRun(t, context.Background(), "single", g, Params{})
		if *r.Answer != "7" || r.Tokens.Used != 5 || len(r.Traces) != 1 || r.Traces[0].Mean != nil {
			t.Errorf("single: %+v", r)
		}
		r, _ = mustRun(t, context.Background(), "majority", g, Params{Budget: 4, Concurrency: 1})
		if *r.Answer != "7" || r.Vote != "majority" || r.Votes[0].Count != 2 || r.Tokens.Used != 17 || *r.Traces[3].Excluded != vote.ExNoAnswer {
			t.Errorf("majority: %+v", r)
		}
		for _, req := range g.requests {
			if req.TopLogprobs != 0 {
				t.Errorf("%s asked for log-probabilities", req.Label)
			}
		}
	})
}

func TestDeepConfLow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Warm-ups of confidence 1…4, W 2: η = 10 puts s at P90 = 3.7.
		g := &scripted{scripts: []script{boxed("9", 1, 8), boxed("9", 2, 8), boxed("9", 3, 8), boxed("5", 4, 8),
			{c: []float64{9, 9, 3, 2, 9, 9}, text: `\boxed{9}`, early: `\boxed{9}`}, boxed("5", 3.8, 8), boxed("9", 9, 8)}}
		r, l := mustRun(t, context.Background(), "deepconf-low", g, Params{Warmup: 4, Budget: 8, Window: 2, Concurrency: 1})
		if r.StoppedBy != "consensus" || *r.Answer != "5" || r.Votes[0].Count != 2 || r.NotLaunched != 2 || *r.Beta != 1 {
			b, _ := json.Marshal(r)
			t.Fatalf("%s\n%s", b, l.types())
		}
		tr := r.Traces[4]
		if tr.StopReason != vote.LowConfidence || *tr.TokenIndex != 4 || *tr.Group != 2.5 || *tr.Excluded != vote.ExLowConfidence || tr.Tokens != 4 {
			t.Errorf("trace 4: %+v", tr)
		}
	})
}
