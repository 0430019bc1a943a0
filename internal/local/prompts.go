package local

import (
	"slices"

	"orrery/learn/nn"
)

// promptCache keeps the caches of the last few prompts, so that the traces of
// one question pay for its prompt once. It belongs to the engine's loop.
type promptCache struct {
	keep    int // entries; 0 keeps none
	entries []prompt
}

type prompt struct {
	tokens []int
	seq    *nn.Seq
	logits []float32 // (V) after the last token
}

// start returns a sequence that continues the prompt, with the logits of its
// first token; the caller owns both.
func (c *promptCache) start(dec *nn.Decoder, tokens []int) (*nn.Seq, []float32, error) {
	i := slices.IndexFunc(c.entries, func(p prompt) bool { return slices.Equal(p.tokens, tokens) })
	if i < 0 {
		seq, logits, err := dec.Prefill(tokens)
		if err != nil {
			return nil, nil, err
		}
		c.entries = append(c.entries, prompt{tokens, seq, slices.Clone(logits)})
	} else { // the most recently used stands last
		p := c.entries[i]
		c.entries = append(slices.Delete(c.entries, i, i+1), p)
	}
	p := c.entries[len(c.entries)-1]
	fork := dec.Fork(p.seq)
	for len(c.entries) > c.keep {
		dec.Drop(c.entries[0].seq)
		c.entries = slices.Delete(c.entries, 0, 1)
	}
	return fork, slices.Clone(p.logits), nil
}
