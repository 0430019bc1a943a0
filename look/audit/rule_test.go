package audit

import (
	"strings"
	"testing"
)

func f(x float64) *float64 { return &x }

// ruled is a run with two matrices, one of known NSS, one of an interval, and a vector.
func ruled() *Run {
	layer := 3
	changed := int64(5)
	r := &Run{Tuned: "tuned"}
	r.Pairing.Missing = []Single{{Name: "a"}}
	r.Totals.SparsityBF16 = f(0.4)
	matrix := func(name string, s *Spectrum) Tensor {
		return Tensor{Name: name, Layer: &layer, Shape: []int{8, 8}, Float: true, N: 64, Changed: &changed, Sparsity: f(0.5), Spectrum: s}
	}
	r.Tensors = []Tensor{
		matrix("layers.3.q_proj.weight", &Spectrum{NSS: f(2e-3), AnglesU: []float64{4, 1}, AnglesV: []float64{3, 1}, AnglesUBound: []*float64{nil, nil}, AnglesVBound: []*float64{nil, nil}}),
		matrix("layers.3.k_proj.weight", &Spectrum{NSSInterval: &[2]float64{1e-5, 1e-3}, AnglesU: []float64{1}, AnglesV: []float64{1}, AnglesUBound: []*float64{f(30)}, AnglesVBound: []*float64{nil}}),
		{Name: "layers.3.norm.weight", Shape: []int{8}, Float: true, N: 8, Changed: &changed, Sparsity: f(0.9)},
		{Name: "ids", Shape: []int{8}},
	}
	return r
}

func TestRules(t *testing.T) {
	for _, c := range []struct {
		rule, reason string // reason "" : doesn't hold
	}{
		{"sparsity_bf16<0.5", "0.4"}, {"sparsity_bf16 < 0.4", ""}, {"sparsity_bf16<=0.4", "0.4"}, {"sparsity_bf16!=0.4", ""}, {"sparsity_bf16==0.4", "0.4"},
		{"sparsity_bf16>=0.9@norm", "layers.3.norm.weight is 0.9"}, {"sparsity_bf16>0.9@norm", ""},
		{"missing>0", "1"}, {"missing>1", ""}, {"extra>0", ""},
		{"nss>1.5e-3", "q_proj.weight is 0.002"},
		{"nss>1e-1", ""},
		{"nss>1e-4@k_proj", "not measurable"}, // inside the interval
		{"nss>2e-3@k_proj", ""}, {"nss>1e-6@k_proj", "k_proj"},
		{"nss>1e-4@norm", "not measurable"}, {"nss>1@nothing", "not measurable"},
		{"max_angle_deg>3.5@q_proj", "is 4"}, {"max_angle_deg>5@q_proj", ""},
		{"max_angle_deg>5", "not measurable"}, // k_proj's is below 30 only
		{"max_angle_deg>40", ""},
		{"princ>0.5", "not measurable"}, {"rel>1", "not measurable"},
		{"changed_bf16>4@q_proj", "is 5"},
	} {
		r, err := ParseRule(c.rule)
		if err != nil {
			t.Fatal(err)
		}
		h := r.Check(ruled())
		if h.Held != (c.reason != "") || !strings.Contains(h.Reason, c.reason) {
			t.Errorf("%s: %+v, want %q", c.rule, h, c.reason)
		}
	}
}

func TestRuleErrors(t *testing.T) {
	for rule, want := range map[string]string{
		"":              "no comparison",
		"nss":           "no comparison",
		"nss=1":         "no comparison: <",
		"nss>":          "is no number",
		"nss>x":         "is no number",
		"nss>nan":       "is no number",
		"nss>inf":       "is no number",
		"speed>1":       "no metric \"speed\": changed_bf16",
		"nss>1@":        "no regular expression",
		"nss>1@(":       "no regular expression",
		"missing>0@emb": "takes no @regex",
	} {
		if _, err := ParseRule(rule); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", rule, err, want)
		}
	}
}

func FuzzParseRule(f *testing.F) {
	for _, s := range []string{"nss>1e-3", "sparsity_bf16<0.5@layers\\.0\\.", "missing!=0", "a@b", "nss>=", "max_angle_deg > 5"} {
		f.Add(s)
	}
	run := ruled()
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRule(s)
		if err != nil {
			return
		}
		if r.String() != s {
			t.Errorf("%q became %q", s, r.String())
		}
		if h := r.Check(run); h.Held && h.Reason == "" {
			t.Errorf("%q holds without a reason", s)
		}
	})
}

func TestVerdicts(t *testing.T) {
	one := int64(1)
	mask := func(above float64) *MaskTotals {
		return &MaskTotals{Alpha: 0.5, Princ: OverlapMean{Observed: f(0.6), Null: f(0.3), MinusNull: f(0.3), Above: f(above)}}
	}
	for _, c := range []struct {
		name   string
		totals Totals
		want   string
		says   string
	}{
		{"identical", Totals{Tensors: 2}, LabelIdentical, ""},
		{"sparse at the edge", Totals{ChangedRaw: one, SparsityBF16: f(0.30), NSS: Stats{Median: f(3e-4)}, NSSLow: Stats{Median: f(3e-4)}}, LabelSparse, ""},
		{"not sparse", Totals{ChangedRaw: one, SparsityBF16: f(0.2999), NSS: Stats{Median: f(1e-5)}, NSSLow: Stats{Median: f(1e-5)}}, LabelInconclusive, "not sparse"},
		{"dense", Totals{ChangedRaw: one, SparsityBF16: f(0.2499), NSS: Stats{Median: f(1)}, NSSLow: Stats{Median: f(3e-4)}}, LabelDense, ""},
		{"not dense", Totals{ChangedRaw: one, SparsityBF16: f(0.25), NSS: Stats{Median: f(1)}, NSSLow: Stats{Median: f(3e-4)}}, LabelInconclusive, "not dense"},
		{"open", Totals{ChangedRaw: one, SparsityBF16: f(0.9), NSS: Stats{Median: f(1e-3)}, NSSLow: Stats{Median: f(1e-5)}}, LabelInconclusive, "--exact decides"},
		{"no spectra", Totals{ChangedRaw: one, SparsityBF16: f(0.9)}, LabelInconclusive, "NSS was not measured"},
		{"aligned", Totals{ChangedRaw: one, ChangedBF16: one, SparsityBF16: f(0.9), NSS: Stats{Median: f(1e-5)}, Masks: mask(0.8)}, LabelAligned, ""},
		{"not aligned", Totals{ChangedRaw: one, ChangedBF16: one, SparsityBF16: f(0.9), NSS: Stats{Median: f(1e-5)}, Masks: mask(0.79)}, LabelSparse, ""},
		{"one of ten changed", Totals{ChangedRaw: one, ChangedBF16: one, SparsityBF16: f(0.9), NSS: Stats{Median: f(1e-5)},
			Masks: &MaskTotals{Alpha: 0.5, Matrices: 10, Princ: OverlapMean{Observed: f(0.6), Null: f(0.3), Above: f(1), Judged: 1}}}, LabelSparse, ""},
		{"precision", Totals{ChangedRaw: one, ChangedBF16: one, SparsityBF16: f(0.9), NSS: Stats{Median: f(1e-5)},
			Masks: &MaskTotals{Alpha: 0.5, Princ: OverlapMean{Observed: f(0.29), Null: f(0.28), MinusNull: f(0.01), Above: f(0)}}}, LabelSparse, "explained by precision alone"},
	} {
		r := Run{Totals: c.totals}
		r.judge()
		v := r.Verdict
		all := strings.Join(append(append([]string{v.Sentence}, v.Evidence...), v.Against...), "\n")
		if v.Label != c.want || !strings.Contains(all, c.says) {
			t.Errorf("%s: %s\n%s", c.name, v.Label, all)
		}
		// A verdict resembles; it never says how a model was trained or that it is harmless.
		for _, word := range []string{"safe", "curvature", "trained by", "trained with", "was trained"} {
			if strings.Contains(strings.ToLower(all), word) {
				t.Errorf("%s: the verdict says %q: %s", c.name, word, all)
			}
		}
	}
	r := Run{Pairing: Pairing{Missing: []Single{{Name: "a"}}}, Totals: Totals{SparsityBF16: f(1)}}
	if r.judge(); r.Verdict.Label == LabelIdentical {
		t.Error("a pair with a missing tensor is called identical")
	}
}
