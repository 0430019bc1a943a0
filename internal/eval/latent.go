package eval

import (
	"context"
	"fmt"

	"orrery/think/llm"
)

// Thinking is what a Result is of, where it is of a latent model.
type Thinking struct {
	Trained  string `json:"trained"`  // how the model was trained: "coconut", "thoughts", "cot", …
	Thoughts int    `json:"thoughts"` // hidden thoughts or pauses; 0: none
}

// RunThoughts evaluates a latent model as Run does, once for each number of
// thoughts, and joins the results.
func RunThoughts(ctx context.Context, g llm.Generator, thoughts []int, o Options, progress Progress) (*Report, error) {
	out := &Report{Options: o, Model: g.Info().Model, Partial: true}
	for i, k := range thoughts {
		o.Params.Thoughts = &k
		shown := func(done, total int, rec Record) {
			if progress != nil {
				rec.Method += fmt.Sprintf(", %d thoughts,", k)
				progress(i*total+done, len(thoughts)*total, rec)
			}
		}
		r, err := Run(ctx, g, o, shown)
		if r != nil {
			out.Results = append(out.Results, r.Results...)
			out.Records = append(out.Records, r.Records...)
		}
		if err != nil {
			return out, fmt.Errorf("%d thoughts: %w", k, err)
		}
	}
	out.Partial = false
	return out, nil
}

// thinking describes the rows of a run with these options; nil for models that are
// not latent.
func (o *Options) thinking(g llm.Generator) *Thinking {
	l := g.Info().Latent
	if l == nil {
		return nil
	}
	t := &Thinking{Trained: l.Method, Thoughts: l.Thoughts}
	if o.Params.Thoughts != nil {
		t.Thoughts = *o.Params.Thoughts
	}
	return t
}
