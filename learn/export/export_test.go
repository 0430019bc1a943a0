package export

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"orrery/learn/checkpoint"
	"orrery/learn/nn"
	"orrery/learn/token"
)

// small is a model with every feature of the shape: grouped queries, biases,
// an untied head, a head width of its own.
func small(t *testing.T) (*nn.Model, *token.Vocab) {
	t.Helper()
	v, err := token.New([]string{"the", " the", `\boxed{`})
	if err != nil {
		t.Fatal(err)
	}
	m, err := nn.New(nn.Config{VocabSize: v.Size(), HiddenSize: 16, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 6,
		Intermediate: 24, MaxPositions: 32, Bias: true, BOS: token.BOS, EOS: token.EOS}, 1)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for _, p := range m.Params() {
		for i := range p.Val.Data {
			p.Val.Data[i] += float32(r.NormFloat64())
		}
	}
	return m, v
}

func TestExportGGUF(t *testing.T) {
	m, v := small(t)
	sizes := map[string]int64{}
	for _, format := range []string{"gguf", "gguf-bf16", "gguf-f16"} {
		dir := filepath.Join(t.TempDir(), "new", "folder")
		if err := Export(format, m, v, dir); err != nil {
			t.Fatal(err)
		}
		list, _ := os.ReadDir(dir)
		if len(list) != 1 || list[0].Name() != "model.gguf" {
			t.Fatalf("%s: the folder holds %v", format, list)
		}
		data, err := os.ReadFile(filepath.Join(dir, "model.gguf"))
		if err != nil {
			t.Fatal(err)
		}
		sizes[format] = int64(len(data))
		for _, want := range []string{"GGUF\x03", "blk.1.ffn_down.weight", "blk.0.attn_k.bias", "output.weight", `\\boxed{`, token.ChatTemplate} {
			if !strings.Contains(string(data), want) {
				t.Errorf("%s: %q is nowhere in the file", format, want)
			}
		}
		again := t.TempDir()
		if err := Export(format, m, v, filepath.Join(again, "folder")); err != nil {
			t.Fatal(err)
		}
		if second, _ := os.ReadFile(filepath.Join(again, "folder", "model.gguf")); !slices.Equal(data, second) {
			t.Errorf("%s: the same model gave other bytes", format)
		}
	}
	matrices := int64(0)
	for _, p := range m.Params() {
		if len(p.Shape()) == 2 {
			matrices += int64(p.Val.Len())
		}
	}
	// Halving the matrices saves two bytes an element, less what alignment to
	// 32 bytes adds to each of the 17 matrices.
	for _, format := range []string{"gguf-bf16", "gguf-f16"} {
		if saved := sizes["gguf"] - sizes[format]; saved > 2*matrices || saved < 2*matrices-17*32 {
			t.Errorf("%s saves %d bytes on %d elements", format, saved, matrices)
		}
	}
}

func TestExportHF(t *testing.T) {
	m, v := small(t)
	for format, dtype := range map[string]checkpoint.DType{"hf": checkpoint.F32, "hf-bf16": checkpoint.BF16, "hf-f16": checkpoint.F16} {
		dir := t.TempDir()
		if err := Export(format, m, v, dir); err != nil {
			t.Fatal(err)
		}
		var names []string
		list, _ := os.ReadDir(dir)
		for _, e := range list {
			names = append(names, e.Name())
		}
		if want := []string{"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}; !slices.Equal(names, want) {
			t.Errorf("%s: the folder holds %q, want %q", format, names, want)
		}
		f, err := checkpoint.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range m.Params() {
			if i, ok := f.Info(p.Name); !ok || i.DType != dtype || !slices.Equal(i.Shape, p.Shape()) {
				t.Errorf("%s: %s is %+v", format, p.Name, i)
			}
		}
		f.Close()
		back, err := nn.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		if back.Config != m.Config {
			t.Errorf("%s: the configuration came back as %+v, was %+v", format, back.Config, m.Config)
		}
		for i, p := range back.Params() {
			for j, x := range p.Val.Data {
				want := m.Params()[i].Val.Data[j]
				switch dtype {
				case checkpoint.BF16:
					want = checkpoint.BF16To(checkpoint.BF16From(want))
				case checkpoint.F16:
					want = checkpoint.F16To(checkpoint.F16From(want))
				}
				if x != want {
					t.Fatalf("%s: %s[%d] is %g, want %g", format, p.Name, j, x, want)
				}
			}
		}
		if w, err := token.Load(dir); err != nil || w.Size() != v.Size() {
			t.Errorf("%s: tokenizer: %v", format, err)
		}
	}
}

func TestExportRefuses(t *testing.T) {
	_, v := small(t)
	base := nn.Config{VocabSize: v.Size(), HiddenSize: 16, Layers: 1, Heads: 2, MaxPositions: 16, BOS: token.BOS, EOS: token.EOS}
	for _, c := range []struct {
		change func(*nn.Config)
		format string
		want   string
	}{
		{func(c *nn.Config) { c.Positions = "learned" }, "gguf", `positions is "learned"`},
		{func(c *nn.Config) { c.Positions = "none" }, "hf", `positions is "none"`},
		{func(c *nn.Config) { c.Norm = "layer" }, "hf", `norm is "layer"`},
		{func(c *nn.Config) { c.Norm = "none" }, "gguf", `norm is "none"`},
		{func(c *nn.Config) { c.MLP = "gelu" }, "gguf", `mlp is "gelu"`},
		{func(c *nn.Config) { c.MLP = "relu" }, "hf", `mlp is "relu"`},
		{func(c *nn.Config) { c.Bidirectional = true }, "gguf", "bidirectional"},
		{func(c *nn.Config) { c.VocabSize++ }, "hf", "276 tokens, the vocabulary 275"},
		{func(c *nn.Config) { c.EOS = 5 }, "gguf", "tokens 1 and 5"},
		{func(c *nn.Config) {}, "onnx", `"onnx" is no format; there are hf, hf-bf16, hf-f16, gguf, gguf-bf16, gguf-f16`},
	} {
		config := base
		c.change(&config)
		m, err := nn.New(config, 1)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "out")
		if err := Export(c.format, m, v, dir); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: a refused export left a folder", c.want)
		}
	}
}
