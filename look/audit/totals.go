package audit

import (
	"math"
	"slices"
)

// stats describes numbers; nil ones are left out.
func stats(values []*float64) Stats {
	var v []float64
	for _, p := range values {
		if p != nil {
			v = append(v, *p)
		}
	}
	if len(v) == 0 {
		return Stats{}
	}
	slices.Sort(v)
	n := len(v)
	return Stats{Count: n, Mean: num(pairwise(v) / float64(n)), Median: num((v[(n-1)/2] + v[n/2]) / 2), Max: num(v[n-1])}
}

// Matrix is what an audit measured of one matrix: a tensor or a part of one.
type Matrix struct {
	Name     string // the tensor's, and the part's in brackets
	Layer    *int
	Kind     string
	Masks    *Masks
	Spectrum *Spectrum
}

// Matrices lists the tensor's matrices, whether or not they have been measured.
func (t *Tensor) Matrices() []Matrix {
	if len(t.Parts) == 0 {
		if t.Masks == nil && t.Spectrum == nil {
			return nil
		}
		return []Matrix{{t.Name, t.Layer, t.Kind, t.Masks, t.Spectrum}}
	}
	var out []Matrix
	for _, p := range t.Parts {
		out = append(out, Matrix{t.Name + "[" + p.Name + "]", t.Layer, p.Name, p.Masks, p.Spectrum})
	}
	return out
}

// Matrices lists all matrices of a run.
func (r *Run) Matrices() []Matrix {
	var out []Matrix
	for i := range r.Tensors {
		out = append(out, r.Tensors[i].Matrices()...)
	}
	return out
}

// NSSUpper is nss, or the upper end of its interval.
func (s *Spectrum) NSSUpper() *float64 {
	if s.NSS == nil && s.NSSInterval != nil {
		return num(s.NSSInterval[1])
	}
	return s.NSS
}

// NSSLower is nss, or the lower end of its interval.
func (s *Spectrum) NSSLower() *float64 {
	if s.NSS == nil && s.NSSInterval != nil {
		return num(s.NSSInterval[0])
	}
	return s.NSS
}

// maxAngle is the largest of the angles in degrees, by its bound where it is
// not resolved.
func maxAngle(angles []float64, bounds []*float64) *float64 {
	if len(angles) == 0 {
		return nil
	}
	worst := 0.0
	for i, a := range angles {
		if i < len(bounds) && bounds[i] != nil {
			a = *bounds[i]
		}
		worst = max(worst, a)
	}
	return num(worst)
}

// MaxAngle is the interval that holds the largest principal angle of either
// side in degrees: one number where it is resolved, nil where the subspaces
// are not determined.
func (s *Spectrum) MaxAngle() (lo, hi *float64) {
	hi = maxAngle(s.AnglesU, s.AnglesUBound)
	if v := maxAngle(s.AnglesV, s.AnglesVBound); hi == nil || v != nil && *v > *hi {
		hi = v
	}
	if hi == nil {
		return nil, nil
	}
	least := 0.0
	for _, side := range []struct {
		angles []float64
		bounds []*float64
	}{{s.AnglesU, s.AnglesUBound}, {s.AnglesV, s.AnglesVBound}} {
		for i, a := range side.angles {
			if i >= len(side.bounds) || side.bounds[i] == nil {
				least = max(least, a)
			}
		}
	}
	return num(min(least, *hi)), hi
}

// total adds up a run's tensors. bounds are the i.i.d. bounds of each pair in bytes.
func (r *Run) total(params int64, bounds []float64) {
	t := &r.Totals
	*t = Totals{Tensors: len(r.Tensors)}
	var far, unequal float64
	var fro0, fro []float64
	for i := range r.Tensors {
		x := &r.Tensors[i]
		if x.Delta != nil {
			t.Delta.Predicted += x.Delta.Predicted
			t.Delta.Dense += x.Delta.Dense
		}
		if x.Raw != nil {
			t.ChangedRaw += *x.Raw
		}
		if !x.Float {
			if x.Raw != nil && *x.Raw > 0 {
				t.OtherChanged++
			}
			continue
		}
		t.N += x.N
		t.NonFinite += x.NonFinite[0] + x.NonFinite[1]
		t.ChangedBF16 += *x.Changed
		if x.N > 0 {
			far += (1 - *x.SparseAbs) * float64(x.N)
			unequal += (1 - *x.Exact) * float64(x.N)
		}
		if x.FroBase != nil && x.Fro != nil {
			fro0 = append(fro0, *x.FroBase**x.FroBase)
			fro = append(fro, *x.Fro**x.Fro)
			if t.MaxAbs == nil || *x.MaxAbs > *t.MaxAbs {
				t.MaxAbs = x.MaxAbs
			}
		}
	}
	t.ComparedShare = ratio(t.N, params)
	if t.N > 0 {
		n := float64(t.N)
		t.SparsityBF16 = num(1 - float64(t.ChangedBF16)/n)
		t.SparsityAbs = num(1 - math.Round(far)/n)
		t.SparsityExact = num(1 - math.Round(unequal)/n)
	}
	if len(fro) > 0 {
		t.FroBase, t.Fro = num(math.Sqrt(pairwise(fro0))), num(math.Sqrt(pairwise(fro)))
		t.Rel = ratio(*t.Fro, *t.FroBase)
	}
	if len(bounds) > 0 {
		t.Delta.Bound = num(pairwise(bounds))
	}
	r.spectralTotals()
}

func (r *Run) spectralTotals() {
	var nss, low, au, av, srank, urank, in []*float64
	var princ, lowMask, rest []*Overlap
	t := &r.Totals
	for _, m := range r.Matrices() {
		if s := m.Spectrum; s != nil {
			t.Matrices++
			nss, low = append(nss, s.NSSUpper()), append(low, s.NSSLower())
			au, av = append(au, maxAngle(s.AnglesU, s.AnglesUBound)), append(av, maxAngle(s.AnglesV, s.AnglesVBound))
			srank, urank, in = append(srank, s.SRank), append(urank, s.UpdateRankShare), append(in, s.EnergyIn)
		}
		if k := m.Masks; k != nil {
			if t.Masks == nil {
				t.Masks = &MaskTotals{K: k.K, Alpha: k.Alpha}
			}
			t.Masks.Matrices++
			t.Masks.K = max(t.Masks.K, k.K) // small matrices have a smaller one
			princ, lowMask, rest = append(princ, k.Princ), append(lowMask, k.Low), append(rest, k.PrincNotLow)
		}
	}
	t.NSS, t.NSSLow, t.AngleU, t.AngleV = stats(nss), stats(low), stats(au), stats(av)
	t.SRank, t.URank, t.EnergyIn = stats(srank), stats(urank), stats(in)
	if t.Masks != nil {
		t.Masks.Princ, t.Masks.Low, t.Masks.PrincNotLow = overlapMean(princ, t.Masks.Alpha), overlapMean(lowMask, t.Masks.Alpha), overlapMean(rest, t.Masks.Alpha)
	}
}

func overlapMean(all []*Overlap, alpha float64) OverlapMean {
	var observed, baseline, null, minus []*float64
	above, judged := 0, 0
	for _, o := range all {
		if o == nil {
			continue
		}
		observed, baseline = append(observed, o.Observed), append(baseline, o.Baseline)
		null, minus = append(null, o.Null), append(minus, o.MinusNull)
		if o.Observed != nil && o.Null != nil {
			judged++
			if *o.Observed > alpha && *o.Observed > *o.Null {
				above++
			}
		}
	}
	return OverlapMean{stats(observed).Mean, stats(baseline).Mean, stats(null).Mean, stats(minus).Mean, ratio(above, judged), judged}
}
