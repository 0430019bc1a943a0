package latent

import (
	"fmt"
	"strings"

	"orrery/learn/token"
	"orrery/task"
)

// Phrases and Words are the vocabularies that models here are trained with.
const (
	// Words has one token for each word, wherever it stands, and for each mark, as
	// the published word-level setting has.
	Words = "words"
	// Phrases has one token for "Every x is a" and "N is a", in question and
	// solution alike, and one for " x": a ProsQA sentence is three tokens, and the kind that it
	// leads to stands right behind the token that says from where, so that following
	// an edge is plain induction: find the same token, copy what comes next.
	// Other tasks have no phrases and their words are tokens.
	Phrases = "phrases"
)

// Vocabulary makes the vocabulary of a task.
func Vocabulary(t task.Task, kind string) (*token.Vocab, error) {
	switch {
	case kind != Words && kind != Phrases:
		return nil, fmt.Errorf("vocabulary %q: known are %s and %s", kind, Words, Phrases)
	case kind == Phrases && strings.HasPrefix(t.Name(), "prosqa"):
		return token.New(phrases())
	}
	return token.NewWords(append(t.Words(), strings.TrimSpace(Mark)))
}

func phrases() []string {
	persons, kinds := task.ProsQA{}.Names()
	list := []string{". ", " or", Mark}
	for _, n := range persons {
		list = append(list, n+" is a", "Is "+n+" a")
	}
	for _, k := range kinds {
		list = append(list, "Every "+k+" is a", " "+k)
	}
	return list
}
