package llm

import (
	"unicode/utf8"
)

// Stops finds stop strings in one channel's text while it streams.
//
// The match that ends first wins; of two that end together, the longer. Text
// is released as soon as no stop string can begin in it: what is held back is
// the longest suffix that is a proper prefix of a stop string, and any
// character whose bytes are not all there. What is released does not depend on
// where the text was split.
//
// Released text is valid UTF-8: a byte that belongs to no character becomes
// U+FFFD, as encoding/json does it. The zero value has no stop strings and
// only joins characters. A Stops is for one goroutine.
type Stops struct {
	patterns []stopPattern
	buf      []byte // what the last call released, then what is held back
	cut      int    // where in buf the held bytes begin
	fixed    []byte // scratch for text with U+FFFD put in
	found    bool
}

// stopPattern is a Knuth–Morris–Pratt automaton. Requests carry a handful of
// stop strings, for which one automaton each beats a joint one (Aho–Corasick)
// in both memory and time.
type stopPattern struct {
	text string
	fail []int // fail[i]: length of the longest proper border of text[:i+1]
	at   int   // how many bytes of text the stream now ends with
}

// NewStops makes a matcher for the given stop strings. Empty ones are ignored.
func NewStops(stops ...string) *Stops {
	s := &Stops{}
	for _, text := range stops {
		if text == "" {
			continue
		}
		fail := make([]int, len(text))
		for i, j := 1, 0; i < len(text); i++ {
			for j > 0 && text[i] != text[j] {
				j = fail[j-1]
			}
			if text[i] == text[j] {
				j++
			}
			fail[i] = j
		}
		s.patterns = append(s.patterns, stopPattern{text: text, fail: fail})
	}
	return s
}

// step feeds one byte and reports whether the pattern ends with it.
func (p *stopPattern) step(b byte) bool {
	for p.at > 0 && p.text[p.at] != b {
		p.at = p.fail[p.at-1]
	}
	if p.text[p.at] == b {
		p.at++
	}
	return p.at == len(p.text)
}

// Push adds text and returns what of it can be released, valid until the next
// call. When a stop string is found, matched names it, text is what remains to
// be released before the match, and everything after is discarded, now and in
// later calls.
func (s *Stops) Push(p []byte) (text []byte, matched string) {
	if s.found {
		return nil, ""
	}
	held := copy(s.buf, s.buf[s.cut:])
	s.buf = append(s.buf[:held], p...)
	for i := held; i < len(s.buf); i++ {
		for j := range s.patterns {
			if s.patterns[j].step(s.buf[i]) && len(s.patterns[j].text) > len(matched) {
				matched = s.patterns[j].text
			}
		}
		if matched != "" {
			s.found, s.cut = true, len(s.buf)
			return s.valid(s.buf[:i+1-len(matched)]), matched
		}
	}
	s.cut = len(s.buf)
	for j := range s.patterns {
		s.cut = min(s.cut, len(s.buf)-s.patterns[j].at)
	}
	s.cut -= incomplete(s.buf[:s.cut])
	return s.valid(s.buf[:s.cut]), ""
}

// Close returns what was held back: the text has ended, so no stop string can
// be completed any more.
func (s *Stops) Close() []byte {
	if s.found {
		return nil
	}
	s.found = true
	return s.valid(s.buf[s.cut:])
}

// Held is how many bytes are held back: fewer than the longest stop string, or
// than one character.
func (s *Stops) Held() int { return len(s.buf) - s.cut }

// incomplete is how many bytes at the end of b begin a character that is not
// all there: 0 to 3.
func incomplete(b []byte) int {
	for n := 1; n <= min(len(b), utf8.UTFMax-1); n++ {
		if tail := b[len(b)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}

// valid returns b with U+FFFD for each byte that belongs to no character.
func (s *Stops) valid(b []byte) []byte {
	if utf8.Valid(b) {
		return b
	}
	s.fixed = s.fixed[:0]
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		s.fixed = utf8.AppendRune(s.fixed, r)
		b = b[n:]
	}
	return s.fixed
}
