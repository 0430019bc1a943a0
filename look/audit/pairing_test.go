package audit

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"orrery/learn/checkpoint"
)

// fileOf holds zero tensors of the given names and shapes: "name:BF16:2x3".
func fileOf(t *testing.T, specs ...string) *checkpoint.File {
	t.Helper()
	var entries []checkpoint.Entry
	for i, s := range specs {
		part := strings.Split(s, ":")
		e := checkpoint.Entry{Name: part[0], DType: checkpoint.BF16, Shape: []int{2, 3}}
		if len(part) > 1 {
			e.DType = checkpoint.DType(part[1])
		}
		if len(part) > 2 {
			e.Shape = nil
			for _, d := range strings.Split(part[2], "x") {
				var n int
				fmt.Sscan(d, &n)
				e.Shape = append(e.Shape, n)
			}
		}
		e.Raw = make([]byte, elementsOf(e.Shape)*int64(e.DType.Size()))
		if len(part) < 4 {
			e.Raw[0] = byte(i + 1) // unequal, unless "name:type:shape:same"
		}
		entries = append(entries, e)
	}
	var b bytes.Buffer
	if err := checkpoint.Encode(&b, entries, nil); err != nil {
		t.Fatal(err)
	}
	f, err := checkpoint.Parse("test", b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func pairing(t *testing.T, base, tuned *checkpoint.File, rules []string, c0, c1 *modelConfig) ([]match, *Pairing) {
	t.Helper()
	var rs []Rename
	for _, s := range rules {
		r, err := ParseRename(s)
		if err != nil {
			t.Fatal(err)
		}
		rs = append(rs, r)
	}
	m, p, err := pairUp(base, tuned, rs, c0, c1)
	if err != nil {
		t.Fatal(err)
	}
	// Nothing is dropped in silence: every name of either side is somewhere.
	if got := len(m) + len(p.Missing) + len(p.ShapeMismatch) + len(p.Tied) + countUncompared(p); got < len(base.Names()) {
		t.Errorf("%d of %d tensors of the base are accounted for: %+v", got, len(base.Names()), p)
	}
	return m, p
}

// countUncompared is the pairs whose types can't be compared.
func countUncompared(p *Pairing) (n int) {
	for _, d := range p.DTypeMismatch {
		if !checkpoint.DType(d.Base).Float() || !checkpoint.DType(d.Tuned).Float() {
			n++
		}
	}
	return n
}

func TestPairing(t *testing.T) {
	base := fileOf(t, "a", "b", "c:BF16:4x4", "d:F32:2x3", "e:I64:2x3", "model.layers.10.w", "model.layers.9.w")
	tuned := fileOf(t, "a", "x", "c:BF16:4x5", "d:BF16:2x3", "e:BF16:2x3", "model.layers.9.w", "model.layers.10.w")
	m, p := pairing(t, base, tuned, nil, nil, nil)
	if p.Matched != 4 || len(m) != 4 || m[2].name != "model.layers.9.w" || m[3].name != "model.layers.10.w" {
		t.Errorf("%d matched: %+v", p.Matched, m)
	}
	if len(p.Missing) != 1 || p.Missing[0].Name != "b" || len(p.Extra) != 1 || p.Extra[0].Name != "x" || len(p.ShapeMismatch) != 1 || len(p.DTypeMismatch) != 2 {
		t.Errorf("%+v", p)
	}
	m, p = pairing(t, base, tuned, []string{"s/^x$/b/"}, nil, nil)
	if len(m) != 5 || len(p.Renamed) != 1 || p.Renamed[0] != (Renamed{"b", "x"}) {
		t.Errorf("%+v", p)
	}
	if _, _, err := pairUp(base, tuned, []Rename{mustRename(t, "s/^x$/a/")}, nil, nil); err == nil || !strings.Contains(err.Error(), `"a" and "x"`) {
		t.Errorf("two tensors of one name: %v", err)
	}
}

func mustRename(t *testing.T, s string) Rename {
	t.Helper()
	r, err := ParseRename(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPrefix(t *testing.T) {
	plain, long := fileOf(t, "layers.0.w", "layers.1.w", "norm"), fileOf(t, "model.layers.0.w", "model.layers.1.w", "norm")
	m, p := pairing(t, plain, long, nil, nil, nil)
	if len(m) != 3 || p.Prefix == nil || *p.Prefix != "-model." || len(p.Renamed) != 2 {
		t.Errorf("%+v", p)
	}
	m, p = pairing(t, long, plain, nil, nil, nil)
	if len(m) != 3 || p.Prefix == nil || *p.Prefix != "+model." {
		t.Errorf("%+v", p)
	}
	if _, p = pairing(t, plain, plain, nil, nil, nil); p.Prefix != nil {
		t.Errorf("a prefix where none is needed: %q", *p.Prefix)
	}
}

func TestTied(t *testing.T) {
	yes := true
	tied := &modelConfig{Tied: &yes}
	const embed, head = "model.embed_tokens.weight", "lm_head.weight"
	same := []string{embed + ":BF16:2x3:same", head + ":BF16:2x3:same"}
	for _, c := range []struct {
		name        string
		base, tuned []string
		c0, c1      *modelConfig
		tied, pairs int
		lost        int // missing and extra
	}{
		{"equal bytes in both", same, same, nil, nil, 1, 1, 0},
		{"absent in the tuned", same, []string{embed}, nil, tied, 1, 1, 0},
		{"absent in the base", []string{embed}, same, tied, nil, 1, 1, 0},
		{"absent in both, by config", []string{embed}, []string{embed}, tied, tied, 1, 1, 0},
		{"absent in both", []string{embed}, []string{embed}, nil, nil, 0, 1, 0},
		{"untied by training", same, []string{embed, head}, nil, nil, 0, 2, 0},
		{"untied in the base, absent in the tuned", []string{embed, head}, []string{embed}, nil, tied, 0, 1, 1},
	} {
		m, p := pairing(t, fileOf(t, c.base...), fileOf(t, c.tuned...), nil, c.c0, c.c1)
		if len(p.Tied) != c.tied || len(m) != c.pairs || len(p.Missing)+len(p.Extra) != c.lost {
			t.Errorf("%s: %d pairs, %+v", c.name, len(m), p)
		}
	}
}

func TestParseRename(t *testing.T) {
	for s, want := range map[string]string{
		`s/^model\.//`: "layers.0.w", `s|model|m|`: "m.layers.0.w", `s/layers\.([0-9])/h.\1/`: "model.h.0.w", `s/(\d)/$1$1/g`: "model.layers.00.w",
	} {
		r := mustRename(t, s)
		if got := r.re.ReplaceAllString("model.layers.0.w", r.to); got != want {
			t.Errorf("%s: %q, want %q", s, got, want)
		}
	}
	for _, s := range []string{"", "s", "x/a/b/", "s/a/b", "s/a/b/c/", "s//b/", "s/(/b/", "s/a/b/q"} {
		if _, err := ParseRename(s); err == nil {
			t.Errorf("%q is taken for a rule", s)
		}
	}
}

func TestPlace(t *testing.T) {
	for name, want := range map[string]string{
		"model.layers.12.self_attn.q_proj.weight": "12 q_proj", "transformer.h.3.attn.c_attn.bias": "3 c_attn.bias", "lm_head.weight": "- lm_head",
		"model.layers.0.mlp.experts.7.down_proj.weight": "0 down_proj", "scale": "- scale", "layers.x.w": "- w",
	} {
		layer, kind := place(name)
		got := "- " + kind
		if layer != nil {
			got = fmt.Sprintf("%d %s", *layer, kind)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// An adapter is measured as the merged model is, and its update by its factors.
func TestAdapter(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	dir := t.TempDir()
	m := values{}
	m.add(r, "model.layers.0.q_proj.weight", 24, 16)
	m.add(r, "model.layers.0.k_proj.weight", 8, 16)
	base := m.write(t, dir+"/base", checkpoint.BF16, 1)
	const rank, alpha = 3, 6
	a, b := weights(r, rank*16, nil), weights(r, 24*rank, nil)
	mk := func(name string, v []float64, rows, cols int) checkpoint.Entry {
		return checkpoint.Entry{Name: "base_model.model.model.layers.0.q_proj." + name, DType: checkpoint.F32, Shape: []int{rows, cols}, Raw: encode(t, checkpoint.F32, v)}
	}
	lora := filepath.Join(dir, "lora")
	if err := os.Mkdir(lora, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := checkpoint.Write(lora+"/adapter_model.safetensors", []checkpoint.Entry{mk("lora_A.weight", a, rank, 16), mk("lora_B.weight", b, 24, rank)}, nil); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`{"peft_type": "LORA", "r": %d, "lora_alpha": %d, "target_modules": ["q_proj"]}`, rank, alpha)
	if err := os.WriteFile(lora+"/adapter_config.json", []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	merged := values{}
	for name, x := range m {
		v := make([]float64, len(x.v))
		naiveDecode(checkpoint.BF16, v, encode(t, checkpoint.BF16, x.v))
		if strings.Contains(name, "q_proj") {
			for i := range 24 {
				for j := range 16 {
					for k := range rank {
						v[i*16+j] += alpha / rank * float64(float32(b[i*rank+k])) * float64(float32(a[k*16+j]))
					}
				}
			}
		}
		x.v = v
		merged[name] = x
	}
	// encode rounds through float32; the merge rounds once.
	o := Options{Spectra: SpectraExact, K: 3, MaskK: 3}
	full := filepath.Join(dir, "merged")
	var entries []checkpoint.Entry
	for name, x := range merged {
		e := checkpoint.Entry{Name: name, DType: checkpoint.BF16, Shape: x.shape}
		for _, v := range x.v {
			e.Raw = binary.LittleEndian.AppendUint16(e.Raw, naiveCode(v))
		}
		entries = append(entries, e)
	}
	os.Mkdir(full, 0o755)
	if err := checkpoint.Write(full+"/model.safetensors", entries, nil); err != nil {
		t.Fatal(err)
	}
	want, got := run(t, o, base, full), run(t, o, base, lora)
	if got.Inputs[1].Kind != "adapter" || got.Totals.ChangedBF16 != want.Totals.ChangedBF16 || *got.Totals.Fro != *want.Totals.Fro {
		t.Errorf("%d changed, ‖ΔW‖ %g; merged: %d, %g", got.Totals.ChangedBF16, *got.Totals.Fro, want.Totals.ChangedBF16, *want.Totals.Fro)
	}
	q := got.Tensors[1]
	if q.Kind != "q_proj" || *q.Spectrum.UpdateRank != rank || *want.Tensors[1].Spectrum.UpdateRank <= rank {
		t.Errorf("%s: rank %d from the factors, %d of the rounded sum", q.Kind, *q.Spectrum.UpdateRank, *want.Tensors[1].Spectrum.UpdateRank)
	}
	if k := got.Tensors[0]; *k.Changed != 0 || *k.Spectrum.NSS != 0 {
		t.Errorf("a tensor that the adapter leaves alone changed: %+v", k)
	}
	if _, err := Open(lora); err == nil || !strings.Contains(err.Error(), "not a base") {
		t.Errorf("an adapter as base: %v", err)
	}
}
