package token

import (
	"fmt"
	"strings"
)

// NewWords makes a vocabulary in which each of the words is one id wherever it
// stands: its piece begins with a blank, and Encode sets a blank in front of
// every line, which Decode takes away again. So "Every" is the same id at the
// beginning of a line and inside it, which New with Pieces makes two, and a
// small model copies a word without learning that two ids mean the same.
//
// A word may be any text without blanks that New takes with a blank in front, such
// as "a" or "###". Everything else is as New has it: what is no word is bytes,
// special tokens are placed by callers only, every string has one encoding, and
// texts on both sides of a newline can be encoded apart. Texts cut elsewhere
// can't: each would begin a line.
func NewWords(words []string, specials ...string) (*Vocab, error) {
	pieces := make([]string, len(words))
	for i, w := range words {
		if strings.Contains(w, " ") {
			return nil, fmt.Errorf("token: the word %q holds a blank, which here begins each word by itself; leave it out", w)
		}
		pieces[i] = " " + w
	}
	v, err := New(pieces, specials...)
	if err != nil {
		return nil, err
	}
	v.spaced = true
	return v, nil
}

// Spaced reports whether the vocabulary was made by NewWords.
func (v *Vocab) Spaced() bool { return v.spaced }

// space sets a blank in front of the text and behind each newline that
// something follows.
func space(s string) string {
	if s == "" {
		return ""
	}
	t := " " + strings.ReplaceAll(s, "\n", "\n ")
	if strings.HasSuffix(s, "\n") {
		t = t[:len(t)-1]
	}
	return t
}

// unspace undoes space.
func unspace(s string) string {
	return strings.TrimPrefix(strings.ReplaceAll(s, "\n ", "\n"), " ")
}

// normalizer is space in Hugging Face's terms.
func (v *Vocab) normalizer() any {
	type object = map[string]any
	if !v.spaced {
		return nil
	}
	return object{"type": "Sequence", "normalizers": []any{
		object{"type": "Prepend", "prepend": " "},
		object{"type": "Replace", "pattern": object{"Regex": `\n(?=[\s\S])`}, "content": "\n "},
	}}
}

// decoder joins bytes, and undoes space.
func (v *Vocab) decoder() any {
	type object = map[string]any
	join := object{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}
	if !v.spaced {
		return join
	}
	return object{"type": "Sequence", "decoders": []any{
		join,
		object{"type": "Replace", "pattern": object{"String": "\n "}, "content": "\n"},
		object{"type": "Strip", "content": " ", "start": 1, "stop": 0},
	}}
}
