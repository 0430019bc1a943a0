package audit

import (
	"context"
	"fmt"
	"strings"

	"orrery/learn/checkpoint"
)

// isMatrix reports whether a tensor has a spectrum: two dimensions of at least 2,
// or a stack of experts' matrices.
func isMatrix(t *Tensor) bool {
	s := t.Shape
	switch len(s) {
	case 2:
		return s[0] >= 2 && s[1] >= 2
	case 3:
		return strings.Contains(t.Name, "expert") && s[1] >= 2 && s[2] >= 2
	}
	return false
}

// matrices measures masks and spectra of each matrix of a pair.
func (a *auditor) matrices(ctx context.Context, c *comparison, t *Tensor, e *elements, p pair, g *group) error {
	if !isMatrix(t) || e.nonfinite != [2]int64{} {
		return nil
	}
	spans, note := c.base.config.split(t.Kind, t.Shape)
	if note != "" {
		t.Notes = append(t.Notes, note)
	}
	if spans == nil {
		r, err := a.matrix(ctx, c, t, t.Name, e, p, span{}, g)
		t.Masks, t.Spectrum, t.Notes = r.Masks, r.Spectrum, append(t.Notes, r.Notes...)
		return err
	}
	for _, s := range spans {
		r, err := a.matrix(ctx, c, t, t.Name+"["+s.name+"]", e, p, s, g)
		if err != nil {
			return fmt.Errorf("its part %s: %w", s.name, err)
		}
		r.Name = s.name
		t.Parts = append(t.Parts, r)
	}
	return nil
}

// matrix measures one matrix: first the spectra, whose factors the principal mask needs.
func (a *auditor) matrix(ctx context.Context, c *comparison, t *Tensor, name string, e *elements, p pair, s span, g *group) (Part, error) {
	m0 := newMatrix(p.base, p.dbase, p.rows, p.cols, s)
	m1 := newMatrix(p.tuned, p.dtuned, p.rows, p.cols, s)
	part := Part{Shape: []int{int(m0.rows), int(m0.cols)}}
	src := &maskSource{rows: m0.rows, cols: m0.cols, codes: m0.codes}
	if a.Spectra != SpectraNone {
		sp := spectralPair{name: name, key: g.hash, m0: m0, m1: m1, same: e.raw == 0}
		var err error
		if ad, ok := c.tuned.source.(*adapted); ok && s.rows == nil && s.hi == 0 {
			if sp.update, err = ad.lowRank(t.Name); err != nil {
				return part, err
			}
		}
		if part.Spectrum, src, err = a.spectra(ctx, sp, t.Name, g); err != nil {
			return part, err
		}
		if src.k < a.MaskK {
			part.Notes = append(part.Notes, fmt.Sprintf("the principal mask is of rank %d, half the smaller side, not %d", src.k, a.MaskK))
		}
	}
	set, err := src.masks(ctx, a.Workers, a.Alpha)
	if err != nil {
		return part, err
	}
	part.Masks, err = src.overlaps(ctx, a.Workers, set, m0.mask(e.bits), p.dbase == checkpoint.BF16)
	if err != nil {
		return part, err
	}
	part.Masks.K, part.Masks.Alpha = src.k, a.Alpha
	return part, nil
}
