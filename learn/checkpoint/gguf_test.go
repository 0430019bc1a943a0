package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"orrery/learn/tensor"
)

// ggufReader reads GGUF files by the format's description, for tests: it
// panics on anything unexpected.
type ggufReader struct {
	b    []byte
	at   int
	meta map[string]any
	keys []string
	tens map[string]ggufInfo
	list []string
}

type ggufInfo struct {
	dims []int // fastest first
	kind uint32
	data []byte
}

func (r *ggufReader) u32() uint32 { r.at += 4; return binary.LittleEndian.Uint32(r.b[r.at-4:]) }
func (r *ggufReader) u64() int    { r.at += 8; return int(binary.LittleEndian.Uint64(r.b[r.at-8:])) }
func (r *ggufReader) str() string { n := r.u64(); r.at += n; return string(r.b[r.at-n : r.at]) }

func (r *ggufReader) value(kind uint32) any {
	switch kind {
	case 4:
		return r.u32()
	case 5:
		return int32(r.u32())
	case 6:
		return math.Float32frombits(r.u32())
	case 7:
		r.at++
		return r.b[r.at-1] == 1
	case 8:
		return r.str()
	case 9:
		kind, n := r.u32(), r.u64()
		var list []any
		for range n {
			list = append(list, r.value(kind))
		}
		return list
	}
	panic(fmt.Sprintf("value type %d", kind))
}

func readGGUF(t *testing.T, path string) *ggufReader {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := &ggufReader{b: b, at: 4, meta: map[string]any{}, tens: map[string]ggufInfo{}}
	if string(b[:4]) != "GGUF" || r.u32() != 3 {
		t.Fatalf("begins with %q", b[:8])
	}
	tensors, keys := r.u64(), r.u64()
	for range keys {
		k := r.str()
		r.keys = append(r.keys, k)
		r.meta[k] = r.value(r.u32())
	}
	type info struct {
		name   string
		offset int
		ggufInfo
	}
	var infos []info
	for range tensors {
		i := info{name: r.str()}
		for range r.u32() {
			i.dims = append(i.dims, r.u64())
		}
		i.kind, i.offset = r.u32(), r.u64()
		infos = append(infos, i)
	}
	data := (r.at + 31) / 32 * 32
	end := data
	for _, i := range infos {
		if data+i.offset != (end+31)/32*32 {
			t.Errorf("%s is at %d, the one before ends at %d", i.name, data+i.offset, end)
		}
		size := map[uint32]int{0: 4, 1: 2, 30: 2}[i.kind]
		for _, d := range i.dims {
			size *= d
		}
		end = data + i.offset + size
		i.data = b[data+i.offset : end]
		r.tens[i.name] = i.ggufInfo
		r.list = append(r.list, i.name)
	}
	if len(b) != (end+31)/32*32 {
		t.Errorf("the file has %d bytes, the last tensor ends at %d", len(b), end)
	}
	return r
}

func random(r *rand.Rand, shape ...int) *tensor.Tensor {
	x := tensor.New(shape...)
	for i := range x.Data {
		x.Data[i] = float32(r.NormFloat64())
	}
	return x
}

// smallLlama is a model with grouped queries and a head width that isn't
// Hidden/Heads.
func smallLlama(bias, tied bool) Llama {
	l := Llama{Name: "small", Layers: 2, Hidden: 12, Intermediate: 20, Heads: 4, KVHeads: 2, HeadDim: 6,
		VocabSize: 262, MaxPositions: 64, BOS: 1, EOS: 2, RopeTheta: 1e4, NormEps: 1e-5, Pad: 0, ChatTemplate: "{{ bos_token }}"}
	for _, s := range []string{"<pad>", "<bos>", "<eos>"} {
		l.Tokens = append(l.Tokens, Text{s, true})
	}
	for b := range 256 {
		l.Tokens = append(l.Tokens, Text{string([]byte{byte(b)}), false})
	}
	for _, s := range []string{" the", `\boxed{`, "日\n\xff"} {
		l.Tokens = append(l.Tokens, Text{s, false})
	}
	r := rand.New(rand.NewPCG(1, 1))
	for _, p := range l.places() {
		if p.hf == "lm_head" && tied {
			continue
		}
		l.Weights = append(l.Weights, Entry{Name: p.hf + ".weight", Tensor: random(r, p.shape...)})
		if p.bias && bias {
			l.Weights = append(l.Weights, Entry{Name: p.hf + ".bias", Tensor: random(r, p.shape[0])})
		}
	}
	r.Shuffle(len(l.Weights), func(i, j int) { l.Weights[i], l.Weights[j] = l.Weights[j], l.Weights[i] })
	return l
}

func TestLlamaGGUF(t *testing.T) {
	for _, dtype := range []DType{F32, F16, BF16} {
		l := smallLlama(true, dtype == F16)
		path := filepath.Join(t.TempDir(), "m.gguf")
		if err := l.WriteGGUF(path, dtype); err != nil {
			t.Fatal(err)
		}
		r := readGGUF(t, path)
		if len(r.tens) != len(l.Weights) {
			t.Errorf("%d tensors, want %d", len(r.tens), len(l.Weights))
		}
		for k, want := range map[string]any{
			"general.architecture": "llama", "llama.block_count": uint32(2), "llama.embedding_length": uint32(12),
			"llama.feed_forward_length": uint32(20), "llama.attention.head_count": uint32(4), "llama.attention.head_count_kv": uint32(2),
			"llama.attention.key_length": uint32(6), "llama.rope.dimension_count": uint32(6), "llama.rope.freq_base": float32(1e4),
			"llama.attention.layer_norm_rms_epsilon": float32(1e-5), "llama.context_length": uint32(64), "llama.vocab_size": uint32(262),
			"tokenizer.ggml.model": "rwkv", "tokenizer.ggml.bos_token_id": uint32(1), "tokenizer.ggml.add_bos_token": false,
			"tokenizer.chat_template": "{{ bos_token }}", "general.alignment": uint32(32),
		} {
			if r.meta[k] != want {
				t.Errorf("%s is %v, want %v", k, r.meta[k], want)
			}
		}
		tokens := r.meta["tokenizer.ggml.tokens"].([]any)
		kinds := r.meta["tokenizer.ggml.token_type"].([]any)
		for i, text := range l.Tokens {
			if got := unescapeToken(t, tokens[i].(string)); got != text.Bytes {
				t.Errorf("token %d, %q, is read as %q", i, text.Bytes, got)
			}
			if (kinds[i] == int32(3)) != text.Special {
				t.Errorf("token %d has type %v", i, kinds[i])
			}
		}
		places := map[string]place{}
		for _, p := range l.places() {
			places[p.hf] = p
		}
		for _, w := range l.Weights {
			base, suffix, _ := strings.Cut(w.Name, ".weight")
			suffix = ".weight" + suffix
			if strings.HasSuffix(w.Name, ".bias") {
				base, suffix = strings.TrimSuffix(w.Name, ".bias"), ".bias"
			}
			p := places[base]
			got, ok := r.tens[p.gguf+suffix]
			if !ok {
				t.Fatalf("%s is missing; there are %v", p.gguf+suffix, r.list)
			}
			dims := slices.Clone(w.Tensor.Shape)
			slices.Reverse(dims)
			kind, stored := ggufTypes[dtype], dtype
			if len(dims) == 1 {
				kind, stored = 0, F32
			}
			if !slices.Equal(got.dims, dims) || got.kind != kind {
				t.Errorf("%s has dimensions %v and type %d", w.Name, got.dims, got.kind)
			}
			x := tensor.New(w.Tensor.Shape...)
			stored.decode(x.Data, got.data)
			if p.heads > 0 {
				x = uninterleave(x, p.heads)
			}
			rounded := make([]byte, 0)
			rounded, _, _ = stored.Encode(rounded, w.Tensor.Data)
			want := tensor.New(w.Tensor.Shape...)
			stored.decode(want.Data, rounded)
			if !slices.Equal(x.Data, want.Data) {
				t.Errorf("%s came back changed", w.Name)
			}
		}
	}
}

// unescapeToken reads a token's text by the rules of llama.cpp's tokenizer.
func unescapeToken(t *testing.T, s string) string {
	var b []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b = append(b, s[i])
			continue
		}
		i++
		switch s[i] {
		case 't':
			b = append(b, '\t')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 'x':
			v, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil || strings.ToLower(s[i+1:i+3]) != s[i+1:i+3] {
				t.Fatalf("%q: bad hexadecimal", s)
			}
			b = append(b, byte(v))
			i += 2
		default:
			b = append(b, s[i])
		}
	}
	return string(b)
}

// uninterleave is the inverse by definition: old row i + s·hd/2 of a head was
// written as row 2i + s.
func uninterleave(t *tensor.Tensor, heads int) *tensor.Tensor {
	out := tensor.New(t.Shape...)
	hd := t.Shape[0] / heads
	width := len(t.Data) / t.Shape[0]
	for h := range heads {
		for i := range hd / 2 {
			for s := range 2 {
				old, written := h*hd+i+s*hd/2, h*hd+2*i+s
				copy(out.Data[old*width:(old+1)*width], t.Data[written*width:(written+1)*width])
			}
		}
	}
	return out
}

// What the reordering is for: rotating neighbours (2i, 2i+1) of reordered
// queries and keys gives the attention scores of rotating (i, i+hd/2) of the
// original ones, at any two positions.
func TestInterleavedRotaryKeepsScores(t *testing.T) {
	const heads, hd, d = 3, 8, 5
	r := rand.New(rand.NewPCG(2, 2))
	wq, wk := random(r, heads*hd, d), random(r, heads*hd, d)
	x, y := random(r, d), random(r, d)
	project := func(w *tensor.Tensor, x *tensor.Tensor) []float32 {
		out := make([]float32, heads*hd)
		for i := range out {
			for j := range d {
				out[i] += w.Data[i*d+j] * x.Data[j]
			}
		}
		return out
	}
	angles := func(pos int) (cos, sin []float32) {
		for i := range hd / 2 {
			s, c := math.Sincos(float64(pos) * math.Pow(1e4, -2*float64(i)/hd))
			cos, sin = append(cos, float32(c)), append(sin, float32(s))
		}
		return cos, sin
	}
	half := func(v []float32, pos int) {
		cos, sin := angles(pos)
		for h := range heads {
			tensor.RotaryRow(v[h*hd:(h+1)*hd], slices.Clone(v[h*hd:(h+1)*hd]), cos, sin, false)
		}
	}
	neighbours := func(v []float32, pos int) {
		cos, sin := angles(pos)
		for i := 0; i < len(v); i += 2 {
			c, s := cos[i%hd/2], sin[i%hd/2]
			v[i], v[i+1] = v[i]*c-v[i+1]*s, v[i+1]*c+v[i]*s
		}
	}
	for _, pos := range [][2]int{{0, 0}, {7, 3}, {100, 1}} {
		q, k := project(wq, x), project(wk, y)
		half(q, pos[0])
		half(k, pos[1])
		qi, ki := project(interleaveRotary(wq, heads), x), project(interleaveRotary(wk, heads), y)
		neighbours(qi, pos[0])
		neighbours(ki, pos[1])
		for h := range heads {
			a, b := tensor.Dot(q[h*hd:(h+1)*hd], k[h*hd:(h+1)*hd]), tensor.Dot(qi[h*hd:(h+1)*hd], ki[h*hd:(h+1)*hd])
			// The same products in another order: 8 terms of size ~10, float32.
			if math.Abs(float64(a-b)) > 1e-4 {
				t.Errorf("positions %v, head %d: score %g became %g", pos, h, a, b)
			}
		}
	}
	if w := random(r, heads*hd, d); !slices.Equal(uninterleave(interleaveRotary(w, heads), heads).Data, w.Data) {
		t.Error("the reordering and its inverse don't cancel")
	}
}

func TestEscapeToken(t *testing.T) {
	for in, want := range map[string]string{
		"the": "the", " a": " a", `\boxed{`: `\\boxed{`, "\t\n\r": `\t\n\r`, "\x00\x1f\x7f": `\x00\x1f\x7f`,
		"\xff": `\xff`, "日": "日", "日\xe6": `日\xe6`, "\ufffd": "\ufffd", "'\"": "'\"",
	} {
		if got := escapeToken(in); got != want {
			t.Errorf("%q is written %q, want %q", in, got, want)
		}
	}
}

func TestLlamaGGUFRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(l *Llama)
		dtype  DType
		tensor string
		want   string
	}{
		{"missing", func(l *Llama) {
			l.Weights = slices.DeleteFunc(l.Weights, func(e Entry) bool { return strings.Contains(e.Name, "1.mlp.up_proj") })
		}, F32, "model.layers.1.mlp.up_proj.weight", "no such tensor"},
		{"left over", func(l *Llama) {
			l.Weights = append(l.Weights, Entry{Name: "model.embed_positions.weight", Tensor: tensor.New(64, 12)})
		}, F32, "model.embed_positions.weight", "no place"},
		{"twice", func(l *Llama) { l.Weights = append(l.Weights, l.Weights[0]) }, F32, "", "twice"},
		{"shape", func(l *Llama) { l.Layers, l.Intermediate = 2, 21 }, F32, "model.layers.0.mlp.gate_proj.weight", "wants [21 12]"},
		{"heads", func(l *Llama) { l.KVHeads = 3 }, F32, "", "grouped-query"},
		{"dtype", func(l *Llama) {}, F64, "", "unsupported dtype F64"},
		{"fewer tokens", func(l *Llama) { l.Tokens = l.Tokens[1:] }, F32, "", "261 tokens"},
		{"byte missing", func(l *Llama) { l.Tokens[50].Bytes = "long" }, F32, "", "the byte 47 is no token"},
		{"token twice", func(l *Llama) { l.Tokens[261].Bytes = " the" }, F32, "", "twice"},
		{"eos is text", func(l *Llama) { l.EOS = 5 }, F32, "", "no special token"},
		{"range", func(l *Llama) {
			for _, w := range l.Weights {
				if w.Name == "model.embed_tokens.weight" {
					w.Tensor.Data[3] = 1e6
				}
			}
		}, F16, "token_embd.weight", "beyond the range of F16"},
	} {
		l := smallLlama(false, false)
		c.change(&l)
		dir := t.TempDir()
		err := l.WriteGGUF(filepath.Join(dir, "m.gguf"), c.dtype)
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Tensor != c.tensor || !strings.Contains(err.Error(), c.want) || e.File == "" || e.Op != "write" {
			t.Errorf("%s: got %v, want %q in tensor %q", c.name, err, c.want, c.tensor)
		}
		if list, _ := os.ReadDir(dir); len(list) != 0 {
			t.Errorf("%s: left %v", c.name, list)
		}
	}
	// The container alone.
	for _, c := range []struct {
		meta    []KV
		entries []Entry
		want    string
	}{
		{[]KV{{"a", 1}}, nil, "Go type int"},
		{[]KV{{"a", true}, {"a", true}}, nil, "twice"},
		{nil, []Entry{{Name: "x", Tensor: tensor.New()}}, "dimensions"},
		{nil, []Entry{{Name: strings.Repeat("x", 64), Tensor: tensor.New(1)}}, "63"},
		{nil, []Entry{{Name: "x", Raw: []byte{1}, DType: U8, Shape: []int{1}}}, "unsupported dtype U8"},
	} {
		if err := WriteGGUF(filepath.Join(t.TempDir(), "m.gguf"), c.meta, c.entries); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got %v, want %q", c.meta, err, c.want)
		}
	}
}
