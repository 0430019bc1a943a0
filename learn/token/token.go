// Package token turns text into token ids and back for the small models: a
// fixed vocabulary, longest match first. NewWords is a variant for models of
// which a word should be one id wherever it stands.
//
// Ids 0 to 15 are special tokens, which stand for no text; 16 to 271 are the
// 256 bytes; then come the words that New was given. At each place of a text
// the longest word that fits is taken, or else the one byte. So every string
// of bytes has exactly one encoding, and decoding gives it back, valid UTF-8
// or not. No word holds a digit or a newline: numbers are spelt digit by
// digit, and texts on both sides of a newline can be encoded apart.
//
// The same vocabulary is written as a tokenizer.json that Hugging Face's
// tokenizers load, and llama.cpp's "rwkv" tokenizer does the same matching;
// json.go says how far the three agree. Tokenizers of other models are not
// for this package.
package token

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Special tokens have fixed ids, so that checkpoints of different
// vocabularies agree on them. Unused places up to FirstByte are reserved.
const (
	Pad     = iota // fills rows in other engines; never in our own batches
	BOS            // begins every sequence
	EOS            // ends a solution
	Bot            // begins latent thoughts
	Eot            // ends them
	Thought        // holds the place of one
	Pause          // a step without content
	firstFree

	FirstByte = 16
	FirstWord = FirstByte + 256
)

var fixed = [firstFree]string{"<pad>", "<bos>", "<eos>", "<bot>", "<eot>", "<thought>", "<pause>"}

// Fragments are pieces other than words that worked solutions are full of.
var Fragments = []string{`\boxed{`, " = ", " + ", " - ", " * ", " / "}

// Vocab is a vocabulary. It is immutable and safe for concurrent use.
type Vocab struct {
	names  []string // of the special tokens, FirstByte of them
	pieces []string // by id, "" for special tokens
	trie   trie
	spaced bool // see NewWords
}

// New makes a vocabulary of the special tokens, the bytes and the given words,
// whose ids follow their order. A word is taken as it is, with its blanks; see
// Pieces. Further special tokens take the reserved places in order.
//
// Words must be UTF-8 of two bytes or more, all different, without digits or
// newlines, and must not contain a special token's name; otherwise the error
// names the word.
func New(words []string, specials ...string) (*Vocab, error) {
	v := &Vocab{names: append(slices.Clone(fixed[:]), specials...)}
	if len(v.names) > FirstByte {
		return nil, fmt.Errorf("token: %d special tokens asked for, there are places for %d beside the fixed ones", len(specials), FirstByte-firstFree)
	}
	for i := len(v.names); i < FirstByte; i++ {
		v.names = append(v.names, fmt.Sprintf("<unused%d>", i))
	}
	seen := map[string]bool{}
	for _, s := range v.names {
		if len(s) < 3 || s[0] != '<' || strings.IndexByte(s, '>') != len(s)-1 || !utf8.ValidString(s) || strings.ContainsAny(s[1:], "< \n") || seen[s] {
			return nil, fmt.Errorf("token: the special token %q isn't a new name in <>, without blanks", s)
		}
		seen[s] = true
	}
	v.pieces = make([]string, FirstWord, FirstWord+len(words))
	for b := range 256 {
		v.pieces[FirstByte+b] = string([]byte{byte(b)})
	}
	for _, w := range words {
		if err := v.refuse(w); err != nil {
			return nil, err
		}
		if seen[w] {
			return nil, fmt.Errorf("token: the word %q is given twice", w)
		}
		seen[w] = true
		v.pieces = append(v.pieces, w)
	}
	for id := FirstByte; id < len(v.pieces); id++ {
		v.trie.insert(v.pieces[id], int32(id))
	}
	return v, nil
}

// refuse says why a word can't be one.
func (v *Vocab) refuse(w string) error {
	why := ""
	switch {
	case len(w) < 2:
		why = "has fewer than two bytes, and single bytes are there already"
	case !utf8.ValidString(w):
		why = "isn't UTF-8"
	case strings.ContainsAny(w, "0123456789"):
		why = "holds a digit, and digits are tokens of their own"
	case strings.Contains(w, "\n"):
		why = "holds a newline, which is a token of its own"
	}
	for _, s := range v.names {
		if strings.Contains(w, s) {
			why = "holds the special token " + s
		}
	}
	if why == "" {
		return nil
	}
	return fmt.Errorf("token: the word %q %s; leave it out", w, why)
}

// Pieces makes a word list for New: each word with and without a leading
// blank, then Fragments, without duplicates and single bytes.
func Pieces(words []string) []string {
	var list []string
	seen := map[string]bool{}
	add := func(p string) {
		if len(p) > 1 && !seen[p] {
			seen[p] = true
			list = append(list, p)
		}
	}
	for _, w := range words {
		add(w)
		add(" " + w)
	}
	for _, f := range Fragments {
		add(f)
	}
	return list
}

// Size is the number of ids.
func (v *Vocab) Size() int { return len(v.pieces) }

// Encode splits a text greedily into the longest pieces. It never gives a
// special token, whatever the text says; callers place those themselves.
func (v *Vocab) Encode(s string) []int {
	if v.spaced {
		s = space(s)
	}
	ids := make([]int, 0, len(s)/2+1)
	for len(s) > 0 {
		id, n := v.trie.longest(s)
		ids = append(ids, int(id))
		s = s[n:]
	}
	return ids
}

// Decode joins the bytes of tokens; special tokens have none. It panics on ids
// outside the vocabulary.
func (v *Vocab) Decode(ids []int) string {
	var b strings.Builder
	for _, id := range ids {
		b.WriteString(v.pieces[id])
	}
	if v.spaced {
		return unspace(b.String())
	}
	return b.String()
}

// Bytes is what a token stands for: nil for special tokens.
func (v *Vocab) Bytes(id int) []byte {
	if id < FirstByte {
		return nil
	}
	return []byte(v.pieces[id])
}

// Name is a token's text for people: its bytes, or a special token's name.
func (v *Vocab) Name(id int) string {
	if id < FirstByte {
		return v.names[id]
	}
	return v.pieces[id]
}

// Special reports whether an id is that of a special token.
func (v *Vocab) Special(id int) bool { return id >= 0 && id < FirstByte }

// BOS is the id of the token that begins every sequence.
func (v *Vocab) BOS() int { return BOS }

// EOS is the id of the token that ends a solution.
func (v *Vocab) EOS() int { return EOS }

// ID finds a special token by its name, such as "<pause>".
func (v *Vocab) ID(special string) (int, bool) {
	i := slices.Index(v.names, special)
	return max(i, 0), i >= 0
}

// Words lists the words, in the order of their ids from FirstWord on.
func (v *Vocab) Words() []string { return slices.Clone(v.pieces[FirstWord:]) }

// Specials lists the names of ids 0 to FirstByte-1.
func (v *Vocab) Specials() []string { return slices.Clone(v.names) }
