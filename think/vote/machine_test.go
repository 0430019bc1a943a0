package vote

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"orrery/think/confidence"
)

// say plays n tokens of confidence c.
func say(m *Machine, r *Record, c float64, n int) {
	for range n {
		m.Token(r.ID, []float64{-c})
	}
}

// whole launches a trace and plays it to its end.
func whole(t *testing.T, m *Machine, c float64, n int, ans string) *Record {
	t.Helper()
	r, ok := m.Next()
	if !ok {
		t.Fatal("no launch is allowed")
	}
	say(m, r, c, n)
	m.End(r.ID, EOS, ans, 0)
	return r
}

func policy() Policy {
	return Policy{Rule: Online, Budget: 8, Warmup: 4, Eta: 50, Consensus: true, Tau: 0.95, MinVotes: 2, Confidence: confidence.Config{Window: 2}}
}

func codes(m *Machine) (c []string) {
	for _, e := range m.Effects() {
		if e.Kind == DidWarn {
			c = append(c, e.Code)
		}
	}
	return c
}

func TestMachineDecisions(t *testing.T) {
	m := New(policy())
	for i, ans := range []string{"1", "2", "3", "4"} {
		if r := whole(t, m, float64(i+1), 5, ans); r.Phase != Warmup {
			t.Fatalf("trace %d is %s", i, r.Phase)
		}
	}
	if s, ok := m.Threshold(); !ok || s != 2.5 {
		t.Fatalf("s = %v", s)
	}
	if r := m.Records(); r[0].Excluded != ExBelowThreshold || r[1].Votes || !r[2].Votes || !r[3].Votes {
		t.Fatalf("%+v", r)
	}
	// A group equal to s is not below it; the next, lower one stops, even with
	// an answer, and the rest of the chunk is late.
	r, _ := m.Next()
	say(m, r, 2.5, 3)
	if r.Reason != Running {
		t.Fatal("a group equal to s stopped a trace")
	}
	say(m, r, 2.4, 4)
	if r.Reason != LowConfidence || r.Tokens != 4 || r.AfterStop != 3 || r.Group != 2.45 || math.Abs(r.Margin) > 1e-15 {
		t.Fatalf("%+v", r)
	}
	m.SetAnswer(r.ID, "3")
	m.End(r.ID, EOS, "9", 0) // an end that comes too late changes nothing
	m.Halt(Deadline)
	if r.Reason != LowConfidence || r.Answer != "3" || r.Votes || r.Excluded != ExLowConfidence || m.StoppedBy() != "deadline" {
		t.Fatalf("%+v", r)
	}
	// Shorter than the window: never stopped, judged by its mean.
	m = New(policy())
	for i := range 4 {
		whole(t, m, float64(i+1), 5, string(rune('1'+i)))
	}
	if r := whole(t, m, 0.1, 1, "4"); r.Reason != EOS || r.Excluded != ExBelowThreshold {
		t.Fatalf("%+v", r)
	}
	if r := whole(t, m, 9, 1, "4"); !r.Votes {
		t.Fatalf("%+v", r)
	}
}

func TestConsensusFreezes(t *testing.T) {
	p := policy()
	p.Tau = 0.75
	m := New(p)
	for range 4 {
		whole(t, m, 1, 3, "1")
	}
	if m.StoppedBy() != "consensus" || m.NotLaunched() != 4 || len(m.Betas()) != 1 {
		t.Fatalf("four that agree after the warm-up: %s, β %v", m.StoppedBy(), m.Betas())
	}
	m = New(p)
	for i := range 4 {
		whole(t, m, 1, 3, []string{"1", "1", "2", "2"}[i])
	}
	a, _ := m.Next()
	b, _ := m.Next()
	say(m, a, 8, 3)
	say(m, b, 8, 3)
	m.End(a.ID, EOS, "1", 0) // V: 1+1+8 against 2: β = 10/12
	if b.Reason != Consensus || b.Excluded != ExCancelled || m.Running() != 0 {
		t.Fatalf("%+v", b)
	}
	m.End(b.ID, EOS, "2", 0)
	if o := m.Outcome(); o.Answer != "1" || len(o.Classes) != 2 || b.Reason != Consensus {
		t.Fatalf("%+v", o)
	}
	if _, ok := m.Next(); ok {
		t.Fatal("a launch after consensus")
	}
	p.MinVotes = 5
	m = New(p)
	for range 4 {
		whole(t, m, 1, 3, "1")
	}
	if _, ok := m.Next(); !ok {
		t.Fatal("four voters made a consensus of five")
	}
}

func TestWarmupErrors(t *testing.T) {
	m := New(policy())
	var r []*Record
	for range 4 {
		next, _ := m.Next()
		r = append(r, next)
	}
	if _, ok := m.Next(); ok {
		t.Fatal("a launch while the warm-up runs")
	}
	say(m, r[0], 1, 3)
	m.Fail(0, true)
	retry, ok := m.Next()
	if !ok || retry.RetryOf != 0 || retry.Phase != Warmup || retry.ID != 4 {
		t.Fatalf("%+v", retry)
	}
	m.Fail(4, true)
	if _, ok := m.Next(); ok {
		t.Fatal("retried twice")
	}
	for _, i := range []int{1, 2} {
		say(m, r[i], 3, 3)
		m.End(i, EOS, "1", 0)
	}
	m.Fail(3, false)
	if s, ok := m.Threshold(); !ok || s != 3 {
		t.Fatalf("half completed: s = %v (%v)", s, ok)
	}
	if m.Used() != 9 || m.NotLaunched() != 4 {
		t.Fatalf("used %d, not launched %d: a retry is no launch of the budget", m.Used(), m.NotLaunched())
	}

	m = New(policy())
	m.p.Warmup = 3
	for i := range 3 {
		m.Next()
		if i > 0 {
			m.Fail(i, false)
		}
	}
	say(m, m.Records()[0], 5, 3)
	m.End(0, EOS, "1", 0)
	if _, ok := m.Threshold(); ok || !slices.Equal(codes(m), []string{"calibration_failed"}) {
		t.Fatal("one of three calibrated")
	}
	n, _ := m.Next()
	say(m, n, 0.01, 9)
	if n.Reason != Running {
		t.Fatal("stopped without s")
	}
	m.End(n.ID, EOS, "1", 0)
	if !n.Votes || m.StoppedBy() != "consensus" {
		t.Fatalf("without s every scored answer votes: %+v", n)
	}
}

func TestUnscoredWarmup(t *testing.T) {
	m := New(policy())
	for range 4 {
		r, _ := m.Next()
		m.Token(r.ID, nil)
		m.End(r.ID, EOS, "1", 0)
	}
	if _, ok := m.Threshold(); ok || !slices.Equal(codes(m), []string{"calibration_failed"}) {
		t.Fatal("calibrated on nothing")
	}
	if r := m.Records()[0]; r.Excluded != ExUnscored {
		t.Fatalf("%+v", r)
	}
	if o := m.Outcome(); o.Answer != "1" || o.Fallback != CompletedWarmups || !math.IsNaN(m.Betas()[0]) {
		t.Fatalf("%+v", o)
	}
}

func TestWindows(t *testing.T) {
	p := policy()
	p.Confidence.Window = 100
	m := New(p)
	for i := range 4 {
		whole(t, m, 1, []int{10, 10, 10, 200}[i], "")
	}
	if got := codes(m); !slices.Equal(got, []string{"window_too_large"}) {
		t.Errorf("three of four warm-ups are shorter than the window: %v", got)
	}
	p.AutoWindow, p.Confidence.Window = true, 0
	m = New(p)
	lows := []float64{}
	for i := range 4 {
		r, _ := m.Next()
		for j := range 400 + 8*i { // median 412: W 51
			m.Token(r.ID, []float64{-math.Abs(math.Sin(float64(i + j)))})
		}
		m.End(r.ID, EOS, "", 0)
		direct := confidence.New(confidence.Config{Window: 51})
		for j := range 400 + 8*i {
			direct.Add([]float64{-math.Abs(math.Sin(float64(i + j)))})
		}
		lows = append(lows, direct.Measures().Lowest)
	}
	if got := m.Config().Window; got != 51 {
		t.Errorf("window %d", got)
	}
	if s, _ := m.Threshold(); s != confidence.Percentile(lows, 50) {
		t.Errorf("s %v is not that of the chosen window from the start", s)
	}
	if r, _ := m.Next(); r.tracker.Config().Window != 51 {
		t.Errorf("later traces use another window")
	}
}

func TestTokenBudget(t *testing.T) {
	p := policy()
	p.TokenBudget, p.Warmup, p.MaxTokens = 20, 2, 12
	m := New(p)
	if r := whole(t, m, 1, 6, "1"); r.Cap != 12 {
		t.Fatalf("cap %d", r.Cap)
	}
	whole(t, m, 2, 6, "2")
	a, _ := m.Next()
	b, _ := m.Next()
	if a.Cap != 8 || b.Cap != 8 {
		t.Fatalf("caps %d, %d, want what is left", a.Cap, b.Cap)
	}
	say(m, a, 9, 5)
	say(m, b, 9, 3)
	if a.Reason != TokenBudget || b.Reason != TokenBudget || a.Excluded != ExCancelled || m.StoppedBy() != "token_budget" || m.Used() != 20 {
		t.Fatalf("%+v %+v", a, b)
	}
	if _, ok := m.Next(); ok {
		t.Fatal("a launch without tokens")
	}
	// A trace that just fits completes; one whose end is its reduced cap does not.
	for _, reason := range []StopReason{EOS, Length} {
		m = New(p)
		whole(t, m, 1, 6, "1")
		whole(t, m, 2, 6, "2")
		r, _ := m.Next()
		say(m, r, 9, 8)
		if r.Reason != Running {
			t.Fatalf("%+v", r)
		}
		m.End(r.ID, reason, "2", 0)
		if r.Votes != (reason == EOS) || (r.Reason == TokenBudget) != (reason == Length) {
			t.Fatalf("%s: %+v", reason, r)
		}
		say(m, r, 9, 1)
		if r.AfterStop != 1 || m.Used() != 20 {
			t.Fatalf("%+v", r)
		}
	}
	// Spent in the warm-up: what completed votes unfiltered.
	p.TokenBudget = 10
	m = New(p)
	whole(t, m, 1, 6, "1")
	r, _ := m.Next()
	say(m, r, 2, 4)
	m.End(r.ID, Length, "", 0)
	m.Settle()
	if _, ok := m.Threshold(); ok || r.Reason != TokenBudget || !m.Records()[0].Votes || m.Outcome().Answer != "1" || m.Calibrated() {
		t.Fatalf("%+v", m.Outcome())
	}
}

func TestLadder(t *testing.T) {
	m := New(policy())
	for i := range 4 {
		whole(t, m, float64(i+1), 3, []string{"1", "", "", ""}[i])
	}
	if o := m.Outcome(); o.Fallback != CompletedWarmups || o.Answer != "1" {
		t.Errorf("%+v", o)
	}
	m = New(policy())
	for i := range 4 {
		whole(t, m, float64(i+1), 3, "")
	}
	r, _ := m.Next()
	say(m, r, 1, 3)
	if o := m.Outcome(); o.Fallback != NoAnswer || o.Kind != ByNone || o.Winner != -1 {
		t.Errorf("%+v", o)
	}
	m.SetAnswer(r.ID, "7")
	if o := m.Outcome(); o.Fallback != Killed || o.Answer != "7" {
		t.Errorf("%+v", o)
	}
	whole(t, m, 1, 1, "8") // shorter than the window, below s
	if o := m.Outcome(); o.Fallback != CompletedOthers || o.Answer != "8" {
		t.Errorf("%+v", o)
	}
	whole(t, m, 8, 3, "9")
	if o := m.Outcome(); o.Fallback != NoFallback || o.Answer != "9" {
		t.Errorf("%+v", o)
	}
	// The ladder's votes are weighted ones: unscored traces do not join scored
	// ones, but decide by count where a rung has nothing else.
	unscored := func(m *Machine, ans string) {
		r, _ := m.Next()
		m.Token(r.ID, nil)
		m.End(r.ID, EOS, ans, 0)
	}
	m = New(policy())
	for i, ans := range []string{"", "1"} {
		whole(t, m, float64(9-8*i), 3, ans) // s = 5: the answer is below it
	}
	unscored(m, "1")
	unscored(m, "2")
	if o := m.Outcome(); o.Fallback != CompletedWarmups || o.Answer != "1" || o.Ballots != 1 {
		t.Errorf("%+v", o)
	}
	m = New(policy())
	for _, ans := range []string{"1", "2", "2", ""} {
		unscored(m, ans)
	}
	if o := m.Outcome(); o.Fallback != CompletedWarmups || o.Answer != "2" || o.Ballots != 3 {
		t.Errorf("%+v", o)
	}
}

func TestFreeForm(t *testing.T) {
	texts := []string{"Call me Ishmael.", "It was a dark night", "call me  ishmael", "x"}
	run := func(rule Rule, n int) Outcome {
		p := policy()
		p.Rule, p.Warmup, p.Eta, p.Weight = rule, 2, 100, confidence.Tail
		m := New(p)
		for i := range n {
			whole(t, m, float64(4-i), 3, "")
		}
		return m.FreeForm(func(i int) string { return texts[i] })
	}
	if o := run(Online, 2); o.Kind != ByConfidence || o.Answer != texts[0] {
		t.Errorf("no two alike: %+v", o)
	}
	if o := run(Online, 1); o.Kind != ByWeight || o.Answer != texts[0] {
		t.Errorf("one: %+v", o)
	}
	if o := run(Offline, 3); o.Kind != ByWeight || o.Classes[0].V != 6 {
		t.Errorf("two alike vote: %+v", o)
	}
	if o := run(Plain, 2); o.Kind != ByConfidence || o.Answer != texts[0] {
		t.Errorf("plain but scored: %+v", o)
	}
}

func TestThresholdReplacesWarmup(t *testing.T) {
	p := policy()
	s := 3.0
	p.Threshold, p.Warmup = &s, 0
	m := New(p)
	r, _ := m.Next()
	if r.Phase != Final {
		t.Fatalf("%+v", r)
	}
	say(m, r, 2, 2)
	if r.Reason != LowConfidence || r.Tokens != 2 {
		t.Fatalf("%+v", r)
	}
}

func TestOfflineRuleEqualsFilter(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, auto := range []bool{false, true} {
		p := Policy{Rule: Offline, Budget: 20, Eta: 30, Weight: confidence.Bottom10, Confidence: confidence.Config{Window: 3}, AutoWindow: auto}
		m := New(p)
		for i := range 20 {
			r, _ := m.Next()
			for range 1 + rng.IntN(900) {
				m.Token(r.ID, []float64{-10 * rng.Float64()})
			}
			m.End(r.ID, EOS, []string{"1", "2", ""}[i%3], 0)
		}
		m.Settle()
		var all []Trace
		for _, r := range m.Records() {
			all = append(all, r.Trace)
		}
		thr, kept, _ := Filter(all, confidence.Bottom10, 30)
		if s, _ := m.Threshold(); s != thr {
			t.Errorf("threshold %v, want %v", s, thr)
		}
		want := Weighted(kept, confidence.Bottom10)
		if o := m.Outcome(); o.Total != want.Total || o.Ballots != len(kept) || o.Answer != want.Classes[0].Answer {
			t.Errorf("%+v, want %+v", o, want)
		}
		if w := m.Config().Window; auto == (w == 3) {
			t.Errorf("auto %v: window %d", auto, w)
		}
	}
}

// However calls interleave, a trace ends once, decisions stay, totals add up.
func TestMachineInvariants(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for trial := range 1500 {
		p := policy()
		p.Rule = Rule(rng.IntN(3))
		p.Weight = confidence.Tail
		p.Budget, p.Warmup, p.Tau, p.MinVotes = 1+rng.IntN(12), 1+rng.IntN(6), 0.3+0.7*rng.Float64(), 1+rng.IntN(3)
		p.AutoWindow = rng.IntN(3) == 0
		if rng.IntN(2) == 0 {
			p.TokenBudget = 1 + rng.IntN(150)
		}
		p.MaxTokens = rng.IntN(30)
		m := New(p)
		first := map[int]StopReason{}
		stopped := map[int]bool{}
		for range 400 {
			switch rng.IntN(12) {
			case 0, 1:
				m.Next()
			case 2:
				if n := len(m.Records()); n > 0 {
					m.End(rng.IntN(n), []StopReason{EOS, StopString, Length}[rng.IntN(3)], []string{"1", "2", ""}[rng.IntN(3)], 0)
				}
			case 3:
				if n := len(m.Records()); n > 0 && rng.IntN(3) == 0 {
					m.Fail(rng.IntN(n), rng.IntN(2) == 0)
				}
			case 4:
				if rng.IntN(60) == 0 {
					m.Halt([]StopReason{Deadline, ClientCancelled}[rng.IntN(2)])
				}
			default:
				if n := len(m.Records()); n > 0 {
					m.Token(rng.IntN(n), [][]float64{nil, {-10 * rng.Float64()}}[min(1, rng.IntN(6))])
				}
			}
			for _, e := range m.Effects() {
				if e.Kind == DidStop {
					if stopped[e.Trace] || m.Records()[e.Trace].Reason.Completed() {
						t.Fatalf("trial %d: trace %d stopped twice or after its end", trial, e.Trace)
					}
					stopped[e.Trace] = true
				}
			}
			used, running := 0, 0
			for _, r := range m.Records() {
				used += r.Tokens
				if r.Reason == Running {
					running++
					continue
				}
				if was, ok := first[r.ID]; ok && was != r.Reason {
					t.Fatalf("trial %d: trace %d ended as %s, now %s", trial, r.ID, was, r.Reason)
				}
				first[r.ID] = r.Reason
				if r.Cap > 0 && r.Tokens > r.Cap {
					t.Fatalf("trial %d: %+v is over its cap", trial, r)
				}
			}
			if used != m.Used() || running != m.Running() {
				t.Fatalf("trial %d: used %d, running %d, records say %d, %d", trial, m.Used(), m.Running(), used, running)
			}
			if p.TokenBudget > 0 && used > p.TokenBudget {
				t.Fatalf("trial %d: %d tokens of %d, one at a time", trial, used, p.TokenBudget)
			}
			m.Outcome()
		}
		m.Halt(Deadline)
		m.Settle()
		for _, r := range m.Records() {
			if !r.Decided || r.Votes != (r.Excluded == Included) || r.Votes && !r.Reason.Completed() {
				t.Fatalf("trial %d: %+v", trial, r)
			}
		}
	}
}
