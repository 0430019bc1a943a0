package vote

import (
	"fmt"
	"math"

	"orrery/think/answer"
	"orrery/think/confidence"
)

// Rule says who votes and with what weight.
type Rule uint8

const (
	// Online is DeepConf: a warm-up sets s, later traces are stopped when a
	// group falls below it, who is left votes with its lowest group.
	Online Rule = iota
	// Offline lets every trace run and filters at the end (see [Filter]).
	Offline
	// Plain lets every trace run; every answer counts once.
	Plain
)

// Policy is what a [Machine] decides by. All values are explicit: defaults are
// the caller's business.
type Policy struct {
	Rule        Rule
	Budget      int // B: traces launched, warm-ups included, retries not; 0 is no limit
	TokenBudget int // of all traces; 0 is no limit
	MaxTokens   int // cap of one trace; 0 is no limit

	Warmup    int      // Online: N_init
	Eta       float64  // Online, Offline: percent kept
	Threshold *float64 // Online: s, given instead of a warm-up
	Consensus bool     // Online: stop everything at β ≥ Tau with MinVotes voters
	Tau       float64
	MinVotes  int

	Weight     confidence.Measure // Offline
	Confidence confidence.Config
	AutoWindow bool // choose Confidence.Window from the warm-up (Offline: from all)

	Key func(string) answer.Key // nil is answer.KeyOf
}

// Record is one trace of a run, and all that was decided about it. The machine
// owns it; others read.
type Record struct {
	Trace     // ID, Answer, Key; Measures once it has ended
	Phase     Phase
	RetryOf   int // the failed warm-up it replaces, or -1
	Cap       int // tokens it may have; 0 is no limit
	Tokens    int // up to the decision that ended it
	AfterStop int // tokens that came later
	Reason    StopReason
	Group     float64 // LowConfidence: the group that fell below s
	Votes     bool
	Excluded  Exclusion
	Decided   bool    // Votes and Excluded are final
	Margin    float64 // least |group - s|; NaN without s or groups

	tracker *confidence.Tracker
}

// Progress is the trace's confidence so far: its last full group; ok is false
// before the window is full.
func (r *Record) Progress() (group float64, ok bool) {
	if r.tracker == nil || r.tracker.Scored() < r.tracker.Config().Window {
		return 0, false
	}
	return r.tracker.Group()
}

// SoFar is the group that ends at a running trace's last scored token, and how
// many tokens have been scored. Until the window is full the group is the mean
// of all of them, as it is for a trace that ends there.
func (r *Record) SoFar() (group float64, scored int) {
	if r.tracker == nil {
		return 0, 0
	}
	group, _ = r.tracker.Group()
	return group, r.tracker.Scored()
}

// LastConfidence is the confidence of the last scored token of a running trace.
func (r *Record) LastConfidence() (c float64, ok bool) {
	if r.tracker == nil {
		return 0, false
	}
	return r.tracker.Last()
}

// EffectKind says what a driver must do, or may report.
type EffectKind uint8

const (
	DidStop      EffectKind = iota // cancel Trace; its reason is recorded
	DidCalibrate                   // s now exists
	DidVote                        // the vote was counted again
	DidWarn                        // Code and Message
)

// Effect is a consequence of a call, in the order in which they happened.
type Effect struct {
	Kind    EffectKind
	Trace   int
	Code    string
	Message string
}

// Machine is one run: it says which trace to launch next, is told of every
// token and every end, and decides. It is not safe for concurrent use.
//
// A driver calls Next until it refuses, reports what happens through Token,
// End and Fail, obeys Effects after each call, and is done when Next refuses
// while nothing is running; then it calls Settle.
type Machine struct {
	p       Policy
	cfg     confidence.Config // with the window as it is now
	records []*Record

	first    int   // launches that were not retries
	retry    []int // failed warm-ups waiting to be launched again
	running  int
	used     int // tokens of all traces
	warm     bool
	over     bool // no launches any more
	closedBy string

	s       float64
	hasS    bool
	betas   []float64
	effects []Effect
}

// Reasons for the end of a run, beside the [StopReason] values Consensus,
// TokenBudget, Deadline, ClientCancelled and UpstreamError.
const (
	ByBudget    = "budget"    // B traces were launched
	ByExhausted = "exhausted" // there are no more traces to launch
)

// New makes a machine. It panics if p.Confidence is not valid.
func New(p Policy) *Machine {
	if p.Key == nil {
		p.Key = answer.KeyOf
	}
	if p.Budget > 0 {
		p.Warmup = min(p.Warmup, p.Budget)
	}
	if err := p.Confidence.Validate(); err != nil {
		panic(err)
	}
	m := &Machine{p: p, cfg: p.Confidence, warm: p.Rule == Online && p.Threshold == nil && p.Warmup > 0}
	if p.Rule == Online && p.Threshold != nil {
		m.s, m.hasS = *p.Threshold, true
	}
	return m
}

// Next launches a trace if the rules allow one now. While it refuses and
// traces are running, the answer may change with every call.
func (m *Machine) Next() (*Record, bool) {
	if m.over {
		return nil, false
	}
	r := &Record{Trace: Trace{ID: len(m.records)}, Phase: Final, RetryOf: -1, Cap: m.p.MaxTokens, Margin: math.NaN()}
	switch {
	case m.warm && m.first == m.p.Warmup && len(m.retry) == 0:
		return nil, false // the last warm-ups are running
	case m.warm:
		r.Phase = Warmup
	case m.p.Budget > 0 && m.first == m.p.Budget:
		return nil, false
	}
	if m.p.TokenBudget > 0 {
		left := m.p.TokenBudget - m.used
		if left <= 0 {
			m.close(string(TokenBudget))
			return nil, false
		}
		if r.Cap == 0 || left < r.Cap {
			r.Cap = left
		}
	}
	if m.warm && m.first == m.p.Warmup {
		r.RetryOf, m.retry = m.retry[0], m.retry[1:]
	} else {
		m.first++
	}
	r.tracker = confidence.New(m.cfg)
	m.records = append(m.records, r)
	m.running++
	return r, true
}

// Token reports the next token of a running trace, by its alternatives as
// received. After the trace has ended it only counts.
func (m *Machine) Token(trace int, top []float64) {
	r := m.records[trace]
	if m.late(r, 1) {
		return
	}
	r.Tokens++
	m.used++
	group, ok := r.tracker.Add(top)
	if ok && m.hasS && r.Phase == Final && group < m.s {
		r.Group = group
		m.stop(r, LowConfidence)
	}
	m.spend()
}

// Counted reports that a running trace without log-probabilities has had n
// tokens so far, by whatever the generator knows of it.
func (m *Machine) Counted(trace, n int) {
	r := m.records[trace]
	more := n - r.Tokens - r.AfterStop
	if more <= 0 || m.late(r, more) {
		return
	}
	r.Tokens += more
	m.used += more
	m.spend()
}

// Estimated gives the number of tokens of a stopped trace that nobody counted
// while it ran. Budgets have not seen them.
func (m *Machine) Estimated(trace, n int) {
	if r := m.records[trace]; r.Reason != Running && r.Tokens == 0 {
		r.Tokens = n
		m.used += n
	}
}

// late takes n tokens of a trace that has ended, or has all it may have.
func (m *Machine) late(r *Record, n int) bool {
	if r.Reason == Running && (r.Cap == 0 || r.Tokens < r.Cap) {
		return false
	}
	r.AfterStop += n
	return true
}

// Overrun reports whether a running trace was sent more than its cap: its
// generator ignores the limit, and the driver must end it as Length.
func (m *Machine) Overrun(trace int) bool {
	r := m.records[trace]
	return r.Reason == Running && r.AfterStop > 0
}

// spend ends the run when its tokens are spent. A trace that has just reached
// its own cap is left to say whether that was its end.
func (m *Machine) spend() {
	if m.p.TokenBudget == 0 || m.used < m.p.TokenBudget {
		return
	}
	for _, r := range m.records {
		if r.Reason == Running && r.Tokens != r.Cap {
			m.close(string(TokenBudget))
			m.stop(r, TokenBudget)
		}
	}
}

// End reports that a trace came to its own end, EOS, StopString or Length, with
// this answer ("" for none). tokens is its final number of tokens where those
// were not reported by Token; otherwise 0. It does nothing if the trace has
// ended before.
func (m *Machine) End(trace int, reason StopReason, ans string, tokens int) {
	r := m.records[trace]
	if r.Reason != Running {
		return
	}
	if more := tokens - r.Tokens; tokens > 0 {
		r.Tokens += more
		m.used += more
	}
	if reason == Length && r.Cap > 0 && r.Cap != m.p.MaxTokens {
		reason = TokenBudget // its cap was what the run had left
		m.close(string(TokenBudget))
	}
	m.SetAnswer(trace, ans)
	m.end(r, reason)
	m.spend()
}

// Fail reports that a trace's generator failed. A warm-up is launched once
// more if again is true.
func (m *Machine) Fail(trace int, again bool) {
	r := m.records[trace]
	if r.Reason != Running {
		return
	}
	if again && m.warm && r.RetryOf < 0 && !m.over {
		m.retry = append(m.retry, trace)
	}
	m.end(r, UpstreamError)
}

// SetAnswer records what can be read from the text of a trace that was stopped:
// it never votes, but see [Killed].
func (m *Machine) SetAnswer(trace int, ans string) {
	if key := m.p.Key(ans); !key.IsZero() {
		m.records[trace].Answer, m.records[trace].Key = ans, key
	}
}

// Halt ends the run from outside: Deadline, ClientCancelled or UpstreamError.
func (m *Machine) Halt(reason StopReason) {
	m.close(string(reason))
	for _, r := range m.records {
		if r.Reason == Running {
			m.stop(r, reason)
		}
	}
}

// Exhaust says that there are no more traces to launch: a warm-up consists of
// what there was. Nothing may be running.
func (m *Machine) Exhaust() {
	if m.over || m.p.Budget > 0 && m.first == m.p.Budget {
		return // the run has ended for another reason
	}
	if m.p.Warmup = min(m.p.Warmup, m.first); m.warm && m.first > 0 {
		m.calibrate()
	}
	m.close(ByExhausted)
}

func (m *Machine) close(by string) {
	m.over = true
	if m.closedBy == "" {
		m.closedBy = by
	}
}

// stop ends a trace by our decision.
func (m *Machine) stop(r *Record, reason StopReason) {
	m.effects = append(m.effects, Effect{Kind: DidStop, Trace: r.ID})
	m.end(r, reason)
}

// end records why a trace ended, and draws the consequences.
func (m *Machine) end(r *Record, reason StopReason) {
	r.Reason = reason
	m.running--
	r.Measures = r.tracker.Measures()
	if m.warm {
		if m.running == 0 && m.first == m.p.Warmup && len(m.retry) == 0 && !m.over {
			m.calibrate()
		} else if reason.Completed() {
			m.effects = append(m.effects, Effect{Kind: DidVote})
		}
		return
	}
	if m.hasS {
		r.Margin = margin(r.tracker, m.s)
	}
	if !(m.p.Rule == Offline && m.p.AutoWindow) {
		r.tracker = nil // the confidences of all tokens
	}
	if m.p.Rule == Online {
		m.decide(r)
	}
	if reason.Completed() {
		m.evaluate()
	}
}

// margin is the least distance of a group to s: where it is tiny, another
// implementation may round to another decision.
func margin(t *confidence.Tracker, s float64) float64 {
	least := math.NaN()
	for g := range t.Groups {
		if d := math.Abs(g - s); !(d >= least) {
			least = d
		}
	}
	return least
}

// calibrate ends the warm-up: it fixes the window and s, and admits warm-ups.
func (m *Machine) calibrate() {
	m.warm = false
	m.fixWindow(m.records)
	var lowest []float64
	completed, short, scored := 0, 0, 0
	for _, r := range m.records {
		if !r.Reason.Completed() {
			continue
		}
		completed++
		if low, ok := r.Measures.Get(confidence.Lowest); ok {
			lowest = append(lowest, low)
			scored++
			if r.Measures.Scored < m.cfg.Resolved().Window {
				short++
			}
		}
	}
	switch {
	case 2*completed < m.p.Warmup:
		m.warn("calibration_failed", fmt.Sprintf("calibration: only %d of %d warm-up traces completed, so there is no threshold and no trace is stopped for low confidence", completed, m.p.Warmup))
	case scored == 0:
		m.warn("calibration_failed", "calibration: no warm-up trace carried log-probabilities, so there is no threshold and no trace is stopped for low confidence")
	default:
		m.s, m.hasS = confidence.Percentile(lowest, 100-m.p.Eta), true
		m.effects = append(m.effects, Effect{Kind: DidCalibrate})
	}
	if !m.p.AutoWindow && 2*short > scored {
		m.warn("window_too_large", fmt.Sprintf("calibration: %d of %d warm-up traces have fewer tokens than the window of %d, which can stop nothing before it is full; use a smaller window or auto", short, scored, m.cfg.Resolved().Window))
	}
	for _, r := range m.records {
		if m.hasS {
			r.Margin = margin(r.tracker, m.s)
		}
		r.tracker = nil
		m.decide(r)
	}
	m.evaluate()
}

// fixWindow chooses the automatic window from completed traces and measures
// all given ones again, by the same code that measured them first.
func (m *Machine) fixWindow(records []*Record) {
	if !m.p.AutoWindow {
		return
	}
	var lengths []int
	for _, r := range records {
		if r.Reason.Completed() && r.Measures.Scored > 0 {
			lengths = append(lengths, r.Measures.Scored)
		}
	}
	m.cfg.Window = confidence.AutoWindow(lengths)
	for _, r := range records {
		r.tracker = r.tracker.Rewindow(m.cfg.Window, m.cfg.Tail)
		r.Measures = r.tracker.Measures()
	}
}

func (m *Machine) warn(code, message string) {
	m.effects = append(m.effects, Effect{Kind: DidWarn, Code: code, Message: message})
}
