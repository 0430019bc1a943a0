package nn

import (
	"fmt"
	"slices"

	"orrery/learn/grad"
	"orrery/learn/tensor"
)

// Thought, in place of a token, is a latent thought (arXiv 2412.06769): the
// row's input is not an embedding but the hidden state, after the final norm,
// of the row before it. Learned positions are added to it as to any other row.
const Thought = -1

// Thread is a sequence, or the continuation of one.
type Thread struct {
	Tokens []int // ids, or Thought
	From   int   // −1, or an earlier thread of the list: this one continues it, sees all of it, and stands after it
	Want   []int // rows of Tokens whose hidden states are wanted, ascending
}

// ThinkOptions opens the passes of Think.
type ThinkOptions struct {
	// Feed, if not nil, is shown the thoughts of a pass before they are fed,
	// one row of h (n, d) for each of the threads, and may replace them by others of that
	// shape; nil leaves them. Passes count from 0, and the first has no
	// thoughts unless threads branch off from others.
	Feed func(pass int, threads []int, h *grad.Var) *grad.Var
	// Taps, if not nil, opens each pass. Its values have a row for each of the
	// pass's tokens, thread by thread, except that behind the last layer's keys and
	// values there are the needed rows only.
	Taps func(pass int) *Taps
}

// piece is a part of a thread that goes through the layers at once: what
// follows a thought needs the hidden state before it.
type piece struct {
	thread, lo, hi int
	prev           *piece // what it continues, or nil
	pass           int
	first          int   // position of its first row
	row            int   // its first row in the pass
	need           []int // rows of the piece, from 0, whose hidden states are needed, ascending
	place          []int // where those are in the pass's result
	context        []grad.Span
}

// Think runs threads of a causal model, with n thoughts in a row in n+1 passes:
// each pass computes its own rows and reads the keys and values of those
// before. It returns the hidden states that are wanted, (Σ len(Want), d), in
// the order of the threads. Gradients flow back through every thought and every
// key and value.
//
// The last layer computes queries and MLP of the rows that are wanted or thought
// on, and nothing but keys and values of the others. Values are bit for bit
// those of Hidden over each thread's whole sequence, and of a Decoder. It panics if the
// threads do not fit themselves or the model.
func (m *Model) Think(t *grad.Tape, list []Thread, o ThinkOptions) *grad.Var {
	if m.Config.Bidirectional {
		panic("nn.Think: the model is bidirectional: what it thinks would change what it thought on")
	}
	passes := m.cut(list)
	r := thinking{m: m, t: t, o: o, k: make([][]*grad.Var, len(m.layers)), v: make([][]*grad.Var, len(m.layers))}
	for p, pieces := range passes {
		r.hidden = append(r.hidden, r.pass(p, pieces, list))
	}
	// The wanted rows, put into the order of the threads.
	type wanted struct{ thread, row, pass, place int }
	var all []wanted
	for p, pieces := range passes {
		for _, c := range pieces {
			for i, row := range c.need {
				if _, ok := slices.BinarySearch(list[c.thread].Want, c.lo+row); ok {
					all = append(all, wanted{c.thread, c.lo + row, p, c.place[i]})
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b wanted) int {
		if a.thread != b.thread {
			return a.thread - b.thread
		}
		return a.row - b.row
	})
	start := make([]int, len(passes)+1)
	for p, h := range r.hidden {
		start[p+1] = start[p] + h.Val.Dim(0)
	}
	rows := make([]int, len(all))
	for i, w := range all {
		rows[i] = start[w.pass] + w.place
	}
	h := r.hidden[0]
	if len(r.hidden) > 1 {
		h = t.Concat(0, r.hidden...)
	}
	return t.Rows(h, rows)
}

// thinking is one call of Think.
type thinking struct {
	m      *Model
	t      *grad.Tape
	o      ThinkOptions
	k, v   [][]*grad.Var // of each layer, by pass
	hidden []*grad.Var   // of each pass, its needed rows
}

// cut splits threads into pieces, by pass, and checks them.
func (m *Model) cut(list []Thread) (passes [][]*piece) {
	last := make([]*piece, len(list)) // of each thread
	for i, th := range list {
		if len(th.Tokens) == 0 || th.From < -1 || th.From >= i {
			panic(fmt.Sprintf("nn.Think: thread %d has %d tokens and continues thread %d", i, len(th.Tokens), th.From))
		}
		var prev *piece
		if th.From >= 0 {
			prev = last[th.From]
		}
		for lo := 0; lo < len(th.Tokens); {
			hi := lo + 1
			for hi < len(th.Tokens) && th.Tokens[hi] != Thought {
				hi++
			}
			p := &piece{thread: i, lo: lo, hi: hi, prev: prev}
			if prev != nil {
				p.first, p.pass = prev.first+prev.hi-prev.lo, prev.pass+1
				p.context = slices.Clone(prev.context)
			}
			m.place(p, th, &passes)
			prev, lo = p, hi
		}
		last[i] = prev
		for j, w := range th.Want {
			if w < 0 || w >= len(th.Tokens) || j > 0 && w <= th.Want[j-1] {
				panic(fmt.Sprintf("nn.Think: thread %d of %d tokens wants rows %v", i, len(th.Tokens), th.Want))
			}
		}
	}
	for _, pieces := range passes {
		n := 0
		for _, p := range pieces {
			for i := range p.need {
				p.place = append(p.place, n+i)
			}
			n += len(p.need)
		}
	}
	return passes
}

// place checks a piece, puts it into its pass and notes which rows it needs.
func (m *Model) place(p *piece, th Thread, passes *[][]*piece) {
	if end := p.first + p.hi - p.lo; end > m.Config.MaxPositions && m.Config.Positions != "none" {
		panic(fmt.Sprintf("nn.Think: thread %d ends at position %d: the model has %d", p.thread, end, m.Config.MaxPositions))
	}
	for i := p.lo; i < p.hi; i++ {
		id := th.Tokens[i]
		if id < Thought || id >= m.Config.VocabSize || id == Thought && p.prev == nil {
			panic(fmt.Sprintf("nn.Think: token %d at row %d of thread %d: want a thought after another row, or one of a vocabulary of %d", id, i, p.thread, m.Config.VocabSize))
		}
	}
	if th.Tokens[p.lo] == Thought {
		p.prev.needs(p.prev.hi - p.prev.lo - 1)
	}
	for _, w := range th.Want {
		if p.lo <= w && w < p.hi {
			p.needs(w - p.lo)
		}
	}
	if p.pass == len(*passes) {
		*passes = append(*passes, nil)
	}
	pieces := (*passes)[p.pass]
	if n := len(pieces); n > 0 {
		p.row = pieces[n-1].row + pieces[n-1].hi - pieces[n-1].lo
	}
	p.context = append(p.context, grad.Span{Source: p.pass, Lo: p.row, Hi: p.row + p.hi - p.lo})
	(*passes)[p.pass] = append(pieces, p)
}

// needs notes a row of the piece, keeping the list ascending without doubles.
func (p *piece) needs(row int) {
	if at, found := slices.BinarySearch(p.need, row); !found {
		p.need = slices.Insert(p.need, at, row)
	}
}

// pass runs the pieces of one pass: the result is their needed rows.
func (r *thinking) pass(n int, pieces []*piece, list []Thread) *grad.Var {
	m, t := r.m, r.t
	in := Input{}
	var rows, ends []int // needed rows of the pass, and how many keys they see
	var thinks, from []int
	all := grad.ContextSpec{Heads: m.Config.Heads, KVHeads: m.Config.KVHeads}
	for _, p := range pieces {
		in.Tokens = append(in.Tokens, list[p.thread].Tokens[p.lo:p.hi]...)
		for i := range p.hi - p.lo {
			in.Positions = append(in.Positions, p.first+i)
		}
		for _, i := range p.need {
			rows, ends = append(rows, p.row+i), append(ends, p.first+i+1)
		}
		all.Lens, all.Keys = append(all.Lens, p.hi-p.lo), append(all.Keys, p.context)
		if list[p.thread].Tokens[p.lo] == Thought {
			thinks = append(thinks, p.thread)
			from = append(from, p.prev.place[len(p.prev.place)-1]) // its last row is needed
		}
	}
	if r.o.Taps != nil {
		in.Taps = r.o.Taps(n)
	}
	if len(thinks) > 0 {
		in.Embeds = t.Rows(r.hidden[n-1], from)
		if r.o.Feed != nil {
			if w := r.o.Feed(n, thinks, in.Embeds); w != nil {
				in.Embeds = w
			}
		}
	}
	t.At("model.embed_tokens")
	x := in.Taps.see("embed", m.embedded(t, in))
	few := all
	few.Lens, few.Sees = nil, ends
	for _, p := range pieces {
		few.Lens = append(few.Lens, len(p.need))
	}
	b := block{positions: in.Positions, taps: in.Taps, attend: func(i int, q, k, v *grad.Var, probs *[]*tensor.Tensor) *grad.Var {
		r.k[i], r.v[i] = append(r.k[i], k), append(r.v[i], v)
		at := all
		if i == len(m.layers)-1 {
			at = few
		}
		at.Probs = probs
		return t.Context(q, r.k[i], r.v[i], at)
	}}
	for i := range m.layers {
		if i == len(m.layers)-1 {
			b.rows = append([]int{}, rows...) // not nil: none is none
		}
		x = m.block(t, i, x, b)
	}
	t.At("model.norm")
	return in.Taps.see("norm", m.normed(t, m.norm, x))
}
