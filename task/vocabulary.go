package task

import (
	"slices"
	"strings"
	"unicode"
)

// Vocabulary is the union of all registered tasks' Words, sorted, without
// duplicates.
func Vocabulary() []string {
	var all []string
	for _, t := range registry {
		all = append(all, t.Words()...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// wordsIn returns the maximal runs of letters in the texts, sorted, without
// duplicates.
func wordsIn(texts ...string) []string {
	var words []string
	for _, t := range texts {
		words = append(words, strings.FieldsFunc(t, func(r rune) bool { return !unicode.IsLetter(r) })...)
	}
	slices.Sort(words)
	return slices.Compact(words)
}

// tokens estimates the length of a text for a tokenizer with one token a word,
// digit, sign and newline, blanks belonging to what follows them. Generators
// keep their problems within a small model's context by it.
func tokens(text string) int {
	n, inWord := 0, false
	for _, r := range text {
		letter := unicode.IsLetter(r)
		if r != ' ' && !(letter && inWord) {
			n++
		}
		inWord = letter
	}
	return n
}
