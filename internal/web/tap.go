package web

import (
	"context"
	"encoding/binary"
	"iter"
	"math"
	"slices"
	"sync"

	"orrery/think/confidence"
	"orrery/think/llm"
	"orrery/think/reason"
)

const (
	bestKept   = 5  // alternatives of a token that are kept
	longestAlt = 64 // bytes of one
)

// tap is a generator that passes everything on and keeps of each trace what no event
// of a run carries: the tokens with their alternatives.
type tap struct {
	llm.Generator
	s *show
}

// newTap is a tap with all that g can do.
func newTap(g llm.Generator, s *show) llm.Generator {
	return llm.Around(&tap{g, s}, g)
}

// Generate implements [llm.Generator]. It is called in launch order.
func (t *tap) Generate(ctx context.Context, r llm.Request) iter.Seq[llm.Event] {
	m := t.s.newMade(r)
	events := t.Generator.Generate(ctx, r)
	return func(yield func(llm.Event) bool) {
		for ev := range events {
			if ev.Kind == llm.KindToken {
				m.add(ev.Token)
			}
			if !yield(ev) {
				return
			}
		}
	}
}

// made is what is kept of the tokens that a trace was made of.
type made struct {
	keep func(n int) bool

	mu      sync.Mutex
	tokens  []byte // one after the other, as add writes them
	cut     bool   // not all of them are there
	gone    bool
	tracker *confidence.Tracker // while the window is not known

	text  []byte // what the tokens are the text of
	limit int    // tokens up to the decision
}

func (s *show) newMade(r llm.Request) *made {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &made{keep: s.p.keep}
	if w := s.head.Started; w != nil && w.Window == reason.Auto && w.K > 0 && s.head.Calibrated == nil {
		m.tracker = confidence.New(confidence.Config{K: w.K, Floor: s.head.Params.Floor})
	}
	s.made = append(s.made, m)
	return m
}

// add keeps a token: its log-probability, then the number of its best alternatives,
// and of each its log-probability and its text, all of it float32 and short.
func (m *made) add(t llm.Token) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tracker != nil {
		m.tracker.Add(t.Top)
	}
	if m.cut || m.gone {
		return
	}
	best := bestOf(t)
	before := len(m.tokens)
	b := binary.LittleEndian.AppendUint32(m.tokens, math.Float32bits(float32(t.Logprob)))
	b = append(b, byte(len(best)))
	for _, at := range best {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(t.Top[at])))
		text := t.TopText[at]
		text = text[:min(len(text), longestAlt)]
		b = append(append(b, byte(len(text))), text...)
	}
	if !m.keep(len(b) - before) {
		m.cut = true
		return
	}
	m.tokens = b
}

// bestOf are the indices of the best alternatives, the best first, and of the sampled
// one where it is not of them.
func bestOf(t llm.Token) []int {
	best := make([]int, 0, bestKept+2)
	sampled := -1
	for i, lp := range t.Top {
		if lp != lp || i >= len(t.TopText) {
			continue
		}
		if lp == t.Logprob && sampled < 0 {
			sampled = i
		}
		at := len(best)
		for at > 0 && t.Top[best[at-1]] < lp {
			at--
		}
		if at < bestKept {
			best = slices.Insert(best, at, i)
			best = best[:min(len(best), bestKept)]
		}
	}
	if sampled >= 0 && !slices.Contains(best, sampled) {
		best = append(best, sampled)
	}
	return best
}

// drop forgets the tokens and says how many bytes that frees.
func (m *made) drop() (freed int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	freed = len(m.tokens)
	m.tokens, m.tracker, m.gone = nil, nil, true
	return freed
}

func (m *made) has() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.tokens) > 0
}

// groups measures the first n scored tokens with another window: as events do, of all
// tokens so far until the window is full. nil: nothing is known.
func (m *made) groups(window, n int) []float32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tracker == nil || m.tracker.Scored() < n {
		return nil
	}
	out := make([]float32, 0, n)
	again := confidence.New(confidence.Config{Window: window})
	m.tracker.Confidences(func(c float64) bool {
		again.Push(c)
		g, _ := again.Group()
		out = append(out, float32(g))
		return len(out) < n
	})
	m.tracker = nil
	return out
}

// token is a kept token, read.
type token struct {
	logprob float64
	best    []alternative
}

type alternative struct {
	text    string
	logprob float64
}

// all reads the tokens up to the decision.
func (m *made) all() (out []token) {
	m.mu.Lock()
	defer m.mu.Unlock()
	number := func(b []byte) float64 { return float64(math.Float32frombits(binary.LittleEndian.Uint32(b))) }
	for b := m.tokens; len(b) > 0 && len(out) < m.limit; {
		t := token{logprob: number(b)}
		n := int(b[4])
		b = b[5:]
		for range n {
			size := int(b[4])
			t.best = append(t.best, alternative{string(b[5 : 5+size]), number(b)})
			b = b[5+size:]
		}
		out = append(out, t)
	}
	return out
}
