package cogs

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
)

// Snapshot is a network at some point of its training.
type Snapshot struct {
	Epoch   int
	Loss    float64 // mean over the whole table, as Weights.Table's; NaN: not known yet
	Weights *Weights
}

// Point is what is kept of a snapshot.
type Point struct {
	Epoch int
	Loss  float64
	// Diagonal is Σ_{k≠0} r[k,k,k], D−1 in a network that adds, and Others the sum
	// of |G_k(k1,k2)|² over k≠0 and (k1,k2) ≠ (k,k), 0 in such a one.
	Diagonal, Others float64
	Orders           []int     // nodes of each frequency from 1 to D/2
	amplitude        []float32 // (Q, D/2+1): |A|
}

// Late is how many of the last snapshots are factorised: a large learning rate
// leaves spikes of loss near the end, so that the last is not always the best.
const Late = 5

// History is a training, analysed.
type History struct {
	D, Q   int
	Points []Point // by epoch
	// Tail are the factorisations of the last snapshots, at most Late, and Best
	// the index of the one with the lowest loss among those that have the final
	// orders, if these are settled, or among all.
	Tail []*Factorisation
	Best int
	// Of the best snapshot: its loss computed directly and from potentials, and
	// max_k |G_k(0,0)|, which holds Rn summed over all frequencies.
	Direct, FromPotentials, Folded float64
}

// Follow analyses snapshots of one network, ascending by epoch.
func Follow(snapshots iter.Seq2[Snapshot, error]) (*History, error) {
	h := &History{}
	var late []*Weights
	for s, err := range snapshots {
		if err != nil {
			return nil, err
		}
		w := s.Weights
		switch {
		case len(h.Points) == 0:
			if err := checkModulus(w.D); err != nil {
				return nil, err
			}
			h.D, h.Q = w.D, w.Q
		case w.D != h.D || w.Q != h.Q:
			return nil, fmt.Errorf("following a training: epoch %d has %d nodes modulo %d, earlier ones have %d modulo %d: give the weights of one run", s.Epoch, w.Q, w.D, h.Q, h.D)
		case s.Epoch <= h.Points[len(h.Points)-1].Epoch:
			return nil, fmt.Errorf("following a training: epoch %d comes after epoch %d: give them in ascending order", s.Epoch, h.Points[len(h.Points)-1].Epoch)
		}
		h.Points = append(h.Points, point(s))
		late = append(late[max(0, len(late)-Late+1):], w)
	}
	if len(h.Points) == 0 {
		return nil, errors.New("following a training: no weights were kept, so there is nothing to analyse")
	}
	h.finish(late)
	return h, nil
}

func point(s Snapshot) Point {
	w := s.Weights
	spectrum := w.Spectrum()
	p := Point{Epoch: s.Epoch, Loss: s.Loss, Orders: spectrum.orders()}
	if math.IsNaN(p.Loss) {
		p.Loss, _ = w.Table()
	}
	p.Others = float64(w.D) * p.Loss
	for k, r := range spectrum.Diagonal() {
		if k > 0 {
			p.Diagonal += real(r)
			p.Others -= square(r - 1)
		}
	}
	n := w.D/2 + 1
	p.amplitude = make([]float32, w.Q*n)
	for j := range w.Q {
		for k := range n {
			p.amplitude[j*n+k] = float32(math.Sqrt(square(spectrum.A[j*w.D+k])))
		}
	}
	return p
}

// finish factorises the last snapshots and looks closely at the best.
func (h *History) finish(late []*Weights) {
	first, last := len(h.Points)-len(late), h.Points[len(h.Points)-1]
	_, settled := h.Settled()
	h.Best = len(late) - 1
	for i, w := range late {
		h.Tail = append(h.Tail, w.Spectrum().Factorise())
		p := h.Points[first+i]
		if p.Loss < h.Points[first+h.Best].Loss && (!settled || slices.Equal(p.Orders, last.Orders)) {
			h.Best = i
		}
	}
	best := late[h.Best]
	h.Direct, _ = best.Table()
	p := best.Spectrum().Potentials()
	diagonal, others := p.Loss()
	h.FromPotentials = diagonal + others
	for k := 1; k < h.D; k++ {
		h.Folded = max(h.Folded, math.Sqrt(square(p.G(k, 0, 0))))
	}
}

// Factors are those of the best of the last snapshots.
func (h *History) Factors() *Factorisation { return h.Tail[h.Best] }

// tailPoint is the point of the i-th of the tail.
func (h *History) tailPoint(i int) Point { return h.Points[len(h.Points)-len(h.Tail)+i] }

// BestPoint is the point that Factors are of.
func (h *History) BestPoint() Point { return h.tailPoint(h.Best) }

// Settled is the epoch since which no frequency has another order, and whether
// there is one: not if the last two snapshots differ, or there is one alone.
func (h *History) Settled() (epoch int, ok bool) {
	last := len(h.Points) - 1
	i := last
	for i > 0 && slices.Equal(h.Points[i-1].Orders, h.Points[last].Orders) {
		i--
	}
	return h.Points[i].Epoch, i < last
}
