package export

import (
	"fmt"
	"path/filepath"

	"orrery/learn/checkpoint"
	"orrery/learn/nn"
	"orrery/learn/token"
)

// check says why other engines can't run the model as their architecture
// "llama": there it is causal, with rotary positions, RMS norms and SwiGLU.
func check(m *nn.Model, v *token.Vocab) error {
	c := m.Config
	for _, f := range []struct{ what, is, want string }{
		{"positions", c.Positions, "rotary"}, {"norm", c.Norm, "rms"}, {"mlp", c.MLP, "swiglu"},
	} {
		if f.is != f.want {
			return fmt.Errorf("export: the model's %s is %q, other engines' llama has %q only; such a model runs here alone", f.what, f.is, f.want)
		}
	}
	switch {
	case c.Bidirectional:
		return fmt.Errorf("export: the model is bidirectional, other engines' llama is causal; such a model runs here alone")
	case c.VocabSize != v.Size():
		return fmt.Errorf("export: the model has %d tokens, the vocabulary %d; give the vocabulary that it was trained with", c.VocabSize, v.Size())
	case c.BOS != v.BOS() || c.EOS != v.EOS():
		return fmt.Errorf("export: the model begins and ends with tokens %d and %d, the vocabulary with %d and %d; give the vocabulary that it was trained with", c.BOS, c.EOS, v.BOS(), v.EOS())
	}
	return nil
}

// writeGGUF writes model.gguf.
func writeGGUF(m *nn.Model, v *token.Vocab, dir string, dtype checkpoint.DType) error {
	if v.Spaced() {
		return fmt.Errorf("export: the vocabulary sets a blank in front of every line, which llama.cpp's tokenizer can't; use a hf format")
	}
	c := m.Config
	l := checkpoint.Llama{
		Name:   filepath.Base(filepath.Clean(dir)),
		Layers: c.Layers, Hidden: c.HiddenSize, Intermediate: c.Intermediate,
		Heads: c.Heads, KVHeads: c.KVHeads, HeadDim: c.HeadDim,
		VocabSize: c.VocabSize, MaxPositions: c.MaxPositions, BOS: c.BOS, EOS: c.EOS, Pad: token.Pad,
		RopeTheta: c.RopeTheta, NormEps: c.NormEps,
		ChatTemplate: token.ChatTemplate,
	}
	for id := range v.Size() {
		l.Tokens = append(l.Tokens, checkpoint.Text{Bytes: v.Name(id), Special: v.Special(id)})
	}
	for _, p := range m.Params() {
		l.Weights = append(l.Weights, checkpoint.Entry{Name: p.Name, Tensor: p.Val})
	}
	return l.WriteGGUF(filepath.Join(dir, "model.gguf"), dtype)
}
