package audit

import (
	"fmt"
	"slices"

	"orrery/look/spectrum"
)

// result puts the report together.
func (a *auditor) result(base *Checkpoint, con *consensus) *Result {
	r := &Result{Version: Version, Tool: a.Tool, Args: a.Args, Warnings: []string{}}
	if r.Args == nil {
		r.Args = []string{}
	}
	for _, c := range append(slices.Clone(a.compared), a.between...) {
		c.run.total(c.params, c.bounds)
		c.run.judge()
	}
	r.Inputs = append(r.Inputs, base.input(a.compared[0].run.Pairing.Tied))
	r.Warnings = append(r.Warnings, base.warnings...)
	for _, c := range a.compared {
		r.Inputs = append(r.Inputs, c.tuned.input(tunedNames(c.run.Pairing.Tied, c.pairs)))
		r.Warnings = append(r.Warnings, c.tuned.warnings...)
		if p := c.run.Pairing.Prefix; p != nil {
			verb := map[byte]string{'-': "without", '+': "with"}[(*p)[0]]
			r.Warnings = append(r.Warnings, fmt.Sprintf("names of %s were paired %s the prefix %q", c.tuned.path, verb, (*p)[1:]))
		}
	}
	own := 0
	if a.Series {
		own = len(a.compared) - 1
	}
	r.Run = a.compared[own].run
	for i, c := range a.compared {
		if i != own {
			r.Others = append(r.Others, c.run)
		}
	}
	if con != nil {
		r.Consensus = con.finish()
	}
	if a.Series {
		r.Series = a.series()
	}
	r.Warnings = append(r.Warnings, a.warnings...)
	slices.Sort(r.Warnings)
	r.Warnings = slices.Compact(r.Warnings)
	return r
}

// series orders what was measured by step.
func (a *auditor) series() *Series {
	s := &Series{Steps: []Step{}, Between: []Run{}, Tensors: []SeriesTensor{}}
	for i, c := range a.compared {
		step := Step{Tuned: c.tuned.path, Base: c.run.Totals}
		if i > 0 {
			step.Previous = &a.between[i-1].run.Totals
			s.Between = append(s.Between, a.between[i-1].run)
		}
		s.Steps = append(s.Steps, step)
	}
	place := map[string]int{}
	steps := len(a.compared)
	for i, c := range a.compared {
		for j := range c.run.Tensors {
			t := &c.run.Tensors[j]
			if !t.Float {
				continue
			}
			k, ok := place[t.Name]
			if !ok {
				k = len(s.Tensors)
				place[t.Name] = k
				list := func() []*float64 { return make([]*float64, steps) }
				s.Tensors = append(s.Tensors, SeriesTensor{t.Name, t.Layer, t.Kind, list(), list(), list(), list()})
			}
			x := &s.Tensors[k]
			x.Sparsity[i], x.Rel[i] = t.Sparsity, t.Rel
			var nss []*float64
			for _, m := range t.Matrices() {
				if m.Spectrum != nil {
					nss = append(nss, m.Spectrum.NSSUpper())
				}
			}
			x.NSS[i] = stats(nss).Mean
		}
	}
	for i := range s.Steps {
		var values []*float64
		for j := range s.Tensors {
			x := &s.Tensors[j]
			if list := a.similar[x.Name]; list != nil {
				x.Similarity[i] = list[i]
				values = append(values, list[i])
			}
		}
		s.Steps[i].Similarity = stats(values).Mean
	}
	slices.SortFunc(s.Tensors, func(x, y SeriesTensor) int { return natural(x.Name, y.Name) })
	return s
}

// fits refuses an audit whose largest tensor would take more than MaxMemory.
func (a *auditor) fits() error {
	if a.MaxMemory == 0 {
		return nil
	}
	for _, c := range append(slices.Clone(a.compared), a.between...) {
		for _, m := range c.pairs {
			if need := a.need(m); need > a.MaxMemory {
				return fmt.Errorf("audit: tensor %q of %s, %v, takes about %d MB and --max-memory allows %.3g: allow more, or leave spectra out with --spectra none",
					m.name, c.base.path, m.base.Shape, need>>20, float64(a.MaxMemory)/(1<<20))
			}
		}
	}
	return nil
}

// need estimates the bytes that comparing a pair takes: buffers, masks, and for
// spectra two float32 matrices and their thin factors.
func (a *auditor) need(m match) int64 {
	n := elementsOf(m.base.Shape)
	rows, cols := flat(m.base.Shape)
	workers := int64(a.Workers)
	chunk := min(a.Chunk, m.base.Bytes) + a.Chunk/16
	need := workers * (2*chunk + 1<<19)
	if !m.base.DType.Float() {
		return need
	}
	if rows > 1 {
		need += n/8*int64(len(a.compared)) + n/4 // changed entries of each run, and two masks
		need += workers * (cols + 6<<20)
	}
	if rows > 1 && cols > 1 && a.Spectra != SpectraNone {
		need += 8*n + 16*(rows+cols)*int64(max(a.K, a.MaskK)+16)*8
	}
	return need
}

// flops estimates what spectra take: of every pair, and the masks' own
// decomposition of the base where its rank is another one.
func (a *auditor) flops() (total float64) {
	if a.Spectra == SpectraNone {
		return 0
	}
	for _, c := range append(slices.Clone(a.compared), a.between...) {
		for _, m := range c.pairs {
			if !m.base.DType.Float() || !isMatrix(&Tensor{Name: m.name, Shape: m.base.Shape}) {
				continue
			}
			rows, cols := flat(m.base.Shape)
			f, _ := spectrum.Cost(int(rows), int(cols), spectrum.Options{K: a.K, Mode: a.mode(m.name)})
			total += f
			if a.K != a.MaskK {
				f, _ = spectrum.Cost(int(rows), int(cols), spectrum.Options{K: a.MaskK, Mode: a.mode(m.name)})
				total += f / 3 // of base, tuned and ΔW only the base
			}
		}
	}
	return total
}
