package vote

import (
	"math"

	"orrery/think/confidence"
)

var nan = math.NaN()

// Effects returns what has happened since the last call.
func (m *Machine) Effects() []Effect {
	e := m.effects
	m.effects = nil
	return e
}

// Records lists the traces in launch order.
func (m *Machine) Records() []*Record { return m.records }

// Threshold is s; ok is false while there is none.
func (m *Machine) Threshold() (s float64, ok bool) { return m.s, m.hasS }

// Betas lists β as evaluated when the warm-up ended and after each later
// completion; NaN where ΣV was 0.
func (m *Machine) Betas() []float64 { return m.betas }

// Running is the number of traces that have not ended.
func (m *Machine) Running() int { return m.running }

// Used is the number of tokens of all traces, up to the decisions that ended
// them.
func (m *Machine) Used() int { return m.used }

// Config is how confidence is measured now; the window may change once, when
// the warm-up ends.
func (m *Machine) Config() confidence.Config { return m.cfg.Resolved() }

// Calibrated reports whether the run's votes are final in kind: s exists, or
// the rule needs none.
func (m *Machine) Calibrated() bool { return m.hasS || m.p.Rule == Plain }

// NotLaunched is how many traces of the budget were not launched.
func (m *Machine) NotLaunched() int { return max(0, m.p.Budget-m.first) }

// StoppedBy says what ended the run: a [StopReason], or ByBudget or
// ByExhausted.
func (m *Machine) StoppedBy() string {
	if m.closedBy == "" {
		return ByBudget
	}
	return m.closedBy
}
