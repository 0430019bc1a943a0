package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"orrery/learn/tensor"
)

// Llama is a model of the Llama shape, for llama.cpp and its relatives:
// rotary positions, RMS norms, SwiGLU, grouped-query attention.
type Llama struct {
	Name                              string // shown by engines
	Layers, Hidden, Intermediate      int
	Heads, KVHeads, HeadDim           int
	VocabSize, MaxPositions, BOS, EOS int
	RopeTheta, NormEps                float64

	Pad          int    // -1: none
	Tokens       []Text // VocabSize of them
	ChatTemplate string // Jinja; "" if none

	// Weights are all tensors under Hugging Face's names. DType of an entry is
	// not looked at. A missing lm_head.weight means a tied one; biases of
	// projections are optional.
	Weights []Entry
}

// Text is one token of a vocabulary that matches the longest token first.
type Text struct {
	Bytes   string // of a special token, its name
	Special bool
}

// GGUF types of tokens.
const (
	ggufNormal  = 1
	ggufControl = 3
)

// ggufFileTypes are llama.cpp's numbers for "mostly of this type".
var ggufFileTypes = map[DType]uint32{F32: 0, F16: 1, BF16: 32}

// WriteGGUF writes the model as a GGUF file that llama.cpp loads: matrices as
// dtype (F32, F16 or BF16), vectors as F32.
//
// The vocabulary is written for llama.cpp's "rwkv" tokenizer, the one that
// takes the longest token at each place. That tokenizer never adds <bos> on
// its own, so add_bos_token is false, the chat template writes it, and a raw
// prompt must begin with its name. A special token's name in a text always
// becomes that token.
func (l Llama) WriteGGUF(path string, dtype DType) error {
	fail := func(err *Error) error { err.Op, err.File = "write", path; return err }
	list, err := l.tensors(dtype)
	if err != nil {
		return fail(err)
	}
	meta, err := l.metadata(dtype)
	if err != nil {
		return fail(err)
	}
	return Atomic(path, func(w io.Writer) error { return encodeGGUF(w, path, meta, list) })
}

// metadata is what llama.cpp wants to know of a model of architecture "llama".
func (l Llama) metadata(dtype DType) ([]KV, *Error) {
	if len(l.Tokens) != l.VocabSize {
		return nil, where("", -1, "%d tokens are given for a vocabulary of %d", len(l.Tokens), l.VocabSize)
	}
	texts, kinds := make([]string, len(l.Tokens)), make([]int32, len(l.Tokens))
	for i, t := range l.Tokens {
		texts[i], kinds[i] = escapeToken(t.Bytes), ggufNormal
		if t.Special {
			kinds[i] = ggufControl
		}
	}
	if err := l.checkTokens(texts); err != nil {
		return nil, where("", -1, "%w", err)
	}
	u := func(n int) uint32 { return uint32(n) }
	meta := []KV{
		{"general.architecture", "llama"},
		{"general.name", l.Name},
		{"general.file_type", ggufFileTypes[dtype]},
		{"general.alignment", u(ggufAlignment)},
		{"llama.context_length", u(l.MaxPositions)},
		{"llama.embedding_length", u(l.Hidden)},
		{"llama.block_count", u(l.Layers)},
		{"llama.feed_forward_length", u(l.Intermediate)},
		{"llama.attention.head_count", u(l.Heads)},
		{"llama.attention.head_count_kv", u(l.KVHeads)},
		{"llama.attention.key_length", u(l.HeadDim)},
		{"llama.attention.value_length", u(l.HeadDim)},
		{"llama.attention.layer_norm_rms_epsilon", float32(l.NormEps)},
		{"llama.rope.dimension_count", u(l.HeadDim)},
		{"llama.rope.freq_base", float32(l.RopeTheta)},
		{"llama.vocab_size", u(l.VocabSize)},
		{"tokenizer.ggml.model", "rwkv"},
		{"tokenizer.ggml.tokens", texts},
		{"tokenizer.ggml.token_type", kinds},
		{"tokenizer.ggml.bos_token_id", u(l.BOS)},
		{"tokenizer.ggml.eos_token_id", u(l.EOS)},
		{"tokenizer.ggml.add_bos_token", false},
		{"tokenizer.ggml.add_eos_token", false},
	}
	if l.Pad >= 0 {
		meta = append(meta, KV{"tokenizer.ggml.padding_token_id", u(l.Pad)})
	}
	if l.ChatTemplate != "" {
		meta = append(meta, KV{"tokenizer.chat_template", l.ChatTemplate})
	}
	return meta, nil
}

// checkTokens holds the vocabulary to what the engine's matching assumes: it
// loops for ever on a byte that no token begins with.
func (l Llama) checkTokens(texts []string) error {
	seen := map[string]bool{}
	for i, s := range texts {
		if s == "" || seen[s] {
			return fmt.Errorf("token %d, %q, is empty or stands twice", i, s)
		}
		seen[s] = true
	}
	for b := range 256 {
		if s := escapeToken(string([]byte{byte(b)})); !seen[s] {
			return fmt.Errorf("the byte %d is no token", b)
		}
	}
	ids := []int{l.BOS, l.EOS}
	if l.Pad >= 0 {
		ids = append(ids, l.Pad)
	}
	for _, id := range ids {
		if id < 0 || id >= len(l.Tokens) || !l.Tokens[id].Special {
			return fmt.Errorf("token %d is named as begin, end or padding but is no special token", id)
		}
	}
	return nil
}

// escapeToken writes a token's bytes as the "rwkv" tokenizer's text: backslash
// escapes for itself, tab, newline, return, and \xhh for control characters
// and whatever isn't UTF-8.
func escapeToken(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '\\':
			b.WriteString(`\\`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < 0x20, r == 0x7f, r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// place is one tensor of the architecture in both namings.
type place struct {
	hf, gguf string // without ".weight"
	shape    []int
	heads    int  // rows are rotated head by head
	bias     bool // may have one
}

// places lists the tensors of the architecture, in the order of the file.
func (l Llama) places() []place {
	d, q, kv := l.Hidden, l.Heads*l.HeadDim, l.KVHeads*l.HeadDim
	list := []place{{hf: "model.embed_tokens", gguf: "token_embd", shape: []int{l.VocabSize, d}}}
	for i := range l.Layers {
		for _, p := range []place{
			{"input_layernorm", "attn_norm", []int{d}, 0, false},
			{"self_attn.q_proj", "attn_q", []int{q, d}, l.Heads, true},
			{"self_attn.k_proj", "attn_k", []int{kv, d}, l.KVHeads, true},
			{"self_attn.v_proj", "attn_v", []int{kv, d}, 0, true},
			{"self_attn.o_proj", "attn_output", []int{d, q}, 0, true},
			{"post_attention_layernorm", "ffn_norm", []int{d}, 0, false},
			{"mlp.gate_proj", "ffn_gate", []int{l.Intermediate, d}, 0, true},
			{"mlp.up_proj", "ffn_up", []int{l.Intermediate, d}, 0, true},
			{"mlp.down_proj", "ffn_down", []int{d, l.Intermediate}, 0, true},
		} {
			p.hf, p.gguf = fmt.Sprintf("model.layers.%d.%s", i, p.hf), fmt.Sprintf("blk.%d.%s", i, p.gguf)
			list = append(list, p)
		}
	}
	return append(list, place{hf: "model.norm", gguf: "output_norm", shape: []int{d}},
		place{hf: "lm_head", gguf: "output", shape: []int{l.VocabSize, d}})
}

// tensors renames the weights, and checks that they are those of the
// architecture: none missing, none left over.
func (l Llama) tensors(dtype DType) ([]ggufTensor, *Error) {
	if _, ok := ggufTypes[dtype]; !ok {
		return nil, where("", -1, "%w %s: GGUF is written in F32, F16 or BF16", ErrUnsupported, dtype)
	}
	if l.Heads < 1 || l.KVHeads < 1 || l.Heads%l.KVHeads != 0 || l.HeadDim < 2 || l.HeadDim%2 != 0 {
		return nil, where("", -1, "%d heads over %d of keys and values, of %d dimensions, are no grouped-query attention with rotary pairs", l.Heads, l.KVHeads, l.HeadDim)
	}
	weights := map[string]Entry{}
	for _, e := range l.Weights {
		if e.Tensor == nil {
			return nil, where(e.Name, -1, "no tensor is given")
		}
		weights[e.Name] = e
	}
	if len(weights) != len(l.Weights) {
		return nil, where("", -1, "a name is given twice")
	}
	var list []ggufTensor
	take := func(p place, suffix string, shape []int) *Error {
		e, ok := weights[p.hf+suffix]
		delete(weights, p.hf+suffix)
		switch {
		case !ok && (suffix == ".bias" || p.hf == "lm_head"):
			return nil
		case !ok:
			return where(p.hf+suffix, -1, "%w", ErrNoTensor)
		case !slices.Equal(e.Tensor.Shape, shape):
			return where(e.Name, -1, "its shape is %v, the architecture wants %v", e.Tensor.Shape, shape)
		}
		kind := dtype
		if len(shape) == 1 {
			kind = F32 // llama.cpp adds and scales by vectors in float32 only
		}
		list = append(list, ggufTensor{Entry{Name: p.gguf + suffix, Tensor: e.Tensor, DType: kind}, p.heads})
		return nil
	}
	for _, p := range l.places() {
		if err := take(p, ".weight", p.shape); err != nil {
			return nil, err
		}
		if p.bias {
			if err := take(p, ".bias", p.shape[:1]); err != nil {
				return nil, err
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(weights)) {
		err := where(name, -1, "%w", errors.New("the architecture \"llama\" has no place for it"))
		err.Hint = "only models with rotary positions, RMS norms and SwiGLU can be exported"
		return nil, err
	}
	return list, nil
}

// interleaveRotary reorders the rows of a query or key projection (or its
// bias) from rotary pairs (i, i+hd/2), as Hugging Face rotates, to pairs
// (2i, 2i+1), as ggml does for "llama": within each head, row 2i+s is old row
// i + s·hd/2. Scores don't change, as queries and keys move alike.
func interleaveRotary(t *tensor.Tensor, heads int) *tensor.Tensor {
	out := tensor.New(t.Shape...)
	rows := t.Shape[0]
	width, half := len(t.Data)/max(rows, 1), rows/heads/2
	for r := range rows {
		head, i, s := r/(2*half), r%(2*half)/2, r%2
		from := head*2*half + i + s*half
		copy(out.Data[r*width:(r+1)*width], t.Data[from*width:(from+1)*width])
	}
	return out
}
