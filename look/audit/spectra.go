package audit

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"orrery/look/spectrum"
)

// spectralPair is one matrix in both checkpoints, for its spectra.
type spectralPair struct {
	name   string // seeds the randomised methods
	key    string // SHA-256 of the base's tensor; empty: no cache on disk
	m0, m1 matrix
	update *spectrum.LowRank // of an adapter
	same   bool              // not a byte differs
}

// mode is how the spectrum of a matrix of a tensor is found.
func (a *auditor) mode(tensor string) spectrum.Mode {
	if a.Spectra == SpectraExact || a.exactly[tensor] {
		return spectrum.Exact
	}
	return spectrum.Top
}

// exactSide is the smaller side up to which SpectraAuto measures all singular
// values: a fraction of a second for a matrix, with or without a LAPACK.
const exactSide = 512

// choose picks the tensors that are measured exactly where not all are or none:
// the small ones, or those whose names have the least hashes, so that neither
// order nor size favours any.
func (a *auditor) choose() {
	a.exactly = map[string]bool{}
	if a.Spectra != SpectraAuto && a.Spectra != SpectraSample {
		return
	}
	var names []string
	for _, c := range a.compared {
		for _, m := range c.pairs {
			t := &Tensor{Name: m.name, Shape: m.base.Shape}
			if !m.base.DType.Float() || !isMatrix(t) || slices.Contains(names, m.name) {
				continue
			}
			names = append(names, m.name)
			if a.Spectra == SpectraAuto {
				last := m.base.Shape[len(m.base.Shape)-1]
				a.exactly[m.name] = min(int64(last), m.base.Elements()/int64(max(1, last))) <= exactSide
			}
		}
	}
	if a.Spectra == SpectraAuto {
		return
	}
	slices.SortFunc(names, func(x, y string) int {
		p, q := sha256.Sum256([]byte(x)), sha256.Sum256([]byte(y))
		return slices.Compare(p[:], q[:])
	})
	for _, n := range names[:min(a.ExactSample, len(names))] {
		a.exactly[n] = true
	}
}

// spectra compares the matrices' spectra and makes the approximation of the
// base that the principal mask is taken from.
func (a *auditor) spectra(ctx context.Context, p spectralPair, tensor string, g *group) (*Spectrum, *maskSource, error) {
	w0, err := p.m0.floats()
	if err != nil {
		return nil, nil, fmt.Errorf("base: %w", err)
	}
	rows, cols := int(p.m0.rows), int(p.m0.cols)
	base := spectrum.Matrix{Data: w0, Rows: rows, Cols: cols}
	o := spectrum.Options{K: a.K, Mode: a.mode(tensor), Seed: p.name}
	b, err := a.base(ctx, base, o, p.key, g)
	if err != nil {
		return nil, nil, err
	}
	mo := o
	mo.K = a.MaskK
	forMask := b
	if clipped(mo.K, rows, cols) != clipped(o.K, rows, cols) {
		if forMask, err = a.base(ctx, base, mo, p.key, g); err != nil {
			return nil, nil, err
		}
	}
	src := &maskSource{rows: p.m0.rows, cols: p.m0.cols, codes: p.m0.codes}
	src.us, src.v, src.k = forMask.Approximation()
	w1, err := p.m1.floats()
	if err != nil {
		return nil, nil, fmt.Errorf("tuned: %w", err)
	}
	r, err := b.Compare(ctx, base, spectrum.Matrix{Data: w1, Rows: rows, Cols: cols})
	if err != nil {
		return nil, nil, err
	}
	if p.update != nil {
		lowRank(&r, p.update, rows, cols)
	}
	if p.same {
		unmoved(&r)
	}
	g.updates = append(g.updates, r.Update)
	return spectrumOf(&r), src, nil
}

// clipped is the k that package spectrum takes.
func clipped(k, m, n int) int { return max(1, min(k, min(m, n)/2)) }

// base is the base's spectrum, from this tensor's earlier partners, from the cache, or computed.
func (a *auditor) base(ctx context.Context, w spectrum.Matrix, o spectrum.Options, key string, g *group) (*spectrum.Base, error) {
	id := fmt.Sprint(o)
	if b := g.bases[id]; b != nil {
		return b, nil
	}
	path := ""
	if key != "" && a.Cache != "" {
		sum := sha256.Sum256([]byte(key + "\x00" + id))
		path = filepath.Join(a.Cache, fmt.Sprintf("%x.base", sum[:16]))
		b, err := spectrum.LoadBase(path, key, w.Rows, w.Cols, o)
		switch {
		case err == nil:
			g.keep(id, b)
			return b, nil
		case !errors.Is(err, fs.ErrNotExist):
			a.warnings = append(a.warnings, err.Error())
		}
	}
	b, err := spectrum.NewBase(ctx, w, o)
	if err != nil {
		return nil, err
	}
	if path != "" {
		if err := os.MkdirAll(a.Cache, 0o755); err != nil {
			return nil, fmt.Errorf("keep the base's spectrum: %w", err)
		}
		if err := b.Save(path, key); err != nil {
			return nil, err
		}
	}
	g.keep(id, b)
	return b, nil
}

func (g *group) keep(id string, b *spectrum.Base) {
	if g.bases == nil {
		g.bases = map[string]*spectrum.Base{}
	}
	g.bases[id] = b
}

// lowRank puts an adapter's exact ΔW in place of what was measured on sums.
func lowRank(r *spectrum.Result, l *spectrum.LowRank, rows, cols int) {
	rank, share := spectrum.Num(l.Rank), spectrum.Num(float64(l.Rank)/float64(min(rows, cols)))
	r.Srank, r.UpdateRank, r.UpdateRankShare, r.UpdateRankAtLeast = l.Srank, &rank, &share, 0
	r.Update, r.With = &l.Update, r.With+"; ΔW from the adapter's factors"
}

// unmoved says what is certain of a matrix that is the same: nothing moved, by
// exactly nothing, however poorly its subspaces are determined.
func unmoved(r *spectrum.Result) {
	zero := spectrum.Num(0)
	r.NSS, r.NSSInterval = &zero, nil
	clear(r.AnglesU)
	clear(r.AnglesV)
	r.AnglesUBound, r.AnglesVBound, r.AngleError = make([]spectrum.Num, len(r.AnglesU)), make([]spectrum.Num, len(r.AnglesV)), 0
	for i := range r.AnglesUBound {
		r.AnglesUBound[i], r.AnglesVBound[i] = spectrum.Num(math.NaN()), spectrum.Num(math.NaN())
	}
}

func spectrumOf(r *spectrum.Result) *Spectrum {
	s := &Spectrum{
		Mode: string(r.Mode), With: r.With, K: r.K, Sigma0: floatsOf(r.Sigma0), Sigma1: floatsOf(r.Sigma1),
		NSS: finiteAt(r.NSS), NSSFloor: finiteAt(r.NSSFloor),
		AnglesU: floatsOf(r.AnglesU), AnglesV: floatsOf(r.AnglesV), AnglesUBound: nums(r.AnglesUBound), AnglesVBound: nums(r.AnglesVBound),
		AngleError: finite(r.AngleError), Gap: finite(r.Gap), SRank: finite(r.Srank),
		UpdateRankShare: finiteAt(r.UpdateRankShare), UpdateRankMin: r.UpdateRankAtLeast,
		EnergyIn: finite(r.EnergyIn), EnergyInBase: finite(r.EnergyInBaseline), EnergyOut: finite(r.EnergyOut), EnergyOutBase: finite(r.EnergyOutBaseline),
		Warnings: r.Warnings,
	}
	if i := r.NSSInterval; i != nil && finite(i[0]) != nil && finite(i[1]) != nil {
		s.NSSInterval = &[2]float64{float64(i[0]), float64(i[1])}
	}
	if v := finiteAt(r.UpdateRank); v != nil {
		n := int(*v)
		s.UpdateRank = &n
	}
	if c := r.Certificate; c != nil {
		s.Certificate = &Certificates{certificate(c.Base), certificate(c.Tuned)}
	}
	for _, q := range r.Inequalities {
		s.Inequalities = append(s.Inequalities, Inequality{q.Name, q.Says, finite(q.Measured), finite(q.Bound), q.Holds})
	}
	return s
}

func certificate(c spectrum.Certificate) Certificate {
	return Certificate{finite(c.Rho), finite(c.Residual), finite(c.TailEnergy), finite(c.Tau), finite(c.Gap), c.Separated, c.NearestK}
}

func finite(n spectrum.Num) *float64 { return num(float64(n)) }

func finiteAt(n *spectrum.Num) *float64 {
	if n == nil {
		return nil
	}
	return finite(*n)
}

func nums(list []spectrum.Num) []*float64 {
	var out []*float64
	for _, n := range list {
		out = append(out, finite(n))
	}
	return out
}

// floatsOf is nil if any of the numbers is undefined: part of a curve is none.
func floatsOf(list []spectrum.Num) []float64 {
	var out []float64
	for _, n := range list {
		if finite(n) == nil {
			return nil
		}
		out = append(out, float64(n))
	}
	return out
}
