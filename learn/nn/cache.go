package nn

import "slices"

// pageLen is the number of positions in a page of the cache.
const pageLen = 64

// page holds the keys and values of pageLen positions for all layers and key
// heads: for each of these, keys transposed (HeadDim, pageLen), so that the
// scores of one query vectorise over positions, then values (pageLen, HeadDim).
type page struct {
	data []float32
	refs int // sequences that hold it
}

// Seq is a sequence of a Decoder: how far it has come and its cache. Full pages
// are never written again and are shared between forks; the last, partly filled
// one is the sequence's own.
type Seq struct {
	d      *Decoder // nil after Drop
	pages  []*page
	n      int
	hidden []float32
}

// Len is the number of positions so far.
func (s *Seq) Len() int { return s.n }

// Hidden is the last position's hidden state (d), after the final norm: what a
// latent thought feeds back. It is overwritten by the sequence's next step.
func (s *Seq) Hidden() []float32 { return s.hidden }

// newPage takes a page that was dropped, or makes one.
func (d *Decoder) newPage() *page {
	if n := len(d.free); n > 0 {
		p := d.free[n-1]
		d.free = d.free[:n-1]
		p.refs = 1
		return p
	}
	c := d.m.Config
	return &page{data: make([]float32, c.Layers*c.KVHeads*2*c.HeadDim*pageLen), refs: 1}
}

// at gives the keys (HeadDim, pageLen) and values (pageLen, HeadDim) of a layer
// and key head.
func (p *page) at(layer, kv, kvHeads, hd int) (keys, values []float32) {
	base := (layer*kvHeads + kv) * 2 * hd * pageLen
	return p.data[base : base+hd*pageLen], p.data[base+hd*pageLen : base+2*hd*pageLen]
}

// grow makes room for n more positions.
func (s *Seq) grow(n int) {
	for len(s.pages)*pageLen < s.n+n {
		s.pages = append(s.pages, s.d.newPage())
	}
}

// Fork makes a second sequence that continues from where s is. It shares all
// full pages of the cache and copies less than one page. It panics if s was
// dropped.
func (d *Decoder) Fork(s *Seq) *Seq {
	if s.d != d {
		panic("nn.Decoder.Fork: the sequence was dropped, or belongs to another decoder")
	}
	f := &Seq{d: d, pages: slices.Clone(s.pages), n: s.n, hidden: slices.Clone(s.hidden)}
	for i, p := range f.pages {
		if (i+1)*pageLen <= f.n {
			p.refs++
			continue
		}
		f.pages[i] = d.newPage()
		copy(f.pages[i].data, p.data)
	}
	return f
}

// Drop gives a sequence's cache back. The sequence must not be used again;
// dropping it twice does nothing.
func (d *Decoder) Drop(s *Seq) {
	if s.d != d {
		return
	}
	for _, p := range s.pages {
		if p.refs--; p.refs == 0 {
			d.free = append(d.free, p)
		}
	}
	s.d, s.pages = nil, nil
}
