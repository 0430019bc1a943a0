package task

import (
	"math/rand/v2"
	"slices"
)

// ProsQA is graph reachability in words (arXiv 2412.06769): a person, rules
// "Every c is a d.", and two candidate kinds of which the person is one.
//
//	level     shape
//	Easy      14 slots, 2–3 hops
//	Standard  the published files' statistics: 28 slots, 3–6 hops
//	Hard      longer chains: 38 slots, parents weighted 1 + 6·depth, 7–8 hops
//
// Every generated problem carries a *Graph as its Data.
type ProsQA struct{}

func init() { Register(ProsQA{}) }

func (ProsQA) Name() string { return "prosqa" }

func (ProsQA) About() string {
	return "which of two kinds a person belongs to, through a graph of is-a sentences"
}

func (ProsQA) Instruction() string {
	return `Follow the sentences from the person to one of the two kinds, and put that kind's name alone in \boxed{}.`
}

// Words lists the words of the sentences, the persons and the kinds.
func (ProsQA) Words() []string {
	texts := []string{"Every is a", "Is a or"}
	return wordsIn(append(append(texts, persons[:]...), kinds[:]...)...)
}

// Names lists the names of persons and of kinds.
func (ProsQA) Names() (who, what []string) {
	return slices.Clone(persons[:]), slices.Clone(kinds[:])
}

// ProsQAShapeOf is the shape of a level's graphs.
func ProsQAShapeOf(level Level) ProsQAShape {
	switch level {
	case Easy:
		return ProsQAShape{Slots: 14, Parents: 1.5, DepthWeight: 1.5, MinHops: 2, MaxHops: 3}
	case Hard:
		return ProsQAShape{Slots: 38, Parents: 1.5, DepthWeight: 6, MinHops: 7, MaxHops: 8}
	}
	return ProsQAShape{Slots: 28, Parents: 1.5, DepthWeight: 1.5, MinHops: 3, MaxHops: 6}
}

func (ProsQA) Generate(rng *rand.Rand, level Level) Problem {
	p := ProsQAShapeOf(level).Generate(rng)
	p.Level = level
	return p
}

// Verify accepts the kind's name, alone or with an article, and the sentence
// "N is a x." about the person of the question. A problem read from a file of
// another kind, without such a query, is compared as it stands.
func (ProsQA) Verify(p Problem, answer string) bool {
	q, ok := findQuery(p.Question)
	if !ok {
		return sameAnswer(p.Answer, answer)
	}
	kind, ok := q.candidate(answer)
	return ok && kind == p.Answer
}
