package audit

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden page anew")

func some[T any](v T) *T { return &v }

// fake is a made-up audit of so many layers, with every field; a smooth function of
// place stands for each number, so that a figure's shape can be judged by eye.
func fake(layers int, kinds []string) *Result {
	run := func(tuned string, strength float64) Run {
		r := Run{Tuned: tuned, Verdict: Verdict{Label: "sparse, spectrum-preserving", Sentence: "Sparse, spectrum-preserving: resembles published RL pairs.",
			Evidence: []string{"sparsity_bf16 0.7120 ≥ 0.30", "median NSS 2.1e-05 ≤ 3e-04"}, Against: []string{"principal overlap 0.291 is explained by precision alone (null 0.287, α 0.50)"}}}
		for l := range layers {
			for k, kind := range kinds {
				r.Tensors = append(r.Tensors, fakeTensor(l, k, kind, strength))
			}
		}
		r.Tensors = append(r.Tensors, Tensor{Name: "lm_head.weight", Kind: "lm_head", Shape: []int{512, 64}, DTypes: []string{"BF16", "BF16"}, N: 32768, Float: true,
			Changed: some[int64](100), Sparsity: some(0.997), SparseAbs: some(0.998), Rel: some(1e-4), Notes: []string{"no spectrum: larger than --max-memory allows"}})
		r.Pairing.Matched = len(r.Tensors)
		r.Totals = Totals{Tensors: len(r.Tensors), N: int64(len(r.Tensors)) * 4096, ComparedShare: some(0.9987), SparsityBF16: some(0.712), SparsityAbs: some(0.64), SparsityExact: some(0.5), Rel: some(3.2e-4), MaxAbs: some(0.0012),
			Matrices: layers * len(kinds), NSS: Stats{9, some(2e-5), some(2.1e-5), some(4e-4)}, AngleU: Stats{9, some(0.1), some(0.21), some(1.4)}, AngleV: Stats{9, some(0.1), some(0.2), some(1.3)}, SRank: Stats{9, some(20.0), some(21.0), some(44.0)},
			URank: Stats{9, some(0.99), some(0.995), some(1.0)}, EnergyIn: Stats{9, some(0.01), some(0.011), some(0.02)},
			Masks: &MaskTotals{K: 64, Alpha: 0.5, Matrices: 9, Princ: OverlapMean{some(0.29), some(0.5), some(0.28), some(0.01), some(0.0), 9}, Low: OverlapMean{some(0.71), some(0.5), some(0.7), some(0.01), some(1.0), 9}},
			Delta: DeltaTotals{Predicted: 51_000_000, Bound: some(48e6), Dense: 3_100_000_000}}
		return r
	}
	r := &Result{Version: Version, Tool: "orrery test", Args: []string{"models/base", "models/rl run", "--html", "out.html"}, Run: run("models/rl run", 1),
		Inputs: []Input{{Path: "models/base", Kind: "checkpoint", Params: 1_540_000_000, Tensors: 338, Files: []InputFile{{Name: "model.safetensors", Bytes: 3_100_000_000, SHA256: some(strings.Repeat("ab", 32))}}},
			{Path: "models/rl run", Kind: "checkpoint", Params: 1_540_000_000, Tensors: 337, Files: []InputFile{{Name: "model.safetensors", Bytes: 3_100_000_000}}}}}
	r.Pairing.Missing = []Single{{"model.extra.bias", "BF16", []int{64}, 64}}
	r.Pairing.Tied = []Tied{{"lm_head.weight", "model.embed_tokens.weight", "equal bytes"}}
	r.Others = []Run{run("models/sft", 8), run("models/other", 3)}
	r.Consensus = fakeConsensus(r.Tensors)
	return r
}

func fakeTensor(l, k int, kind string, strength float64) Tensor {
	x := float64(l)/3 + float64(k)
	wave := func(lo, hi, phase float64) *float64 { return some(lo + (hi-lo)*(1+math.Sin(x+phase))/2) }
	t := Tensor{Name: fmt.Sprintf("model.layers.%d.%s.weight", l, kind), Layer: &l, Kind: kind, Shape: []int{64, 48}, DTypes: []string{"BF16", "BF16"}, N: 3072, Float: true,
		Changed: some[int64](900), Sparsity: wave(0.6, 0.8, 0), SparseAbs: wave(0.5, 0.7, 0), Exact: wave(0.4, 0.6, 0), Raw: some[int64](905), FroBase: some(10.0), Fro: some(0.003), Rel: some(strength * 3e-4 * math.Exp(math.Sin(x))), MaxAbs: some(0.001),
		Profile: &Profile{HeadRows: 16}, Delta: &Delta{Encoding: encodings[1+(l+k)%2], Predicted: int64(2000 + 100*k)}}
	for i := range 64 {
		t.Profile.Rows = append(t.Profile.Rows, 0.3+0.2*math.Sin(float64(i)/5+x))
	}
	for i := range 48 {
		t.Profile.Cols = append(t.Profile.Cols, 0.3+0.1*math.Cos(float64(i)/3+x))
	}
	null := *wave(0.25, 0.32, 1)
	t.Masks = &Masks{K: 8, Alpha: 0.5, Princ: &Overlap{some(null + 0.02*math.Sin(5*x)), some(0.5), some(null), some(0.02 * math.Sin(5*x))}, Low: &Overlap{wave(0.68, 0.74, 2), some(0.5), wave(0.67, 0.73, 2), some(0.01)}}
	s := &Spectrum{Mode: "top", K: 8, NSSInterval: &[2]float64{strength * 1e-5 * math.Exp(2*math.Sin(x)), strength * 2e-5 * math.Exp(2*math.Sin(x))}, AngleError: some(1e-3), SRank: some(20.0), EnergyIn: some(0.011), EnergyOut: some(0.8),
		Certificate:  &Certificates{Base: Certificate{Separated: true}},
		Inequalities: []Inequality{{"weyl", "max |Δσ| ≤ ‖ΔW‖₂", some(0.0012), some(0.003), some(true)}, {"wedin", "sin Θ ≤ ‖ΔW‖₂/(gap−‖ΔW‖₂)", some(0.01), nil, nil}}}
	for i := range 8 {
		sigma := 5 * math.Exp(-float64(i)/3)
		s.Sigma0, s.Sigma1 = append(s.Sigma0, sigma), append(s.Sigma1, sigma*(1+1e-4*math.Sin(float64(i))))
		a := strength * math.Exp(-float64(i)) * (1 + 0.3*math.Sin(x))
		s.AnglesU, s.AnglesV = append(s.AnglesU, a), append(s.AnglesV, a*0.8)
		var limit *float64
		if a < 1e-2 {
			limit = some(1e-2)
		}
		s.AnglesUBound, s.AnglesVBound = append(s.AnglesUBound, limit), append(s.AnglesVBound, limit)
	}
	t.Spectrum = s
	return t
}

func fakeConsensus(tensors []Tensor) *Consensus {
	square := func(d, off float64) (m [][]*float64) {
		for i := range 3 {
			m = append(m, []*float64{some(off), some(off), some(off)})
			m[i][i] = some(d)
		}
		return m
	}
	pair := Pairwise{square(1, 0.58), square(1, 0.43), square(1, 0.5), some(0.58), some(0.43), some(0.5)}
	c := &Consensus{Runs: []string{"models/rl run", "models/sft", "models/other"}, Pairwise: pair, Histogram: []int64{900, 60, 30, 10}}
	for i, t := range tensors[:min(len(tensors), 40)] {
		ct := ConsensusTensor{Name: t.Name, Layer: t.Layer, Kind: t.Kind, Pairwise: pair, Rows: []float64{0.1, 0.2, 0.3}, Cols: []float64{0.3, 0.1}}
		ct.Mean = some(0.5 + 0.1*math.Sin(float64(i)))
		for r := range MapCells {
			row := make([]float64, MapCells)
			for k := range row {
				row[k] = math.Abs(math.Sin(float64(r*k) / 60))
			}
			ct.Map = append(ct.Map, row)
		}
		c.Tensors = append(c.Tensors, ct)
	}
	return c
}

func fakeSeries(steps int, tensors []Tensor) *Series {
	s := &Series{}
	curve := func(f func(t float64) float64) (out []*float64) {
		for i := range steps {
			out = append(out, num(f(float64(i+1)/float64(steps))))
		}
		return out
	}
	for i := range steps {
		t := float64(i+1) / float64(steps)
		st := Step{Tuned: fmt.Sprintf("run/step-%d", (i+1)*100), Base: Totals{SparsityBF16: some(1 - 0.3*math.Sqrt(t)), Rel: some(4e-4 * t), NSS: Stats{1, some(2e-5 * t), some(2e-5 * t), some(1e-4)}}, Similarity: some(t)}
		if i > 0 {
			st.Previous = &Totals{SparsityBF16: some(0.95), Rel: some(5e-5)}
		}
		s.Steps = append(s.Steps, st)
	}
	for i, t := range tensors {
		a := 1 + 0.3*math.Sin(float64(i))
		s.Tensors = append(s.Tensors, SeriesTensor{Name: t.Name, Layer: t.Layer, Kind: t.Kind, Sparsity: curve(func(t float64) float64 { return 1 - 0.3*a*t }), Rel: curve(func(t float64) float64 { return 4e-4 * a * t }),
			NSS: curve(func(t float64) float64 { return 2e-5 * a * t }), Similarity: curve(func(t float64) float64 { return t })})
	}
	return s
}

func pageOf(t *testing.T, r *Result) string {
	t.Helper()
	var b strings.Builder
	if err := r.Page().Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var block = []string{"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}

// words is a page's text, without drawings and markup.
func words(page string) string {
	page = regexp.MustCompile(`(?s)<svg.*?</svg>|<style>.*?</style>|<script>.*?</script>`).ReplaceAllString(page, "")
	return regexp.MustCompile(`<[^>]*>`).ReplaceAllString(page, " ")
}

// TestPageClaimsNothingItCannotKnow: spec 8.3. The published tables name trainings,
// this pair's text never does beyond "resembles".
func TestPageClaimsNothingItCannotKnow(t *testing.T) {
	for name, r := range map[string]*Result{"full": fake(4, block), "empty": {}} {
		text := words(pageOf(t, r))
		for _, never := range []string{"safe", "low curvature", "low-curvature", "was trained by", "was trained with", "harmless", "damage"} {
			if strings.Contains(strings.ToLower(strings.ReplaceAll(text, ".safetensors", "")), never) {
				t.Errorf("%s: the page says %q", name, never)
			}
		}
		for _, broken := range []string{"NaN", "Inf", "%!", "<nil>", "0x"} {
			if strings.Contains(text, broken) {
				t.Errorf("%s: the page prints %q", name, broken)
			}
		}
	}
}

func TestPageHasItsParts(t *testing.T) {
	r := fake(4, block)
	r.Series = fakeSeries(5, r.Tensors)
	page := pageOf(t, r)
	for _, want := range []string{"problems of pairing", "model.extra.bias", "resembles published RL pairs", "explained by precision alone", "Unchanged weights by layer", "unchanged to 1e-5",
		"NSS, the shift", "Largest principal angle", "Relative update", "Singular values", "Principal angles", "null, precision alone", "White lines", "Jaccard, observed", "Consensus",
		"checkpoint", "Directions already there", "Predicted bytes by layer", "51 MB", "3.1 GB", "weyl: max |Δσ|", "conditions not met", "Published pairs, for orientation", "DeepScaleR", "this pair",
		"orrery audit models/base &#39;models/rl run&#39; --html out.html", strings.Repeat("ab", 32), "larger than --max-memory allows"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if strings.Index(page, "problems of pairing") > strings.Index(page, "resembles published") {
		t.Error("the verdict comes before the problems of pairing")
	}
	if page != pageOf(t, r) {
		t.Error("two pages of one result differ")
	}
}

// TestMissingIsSaidAndNotZero takes every measurement away.
func TestMissingIsSaidAndNotZero(t *testing.T) {
	r := fake(2, block[:2])
	r.Others, r.Consensus = nil, nil
	for i := range r.Tensors {
		x := &r.Tensors[i]
		*x = Tensor{Name: x.Name, Layer: x.Layer, Kind: x.Kind, Shape: x.Shape, DTypes: x.DTypes, N: x.N, Float: true, Notes: []string{"not finite: no norms and no spectra"}}
	}
	r.Totals = Totals{Tensors: len(r.Tensors), N: 1}
	text := words(pageOf(t, r))
	for _, want := range []string{"No matrix has a spectrum", "so no map: unchanged weights, relative update, NSS and principal angles", "No overlap with principal", "No profile by row", "was not predicted", "No inequality was checked", "not finite: no norms and no spectra"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if m := regexp.MustCompile(`bf16 code is the same\s+(\S+)`).FindStringSubmatch(text); m == nil || m[1] != missing {
		t.Errorf("a missing sparsity reads %v, want %s", m, missing)
	}
	if !strings.Contains(pageOf(t, r), "0, unchanged in bf16: not measured") {
		t.Error("the bars of a layer without measurement are not hatched")
	}
}

// TestUnresolvedAnglesAreNotNinety: a bound of 90° is no measurement.
func TestUnresolvedAnglesAreNotNinety(t *testing.T) {
	r := fake(2, block[:2])
	for i := range r.Tensors {
		if s := r.Tensors[i].Spectrum; s != nil {
			for k := range s.AnglesU {
				s.AnglesUBound[k], s.AnglesVBound[k] = some(90.0), some(90.0)
			}
		}
	}
	r.Others, r.Consensus = nil, nil
	page := pageOf(t, r)
	text := words(page)
	for _, want := range []string{"– (0 of 4)", "so no map: principal angles", "Not resolved for any of the 4 matrices", "Not resolved at k = 8", "not resolved"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if regexp.MustCompile(`>\s*(≤ )?90\s*<`).MatchString(page) {
		t.Error("the page prints a bound of 90° as a number")
	}
}

// TestZeroAnglesAreMeasured: equal matrices have angles of 0, which is not nothing,
// and one changed weight in a million is not none.
func TestZeroAnglesAreMeasured(t *testing.T) {
	r := fake(1, block[:1])
	s := r.Tensors[0].Spectrum
	for k := range s.AnglesU {
		s.AnglesU[k], s.AnglesV[k], s.AnglesUBound[k], s.AnglesVBound[k] = 0, 0, nil, nil
	}
	r.Totals.SparsityBF16, r.Totals.SparsityAbs, r.Others, r.Consensus = some(1-1e-6), some(1e-7), nil, nil
	page := pageOf(t, r)
	if strings.Contains(page, "nothing was measured") {
		t.Error("angles of 0 are said not to have been measured")
	}
	if !strings.Contains(page, "&gt; 99.99 %") || !strings.Contains(page, "&lt; 0.01 %") {
		t.Error("a share close to an end is rounded to it")
	}
}

func TestPageOfOddResults(t *testing.T) {
	one := fake(1, block[:1])
	one.Tensors, one.Others, one.Consensus = one.Tensors[:1], nil, nil
	scalar := &Result{Run: Run{Tensors: []Tensor{{Name: "x", Shape: []int{}, N: 1, Float: true}, {Name: "bytes", Shape: []int{3}, DTypes: []string{"I8", "I8"}}}}}
	fused := fake(1, block[:1])
	fused.Tensors[0].Parts = []Part{{Name: "gate_proj", Shape: []int{32, 48}, Spectrum: fused.Tensors[0].Spectrum, Masks: fused.Tensors[0].Masks}, {Name: "up_proj", Notes: []string{"too small"}}}
	fused.Tensors[0].Spectrum, fused.Tensors[0].Masks = nil, nil
	ragged := fake(2, block)
	ragged.Consensus.Jaccard, ragged.Consensus.Tensors[0].Map = nil, nil
	ragged.Tensors[3].Spectrum.Sigma1, ragged.Tensors[4].Spectrum.AnglesU, ragged.Tensors[5].Spectrum = nil, nil, &Spectrum{}
	ragged.Series = &Series{Steps: make([]Step, 2), Tensors: []SeriesTensor{{Name: "short", Kind: "k", Sparsity: []*float64{nil}}}}
	for name, r := range map[string]*Result{"empty": {}, "one tensor": one, "scalar": scalar, "fused": fused, "ragged": ragged, "no steps": {Series: &Series{}}, "empty consensus": {Consensus: &Consensus{}}} {
		page := pageOf(t, r)
		if !strings.HasSuffix(page, "</html>\n") || regexp.MustCompile(`="[^"]*(NaN|Inf)[^"]*"`).MatchString(regexp.MustCompile(`href="data:[^"]*"`).ReplaceAllString(page, "")) {
			t.Errorf("%s: the page is not whole", name)
		}
	}
}

// TestHundredThousandTensors: the page grows by a line of text a tensor, and the
// figures do not grow with their number.
func TestHundredThousandTensors(t *testing.T) {
	r := fake(100, block[4:6])
	few := r.Tensors[:200]
	r.Tensors, r.Others, r.Consensus = nil, nil, nil
	for e := range 500 {
		for _, x := range few { // shares the spectra, which would fill a gigabyte
			x.Name = strings.Replace(x.Name, "weight", fmt.Sprintf("experts.%d.weight", e), 1)
			r.Tensors = append(r.Tensors, x)
		}
	}
	page := pageOf(t, r)                                      // quadratic work in any figure would take hours
	if most := len(r.Tensors)*300 + 8<<20; len(page) > most { // 300 bytes a row, 8 MiB of figures and listed inequalities
		t.Errorf("the page has %d bytes, want at most %d", len(page), most)
	}
	if n := strings.Count(page, "<tr>"); n > 1000 {
		t.Errorf("%d rows are drawn at once", n)
	}
}

// TestGoldenPage holds the page of a small result. After a change of the charts look
// at the page, then write it with -update.
func TestGoldenPage(t *testing.T) {
	r := fake(2, block[:2])
	r.Others, r.Consensus = nil, nil
	r.Tensors[0].Profile, r.Tensors[1].Profile, r.Tensors[2].Profile, r.Tensors[3].Profile = nil, nil, nil, nil // pictures depend on the compressor
	got := words(pageOf(t, r))
	got = regexp.MustCompile(`[ \t]*\n\s*`).ReplaceAllString(got, "\n")
	file := filepath.Join("testdata", "page.txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		a, b := strings.Split(got, "\n"), strings.Split(string(want), "\n")
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				t.Fatalf("line %d is %q, want %q (after looking at the page: go test ./look/audit -run Golden -update)", i+1, a[i], b[i])
			}
		}
		t.Fatalf("%d lines, want %d", len(a), len(b))
	}
}
