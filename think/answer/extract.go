package answer

import (
	"regexp"
	"strings"
)

// thinkEnd closes the reasoning part in texts whose server does not separate
// the two channels.
const thinkEnd = "</think>"

// DefaultPatterns are the phrases an Extractor looks for in a text without a
// box, in order of preference. Group 1 is the answer.
var DefaultPatterns = []*regexp.Regexp{
	// "The final answer is 42.", "**Final answer:** 42"
	regexp.MustCompile(`(?im)final\s+answer\s*(?:is\b|[:=])[\s:*]*(\S.*?)[ \t*]*(?:\.\s|\.?$)`),
	// GSM8K: "#### 42"
	regexp.MustCompile(`(?m)^####[ \t]*(\S.*?)[ \t]*$`),
	// "the correct option is (B)", "Answer: B"
	regexp.MustCompile(`(?i)(?:correct\s+(?:answer|choice|option)\s+is|answer\s*:)[\s:*]*\(?([A-Z])\b\)?`),
	// "The answer is 42.", "Answer: 42"
	regexp.MustCompile(`(?im)\banswer\s*(?:is\b|[:=])[\s:*]*(\S.*?)[ \t*]*(?:\.\s|\.?$)`),
}

// patternReach is how far from the end of a text patterns look, in bytes. Who
// announces a final answer and then writes 64 KiB more has changed their mind;
// and a regular expression reads a long text a hundred times slower than the
// search for boxes, which looks at all of it.
const patternReach = 64 << 10

// Extractor takes answers out of generated texts. The zero value is ready to
// use. It is safe for concurrent use.
type Extractor struct {
	// Patterns are tried in order on a text without a box; the last match of
	// the first pattern that matches gives the answer: its group 1, or the
	// whole match if the pattern has no group. They see the last 64 KiB of a
	// text. Nil means DefaultPatterns; a non-nil empty slice means none.
	Patterns []*regexp.Regexp
}

// Extract takes the answer out of one text with the zero Extractor.
func Extract(text string) (ans string, ok bool) { return Extractor{}.Extract(text) }

// ExtractChannels takes the answer out of the two channels of a reply with the
// zero Extractor.
func ExtractChannels(answerText, reasoningText string) (ans string, ok bool) {
	return Extractor{}.ExtractChannels(answerText, reasoningText)
}

// ExtractTruncated takes the answer out of the two channels of a reply that was
// cut off, with the zero Extractor.
func ExtractTruncated(answerText, reasoningText string) (ans string, ok bool) {
	return Extractor{}.ExtractTruncated(answerText, reasoningText)
}

// Extract takes the answer out of one text: first from what follows the last
// </think>, then from the rest. In each part the last complete box decides,
// then an unbraced box, then the patterns. An answer is never blank; ok is
// false if there is none. The time is linear in the length of the text.
func (x Extractor) Extract(text string) (ans string, ok bool) {
	if i := strings.LastIndex(text, thinkEnd); i >= 0 {
		if ans, ok = x.part(text[i+len(thinkEnd):]); ok {
			return ans, true
		}
		text = text[:i]
	}
	return x.part(text)
}

// ExtractChannels looks in the answer channel, and if that holds nothing, in
// the reasoning channel, each as [Extractor.Extract] does.
func (x Extractor) ExtractChannels(answerText, reasoningText string) (ans string, ok bool) {
	if ans, ok = x.Extract(answerText); ok {
		return ans, true
	}
	return x.Extract(reasoningText)
}

// ExtractTruncated takes the answer out of the two channels of a reply that was
// cut off by a limit on its length. What the cut may have changed is no answer:
// of the last line, which was not ended, only complete boxes count.
func (x Extractor) ExtractTruncated(answerText, reasoningText string) (ans string, ok bool) {
	if answerText != "" {
		answerText = settled(answerText)
	} else {
		reasoningText = settled(reasoningText)
	}
	return x.ExtractChannels(answerText, reasoningText)
}

// settled drops a last line that was not ended, unless a box is completed in it.
func settled(text string) string {
	lines := text[:strings.LastIndexByte(text, '\n')+1]
	ans, ok := Boxed(text)
	if before, had := Boxed(lines); ok && (!had || ans != before) {
		return text
	}
	return lines
}

func (x Extractor) part(text string) (ans string, ok bool) {
	if ans, ok = Boxed(text); ok {
		return ans, true
	}
	if ans, ok = unbraced(text); ok {
		return ans, true
	}
	patterns := x.Patterns
	if patterns == nil {
		patterns = DefaultPatterns
	}
	text = text[max(0, len(text)-patternReach):]
	for _, re := range patterns {
		if ans, ok = lastMatch(re, text); ok {
			return ans, true
		}
	}
	return "", false
}

// Boxed returns what stands in the last complete \boxed{…} or \fbox{…} of a
// text, without outer blanks. Of nested boxes the inner one counts. A box that
// is still open, or that holds nothing, is passed over for the one before it:
// this makes Boxed fit for texts cut off anywhere.
func Boxed(text string) (ans string, ok bool) {
	// open holds, for every brace not yet closed, where its content starts if
	// it belongs to a box, else -1.
	var open []int
	from := -1 // start of the best box so far
	for i := 0; i < len(text); {
		switch text[i] {
		case '\\':
			name := macroAt(text, i)
			i += 1 + len(name)
			if name != "boxed" && name != "fbox" {
				continue
			}
			if j := skipBlanks(text, i); j < len(text) && text[j] == '{' {
				i = j + 1
				open = append(open, i)
			}
			continue
		case '{':
			open = append(open, -1)
		case '}':
			if n := len(open); n > 0 {
				start := open[n-1]
				open = open[:n-1]
				// from > start: the box so far lies inside this one.
				if start > from {
					if body := strings.TrimSpace(text[start:i]); body != "" {
						ans, ok, from = body, true, start
					}
				}
			}
		}
		i++
	}
	return ans, ok
}

// macroAt returns the name of the TeX macro whose backslash is text[i]: letters,
// or one other byte, or nothing at the end of the text.
func macroAt(text string, i int) string {
	j := i + 1
	for j < len(text) && isLetter(text[j]) {
		j++
	}
	if j == i+1 && j < len(text) {
		j++
	}
	return text[i+1 : j]
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isBlank(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

func skipBlanks(s string, i int) int {
	for i < len(s) && isBlank(s[i]) {
		i++
	}
	return i
}

// unbraced reads the last \boxed that has no brace: its answer reaches up to a
// blank, a dollar sign, \) or \].
func unbraced(text string) (ans string, ok bool) {
	for end := len(text); ; {
		i := strings.LastIndex(text[:end], `\boxed`)
		if i < 0 {
			return "", false
		}
		end = i
		from := i + len(`\boxed`)
		if from < len(text) && isLetter(text[from]) {
			continue // a longer macro name
		}
		from = skipBlanks(text, from)
		if from < len(text) && text[from] == '{' {
			continue // a box that never closes
		}
		to := from
		for to < len(text) && !isBlank(text[to]) && text[to] != '$' {
			if text[to] == '\\' && to+1 < len(text) && (text[to+1] == ')' || text[to+1] == ']') {
				break
			}
			to++
		}
		if to > from {
			return text[from:to], true
		}
	}
}

// lastMatch returns the last match of a pattern that is not blank.
func lastMatch(re *regexp.Regexp, text string) (ans string, ok bool) {
	group := min(re.NumSubexp(), 1) * 2
	for _, m := range re.FindAllStringSubmatchIndex(text, -1) {
		if m[group] < 0 {
			continue
		}
		if s := strings.TrimSpace(text[m[group]:m[group+1]]); s != "" {
			ans, ok = s, true
		}
	}
	return ans, ok
}
