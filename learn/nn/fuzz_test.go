package nn

import (
	"strings"
	"testing"
)

// Whatever a config.json says: it is refused, or it is a shape whose numbers
// agree, and which is read again as itself.
func FuzzParseConfig(f *testing.F) {
	for _, s := range []string{
		`{"model_type": "llama", "vocab_size": 10, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "eos_token_id": [1, 2], "bos_token_id": null, "rope_theta": 1e4}`,
		`{"model_type": "orrery", "vocab_size": 10, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "norm": "layer", "positions": "learned", "mlp": "gelu", "max_position_embeddings": 32}`,
		`{"model_type": "llama", "num_attention_heads": -1, "num_key_value_heads": 3, "rope_parameters": {"rope_type": "default", "rope_theta": 0}}`,
		`{"model_type": "llama", "hidden_size": 9223372036854775807}`, `null`, `{"model_type": 3}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		c, err := ParseConfig([]byte(raw))
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" {
				t.Fatalf("%q is refused without a word", raw)
			}
			return
		}
		again, err := c.Resolved()
		if err != nil || again != c {
			t.Fatalf("%q is %+v, whose defaults are %+v, %v", raw, c, again, err)
		}
		if c.Heads <= 0 || c.HiddenSize <= 0 || c.VocabSize <= 0 || c.HeadDim <= 0 || c.KVHeads <= 0 || c.Heads%c.KVHeads != 0 {
			t.Fatalf("%q is accepted as %+v", raw, c)
		}
	})
}
