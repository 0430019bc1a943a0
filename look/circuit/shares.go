package circuit

import (
	"math"
	"slices"

	"orrery/learn/tensor"
	"orrery/look/group"
)

// shares measures how the vectors by which a network knows the elements are made
// of the group's components: of all frequencies alike at the start, of a few in a
// network that has found the structure.
type shares struct {
	table *table
	parts []group.Component // without the trivial one
}

func newShares(t *table) (*shares, error) {
	parts, err := t.group.Components()
	if err != nil {
		return nil, err
	}
	return &shares{t, parts[1:]}, nil
}

// of is the share of each component in the power of the vectors (elements, width),
// their mean left out.
func (s *shares) of(vectors *tensor.Tensor) []float64 {
	width, m := vectors.Dim(1), s.table.group.Order()
	out := make([]float64, len(s.parts))
	w := make([]float64, m)
	sum := 0.0
	for j := range width {
		for g := range m {
			w[g] = float64(vectors.Data[(s.table.groupFrom+g)*width+j])
		}
		for k, c := range s.parts {
			p := c.Power(w)
			out[k] += p
			sum += p
		}
	}
	for k := range out {
		out[k] /= sum
	}
	return out
}

// held is the power that key components hold between them.
const held = 0.9

// key is how many components it takes, the strongest first, to hold so much.
func key(share []float64) int {
	s := slices.Clone(share)
	slices.Sort(s)
	slices.Reverse(s)
	sum := 0.0
	for i, x := range s {
		if sum += x; sum >= held {
			return i + 1
		}
	}
	return len(s)
}

// The measures in metrics.jsonl.
const (
	keyMeasure  = "key_components" // that hold nine tenths of the elements' power
	topMeasure  = "top_share"      // of the strongest component
	normMeasure = "weight_norm"    // ‖all weights‖₂
)

// Measure implements grok.Learner.
func (l *learner) Measure(int) (map[string]float64, error) {
	share := l.shares.of(l.net.elements())
	norm := 0.0
	for _, p := range l.net.params() {
		norm += float64(tensor.Dot(p.Val.Data, p.Val.Data))
	}
	return map[string]float64{keyMeasure: float64(key(share)), topMeasure: slices.Max(share), normMeasure: math.Sqrt(norm)}, nil
}
