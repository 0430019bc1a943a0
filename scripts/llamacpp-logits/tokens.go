package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"orrery/learn/token"
)

// compareTokens prints how many texts, random and not, both tokenizers split
// alike, and whether every token stands for the same bytes.
func (s subject) compareTokens(e *engine) bool {
	texts := slices.Collect(strings.Lines(prompts))
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 3000 {
		var b []byte
		for range 1 + r.IntN(40) {
			switch p := s.vocab.Bytes(token.FirstByte + r.IntN(s.vocab.Size()-token.FirstByte)); {
			case i%3 == 0: // any bytes
				b = append(b, byte(1+r.IntN(255)))
			case r.IntN(3) == 0: // a broken piece
				b = append(b, p[:1+r.IntN(len(p))]...)
			default:
				b = append(b, p...)
			}
		}
		texts = append(texts, strings.ReplaceAll(string(b), "\x00", ""))
	}
	texts = slices.DeleteFunc(texts, func(t string) bool {
		return t == "" || slices.ContainsFunc(s.vocab.Specials(), func(n string) bool { return strings.Contains(t, n) })
	})
	same := 0
	for _, t := range texts {
		if slices.Equal(s.vocab.Encode(t), e.tokenize(t, false)) {
			same++
		} else {
			fmt.Printf("  %q: ours %v, llama.cpp %v\n", t, s.vocab.Encode(t), e.tokenize(t, false))
		}
	}
	pieces := 0
	for id := range s.vocab.Size() {
		if e.piece(id, true) == s.vocab.Name(id) && e.piece(id, false) == string(s.vocab.Bytes(id)) {
			pieces++
		}
	}
	prompt := append([]int{token.BOS}, s.vocab.Encode("What?\n")...)
	bos := slices.Equal(e.tokenize("<bos>What?\n", true), prompt)
	fmt.Printf("%-22s tokens: %d of %d texts alike, %d of %d pieces, <bos> in a prompt %v\n", s.name, same, len(texts), pieces, s.vocab.Size(), bos)
	return same == len(texts) && pieces == s.vocab.Size() && bos
}
