package latent

import (
	"slices"
	"strings"

	"orrery/learn/nn"
	"orrery/learn/token"
	"orrery/task"
)

// Mark begins the answer's line.
const Mark = "### "

// Sequence is everything that a model reads and writes for one problem.
type Sequence struct {
	IDs     []int // tokens, and nn.Thought for thoughts; ends in EOS
	Written int   // index of the first token that the model writes: it and all after it are supervised
}

// Layout puts problems into sequences.
type Layout struct {
	Vocab  *token.Vocab
	Method Method
}

// Prompt is what stands before the thoughts: BOS, question, newline and, if the
// method fills, <bot>.
func (l Layout) Prompt(p task.Problem) []int {
	ids := append([]int{l.Vocab.BOS()}, l.Vocab.Encode(p.Question+"\n")...)
	if l.Method.Fill() != Nothing {
		ids = append(ids, token.Bot)
	}
	return ids
}

// Filled is what stands between the prompt and what is written: n thoughts or
// pauses and <eot>; nothing for methods that do not fill.
func (l Layout) Filled(n int) []int {
	switch l.Method.Fill() {
	case Thoughts:
		return append(slices.Repeat([]int{nn.Thought}, n), token.Eot)
	case Pauses:
		return append(slices.Repeat([]int{token.Pause}, n), token.Eot)
	}
	return nil
}

// Steps is each step of the worked solution as tokens, a newline after each.
func (l Layout) Steps(p task.Problem) [][]int {
	out := make([][]int, len(p.Steps))
	for i, s := range p.Steps {
		out[i] = l.Vocab.Encode(s + "\n")
	}
	return out
}

// Sequence lays a problem out after a cut.
func (l Layout) Sequence(p task.Problem, c Cut) Sequence {
	ids := append(l.Prompt(p), l.Filled(c.Fill)...)
	s := Sequence{Written: len(ids)}
	steps := l.Steps(p)
	rest := slices.Concat(steps[min(c.Steps, len(steps)):]...)
	ids = append(ids, rest[min(c.Tokens, len(rest)):]...)
	ids = append(ids, l.Vocab.Encode(Mark+AnswerText(p))...)
	s.IDs = append(ids, l.Vocab.EOS())
	return s
}

// Generated is how many tokens a reply is charged for, in the published
// table's way: what is written, EOS included, and every thought; <bot>, <eot> and
// pause tokens, which a model reads as it reads the question, are not.
func (l Layout) Generated(written, filled int) int {
	if l.Method.Fill() == Thoughts {
		written += filled
	}
	return written
}

// AnswerText is a problem's answer as the published files write it: for ProsQA
// "N is a x.", else the answer as it is.
func AnswerText(p task.Problem) string {
	if g, ok := p.Data.(*task.Graph); ok && strings.HasPrefix(p.Task, "prosqa") {
		return g.IdxToSymbol[g.Root] + " is a " + p.Answer + "."
	}
	return p.Answer
}

// AnswerOf takes the answer out of a written text: what follows the last #,
// commas stripped. A text without one has no answer.
func AnswerOf(text string) (answer string, ok bool) {
	at := strings.LastIndexByte(text, '#')
	if at < 0 {
		return "", false
	}
	answer = strings.TrimSpace(strings.ReplaceAll(text[at+1:], ",", ""))
	return answer, answer != ""
}
