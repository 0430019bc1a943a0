package confidence

import (
	"math"
	"slices"
)

// Tracker measures one trace, token by token. Add costs O(k) for a list that
// is sorted already and allocates only when its record of confidences grows
// (see Grow). It is not safe for concurrent use.
type Tracker struct {
	cfg    Config
	top    []float64 // scratch: the k greatest entries, descending
	tokens int

	conf    []float64 // C of every scored token, in order
	sum     float64   // of the last min(n, W) of conf
	lowest  float64   // over the groups so far; defined when n ≥ W
	highest float64
}

// New makes a tracker. It panics if cfg is not valid; see [Config.Validate].
func New(cfg Config) *Tracker {
	if err := cfg.Validate(); err != nil {
		panic(err)
	}
	cfg = cfg.Resolved()
	return &Tracker{cfg: cfg, top: make([]float64, 0, cfg.K)}
}

// Config is the tracker's configuration with defaults filled in.
func (t *Tracker) Config() Config { return t.cfg }

// Grow makes room for n more tokens, so that adding them does not allocate.
func (t *Tracker) Grow(n int) { t.conf = slices.Grow(t.conf, n) }

// Add takes the next token's log-probabilities as received: any order, any
// length, NaN for null. It returns the confidence of the group that ends at
// this token; defined is false where there is none, that is for an unscored
// token and before W tokens have been scored.
func (t *Tracker) Add(top []float64) (group float64, defined bool) {
	c, ok := t.token(top)
	if !ok {
		t.tokens++
		return 0, false
	}
	return t.Push(c)
}

// Push takes the next token by its confidence, c ≥ 0. Add calls it; replaying
// recorded confidences through Push gives the same groups to the last bit.
//
// The running sum moves by the difference of the entering and the leaving
// value, so that equal neighbours leave it untouched, and is summed afresh,
// oldest first, every W tokens, so that rounding errors do not pile up.
func (t *Tracker) Push(c float64) (group float64, defined bool) {
	t.tokens++
	t.conf = append(t.conf, c)
	n, w := len(t.conf), t.cfg.Window
	switch {
	case n <= w:
		t.sum += c
	case n%w == 0:
		t.sum = sum(t.conf[n-w:])
	default:
		t.sum += c - t.conf[n-1-w]
	}
	if n < w {
		return 0, false
	}
	group = max(0, t.sum/float64(w)) // a rounding error must not make it negative
	if n == w {
		t.lowest, t.highest = group, group
	} else {
		t.lowest, t.highest = min(t.lowest, group), max(t.highest, group)
	}
	return group, true
}

// Confidence measures a token's log-probabilities, as Add would, without adding it.
func (t *Tracker) Confidence(top []float64) (c float64, ok bool) { return t.token(top) }

// token is C = -(1/m)·Σ_{j≤m} log P(j) over the m = min(k, entries) greatest
// entries; ok is false when there are none. The sum runs from the greatest
// down, whatever the order of top. Entries that are NaN or +Inf are dropped,
// the others clamped to [Floor, 0].
func (t *Tracker) token(top []float64) (c float64, ok bool) {
	if c, ok = t.descending(top); ok {
		return c, true
	}
	s, k, floor := t.top[:0], t.cfg.K, t.cfg.Floor
	for _, v := range top {
		if !(v <= math.MaxFloat64) {
			continue // NaN or +Inf
		}
		if v > 0 {
			v = 0
		} else if v < floor {
			v = floor
		}
		if len(s) < k {
			s = append(s, v)
		} else if v <= s[k-1] {
			continue
		}
		i := len(s) - 1
		for ; i > 0 && s[i-1] < v; i-- {
			s[i] = s[i-1]
		}
		s[i] = v
	}
	if len(s) == 0 {
		return 0, false
	}
	return 0 - sum(s)/float64(len(s)), true // 0 - x, because -x would give -0
}

// descending is token for a list that needs no work, as most servers send it:
// in descending order and within [Floor, 0] as far as it counts. For any other
// list, and an empty one, ok is false.
func (t *Tracker) descending(top []float64) (c float64, ok bool) {
	m := min(len(top), t.cfg.K)
	s, last, floor := 0.0, 0.0, t.cfg.Floor
	for _, v := range top[:m] {
		if !(v <= last && v >= floor) {
			return 0, false
		}
		s += v
		last = v
	}
	for _, v := range top[m:] {
		if v > last && v <= math.MaxFloat64 { // NaN and +Inf are no entries
			return 0, false
		}
	}
	return 0 - s/float64(m), m > 0
}

// Tokens is the number of tokens so far, scored or not.
func (t *Tracker) Tokens() int { return t.tokens }

// Scored is the number of scored tokens so far.
func (t *Tracker) Scored() int { return len(t.conf) }

// Last is the confidence of the last scored token; ok is false before one.
func (t *Tracker) Last() (c float64, ok bool) {
	if len(t.conf) == 0 {
		return 0, false
	}
	return t.conf[len(t.conf)-1], true
}

// Group is the confidence of the last group, and Lowest of the least confident
// one so far. With fewer than W scored tokens both are their plain mean; ok is
// false when there are none.
func (t *Tracker) Group() (group float64, ok bool) {
	n := min(len(t.conf), t.cfg.Window)
	if n == 0 {
		return 0, false
	}
	return max(0, t.sum/float64(n)), true
}

// Lowest: see Group.
func (t *Tracker) Lowest() (lowest float64, ok bool) {
	if len(t.conf) < t.cfg.Window {
		return t.Group()
	}
	return t.lowest, true
}

// Confidences calls yield with the confidence of every scored token so far, in order.
func (t *Tracker) Confidences(yield func(float64) bool) {
	for _, c := range t.conf {
		if !yield(c) {
			return
		}
	}
}

// Groups calls yield with every group so far, in order; a trace with fewer
// than W scored tokens has one group, their mean. It can be ranged over.
func (t *Tracker) Groups(yield func(float64) bool) {
	if n := len(t.conf); n < t.cfg.Window {
		if g, ok := t.Group(); ok {
			yield(g)
		}
		return
	}
	again := t.fresh(t.cfg)
	for _, c := range t.conf {
		if g, ok := again.Push(c); ok && !yield(g) {
			return
		}
	}
}

// Rewindow returns a tracker that has seen the same tokens with another window
// and tail, as if it had been made so: the window may be chosen after the
// warm-up traces that it also judges. The receiver is unchanged.
func (t *Tracker) Rewindow(window, tail int) *Tracker {
	cfg := t.cfg
	cfg.Window, cfg.Tail = window, tail
	r := New(cfg)
	r.Grow(len(t.conf))
	for _, c := range t.conf {
		r.Push(c)
	}
	r.tokens = t.tokens
	return r
}

// fresh is an empty tracker for Groups, with room for the same tokens.
func (t *Tracker) fresh(cfg Config) *Tracker {
	return &Tracker{cfg: cfg, conf: make([]float64, 0, len(t.conf))}
}

// Measures sums up the tokens so far. It costs O(n log n), once a trace.
func (t *Tracker) Measures() Measures {
	n := len(t.conf)
	m := Measures{Tokens: t.tokens, Scored: n}
	if n == 0 {
		return m
	}
	m.Mean = mean(t.conf)
	m.Tail = mean(t.conf[n-min(n, t.cfg.Tail):])
	if n < t.cfg.Window {
		g, _ := t.Group()
		m.Lowest, m.Bottom10, m.Highest = g, g, g
		return m
	}
	m.Lowest, m.Highest = t.lowest, t.highest
	groups := make([]float64, 0, n-t.cfg.Window+1)
	t.Groups(func(g float64) bool {
		groups = append(groups, g)
		return true
	})
	slices.Sort(groups)
	// A mean lies between its extremes; a rounded one might not.
	bottom := groups[:max(1, len(groups)/10)]
	m.Bottom10 = min(max(mean(bottom), bottom[0]), bottom[len(bottom)-1])
	return m
}

func sum(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v
	}
	return s
}

func mean(x []float64) float64 { return sum(x) / float64(len(x)) }
