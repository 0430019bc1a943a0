package probe

import (
	"encoding/json"
	"math"

	"orrery/look/cogs"
	"orrery/task"
)

// Mean is a mean that knows of how many values it is; of none it is NaN, in JSON null.
type Mean struct {
	sum float64
	N   int
}

func (m *Mean) add(x float64) { m.sum, m.N = m.sum+x, m.N+1 }

// Value is the mean.
func (m Mean) Value() float64 { return m.sum / float64(m.N) } // 0/0 is NaN

// MarshalJSON writes {"mean", "n"}.
func (m Mean) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Mean *float64 `json:"mean"`
		N    int      `json:"n"`
	}{number(m.Value()), m.N})
}

// number is nil for what JSON has no number for.
func number(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}

// ByClass are means over nodes or edges of each class after some steps. Classes
// are nested, as in the paper: the frontier is also reachable, the optimal also frontier.
// Left, which the paper does not tell apart, is what reachable has beside the frontier.
type ByClass struct {
	Step         int  `json:"step"`
	NotReachable Mean `json:"not_reachable"`
	Reachable    Mean `json:"reachable"`
	Left         Mean `json:"left_behind"` // reachable and not frontier: the search has been there and moved on
	Frontier     Mean `json:"frontier"`
	Optimal      Mean `json:"optimal"`
}

func (b *ByClass) add(c task.Class, x float64) {
	if c == task.NotReachable {
		b.NotReachable.add(x)
	}
	if c == task.Reachable {
		b.Left.add(x)
	}
	for _, k := range []task.Class{task.Reachable, task.Frontier, task.Optimal} {
		if c >= k {
			b.of(k).add(x)
		}
	}
}

// of is a class's mean; there is none of task.Absent.
func (b *ByClass) of(c task.Class) *Mean {
	switch c {
	case task.Reachable:
		return &b.Reachable
	case task.Frontier:
		return &b.Frontier
	case task.Optimal:
		return &b.Optimal
	}
	return &b.NotReachable
}

// Share counts right answers.
type Share struct {
	Right, N int
	Ties     int // answers that shared the largest logit with another token; the lower id was taken
}

func (s *Share) add(logits []float64, want int) {
	best, ties := 0, 0
	for i, l := range logits {
		switch {
		case l > logits[best]:
			best, ties = i, 0
		case l == logits[best] && i != best:
			ties++
		}
	}
	s.N++
	if best == want {
		s.Right++
	}
	if ties > 0 {
		s.Ties++
	}
}

// Interval is the share with Wilson's 95 % interval.
func (s Share) Interval() cogs.Interval { return cogs.Wilson(s.Right, s.N) }

// MarshalJSON writes {"right", "n", "ties", "share", "low", "high"}.
func (s Share) MarshalJSON() ([]byte, error) {
	i := s.Interval()
	return json.Marshal(struct {
		Right int      `json:"right"`
		N     int      `json:"n"`
		Ties  int      `json:"ties"`
		Share *float64 `json:"share"`
		Low   *float64 `json:"low"`
		High  *float64 `json:"high"`
	}{s.Right, s.N, s.Ties, number(i.Share), number(i.Low), number(i.High)})
}

func dot(a, b []float64) float64 {
	sum := 0.0
	for i, x := range a {
		sum += x * b[i]
	}
	return sum
}

func minus(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i, x := range a {
		out[i] = x - b[i]
	}
	return out
}

func plus(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i, x := range a {
		out[i] = x + b[i]
	}
	return out
}

func norm(a []float64) float64 { return math.Sqrt(dot(a, a)) }

// scaleTo gives a vector a norm; a zero vector stays.
func scaleTo(a []float64, size float64) []float64 {
	out := make([]float64, len(a))
	if n := norm(a); n > 0 {
		for i, x := range a {
			out[i] = x * size / n
		}
	}
	return out
}
