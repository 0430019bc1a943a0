package web

import (
	"math"
	"strings"
	"unicode/utf8"
)

// piece is a part of a text: a token, several that share a character, or text that no
// token is known of.
type piece struct {
	Text    string   `json:"t"`
	Logprob *float64 `json:"p,omitempty"` // of the token that was sampled
	Best    []option `json:"a,omitempty"` // most likely first
}

type option struct {
	Text    string   `json:"t"`
	Logprob *float64 `json:"p"`
	Chosen  bool     `json:"c,omitempty"`
}

// reach is how far ahead in the text a token is looked for that is not where it
// should be: behind what the server did not name, or what a stop string took away.
const reach = 64

// pieces lays tokens over the text that they made. Servers do not name the token that
// was sampled, but its log-probability, and give text and tokens independently: a
// token is the alternative that has its log-probability, the one that goes on with the
// text where several have. All pieces together are the text.
func pieces(text string, tokens []token) []piece {
	var out []piece
	at, done := 0, 0 // of text: looked at, and put into pieces
	plain := func(to int) {
		if to > done {
			out = append(out, piece{Text: valid(text[done:to])})
			done = to
		}
	}
	for _, t := range tokens {
		start, end, chosen := t.place(text, at)
		if chosen < 0 || end > len(text) {
			continue
		}
		for end < len(text) && !utf8.RuneStart(text[end]) { // a part of a character
			end++
		}
		if end <= done {
			at = max(at, start+len(t.best[chosen].text))
			continue
		}
		begin := start
		for begin > done && !utf8.RuneStart(text[begin]) {
			begin--
		}
		plain(begin)
		p := piece{Text: valid(text[done:end]), Logprob: finite(t.logprob)}
		for i, a := range t.best {
			p.Best = append(p.Best, option{valid(a.text), finite(a.logprob), i == chosen})
		}
		out = append(out, p)
		at, done = start+len(t.best[chosen].text), end
	}
	plain(len(text))
	return out
}

// place finds a token's text from position at on; chosen -1: it isn't there.
func (t *token) place(text string, at int) (start, end, chosen int) {
	best, where := -1, len(text)+1
	for i, a := range t.best {
		if a.text == "" || a.logprob != t.logprob {
			continue
		}
		j := strings.Index(text[min(at, len(text)):min(at+reach+len(a.text), len(text))], a.text)
		if j >= 0 && j < where {
			best, where = i, j
		}
	}
	if best < 0 {
		return 0, 0, -1
	}
	return at + where, at + where + len(t.best[best].text), best
}

func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// finite is a number for JSON; log 0 is the least one that is shown.
func finite(v float64) *float64 {
	if math.IsNaN(v) {
		return nil
	}
	v = math.Max(-9999, math.Min(v, 0))
	return &v
}
