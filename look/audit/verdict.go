package audit

import "fmt"

// The verdict's thresholds, from the numbers published for pairs whose
// training is known (arXiv 2511.08567 and 2606.07082).
const (
	sparseAt     = 0.30 // sparsity_bf16 of RL pairs is above it
	denseBelow   = 0.25 // of SFT pairs below
	nssBorder    = 3e-4 // median NSS of RL pairs is below, of SFT pairs above
	alignedShare = 0.80 // of the matrices
	nullMargin   = 0.02 // |observed − null| that precision alone explains
)

// Labels of verdicts.
const (
	LabelIdentical    = "identical"
	LabelSparse       = "sparse, spectrum-preserving"
	LabelDense        = "dense, spectrum-moving"
	LabelAligned      = "principal-aligned"
	LabelInconclusive = "inconclusive"
)

// judge decides on a run's totals. It says what a pair resembles and leaves
// open how it came about: several trainings lead to one picture.
func (r *Run) judge() {
	t, v := &r.Totals, &r.Verdict
	v.Evidence, v.Against = []string{}, []string{}
	defer r.caveats()
	p := &r.Pairing
	unpaired := len(p.Missing) + len(p.Extra) + len(p.ShapeMismatch) + len(p.DTypeMismatch)
	if t.ChangedRaw == 0 && t.ChangedBF16 == 0 && unpaired == 0 {
		v.Label, v.Sentence = LabelIdentical, "Identical: every tensor has the same bytes in both checkpoints."
		v.Evidence = append(v.Evidence, fmt.Sprintf("%d tensors, no byte differs", t.Tensors))
		return
	}
	if t.SparsityBF16 == nil {
		v.Label, v.Sentence = LabelInconclusive, "Inconclusive: no floating-point tensor was compared."
		return
	}
	s := *t.SparsityBF16
	sparsity := fmt.Sprintf("sparsity_bf16 %.4f", s)
	switch {
	case r.aligned():
		v.Label, v.Sentence = LabelAligned, "Principal-aligned: the changes gather where the base's leading directions put its largest entries."
		m := t.Masks.Princ
		v.Evidence = append(v.Evidence, fmt.Sprintf("principal overlap above α and the precision-only null in %.0f %% of %d changed matrices (%.0f %% needed)", 100**m.Above, m.Judged, 100*alignedShare), sparsity)
	case s >= sparseAt && t.NSS.Median != nil && *t.NSS.Median <= nssBorder:
		v.Label, v.Sentence = LabelSparse, "Sparse, spectrum-preserving: resembles published RL pairs."
		v.Evidence = append(v.Evidence, sparsity+fmt.Sprintf(" ≥ %.2f", sparseAt), fmt.Sprintf("median NSS %s ≤ %.0e", t.nss(), nssBorder))
	case s < denseBelow && t.NSSLow.Median != nil && *t.NSSLow.Median >= nssBorder:
		v.Label, v.Sentence = LabelDense, "Dense, spectrum-moving: resembles published SFT pairs."
		v.Evidence = append(v.Evidence, sparsity+fmt.Sprintf(" < %.2f", denseBelow), fmt.Sprintf("median NSS %s ≥ %.0e", t.nss(), nssBorder))
	default:
		v.Label, v.Sentence = LabelInconclusive, "Inconclusive: no published picture fits."
		r.failing(s)
	}
}

// nss is the median NSS as text, an interval where it is one.
func (t *Totals) nss() string {
	switch {
	case t.NSS.Median == nil:
		return "not measured"
	case t.NSSLow.Median != nil && *t.NSSLow.Median != *t.NSS.Median:
		return fmt.Sprintf("%.2g to %.2g", *t.NSSLow.Median, *t.NSS.Median)
	}
	return fmt.Sprintf("%.2g", *t.NSS.Median)
}

// aligned wants most matrices to have changed: where one entry of one matrix
// did, its place says nothing.
func (r *Run) aligned() bool {
	m := r.Totals.Masks
	return m != nil && m.Princ.Above != nil && *m.Princ.Above >= alignedShare && 2*m.Princ.Judged >= m.Matrices
}

// failing lists the criteria that no label met.
func (r *Run) failing(s float64) {
	v, t := &r.Verdict, &r.Totals
	if s < sparseAt {
		v.Against = append(v.Against, fmt.Sprintf("not sparse: sparsity_bf16 %.4f < %.2f", s, sparseAt))
	}
	if s >= denseBelow {
		v.Against = append(v.Against, fmt.Sprintf("not dense: sparsity_bf16 %.4f ≥ %.2f", s, denseBelow))
	}
	switch {
	case t.NSS.Median == nil:
		v.Against = append(v.Against, "NSS was not measured: run without --spectra none")
	case t.NSSLow.Median != nil && *t.NSSLow.Median < nssBorder && *t.NSS.Median > nssBorder:
		v.Against = append(v.Against, fmt.Sprintf("median NSS is between %.2g and %.2g, on both sides of %.0e: --exact decides", *t.NSSLow.Median, *t.NSS.Median, nssBorder))
	case *t.NSS.Median > nssBorder:
		v.Against = append(v.Against, fmt.Sprintf("not spectrum-preserving: median NSS %s > %.0e", t.nss(), nssBorder))
	default:
		v.Against = append(v.Against, fmt.Sprintf("not spectrum-moving: median NSS %s < %.0e", t.nss(), nssBorder))
	}
}

// caveats adds what weakens any verdict.
func (r *Run) caveats() {
	v, t, p := &r.Verdict, &r.Totals, &r.Pairing
	if m := t.Masks; m != nil && t.ChangedBF16 > 0 {
		for _, x := range []struct {
			name string
			o    OverlapMean
		}{{"principal", m.Princ}, {"low-magnitude", m.Low}} {
			if x.o.MinusNull != nil && *x.o.MinusNull < nullMargin && *x.o.MinusNull > -nullMargin {
				v.Against = append(v.Against, fmt.Sprintf("%s overlap %.3f is explained by precision alone (null %.3f, α %.2f)", x.name, *x.o.Observed, *x.o.Null, m.Alpha))
			}
		}
	}
	if n := len(p.Missing) + len(p.Extra) + len(p.ShapeMismatch); n > 0 {
		share := 0.0
		if t.ComparedShare != nil {
			share = *t.ComparedShare
		}
		v.Against = append(v.Against, fmt.Sprintf("%d tensors have no partner: it speaks of %.2f %% of the parameters", n, 100*share))
	}
	if t.NonFinite > 0 {
		v.Against = append(v.Against, fmt.Sprintf("%d entries are not finite: their tensors have no norms and no spectra", t.NonFinite))
	}
}
