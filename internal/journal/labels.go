package journal

import (
	"fmt"
	"slices"

	"orrery/think/answer"
	"orrery/think/reason"
)

// labels stand for answers where text is not kept: equal answers, as package answer
// compares them, have the same, so that a vote can be counted again.
type labels map[answer.Key]int

func (l labels) of(text *string) *string {
	if text == nil {
		return nil
	}
	key := answer.KeyOf(*text)
	if l[key] == 0 {
		l[key] = len(l) + 1
	}
	label := fmt.Sprintf("#%d", l[key])
	return &label
}

// trace is t without texts.
func (l labels) trace(t reason.TraceResult) reason.TraceResult {
	t.Answer, t.Text, t.Reasoning, t.Matched, t.Thoughts = l.of(t.Answer), "", "", "", nil
	if t.Error != "" {
		t.Error = "not kept"
	}
	return t
}

// result is r without texts.
func (l labels) result(r *reason.Result) *reason.Result {
	c := *r
	c.Answer, c.Text = l.of(r.Answer), ""
	c.Votes, c.Traces, c.Warnings = slices.Clone(r.Votes), slices.Clone(r.Traces), slices.Clone(r.Warnings)
	for i := range c.Votes {
		c.Votes[i].Answer = *l.of(&c.Votes[i].Answer)
	}
	for i := range c.Traces {
		c.Traces[i] = l.trace(c.Traces[i])
	}
	for i := range c.Warnings {
		c.Warnings[i].Message = "" // it may quote a server
	}
	return &c
}
