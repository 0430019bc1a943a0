package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"

	"orrery/learn/checkpoint"
	"orrery/look/delta"
	"orrery/look/spectrum"
)

// Options of an audit. The zero value is the default.
type Options struct {
	Spectra     Spectra  // zero: SpectraAuto
	ExactSample int      // matrices of SpectraSample that are measured exactly; 0: 16
	K           int      // singular directions compared; 0: 16
	MaskK       int      // rank of the approximation behind the principal mask; 0: 64
	Alpha       float64  // share of the entries in each mask; 0: 0.5
	Renames     []Rename // of tuned names
	Series      bool     // the tuned checkpoints are in order of training
	Workers     int      // 0: GOMAXPROCS
	Chunk       int64    // bytes of a tensor read at a time; 0: 4 MiB
	Run         string   // folder where finished tensors are kept, so that an audit can go on; empty: none
	Cache       string   // folder for the spectra of bases; empty: none is kept
	MaxMemory   int64    // bytes that an estimate may reach; 0: no limit
	Tool        string
	Args        []string
	Progress    func(Progress)
	// Estimate is called once before the work with the floating-point operations
	// that spectra will take, finished tensors included.
	Estimate func(flops float64)
}

// Spectra is how singular values are found.
type Spectra string

// The ways.
const (
	SpectraAuto   Spectra = "auto"   // exact for matrices whose smaller side is at most exactSide, top for the others
	SpectraTop    Spectra = "top"    // the largest, randomised, with a certificate
	SpectraNone   Spectra = "none"   // not at all, and no principal mask
	SpectraExact  Spectra = "exact"  // all values of every matrix
	SpectraSample Spectra = "sample" // exact for some matrices, top for the others
)

// Progress is how far an audit is.
type Progress struct {
	Done, Total int    // pairs
	Tensor      string // the one at work
}

// ErrNothing is the cause when not one tensor could be compared.
var ErrNothing = errors.New("no tensor of the two checkpoints could be compared")

func (o Options) withDefaults() Options {
	if o.Spectra == "" {
		o.Spectra = SpectraAuto
	}
	if o.ExactSample == 0 {
		o.ExactSample = 16
	}
	if o.K == 0 {
		o.K = 16
	}
	if o.MaskK == 0 {
		o.MaskK = 64
	}
	if o.Alpha == 0 {
		o.Alpha = 0.5
	}
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Chunk == 0 {
		o.Chunk = 4 << 20
	}
	return o
}

// Validate says what is wrong with the options.
func (o Options) Validate() error {
	o = o.withDefaults()
	switch {
	case o.Spectra != SpectraAuto && o.Spectra != SpectraTop && o.Spectra != SpectraNone && o.Spectra != SpectraExact && o.Spectra != SpectraSample:
		return fmt.Errorf("spectra %q: known are auto, none, top, exact and sample", o.Spectra)
	case o.K < 1 || o.MaskK < 1 || o.ExactSample < 1:
		return errors.New("k, mask-k and exact-sample count directions and matrices: at least 1")
	case !(o.Alpha > 0 && o.Alpha < 1):
		return fmt.Errorf("alpha %g: it is a share of the entries, above 0 and below 1", o.Alpha)
	case o.MaxMemory < 0 || o.Workers < 0 || o.Chunk < 0:
		return errors.New("max-memory, workers and chunk can't be negative")
	}
	return nil
}

// comparison is one base and one tuned checkpoint, paired.
type comparison struct {
	base, tuned *Checkpoint
	pairs       []match
	run         Run
	params      int64
	bounds      []float64
}

// auditor is one audit at work.
type auditor struct {
	Options
	compared []*comparison // with the base, in the order given
	between  []*comparison // of neighbours in a series
	done     int
	total    int
	warnings []string
	store    *store
	similar  map[string][]*float64 // of a series, by tensor: a number a step
	exactly  map[string]bool       // tensors that SpectraAuto or SpectraSample measures exactly
}

// Audit compares the base with each tuned checkpoint. If ctx ends, so does it,
// with ctx's error.
func Audit(ctx context.Context, base *Checkpoint, tuned []*Checkpoint, o Options) (*Result, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	if len(tuned) == 0 {
		return nil, errors.New("audit: no tuned checkpoint is given")
	}
	a := &auditor{Options: o.withDefaults(), similar: map[string][]*float64{}}
	if err := a.pair(base, tuned); err != nil {
		return nil, err
	}
	a.choose()
	if err := a.fits(); err != nil {
		return nil, err
	}
	if o.Estimate != nil {
		o.Estimate(a.flops())
	}
	if o.Run != "" {
		var err error
		if a.store, err = openStore(o.Run); err != nil {
			return nil, err
		}
		defer a.store.close()
	}
	consensus, err := a.runs(ctx)
	if err != nil {
		return nil, err
	}
	return a.result(base, consensus), nil
}

// pair pairs every comparison's tensors.
func (a *auditor) pair(base *Checkpoint, tuned []*Checkpoint) error {
	add := func(list *[]*comparison, b, t *Checkpoint, rules []Rename) error {
		c := &comparison{base: b, tuned: t}
		pairs, p, err := pairUp(b.source, t.source, rules, b.config, t.config)
		if err != nil {
			return err
		}
		if len(pairs) == 0 {
			return fmt.Errorf("audit: compare %s with %s: %w: %d tensors are in the base only, %d in the other only, %d differ in shape; "+
				"check that they are of one model, or give a --rename rule", b.path, t.path, ErrNothing, len(p.Missing), len(p.Extra), len(p.ShapeMismatch))
		}
		c.pairs = pairs
		c.run.Tuned, c.run.Pairing = t.path, *p
		c.params = max(b.input(p.Tied).Params, t.input(tunedNames(p.Tied, pairs)).Params)
		a.total += len(pairs)
		*list = append(*list, c)
		return nil
	}
	for _, t := range tuned {
		if err := add(&a.compared, base, t, a.Renames); err != nil {
			return err
		}
	}
	if a.Series {
		for i := range len(tuned) - 1 {
			if err := add(&a.between, tuned[i], tuned[i+1], nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// tunedNames gives tied tensors their names in the tuned checkpoint, which is
// the base's but for a prefix or a rename.
func tunedNames(tied []Tied, pairs []match) []Tied {
	out := append([]Tied{}, tied...)
	for i, t := range tied {
		for _, p := range pairs {
			if p.name == t.With && len(p.tuned) > len(p.name) && p.tuned[len(p.tuned)-len(p.name):] == p.name {
				out[i].Name = p.tuned[:len(p.tuned)-len(p.name)] + t.Name
			}
		}
	}
	return out
}

// runs goes through the base's tensors, each with all its partners, and then
// through the neighbours of a series.
func (a *auditor) runs(ctx context.Context) (*consensus, error) {
	var con *consensus
	if len(a.compared) > 1 {
		con = newConsensus(a.compared)
	}
	next := make([]int, len(a.compared))
	for _, name := range sortedNames(a.compared[0].base.source.Names()) {
		group := group{base: a.compared[0].base}
		for i, c := range a.compared {
			if next[i] == len(c.pairs) || c.pairs[next[i]].name != name {
				group.masks, group.perRun = append(group.masks, nil), append(group.perRun, nil)
				continue
			}
			m := c.pairs[next[i]]
			next[i]++
			if err := a.one(ctx, c, m, &group); err != nil {
				return nil, err
			}
		}
		if con != nil {
			con.add(name, &group)
		}
		if a.Series {
			a.similar[name] = group.similarity()
		}
	}
	for _, c := range a.between {
		for _, m := range c.pairs {
			if err := a.one(ctx, c, m, &group{base: c.base}); err != nil {
				return nil, err
			}
		}
	}
	return con, nil
}

// group is one tensor of the base and what its partners share.
type group struct {
	base    *Checkpoint
	name    string
	shape   []int
	rows    int64
	cols    int64
	hist    []int64
	bf16    bool
	masks   [][]uint64 // changed entries by run; nil where a run lacks the tensor
	bases   map[string]*spectrum.Base
	hash    string               // of the base's tensor, where it is needed
	updates []*spectrum.Subspace // of the tensor's matrices in the run at work
	perRun  [][]*spectrum.Subspace
	changed []int64
}

// one compares a pair and keeps what it found.
func (a *auditor) one(ctx context.Context, c *comparison, m match, g *group) error {
	if a.Progress != nil {
		a.Progress(Progress{a.done, a.total, m.name})
	}
	g.updates = nil
	t, bound, err := a.kept(ctx, c, m, g)
	g.perRun = append(g.perRun, g.updates)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("audit: compare tensor %q of %s with %q of %s: %w", m.name, c.base.path, m.tuned, c.tuned.path, err)
	}
	c.run.Tensors = append(c.run.Tensors, *t)
	if bound != nil {
		c.bounds = append(c.bounds, *bound)
	}
	a.done++
	if a.Progress != nil {
		a.Progress(Progress{a.done, a.total, m.name})
	}
	return nil
}

// kept is tensor, or what an earlier run kept of it.
func (a *auditor) kept(ctx context.Context, c *comparison, m match, g *group) (*Tensor, *float64, error) {
	if a.store == nil && a.Cache == "" {
		return a.tensor(ctx, c, m, g, nil)
	}
	base, _, err := c.base.source.Section(m.name)
	if err != nil {
		return nil, nil, err
	}
	if g.hash == "" {
		if g.hash, err = hash(ctx, base); err != nil {
			return nil, nil, fmt.Errorf("base: %w", err)
		}
	}
	if a.store == nil {
		return a.tensor(ctx, c, m, g, nil)
	}
	tuned, _, err := c.tuned.source.Section(m.tuned)
	if err != nil {
		return nil, nil, err
	}
	other, err := hash(ctx, tuned)
	if err != nil {
		return nil, nil, fmt.Errorf("tuned: %w", err)
	}
	_, kind := place(m.name)
	spans, _ := c.base.config.split(kind, m.base.Shape)
	key := a.pairKey(m, [2]string{g.hash, other}, spans)
	known, ok := a.store.known[key]
	switch {
	case ok && len(a.compared) == 1:
		return &known.Tensor, known.Bound, nil
	case ok && !a.Series: // the masks of several runs are compared: read once more, without spectra
		return a.tensor(ctx, c, m, g, &known.Tensor)
	}
	t, bound, err := a.tensor(ctx, c, m, g, nil)
	if err != nil || ok {
		return t, bound, err
	}
	return t, bound, a.store.add(key, t, bound)
}

// similarity is, for each step of a series, how far the leading right
// directions of its update are those of the last step's: the mean over the
// tensor's matrices.
func (g *group) similarity() []*float64 {
	last := g.perRun[len(g.perRun)-1]
	out := make([]*float64, len(g.perRun))
	for i, list := range g.perRun {
		var values []*float64
		for j := range min(len(list), len(last)) {
			values = append(values, finite(spectrum.Similarity(list[j], last[j])))
		}
		out[i] = stats(values).Mean
	}
	return out
}

// tensor compares one pair; known has its matrices already, or is nil; bound is the i.i.d. bound of its update in bytes.
func (a *auditor) tensor(ctx context.Context, c *comparison, m match, g *group, known *Tensor) (t *Tensor, bound *float64, err error) {
	t = &Tensor{Name: m.name, Shape: m.base.Shape, DTypes: []string{string(m.base.DType), string(m.other.DType)}, N: elementsOf(m.base.Shape)}
	if t.Shape == nil {
		t.Shape = []int{}
	}
	t.Layer, t.Kind = place(m.name)
	base, _, err := c.base.source.Section(m.name)
	if err != nil {
		return nil, nil, err
	}
	tuned, _, err := c.tuned.source.Section(m.tuned)
	if err != nil {
		return nil, nil, err
	}
	var count delta.Counter
	if !m.base.DType.Float() {
		return a.bytes(ctx, t, m, base, tuned)
	}
	t.Float = true
	rows, cols := flat(t.Shape)
	p := pair{base, tuned, m.base.DType, m.other.DType, rows, cols}
	s := scan{workers: a.Workers, chunk: a.Chunk, bits: a.wantsBits(t)}
	if p.dbase == p.dtuned {
		s.order = func(pos int64, raw []uint64) {
			for i, w := range raw {
				count.Mask(pos+int64(64*i), w)
			}
		}
	}
	e, err := s.elements(ctx, p)
	if err != nil {
		return nil, nil, err
	}
	t.elements(e)
	size := p.dtuned.Size()
	if p.dbase == p.dtuned {
		enc, n := count.Cheapest(t.N, size)
		t.Delta = &Delta{string(enc), n, t.N * int64(size)}
		b := delta.IIDBound(t.N, count.Changed(), size)
		bound = &b
	} else {
		t.Delta = &Delta{string(delta.Dense), t.N * int64(size), t.N * int64(size)}
	}
	if len(t.Shape) >= 2 && e.rows != nil {
		t.Profile = &Profile{Rows: bins(e.rows, cols), Cols: bins(e.cols, rows)}
		t.Profile.HeadRows, t.Profile.HeadCols = c.base.config.heads(t.Kind, rows, cols)
	}
	g.take(t, e, p)
	if known != nil {
		t.Masks, t.Spectrum, t.Parts, t.Notes = known.Masks, known.Spectrum, known.Parts, known.Notes
		return t, bound, nil
	}
	return t, bound, a.matrices(ctx, c, t, e, p, g)
}

// wantsBits reports whether the mask of changed entries is needed.
func (a *auditor) wantsBits(t *Tensor) bool { return len(t.Shape) >= 2 || len(a.compared) > 1 }

func (g *group) take(t *Tensor, e *elements, p pair) {
	g.name, g.shape, g.rows, g.cols = t.Name, t.Shape, p.rows, p.cols
	g.hist, g.bf16 = e.hist, p.dbase == checkpoint.BF16
	g.masks = append(g.masks, e.bits)
	g.changed = append(g.changed, e.changed)
}

// flat is a shape as rows and columns: a vector is one row.
func flat(shape []int) (rows, cols int64) {
	if len(shape) == 0 {
		return 1, 1
	}
	rows, cols = 1, int64(shape[len(shape)-1])
	for _, d := range shape[:len(shape)-1] {
		rows *= int64(d)
	}
	return rows, cols
}

// elements fills in what the counts say.
func (t *Tensor) elements(e *elements) {
	n := float64(t.N)
	t.Changed = &e.changed
	if t.N > 0 {
		t.Sparsity, t.SparseAbs, t.Exact = num(1-float64(e.changed)/n), num(1-float64(e.far)/n), num(1-float64(e.unequal)/n)
	}
	if e.raw >= 0 {
		t.Raw = &e.raw
	}
	t.NonFinite = e.nonfinite
	if e.nonfinite != [2]int64{} {
		t.Notes = append(t.Notes, fmt.Sprintf("%d entries of the base and %d of the tuned are not finite: no norms, masks or spectra", e.nonfinite[0], e.nonfinite[1]))
		return
	}
	t.FroBase, t.Fro, t.MaxAbs = num(math.Sqrt(e.fro0)), num(math.Sqrt(e.fro)), num(e.maxAbs)
	t.Rel = ratio(math.Sqrt(e.fro), math.Sqrt(e.fro0))
}

// bins turns counts into shares of per, smooths them over 3 neighbours and
// takes means of neighbours until there are at most ProfileBins.
func bins(counts []int64, per int64) []float64 {
	n := len(counts)
	smooth := make([]float64, n)
	for i := range counts {
		sum, k := 0.0, 0.0
		for j := max(i-1, 0); j <= min(i+1, n-1); j++ {
			sum, k = sum+float64(counts[j]), k+1
		}
		smooth[i] = sum / k / float64(per)
	}
	m := min(n, ProfileBins)
	out := make([]float64, m)
	for i := range out {
		lo, hi := i*n/m, (i+1)*n/m
		mean := pairwise(smooth[lo:hi]) / float64(hi-lo)
		out[i] = math.Round(mean*1e5) / 1e5 // for a picture, and short in JSON
	}
	return out
}

// bytes compares a pair that is not of floats element by element, by its bytes.
func (a *auditor) bytes(ctx context.Context, t *Tensor, m match, base, tuned io.ReaderAt) (*Tensor, *float64, error) {
	size := max(m.base.DType.Size(), 1) // of types below a byte the bytes are compared
	n := m.base.Bytes / int64(size)
	x, y := make([]byte, a.Chunk), make([]byte, a.Chunk)
	var count delta.Counter
	step := max(a.Chunk/int64(size), 1)
	for lo := int64(0); lo < n; lo += step {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		k := int(min(step, n-lo))
		var err error
		if x, err = readAtSize(base, x, lo, k, size); err != nil {
			return nil, nil, fmt.Errorf("base: %w", err)
		}
		if y, err = readAtSize(tuned, y, lo, k, size); err != nil {
			return nil, nil, fmt.Errorf("tuned: %w", err)
		}
		for i := range k {
			if string(x[i*size:i*size+size]) != string(y[i*size:i*size+size]) {
				count.Change(lo + int64(i))
			}
		}
	}
	raw := count.Changed()
	t.Raw = &raw
	enc, bytes := count.Cheapest(n, size)
	t.Delta = &Delta{string(enc), bytes, n * int64(size)}
	b := delta.IIDBound(n, raw, size)
	return t, &b, nil
}
