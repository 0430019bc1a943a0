package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"orrery/learn/checkpoint"
)

// values are a small model's tensors by name.
type values map[string]struct {
	shape []int
	v     []float64
}

func (m values) add(r *rand.Rand, name string, shape ...int) {
	m[name] = struct {
		shape []int
		v     []float64
	}{shape, weights(r, int(elementsOf(shape)), nil)}
}

// small is a model of two blocks with everything that a pair may have.
func small(r *rand.Rand) values {
	m := values{}
	m.add(r, "model.embed_tokens.weight", 70, 24)
	for l := range 2 {
		p := fmt.Sprintf("model.layers.%d.", l)
		m.add(r, p+"self_attn.q_proj.weight", 24, 24)
		m.add(r, p+"mlp.down_proj.weight", 24, 50)
		m.add(r, p+"input_layernorm.weight", 24)
	}
	m.add(r, "model.scale")
	return m
}

// tuned moves a share of all entries.
func (m values) tuned(r *rand.Rand, share, std float64) values {
	out := values{}
	for _, name := range sortedNames(m.names()) {
		t := m[name]
		t.v = slices.Clone(t.v)
		for i := range t.v {
			if r.Float64() < share {
				t.v[i] += r.NormFloat64() * std
			}
		}
		out[name] = t
	}
	return out
}

func (m values) names() (names []string) {
	for n := range m {
		names = append(names, n)
	}
	return names
}

// write makes one file, or with shards > 1 an index and so many.
func (m values) write(t testing.TB, dir string, d checkpoint.DType, shards int) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	list := make([][]checkpoint.Entry, shards)
	where := map[string]string{}
	for i, name := range sortedNames(m.names()) {
		s := i * 7 % shards
		raw := encode(t, d, m[name].v)
		list[s] = append(list[s], checkpoint.Entry{Name: name, DType: d, Shape: m[name].shape, Raw: raw})
		where[name] = fmt.Sprintf("model-%05d-of-%05d.safetensors", s+1, shards)
	}
	for s, entries := range list {
		file := "model.safetensors"
		if shards > 1 {
			file = fmt.Sprintf("model-%05d-of-%05d.safetensors", s+1, shards)
		}
		if err := checkpoint.Write(filepath.Join(dir, file), entries, nil); err != nil {
			t.Fatal(err)
		}
	}
	if shards > 1 {
		b, _ := json.Marshal(map[string]any{"weight_map": where})
		if err := os.WriteFile(filepath.Join(dir, "model.safetensors.index.json"), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// run audits folders.
func run(t testing.TB, o Options, base string, tuned ...string) *Result {
	t.Helper()
	r, err := tryRun(t, ctx, o, base, tuned...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func tryRun(t testing.TB, ctx context.Context, o Options, base string, tuned ...string) (*Result, error) {
	t.Helper()
	b, err := Open(base)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	var all []*Checkpoint
	for _, path := range tuned {
		c, err := OpenTuned(path, b)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		all = append(all, c)
	}
	return Audit(ctx, b, all, o)
}

// asJSON is the report without what names its inputs.
func asJSON(t testing.TB, r *Result) string {
	t.Helper()
	c := *r
	c.Inputs, c.Run.Tuned = nil, ""
	c.Warnings = nil
	b, err := json.Marshal(&c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Sharding, workers, chunks, a run folder and a cache never change a byte of a
// report; the spectra are measured in both ways.
func TestReportIsOne(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	dir := t.TempDir()
	m := small(r)
	tuned := m.tuned(r, 0.2, 1e-3)
	base, other := m.write(t, dir+"/base", checkpoint.BF16, 1), tuned.write(t, dir+"/tuned", checkpoint.BF16, 1)
	base3, other2 := m.write(t, dir+"/base3", checkpoint.BF16, 3), tuned.write(t, dir+"/tuned2", checkpoint.BF16, 2)
	for _, spectra := range []Spectra{SpectraTop, SpectraExact, SpectraNone, SpectraSample} {
		o := Options{K: 4, MaskK: 6, Spectra: spectra, ExactSample: 2, Workers: 1}
		want := asJSON(t, run(t, o, base, other))
		for i, v := range []struct {
			o           Options
			base, tuned string
		}{
			{Options{Workers: 3}, base, other},
			{Options{Chunk: 1, Workers: 2}, base3, other2},
			{Options{Run: dir + "/run"}, base3, other},
			{Options{Run: dir + "/run", Workers: 1}, base, other2}, // from the folder
			{Options{Cache: dir + "/cache"}, base, other},
			{Options{Cache: dir + "/cache"}, base3, other},
		} {
			v.o.K, v.o.MaskK, v.o.Spectra, v.o.ExactSample = o.K, o.MaskK, o.Spectra, o.ExactSample
			if got := asJSON(t, run(t, v.o, v.base, v.tuned)); got != want {
				t.Errorf("%s, case %d: the report differs:\n%s\n%s", spectra, i, got, want)
			}
		}
	}
}

// The same numbers in other clothes: each element metric of the whole is that of
// the naive twin, tensor by tensor.
func TestTotalsAgainstNaive(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	dir := t.TempDir()
	m := small(r)
	tuned := m.tuned(r, 0.5, 1e-4)
	for _, d := range []checkpoint.DType{checkpoint.BF16, checkpoint.F32} {
		got := run(t, Options{Spectra: SpectraNone}, m.write(t, dir+"/a"+string(d), d, 2), tuned.write(t, dir+"/b"+string(d), d, 1))
		var n, changed, raw, far, unequal int64
		var fro0, fro float64
		for name, x := range m {
			a, b := encode(t, d, x.v), encode(t, d, tuned[name].v)
			rows, cols := flat(x.shape)
			e := naive(pair{dbase: d, dtuned: d, rows: rows, cols: cols}, a, b)
			n, changed, raw, far, unequal = n+rows*cols, changed+e.changed, raw+e.raw, far+e.far, unequal+e.unequal
			fro0, fro = fro0+e.fro0, fro+e.fro
		}
		tot := got.Totals
		share := func(c int64) float64 { return 1 - float64(c)/float64(n) }
		if tot.N != n || tot.ChangedBF16 != changed || tot.ChangedRaw != raw || *tot.SparsityBF16 != share(changed) || *tot.SparsityAbs != share(far) || *tot.SparsityExact != share(unequal) {
			t.Errorf("%s: n %d changed %d raw %d, %g %g %g; want %d %d %d, %g %g %g", d, tot.N, tot.ChangedBF16, tot.ChangedRaw, *tot.SparsityBF16, *tot.SparsityAbs, *tot.SparsityExact,
				n, changed, raw, share(changed), share(far), share(unequal))
		}
		if math.Abs(*tot.Fro/math.Sqrt(fro)-1) > 1e-12 || math.Abs(*tot.FroBase/math.Sqrt(fro0)-1) > 1e-12 {
			t.Errorf("%s: norms %g %g, want %g %g", d, *tot.FroBase, *tot.Fro, math.Sqrt(fro0), math.Sqrt(fro))
		}
		if *tot.ComparedShare != 1 || tot.Tensors != len(m) {
			t.Errorf("%s: %d tensors, share %g", d, tot.Tensors, *tot.ComparedShare)
		}
	}
}

// Permuting rows and columns of both sides leaves counts, norms and spectra.
func TestPermutation(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	dir := t.TempDir()
	m := values{}
	m.add(r, "w.weight", 30, 22)
	tuned := m.tuned(r, 0.3, 1e-3)
	rows, cols := r.Perm(30), r.Perm(22)
	permuted := func(m values) values {
		x := m["w.weight"]
		v := make([]float64, len(x.v))
		for i, a := range rows {
			for j, b := range cols {
				v[a*22+b] = x.v[i*22+j]
			}
		}
		x.v = v
		return values{"w.weight": x}
	}
	o := Options{Spectra: SpectraExact, K: 5, MaskK: 5}
	a := run(t, o, m.write(t, dir+"/a", checkpoint.BF16, 1), tuned.write(t, dir+"/b", checkpoint.BF16, 1)).Tensors[0]
	b := run(t, o, permuted(m).write(t, dir+"/c", checkpoint.BF16, 1), permuted(tuned).write(t, dir+"/d", checkpoint.BF16, 1)).Tensors[0]
	if *a.Changed != *b.Changed || *a.SparseAbs != *b.SparseAbs || *a.MaxAbs != *b.MaxAbs || *a.Masks.Low.Null != *b.Masks.Low.Null {
		t.Errorf("counts differ: %+v %+v", a, b)
	}
	// Both are of order 1e-2 and were computed in float64.
	for _, x := range [][2]float64{{*a.Spectrum.NSS, *b.Spectrum.NSS}, {*a.Fro, *b.Fro}, {a.Spectrum.Sigma0[0], b.Spectrum.Sigma0[0]}, {*a.Spectrum.SRank, *b.Spectrum.SRank}} {
		if math.Abs(x[0]-x[1]) > 1e-9*math.Abs(x[0]) {
			t.Errorf("%g and %g", x[0], x[1])
		}
	}
}

// A fused matrix is measured as its parts are: whether q, k and v are stored
// apart, in blocks, by head or by columns, the numbers are the same.
func TestFusedIsItsParts(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	const heads, dim, hidden = 2, 8, 16
	apart := values{}
	for _, p := range []string{"q_proj", "k_proj", "v_proj"} {
		apart.add(r, "layers.0."+p+".weight", heads*dim, hidden)
	}
	tuned := apart.tuned(r, 0.3, 2e-3)
	part := func(m values, p string) []float64 { return m["layers.0."+p+".weight"].v }
	layouts := map[string]func(m values) ([]float64, []int){
		"qkv_proj": func(m values) ([]float64, []int) { // blocks of rows
			return slices.Concat(part(m, "q_proj"), part(m, "k_proj"), part(m, "v_proj")), []int{3 * heads * dim, hidden}
		},
		"query_key_value": func(m values) (v []float64, _ []int) { // q, k, v of each head in turn
			for h := range heads {
				for _, p := range []string{"q_proj", "k_proj", "v_proj"} {
					v = append(v, part(m, p)[h*dim*hidden:(h+1)*dim*hidden]...)
				}
			}
			return v, []int{3 * heads * dim, hidden}
		},
		"c_attn": func(m values) ([]float64, []int) { // columns of an in × out matrix
			v := make([]float64, 3*heads*dim*hidden)
			for i, p := range []string{"q_proj", "k_proj", "v_proj"} {
				for o := range heads * dim {
					for in := range hidden {
						v[in*3*heads*dim+i*heads*dim+o] = part(m, p)[o*hidden+in]
					}
				}
			}
			return v, []int{hidden, 3 * heads * dim}
		},
	}
	dir := t.TempDir()
	o := Options{Spectra: SpectraExact, K: 3, MaskK: 3}
	want := run(t, o, apart.write(t, dir+"/a", checkpoint.BF16, 1), tuned.write(t, dir+"/b", checkpoint.BF16, 1))
	byKind := map[string]Tensor{}
	for _, x := range want.Tensors {
		byKind[x.Kind] = x
	}
	for kind, lay := range layouts {
		t.Run(kind, func(t *testing.T) {
			fuse := func(m values, name string) string {
				v, shape := lay(m)
				f := values{}
				f["layers.0."+kind+".weight"] = struct {
					shape []int
					v     []float64
				}{shape, v}
				d := f.write(t, filepath.Join(dir, kind+name), checkpoint.BF16, 1)
				config := fmt.Sprintf(`{"model_type": "gpt_neox", "hidden_size": %d, "num_attention_heads": %d}`, hidden, heads)
				if err := os.WriteFile(d+"/config.json", []byte(config), 0o644); err != nil {
					t.Fatal(err)
				}
				return d
			}
			got := run(t, o, fuse(apart, "a"), fuse(tuned, "b")).Tensors[0]
			if len(got.Parts) != 3 || got.Spectrum != nil || got.Masks != nil {
				t.Fatalf("parts %d", len(got.Parts))
			}
			for _, p := range got.Parts {
				w := byKind[p.Name]
				if math.Abs(*p.Spectrum.NSS/(*w.Spectrum.NSS)-1) > 1e-9 || math.Abs(*p.Masks.Princ.Observed-*w.Masks.Princ.Observed) > 0 && kind != "c_attn" {
					t.Errorf("%s: NSS %g, principal overlap %g; want %g, %g", p.Name, *p.Spectrum.NSS, *p.Masks.Princ.Observed, *w.Spectrum.NSS, *w.Masks.Princ.Observed)
				}
			}
		})
	}
}

// Changes on the principal mask alone make the verdict principal-aligned.
func TestPlantedPrincipalVerdict(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	dir := t.TempDir()
	m := small(r)
	base := m.write(t, dir+"/base", checkpoint.BF16, 1)
	o := Options{K: 4, MaskK: 4, Spectra: SpectraExact}
	b, err := Open(base)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := ExportMasks(ctx, b, dir+"/masks.safetensors", o); err != nil {
		t.Fatal(err)
	}
	f, err := checkpoint.Open(dir + "/masks.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tuned := m.tuned(r, 0, 0)
	for name, x := range tuned {
		if len(x.shape) < 2 {
			continue
		}
		bits, _, err := f.Raw(name + ".princ")
		if err != nil {
			t.Fatal(err)
		}
		for i := range x.v {
			if bits[i/8]>>(i%8)&1 == 1 && r.IntN(4) == 0 {
				x.v[i] *= 1 + 1.0/64
			}
		}
	}
	got := run(t, o, base, tuned.write(t, dir+"/tuned", checkpoint.BF16, 1))
	if got.Verdict.Label != LabelAligned || *got.Totals.Masks.Princ.Observed != 1 {
		t.Errorf("%+v, overlap %g", got.Verdict, *got.Totals.Masks.Princ.Observed)
	}
	// The same changes at random places are not.
	tuned = m.tuned(r, 0.3, 1e-3)
	got = run(t, o, base, tuned.write(t, dir+"/random", checkpoint.BF16, 1))
	if got.Verdict.Label == LabelAligned {
		t.Errorf("%+v", got.Verdict)
	}
}

// Ctrl-C in the middle, then the same again: the report is that of one go, and
// what was finished is not measured twice.
func TestInterruptAndResume(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	dir := t.TempDir()
	m := small(r)
	base, other := m.write(t, dir+"/a", checkpoint.BF16, 1), m.tuned(r, 0.2, 1e-3).write(t, dir+"/b", checkpoint.BF16, 1)
	o := Options{K: 4, MaskK: 4}
	want := asJSON(t, run(t, o, base, other))
	o.Run = dir + "/run"
	stopped, cancel := context.WithCancel(ctx)
	o.Progress = func(p Progress) {
		if p.Done == 4 {
			cancel()
		}
	}
	if _, err := tryRun(t, stopped, o, base, other); !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted: %v", err)
	}
	path := filepath.Join(o.Run, storeFile)
	kept, err := os.ReadFile(path)
	if err != nil || strings.Count(string(kept), "\n") != 4 {
		t.Fatalf("%d tensors are kept, %v", strings.Count(string(kept), "\n"), err)
	}
	// A crash in the middle of a line costs that tensor only.
	if err := os.WriteFile(path, kept[:len(kept)-9], 0o644); err != nil {
		t.Fatal(err)
	}
	o.Progress = nil
	if got := asJSON(t, run(t, o, base, other)); got != want {
		t.Errorf("resumed:\n%s\nin one go:\n%s", got, want)
	}
	kept, _ = os.ReadFile(path)
	if n := strings.Count(string(kept), "\n"); n != len(m) {
		t.Errorf("%d tensors are kept at the end", n)
	}
}

// A memory limit names the tensor that is too large, before anything is read.
func TestMaxMemory(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	dir := t.TempDir()
	m := small(r)
	base := m.write(t, dir+"/a", checkpoint.BF16, 1)
	_, err := tryRun(t, ctx, Options{MaxMemory: 1000}, base, base)
	if err == nil || !strings.Contains(err.Error(), "model.embed_tokens.weight") || !strings.Contains(err.Error(), "--max-memory") {
		t.Errorf("%v", err)
	}
	if _, err := tryRun(t, ctx, Options{MaxMemory: 1 << 30}, base, base); err != nil {
		t.Error(err)
	}
}

// Base and tuned the same: nothing moved, and the spectra say so exactly.
func TestIdentical(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	base := small(r).write(t, t.TempDir(), checkpoint.BF16, 2)
	got := run(t, Options{K: 4, MaskK: 4}, base, base)
	if got.Verdict.Label != LabelIdentical || *got.Totals.SparsityBF16 != 1 || got.Totals.Delta.Predicted != 0 {
		t.Errorf("%+v", got.Verdict)
	}
	for _, m := range got.Matrices() {
		s := m.Spectrum
		if _, angle := s.MaxAngle(); s.NSS == nil || *s.NSS != 0 || *angle != 0 || m.Masks.Low.Observed != nil {
			t.Errorf("%s: %+v", m.Name, s)
		}
	}
}

// Several runs and a series: shapes of the report, and what must hold whatever
// the numbers are.
func TestRunsAndSeries(t *testing.T) {
	r := rand.New(rand.NewPCG(17, 18))
	dir := t.TempDir()
	m := small(r)
	base := m.write(t, dir+"/base", checkpoint.BF16, 1)
	var paths []string
	step := m
	for i := range 3 {
		step = step.tuned(r, 0.2, 1e-3)
		paths = append(paths, step.write(t, fmt.Sprintf("%s/step%d", dir, i), checkpoint.BF16, 1))
	}
	o := Options{K: 4, MaskK: 4}
	got := run(t, o, base, paths...)
	if got.Consensus == nil || got.Series != nil || len(got.Others) != 2 || got.Tuned != paths[0] || len(got.Consensus.Tensors) != len(m) {
		t.Fatalf("%d others, consensus %v", len(got.Others), got.Consensus)
	}
	var n int64
	for _, k := range got.Consensus.Histogram {
		n += k
	}
	if n != got.Totals.N {
		t.Errorf("the histogram counts %d of %d entries", n, got.Totals.N)
	}
	o.Series = true
	series := run(t, o, base, paths...)
	if series.Tuned != paths[2] || len(series.Series.Steps) != 3 || len(series.Series.Between) != 2 || series.Series.Steps[0].Previous != nil {
		t.Fatalf("%+v", series.Series)
	}
	// The last step is like itself; neighbours are as an audit of the two finds.
	if s := series.Series.Steps[2].Similarity; s == nil || math.Abs(*s-1) > 1e-9 {
		t.Errorf("similarity of the last step to itself %v", s)
	}
	alone := run(t, Options{K: 4, MaskK: 4}, paths[0], paths[1])
	if *alone.Totals.SparsityBF16 != *series.Series.Steps[1].Previous.SparsityBF16 {
		t.Errorf("between neighbours %g, alone %g", *series.Series.Steps[1].Previous.SparsityBF16, *alone.Totals.SparsityBF16)
	}
}
