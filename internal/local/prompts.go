package local

import (
	"fmt"
	"math"
	"slices"

	"orrery/learn/nn"
	"orrery/learn/sample"
	"orrery/think/llm"
)

// opening is everything up to the first written token: what a model reads, and
// the hidden thoughts that it has then.
type opening struct {
	prompt   []int
	thoughts int
	after    []int               // read behind the thoughts; empty where there are none: it stands in the prompt
	name     func(id int) string // what a token is called where a thought is read; "": it is left out

	// score, if not nil, says of the logits (V) behind after how much they look
	// like an answer: of the numbers of thoughts from 1 on, the first with the greatest
	// score is what the text goes on from. All thoughts are had all the same.
	score func(logits []float32) float64
}

// promptCache keeps the caches of the last few openings, so that the traces of
// one question pay for its prompt and its thoughts once. It belongs to the
// engine's loop.
type promptCache struct {
	keep    int // entries; 0 keeps none
	entries []opened
}

// opened is an opening that the model has gone through. What its thoughts are
// called is not kept: two questions in other words can be one opening.
type opened struct {
	opening
	seq    *nn.Seq
	logits []float32   // (V) after the last token
	had    [][]float32 // (V) that each thought is read off from
	at     int         // the thought that the text goes on from, if there was a choice, else 0
}

// start returns a sequence that continues the opening, with the logits of its
// first token, both of which the caller owns, and what its thoughts held, in the
// words of o.
func (c *promptCache) start(dec *nn.Decoder, o opening) (*nn.Seq, []float32, []llm.Thought, error) {
	i := slices.IndexFunc(c.entries, func(e opened) bool {
		return e.thoughts == o.thoughts && (e.score == nil) == (o.score == nil) && slices.Equal(e.prompt, o.prompt) && slices.Equal(e.after, o.after)
	})
	if i < 0 {
		e, err := c.open(dec, o)
		if err != nil {
			return nil, nil, nil, err
		}
		c.entries = append(c.entries, e)
	} else { // the most recently used stands last
		e := c.entries[i]
		c.entries = append(slices.Delete(c.entries, i, i+1), e)
	}
	e := c.entries[len(c.entries)-1]
	fork := dec.Fork(e.seq)
	for len(c.entries) > c.keep {
		dec.Drop(c.entries[0].seq)
		c.entries = slices.Delete(c.entries, 0, 1)
	}
	thoughts := make([]llm.Thought, len(e.had))
	for n, logits := range e.had {
		holds, err := lens(logits, o.name)
		if err != nil {
			dec.Drop(fork)
			return nil, nil, nil, fmt.Errorf("thought %d: %w", n+1, err)
		}
		thoughts[n] = llm.Thought{Number: n + 1, Holds: holds, Answers: n+1 == e.at}
	}
	return fork, slices.Clone(e.logits), thoughts, nil
}

// open reads the prompt, feeds the thoughts and reads what is behind them. The
// logits from which a thought is read off are those of the state that is fed.
func (c *promptCache) open(dec *nn.Decoder, o opening) (e opened, err error) {
	e = opened{opening: o}
	seq, logits, err := dec.Prefill(o.prompt)
	if err != nil {
		return e, err
	}
	defer func() {
		if err != nil && e.seq != nil {
			dec.Drop(e.seq)
		}
		if e.seq != seq || err != nil {
			dec.Drop(seq)
		}
	}()
	best := math.Inf(-1)
	for n := range o.thoughts {
		e.had = append(e.had, slices.Clone(logits)) // the decoder reuses its own
		rows, err := dec.StepEmbeds([]*nn.Seq{seq}, [][]float32{slices.Clone(seq.Hidden())})
		if err != nil {
			return e, fmt.Errorf("thought %d: %w", n+1, err)
		}
		logits = slices.Clone(rows[0])
		if o.score == nil {
			continue
		}
		fork := dec.Fork(seq)
		if rows, err = dec.Extend([]*nn.Seq{fork}, [][]int{o.after}); err != nil {
			dec.Drop(fork)
			return e, fmt.Errorf("answering after thought %d: %w", n+1, err)
		}
		if x := o.score(rows[0]); !(x > best) && e.seq != nil {
			dec.Drop(fork)
			continue
		} else if best = x; e.seq != nil {
			dec.Drop(e.seq)
		}
		e.seq, e.logits, e.at = fork, slices.Clone(rows[0]), n+1
	}
	if e.seq != nil {
		return e, nil
	}
	if len(o.after) > 0 {
		rows, err := dec.Extend([]*nn.Seq{seq}, [][]int{o.after})
		if err != nil {
			return e, err
		}
		logits = rows[0]
	}
	e.seq, e.logits = seq, slices.Clone(logits)
	return e, nil
}

// readings are the most that are told of a thought: a breadth-first frontier of
// the published graphs has 3 to 5 nodes.
const readings = 8

// lens reads the likeliest words out of logits, leaving out those without a name.
func lens(logits []float32, name func(id int) string) (out []llm.Reading, err error) {
	for _, c := range sample.Top(nil, logits, len(logits)) {
		p := math.Exp(float64(c.Logprob))
		if math.IsNaN(p) {
			return nil, sample.ErrNotFinite
		}
		if text := name(c.Token); text != "" && len(out) < readings {
			out = append(out, llm.Reading{Text: text, P: min(p, 1)})
		}
	}
	return out, nil
}
