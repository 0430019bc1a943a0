package local

import (
	"fmt"
	"strings"

	"orrery/learn/token"
)

// script is how one trace goes: what the model reads and thinks, how its tokens
// are written, and when it is done.
type script struct {
	opening
	names  []string                         // of each token in the text
	ends   func(id int) (last, unsaid bool) // of each drawn token: whether the text ends with it, and whether it is no part of the text
	spaced bool                             // words hold the blank before them, of which the first of a line has none in the text
	most   int                              // written tokens at most; 0: as many as fit
}

// language turns a question into a script. An error says what is wrong with the
// question, its hint what to do about it.
type language interface {
	// script reads a text. thoughts is the number asked for; nil: the model's own.
	script(text string, thoughts *int) (script, error)
}

// unreadable is a question that a model cannot be asked.
type unreadable struct{ words, remedy string }

func (e unreadable) Error() string { return e.words + ": " + e.remedy }

// tooLong is a question that does not fit into the model.
type tooLong struct{ tokens int }

func (e tooLong) Error() string { return fmt.Sprintf("it takes at least %d tokens", e.tokens) }

// plain is the language of ordinary text models: BOS and the text.
type plain struct {
	vocab *token.Vocab
	limit int // positions
	names []string
}

func newPlain(v *token.Vocab, limit int) *plain {
	p := &plain{vocab: v, limit: limit, names: make([]string, v.Size())}
	for id := range p.names {
		p.names[id] = string(v.Bytes(id))
	}
	return p
}

// longestToken bounds the bytes of one token, in order to refuse absurd
// prompts early.
const longestToken = 64

func (p *plain) script(text string, thoughts *int) (script, error) {
	if thoughts != nil && *thoughts != 0 {
		return script{}, noThoughts
	}
	// A token is at least one byte, so that an enormous text is refused before
	// it is cut into tokens: the longest token bounds how much can fit.
	if len(text) > p.limit*longestToken {
		return script{}, tooLong{len(text) / longestToken}
	}
	ids := append([]int{p.vocab.BOS()}, p.vocab.Encode(text)...)
	return script{opening: opening{prompt: ids}, names: p.names, spaced: p.vocab.Spaced(), ends: p.ends}, nil
}

func (p *plain) ends(id int) (last, unsaid bool) {
	eos := id == p.vocab.EOS()
	return eos, eos
}

// noThoughts is the answer to a request for thoughts where there are none.
var noThoughts = unreadable{"the model has no hidden thoughts", "leave the number of thoughts out, or ask a model that was trained to think in hidden states"}

// reading is a token's name as a thought's reading shows it.
func (p *plain) reading(id int) string {
	if name := strings.TrimSpace(p.names[id]); name != "" {
		return name
	}
	return p.vocab.Name(id)
}

// think puts thoughts behind what is read, and after behind them.
func (s *script) think(thoughts int, after []int, name func(id int) string) {
	if thoughts == 0 {
		s.prompt = append(s.prompt, after...)
		return
	}
	s.thoughts, s.after, s.name = thoughts, after, name
}
