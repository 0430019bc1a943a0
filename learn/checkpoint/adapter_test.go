package checkpoint

import (
	"bytes"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"orrery/learn/tensor"
)

// adapterDir writes an adapter folder. Every tensor of names is zero, with the
// shape given.
func adapterDir(t *testing.T, config string, names map[string][]int) string {
	t.Helper()
	dir := t.TempDir()
	if config != "" {
		if err := os.WriteFile(filepath.Join(dir, "adapter_config.json"), []byte(config), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var entries []Entry
	for name, shape := range names {
		entries = append(entries, Entry{Name: name, Tensor: tensor.New(shape...)})
	}
	if names != nil {
		if err := Write(filepath.Join(dir, "adapter_model.safetensors"), entries, nil); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const plainConfig = `{"peft_type":"LORA","r":2,"lora_alpha":4`

func TestAdapterFaults(t *testing.T) {
	const pre = "base_model.model."
	good := map[string][]int{pre + "q.lora_A.weight": {2, 3}, pre + "q.lora_B.weight": {4, 2}}
	with := func(name string, shape ...int) map[string][]int {
		m := map[string][]int{name: shape}
		for n, s := range good {
			if n != name {
				m[n] = s
			}
		}
		return m
	}
	for _, c := range []struct {
		name, config string
		tensors      map[string][]int
		want         string
		cause        error
		tensor       string
	}{
		{"no configuration", "", good, "adapter_config.json: no such file", os.ErrNotExist, ""},
		{"no weights", plainConfig + `}`, nil, "saved again as safetensors", os.ErrNotExist, ""},
		{"not JSON", `{`, good, "unexpected EOF", io.ErrUnexpectedEOF, ""},
		{"not an object", `[]`, good, "expected", nil, ""},
		{"trailing", plainConfig + `} {}`, good, "something follows", nil, ""},
		{"not UTF-8", plainConfig + ",\"\xff\":1}", good, "isn't UTF-8", nil, ""},
		{"key twice", plainConfig + `,"r":4}`, good, `"r" stands twice`, nil, ""},
		{"pattern twice", plainConfig + `,"rank_pattern":{"q":2,"q":3}}`, good, `"q" stands twice`, nil, ""},
		{"no kind", `{"r":2,"lora_alpha":4}`, good, `peft_type is ""`, ErrAdapter, ""},
		{"other kind", `{"peft_type":"LOHA","r":2,"lora_alpha":4}`, good, `peft_type is "LOHA"`, ErrAdapter, ""},
		{"DoRA", plainConfig + `,"use_dora":true}`, good, "DoRA", ErrAdapter, ""},
		{"QA-LoRA", plainConfig + `,"use_qalora":true}`, good, "QA-LoRA", ErrAdapter, ""},
		{"activated", plainConfig + `,"alora_invocation_tokens":[1]}`, good, "activated LoRA", ErrAdapter, ""},
		{"biased", plainConfig + `,"lora_bias":true}`, good, "bias", ErrAdapter, ""},
		{"PiSSA", plainConfig + `,"init_lora_weights":"pissa_niter_16"}`, good, "path_initial_model_for_weight_conversion", ErrAdapter, ""},
		{"OLoRA", plainConfig + `,"init_lora_weights":"olora"}`, good, "changed the base", ErrAdapter, ""},
		{"no rank", `{"peft_type":"LORA","lora_alpha":4}`, good, "r, the rank, is missing", nil, ""},
		{"rank zero", `{"peft_type":"LORA","r":0,"lora_alpha":4}`, good, "not a positive whole number", nil, ""},
		{"rank fraction", `{"peft_type":"LORA","r":1.5,"lora_alpha":4}`, good, `r is "1.5"`, nil, ""},
		{"no alpha", `{"peft_type":"LORA","r":2}`, good, "lora_alpha is missing", nil, ""},
		{"alpha a string", `{"peft_type":"LORA","r":2,"lora_alpha":"4"}`, good, "lora_alpha is", nil, ""},
		{"alpha not finite", `{"peft_type":"LORA","r":2,"lora_alpha":NaN}`, good, "invalid character", nil, ""},
		{"pattern of rank fraction", plainConfig + `,"rank_pattern":{"q":1.5}}`, good, "rank_pattern gives", nil, ""},
		{"pattern a list", plainConfig + `,"rank_pattern":[]}`, good, "not an object", nil, ""},
		{"expression", plainConfig + `,"alpha_pattern":{"(?!a)q":1}}`, good, "isn't understood", nil, ""},
		{"rank of another", `{"peft_type":"LORA","r":8,"lora_alpha":4}`, good, "has rank 2, adapter_config.json says 8", nil, pre + "q.lora_A.weight"},
		{"rank by pattern", plainConfig + `,"rank_pattern":{"q":3}}`, good, "has rank 2, adapter_config.json says 3", nil, pre + "q.lora_A.weight"},
		{"B of another rank", plainConfig + `}`, with(pre+"q.lora_B.weight", 4, 3), "has rank 3", nil, pre + "q.lora_B.weight"},
		{"A alone", plainConfig + `}`, with(pre+"k.lora_A.weight", 2, 3), "B, is missing", nil, pre + "k.lora_A.weight"},
		{"B alone", plainConfig + `}`, with(pre+"k.lora_B.weight", 4, 2), "A, is missing", nil, pre + "k.lora_B.weight"},
		{"convolution", plainConfig + `}`, with(pre+"q.lora_A.weight", 2, 3, 1, 1), "not that of a matrix", ErrAdapter, pre + "q.lora_A.weight"},
		{"flat B", plainConfig + `}`, with(pre+"q.lora_B.weight", 8), "not that of a matrix", ErrAdapter, pre + "q.lora_B.weight"},
		{"two kinds of A", plainConfig + `}`, with(pre+"q.lora_embedding_A", 2, 3), "the same factor", nil, pre + "q.lora_embedding_A"},
		{"magnitudes", plainConfig + `}`, with(pre+"q.lora_magnitude_vector", 4), "DoRA", ErrAdapter, pre + "q.lora_magnitude_vector"},
		{"adapter's name inside", plainConfig + `}`, with(pre+"q.lora_A.default.weight", 2, 3), "no part of plain LoRA", ErrAdapter, pre + "q.lora_A.default.weight"},
		{"bare parameters", plainConfig + `}`, with(pre+"experts.base_layer.lora_A.weight", 2, 3), "bare parameters", ErrAdapter, pre + "experts.base_layer.lora_A.weight"},
		{"foreign name", plainConfig + `}`, with("q.weight", 2), "doesn't begin with base_model.model.", nil, "q.weight"},
		{"replaced twice", plainConfig + `}`, map[string][]int{pre + "e.base_layer.weight": {1}, pre + "e.weight": {1}}, "replaces the same tensor", nil, pre + "e.weight"},
		{"nothing", plainConfig + `}`, map[string][]int{}, "changes no tensor", nil, ""},
	} {
		a, err := OpenAdapter(adapterDir(t, c.config, c.tensors))
		e, ok := errors.AsType[*Error](err)
		if !ok || a != nil || !strings.Contains(err.Error(), c.want) || c.cause != nil && !errors.Is(err, c.cause) || e.Tensor != c.tensor || e.File == "" {
			t.Errorf("%s: got %v, want %q of tensor %q", c.name, err, c.want, c.tensor)
		}
	}
	big := adapterDir(t, strings.Repeat(" ", maxAdapterConfig+1), good)
	if _, err := OpenAdapter(big); err == nil || !strings.Contains(err.Error(), "is refused") {
		t.Errorf("a huge configuration: %v", err)
	}
}

func TestAdapterDoesNotFitItsBase(t *testing.T) {
	dir := adapterDir(t, plainConfig+`}`, map[string][]int{"base_model.model.q.lora_A.weight": {2, 3}, "base_model.model.q.lora_B.weight": {4, 2}})
	a, err := OpenAdapter(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for _, c := range []struct {
		base Entry
		want string
	}{
		{Entry{Name: "k.weight", Tensor: tensor.New(4, 3)}, "no such tensor in the base"},
		{Entry{Name: "q.weight", Tensor: tensor.New(4, 4)}, "shape [4 3], the base [4 4]"},
		{Entry{Name: "q.weight", Tensor: tensor.New(3, 4)}, "fan_in_fan_out"},
		{Entry{Name: "q.weight", DType: I8, Raw: make([]byte, 12), Shape: []int{4, 3}}, "unquantised"},
	} {
		var b bytes.Buffer
		if err := Encode(&b, []Entry{c.base}, nil); err != nil {
			t.Fatal(err)
		}
		base, err := Parse("base", b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		_, err = a.Over(base)
		if e, ok := errors.AsType[*Error](err); !ok || e.Tensor != "q.weight" || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
	if _, err := a.LowRank("k.weight"); !errors.Is(err, ErrNoTensor) {
		t.Error(err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "give the base as well") {
		t.Errorf("an adapter opened as a checkpoint: %v", err)
	}
	if !IsAdapter(dir) || IsAdapter(t.TempDir()) {
		t.Error("IsAdapter")
	}
}

// What is odd but harmless is said.
func TestAdapterWarnings(t *testing.T) {
	const pre = "base_model.model."
	dir := adapterDir(t, plainConfig+`,"bias":"all","modules_to_save":["score","lm_head"],"new_setting":1,"new_unset":null,"lora_dropout":0.1}`,
		map[string][]int{pre + "lm_head.weight": {1}, pre + "q.base_layer.bias": {1}, pre + "norm.weight": {1}})
	a, err := OpenAdapter(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	want := []string{
		`tensor "base_model.model.norm.weight" replaces one that modules_to_save doesn't name`,
		"the setting new_setting of adapter_config.json is unknown and taken to be about training",
		"modules_to_save names score, of which the adapter has no tensor",
	}
	if !slices.Equal(a.Warnings(), want) {
		t.Errorf("warnings %q", a.Warnings())
	}
	if got := []string{"lm_head.weight", "norm.weight", "q.bias"}; !slices.Equal(a.Targets(), got) {
		t.Errorf("targets %q, want %q", a.Targets(), got)
	}
	if key, ok := a.Full("q.bias"); !ok || key != pre+"q.base_layer.bias" {
		t.Errorf("q.bias is %q", key)
	}
}

// PEFT's rule: (.*\.)?(KEY)$ from the beginning, the first key that matches.
func TestPatterns(t *testing.T) {
	c, e := parseAdapterConfig([]byte(`{"peft_type":"LORA","r":8,"lora_alpha":16,
		"rank_pattern":{"^model.layers.0.q":1,"layers.0.q":2,"q|k":3,"layers\\.\\d+\\.v":4},
		"alpha_pattern":{"q":1}}`))
	if e != nil {
		t.Fatal(e)
	}
	for _, x := range []struct {
		module string
		r      int
		alpha  float64
	}{
		{"model.layers.0.q", 1, 1}, {"x.model.layers.0.q", 2, 1}, {"model.layers.10.q", 3, 1}, {"k", 3, 16},
		{"model.layers.12.v", 4, 16}, {"model.layers.x.v", 8, 16}, {"model.qq", 8, 16}, {"model.q.x", 8, 16}, {"", 8, 16},
	} {
		if r, scale := c.scale(x.module); r != x.r || scale != x.alpha/float64(x.r) {
			t.Errorf("%q has rank %d and scale %g, want %d and %g", x.module, r, scale, x.r, x.alpha/float64(x.r))
		}
	}
}

// The merge against a naive twin in every type, both ways round. Differences of
// small whole numbers are exact, so the twin has only the last rounding too.
func TestMergeAgainstTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	whole := func(m, n, limit int) *tensor.Tensor {
		x := tensor.New(m, n)
		for i := range x.Data {
			x.Data[i] = float32(r.IntN(2*limit+1) - limit)
		}
		return x
	}
	for _, transposed := range []bool{false, true} {
		for _, to := range []DType{F64, F32, F16, BF16, F8E4M3, F8E5M2, F8E4M3FNUZ, F8E5M2FNUZ} {
			l := &LowRank{A: whole(3, 5, 2), B: whole(4, 3, 2), Scale: 0.75, Transposed: transposed}
			m, n := l.Shape()
			w := whole(m, n, 100)
			w0, _, err := F64.Encode(nil, w.Data)
			if err != nil {
				t.Fatal(err)
			}
			got, err := l.Merge(w0, F64, to)
			if err != nil {
				t.Fatal(err)
			}
			want := make([]float64, m*n)
			for i := range m {
				for j := range n {
					sum := 0.0
					for k := range 3 {
						a, b := l.A.Data[k*5+j%5], l.B.Data[i%4*3+k]
						if transposed {
							a, b = l.A.Data[k*5+i], l.B.Data[j*3+k]
						}
						sum += float64(a) * float64(b)
					}
					want[i*n+j] = float64(w.Data[i*n+j]) + 0.75*sum
				}
			}
			code, bad, err := to.Encode64(nil, want)
			if err != nil || bad >= 0 {
				t.Fatal(bad, err)
			}
			if !bytes.Equal(got, code) {
				t.Errorf("%s, transposed %v: %x, want %x", to, transposed, got, code)
			}
		}
	}
}

// One rounding, not two: W0 = 1 and ΔW = 2^-8 + 2^-40 lie just above the middle
// between two bfloat16 codes. Rounded to float32 on the way, the sum would fall
// on the middle, and then down to the even code, 1.
func TestMergeRoundsOnce(t *testing.T) {
	l := &LowRank{A: tensor.Of([]float32{0x1p-8, 0x1p-40}, 2, 1), B: tensor.Of([]float32{1, 1}, 1, 2), Scale: 1}
	got, err := l.Merge([]byte{0x80, 0x3f}, BF16, BF16)
	if err != nil || !bytes.Equal(got, []byte{0x81, 0x3f}) {
		t.Errorf("got %x, %v", got, err)
	}
}

func TestMergeRefusals(t *testing.T) {
	l := &LowRank{A: tensor.Of([]float32{1, 2}, 1, 2), B: tensor.Of([]float32{1, 1e5}, 2, 1), Scale: 1}
	for _, c := range []struct {
		w0       []byte
		from, to DType
		want     string
	}{
		{make([]byte, 8), F16, F16, "element 2, 100000, is beyond the range of F16"},
		{make([]byte, 7), F16, BF16, "take 8 bytes, 7 are given"},
		{make([]byte, 4), I8, BF16, "nothing can be added to I8"},
		{make([]byte, 8), F16, I16, "floats don't convert to I16"},
	} {
		if _, err := l.Merge(c.w0, c.from, c.to); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
	short, err := l.Over(bytes.NewReader(make([]byte, 6)), BF16, BF16)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := short.ReadAt(make([]byte, 8), 0); n != 4 || !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "row 1") {
		t.Errorf("a base that ends early: %d bytes, %v", n, err)
	}
	nan := &LowRank{A: tensor.Of([]float32{float32(math.NaN())}, 1, 1), B: tensor.Of([]float32{1}, 1, 1), Scale: 1}
	if b, err := nan.Merge([]byte{0, 0}, BF16, BF16); err != nil || BF16To(uint16(b[0])|uint16(b[1])<<8) == 0 {
		t.Errorf("a NaN became %x, %v", b, err)
	}
}

// A replaced tensor may have a low-rank difference on top, as PEFT saves a
// resized embedding that is also a target.
func TestReplacedAndChanged(t *testing.T) {
	const pre = "base_model.model.e."
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "adapter_config.json"), []byte(`{"peft_type":"LORA","r":1,"lora_alpha":2,"modules_to_save":["e","score"]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	err := Write(filepath.Join(dir, "adapter_model.safetensors"), []Entry{
		{Name: pre + "lora_embedding_A", Tensor: tensor.Of([]float32{1, 2, 3}, 1, 3)},
		{Name: pre + "lora_embedding_B", Tensor: tensor.Of([]float32{10, 20}, 2, 1)},
		{Name: pre + "base_layer.weight", Tensor: tensor.Of([]float32{1, 1, 1, 1, 1, 1}, 3, 2)},
		{Name: "base_model.model.score.weight", Tensor: tensor.New(1)},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := OpenAdapter(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	var b bytes.Buffer
	if err := Encode(&b, []Entry{{Name: "e.weight", Tensor: tensor.New(2, 2)}}, nil); err != nil { // one row fewer than the adapter's
		t.Fatal(err)
	}
	base, err := Parse("base", b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	merged, err := a.Over(base)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(merged.Names(), []string{"e.weight", "score.weight"}) { // the head is new
		t.Errorf("names %q", merged.Names())
	}
	out := filepath.Join(t.TempDir(), "merged.safetensors")
	if err := Write(out, merged.Entries(), nil); err != nil {
		t.Fatal(err)
	}
	f, err := Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	x, err := f.Tensor("e.weight")
	if err != nil || !slices.Equal(x.Data, []float32{21, 41, 41, 81, 61, 121}) || !slices.Equal(x.Shape, []int{3, 2}) {
		t.Errorf("got %v %v", x, err)
	}
}

// Wherever a read begins and ends, the bytes are those of the whole.
func TestEveryReadOfASum(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	l := &LowRank{A: tensor.New(2, 5), B: tensor.New(3, 2), Scale: 1.5}
	for _, x := range []*tensor.Tensor{l.A, l.B} {
		for i := range x.Data {
			x.Data[i] = float32(r.NormFloat64())
		}
	}
	w0 := make([]byte, 3*5*2)
	whole, err := l.Merge(w0, BF16, F32)
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Over(bytes.NewReader(w0), BF16, F32)
	if err != nil {
		t.Fatal(err)
	}
	for lo := range len(whole) + 1 {
		for hi := lo; hi <= len(whole)+3; hi++ {
			p := make([]byte, hi-lo)
			n, err := s.ReadAt(p, int64(lo))
			want := whole[lo:min(hi, len(whole))]
			if n != len(want) || !bytes.Equal(p[:n], want) || (err == io.EOF) != (hi > len(whole)) || err != nil && err != io.EOF {
				t.Fatalf("bytes %d to %d: %x %v, want %x", lo, hi, p[:n], err, want)
			}
		}
	}
	if _, err := s.ReadAt(w0, -1); err == nil {
		t.Error("a negative offset is accepted")
	}
	// Rows longer than what is computed at a time.
	long := &LowRank{A: tensor.New(1, 3*block+7), B: tensor.Of([]float32{1, 2}, 2, 1), Scale: 1}
	for i := range long.A.Data {
		long.A.Data[i] = float32(i)
	}
	got, err := long.Merge(make([]byte, 2*4*len(long.A.Data)), F32, F32)
	if err != nil {
		t.Fatal(err)
	}
	values := make([]float32, 2*len(long.A.Data))
	if err := F32.Decode(values, got); err != nil {
		t.Fatal(err)
	}
	for i, v := range values {
		if n := len(long.A.Data); v != float32((i/n+1)*(i%n)) {
			t.Fatalf("element %d is %g", i, v)
		}
	}
}

// A merged model reads as a checkpoint does.
func TestMergedSections(t *testing.T) {
	base, want := openGolden(t, "base"), openGolden(t, "plain/merged.safetensors")
	a, err := OpenAdapter(filepath.Join(golden, "plain"))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	m, err := a.Over(base)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(m.Names(), base.Names()) {
		t.Errorf("names %q", m.Names())
	}
	for _, name := range m.Names() {
		from := want
		if _, ok := want.Info(name); !ok {
			from = base
		}
		b, wanted, err := from.Raw(name)
		if err != nil {
			t.Fatal(err)
		}
		r, info, err := m.Section(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, b) || info.Name != name || info.DType != wanted.DType || info.Bytes != r.Size() {
			t.Errorf("%s is %x %+v %v, want %x", name, got, info, err, b)
		}
		if i, ok := m.Info(name); !ok || i.Name != name || !slices.Equal(i.Shape, wanted.Shape) {
			t.Errorf("%s: %+v", name, i)
		}
	}
	if _, _, err := m.Section("x"); !errors.Is(err, ErrNoTensor) {
		t.Error(err)
	}
	if _, ok := m.Info("x"); ok {
		t.Error("x is described")
	}
}
