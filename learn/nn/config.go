package nn

import (
	"fmt"
	"math"
)

// Config is the shape of a Model. Its JSON keys are those of Hugging Face's
// LlamaConfig where that has them. Zero stands for the default in each field
// that names one.
type Config struct {
	VocabSize    int `json:"vocab_size"`
	HiddenSize   int `json:"hidden_size"` // d, the width of the residual stream
	Layers       int `json:"num_hidden_layers"`
	Heads        int `json:"num_attention_heads"`
	KVHeads      int `json:"num_key_value_heads"`     // divides Heads; default Heads
	HeadDim      int `json:"head_dim"`                // default HiddenSize/Heads
	Intermediate int `json:"intermediate_size"`       // width of the MLP; default 4·HiddenSize
	MaxPositions int `json:"max_position_embeddings"` // default 2048

	Positions string  `json:"positions"`  // "rotary" (default), "learned" (added to the embeddings) or "none"
	RopeTheta float64 `json:"rope_theta"` // default 10000

	Norm    string  `json:"norm"`         // "rms" (default), "layer" or "none"
	NormEps float64 `json:"rms_norm_eps"` // default 1e-5

	MLP  string `json:"mlp"`            // "swiglu" (default), "gelu" (the tanh form) or "relu"
	Bias bool   `json:"attention_bias"` // biases in all projections, attention and MLP

	Tied          bool `json:"tie_word_embeddings"` // the head is the embedding table
	Bidirectional bool `json:"bidirectional"`       // every position sees its whole sequence

	BOS int `json:"bos_token_id"`
	EOS int `json:"eos_token_id"`
}

// Resolved is c with what is zero filled in, or an error that says what is impossible.
func (c Config) Resolved() (Config, error) {
	orElse := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	orElse(&c.KVHeads, c.Heads)
	if c.Heads > 0 && c.HeadDim == 0 {
		if c.HiddenSize%c.Heads != 0 {
			return c, fmt.Errorf("nn: hidden_size %d is not a multiple of num_attention_heads %d; set head_dim", c.HiddenSize, c.Heads)
		}
		c.HeadDim = c.HiddenSize / c.Heads
	}
	orElse(&c.Intermediate, 4*c.HiddenSize)
	orElse(&c.MaxPositions, 2048)
	for _, s := range []struct {
		v *string
		d string
	}{{&c.Positions, "rotary"}, {&c.Norm, "rms"}, {&c.MLP, "swiglu"}} {
		if *s.v == "" {
			*s.v = s.d
		}
	}
	if c.RopeTheta == 0 {
		c.RopeTheta = 10000
	}
	if c.NormEps == 0 {
		c.NormEps = 1e-5
	}
	return c, c.check()
}

func (c Config) check() error {
	for _, f := range []struct {
		key string
		v   int
	}{
		{"vocab_size", c.VocabSize}, {"hidden_size", c.HiddenSize}, {"num_hidden_layers", c.Layers},
		{"num_attention_heads", c.Heads}, {"num_key_value_heads", c.KVHeads}, {"head_dim", c.HeadDim},
		{"intermediate_size", c.Intermediate}, {"max_position_embeddings", c.MaxPositions},
	} {
		if f.v <= 0 || f.v > 1<<28 {
			return fmt.Errorf("nn: %s is %d, want 1 to 2²⁸", f.key, f.v)
		}
	}
	if c.Heads%c.KVHeads != 0 {
		return fmt.Errorf("nn: num_key_value_heads %d does not divide num_attention_heads %d", c.KVHeads, c.Heads)
	}
	for _, f := range []struct{ key, v, a, b, c string }{
		{"positions", c.Positions, "rotary", "learned", "none"},
		{"norm", c.Norm, "rms", "layer", "none"},
		{"mlp", c.MLP, "swiglu", "gelu", "relu"},
	} {
		if f.v != f.a && f.v != f.b && f.v != f.c {
			return fmt.Errorf("nn: %s is %q, want one of %q", f.key, f.v, []string{f.a, f.b, f.c})
		}
	}
	if c.Positions == "rotary" && c.HeadDim%2 != 0 {
		return fmt.Errorf("nn: head_dim %d is odd; rotary positions turn pairs", c.HeadDim)
	}
	if !(c.NormEps > 0) || !(c.RopeTheta > 0) || math.IsInf(c.NormEps, 0) || math.IsInf(c.RopeTheta, 0) {
		return fmt.Errorf("nn: rms_norm_eps %g and rope_theta %g must be positive numbers", c.NormEps, c.RopeTheta)
	}
	return nil
}
