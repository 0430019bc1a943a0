package answer

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// thin is a thin space: a blank that may stand between groups of three digits.
const thin = '\u2009'

// dropped macros change size or style only.
var dropped = set("left", "right", "middle", "big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr",
	"biggl", "biggr", "Biggl", "Biggr", "displaystyle", "textstyle", "scriptstyle", "limits", "nolimits",
	"mathstrut", "bf", "rm", "it", "tt", "sf", "mathopen", "mathclose", "nonumber", "notag", "rule")

// unwrapped macros set their argument in another font.
var unwrapped = set("text", "textrm", "textbf", "textit", "textsf", "texttt", "textnormal", "textup", "mbox",
	"hbox", "mathrm", "mathbf", "mathit", "mathsf", "mathtt", "mathnormal", "boldsymbol", "bm", "bold",
	"operatorname", "boxed", "fbox", "emph", "underline", "ensuremath", "mathbin", "mathrel", "mathord")

// blanks are macros for horizontal space.
var blanks = set("quad", "qquad", "thinspace", "enspace", "space", "nobreakspace", "medspace", "thickspace",
	";", ":", ">", " ", "\t", "\n", "(", ")", "[", "]")

// respelled macros have a shorter synonym.
var respelled = map[string]string{
	"dfrac": `\frac`, "tfrac": `\frac`, "cfrac": `\frac`, "dbinom": `\binom`, "tbinom": `\binom`,
	"R": "ℝ", "reals": "ℝ", "Reals": "ℝ", "Z": "ℤ", "N": "ℕ", "Q": "ℚ", "C": "ℂ",
	"degree": "°", "textdegree": "°", "deg": "°", "textdollar": "$", "dollar": "$",
	"$": "$", "%": "%", "#": "#", "&": "&", "_": "_", "!": "", ",": string(thin),
	"{": `\{`, "}": `\}`, "lbrace": `\{`, "rbrace": `\}`, "lbrack": "[", "rbrack": "]", "lparen": "(", "rparen": ")",
}

// symbols are Unicode signs with an ASCII or TeX spelling.
var symbols = map[rune]string{
	'−': "-", '﹣': "-", '‐': "-", '‑': "-",
	'×': `\times `, '÷': `\div `, '·': `\cdot `, '⋅': `\cdot `, '∙': `\cdot `, '√': `\sqrt `, '∕': "/", '\u00b5': "μ", '⁄': "/",
	'±': `\pm `, '∓': `\mp `, 'º': "°", '˚': "°", '℃': "°C", '℉': "°F", '…': "...", '。': ".", '、': ",",
	'½': `\frac{1}{2}`, '⅓': `\frac{1}{3}`, '⅔': `\frac{2}{3}`, '¼': `\frac{1}{4}`, '¾': `\frac{3}{4}`,
	'⅕': `\frac{1}{5}`, '⅖': `\frac{2}{5}`, '⅗': `\frac{3}{5}`, '⅘': `\frac{4}{5}`, '⅙': `\frac{1}{6}`,
	'⅚': `\frac{5}{6}`, '⅐': `\frac{1}{7}`, '⅛': `\frac{1}{8}`, '⅜': `\frac{3}{8}`, '⅝': `\frac{5}{8}`,
	'⅞': `\frac{7}{8}`, '⅑': `\frac{1}{9}`, '⅒': `\frac{1}{10}`,
	'“': `"`, '”': `"`, '‘': "'", '’': "'", '\u00a0': string(thin), '\u202f': string(thin), '\u2009': string(thin),
	'\u200b': "", '\u200c': "", '\u200d': "", '\u2060': "", '\ufeff': "", '⩽': "≤", '⩾': "≥", '⋃': "∪",
	'\u2000': " ", '\u2001': " ", '\u2002': " ", '\u2003': " ", '\u2004': " ", '\u2005': " ", '\u2006': " ",
	'\u2007': " ", '\u2008': " ", '\u3000': " ",
}

const superscripts = "⁰¹²³⁴⁵⁶⁷⁸⁹"

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

// clean drops what concerns the typography of an answer only: mathematical
// delimiters, fonts, sizes, spacing, Unicode variants, a final period. In its
// result a dollar sign is always a currency. Linear in len(s).
func clean(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	s = strings.Trim(strings.TrimSpace(s), "`")
	if len(s) > 4 && strings.HasPrefix(s, "**") && strings.HasSuffix(s, "**") {
		s = s[2 : len(s)-2]
	}
	delim := delimiters(s)
	var b strings.Builder
	b.Grow(len(s))
	var open []bool // for every open brace: does it belong to an unwrapped macro?
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '\\':
			name := macroAt(s, i)
			if len(name) == 1 && name[0] >= utf8.RuneSelf {
				name = ""
			}
			i += 1 + len(name)
			i = cleanMacro(&b, s, i, name, &open)
		case c == '$' && delim[i]:
			b.WriteByte(' ')
			i++
		case c == '{':
			if rest := s[i:]; strings.HasPrefix(rest, "{,}") { // a typeset thousands separator
				b.WriteString("{,}")
				i += 3
				continue
			}
			open = append(open, false)
			b.WriteByte(c)
			i++
		case c == '}':
			i++
			if n := len(open); n > 0 {
				unwrap := open[n-1]
				open = open[:n-1]
				if unwrap {
					b.WriteByte(' ')
					continue
				}
			}
			b.WriteByte(c)
		case c == ',':
			b.WriteString(comma(s, &i))
		case c == '^':
			if j := degreeAt(s, i); j > 0 {
				b.WriteString("°")
				i = j
				continue
			}
			b.WriteByte(c)
			i++
		case c == '~':
			b.WriteByte(' ')
			i++
		case c < utf8.RuneSelf:
			b.WriteByte(c)
			i++
		default:
			i += cleanRune(&b, s[i:])
		}
	}
	return strings.TrimRight(strings.TrimSpace(b.String()), ".,;: \t\n\r\u2009")
}

// comma reads the comma at s[*i]. One drawn towards three digits, as in
// 11,\! 111, was typeset to separate thousands.
func comma(s string, i *int) string {
	*i++
	if !strings.HasPrefix(s[*i:], `\!`) {
		return ","
	}
	j := skipBlanks(s, *i+len(`\!`))
	n := 0
	for j+n < len(s) && n < 4 && isDigit(s[j+n]) {
		n++
	}
	if n != 3 {
		return ","
	}
	*i = j
	return "{,}"
}

// cleanMacro writes what remains of a macro whose name ends at s[i], and
// returns where to go on.
func cleanMacro(b *strings.Builder, s string, i int, name string, open *[]bool) int {
	short, respell := respelled[name]
	switch {
	case dropped[name]:
		// \left. and \right. are invisible brackets.
		if (name == "left" || name == "right") && i < len(s) && s[i] == '.' {
			i++
		}
	case unwrapped[name]:
		b.WriteByte(' ')
		if j := skipBlanks(s, i); j < len(s) && s[j] == '{' {
			*open = append(*open, true)
			i = j + 1
		}
	case name == "mathbb" || name == "Bbb":
		j := skipBlanks(s, i)
		braced := j < len(s) && s[j] == '{'
		if braced {
			j = skipBlanks(s, j+1)
		}
		if j < len(s) {
			if sign, ok := respelled[s[j:j+1]]; ok && isLetter(s[j]) {
				b.WriteString(sign)
				i = j + 1
				if i = skipBlanks(s, i); braced && i < len(s) && s[i] == '}' {
					i++
				}
			}
		}
	case blanks[name]:
		b.WriteByte(' ')
	case respell:
		b.WriteString(short)
	default:
		b.WriteByte('\\')
		b.WriteString(name)
	}
	return i
}

// cleanRune writes the first rune of s, which is not ASCII, in its usual
// spelling and returns its length in s.
func cleanRune(b *strings.Builder, s string) int {
	r, n := utf8.DecodeRuneInString(s)
	switch short, ok := symbols[r]; {
	case ok:
		b.WriteString(short)
	case strings.ContainsRune(superscripts, r):
		b.WriteString("^{")
		for n = 0; n < len(s); {
			r, w := utf8.DecodeRuneInString(s[n:])
			at := strings.IndexRune(superscripts, r)
			if at < 0 {
				break
			}
			b.WriteByte(byte('0' + utf8.RuneCountInString(superscripts[:at])))
			n += w
		}
		b.WriteByte('}')
	case unicode.Is(unicode.Nd, r):
		b.WriteByte('0' + digitValue(r))
	case 0xff01 <= r && r <= 0xff5e: // full-width ASCII
		b.WriteByte(byte(r - 0xfee0))
	default:
		b.WriteRune(r)
	}
	return n
}

// digitValue is the value of a decimal digit of any script. Unicode keeps each
// script's ten digits together and in order, and every range of category Nd
// starts with a zero.
func digitValue(r rune) byte {
	for _, g := range unicode.Nd.R16 {
		if rune(g.Lo) <= r && r <= rune(g.Hi) {
			return byte((r - rune(g.Lo)) % 10)
		}
	}
	for _, g := range unicode.Nd.R32 {
		if rune(g.Lo) <= r && r <= rune(g.Hi) {
			return byte((r - rune(g.Lo)) % 10)
		}
	}
	return 0
}

// degreeAt returns the end of a raised circle that starts with the ^ at s[i],
// as in 90^\circ or 90^{\circ}; 0 if there is none.
func degreeAt(s string, i int) int {
	j := skipBlanks(s, i+1)
	braced := j < len(s) && s[j] == '{'
	if braced {
		j = skipBlanks(s, j+1)
	}
	if j >= len(s) || s[j] != '\\' {
		return 0
	}
	name := macroAt(s, j)
	if name != "circ" && name != "degree" {
		return 0
	}
	j += 1 + len(name)
	if braced {
		if j = skipBlanks(s, j); j >= len(s) || s[j] != '}' {
			return 0
		}
		j++
	}
	return j
}

// delimiters finds the dollar signs that delimit mathematics; the others are
// currency. As in Markdown, what opens has no blank behind it; what closes has
// none before it and no digit behind it.
func delimiters(s string) map[int]bool {
	if !strings.Contains(s, "$") {
		return nil
	}
	delim := make(map[int]bool)
	opened := -1
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			i++
		case s[i] != '$':
		case i+1 < len(s) && s[i+1] == '$':
			delim[i], delim[i+1] = true, true
			i++
		case opened >= 0 && !isBlank(s[i-1]) && (i+1 == len(s) || !isDigit(s[i+1])):
			delim[opened], delim[i] = true, true
			opened = -1
		case i+1 < len(s) && !isBlank(s[i+1]):
			opened = i
		}
	}
	return delim
}

// Text keys that would read as something else are set in these brackets, which
// KeyOf takes off again without looking inside.
const textOpen, textClose = "⟦", "⟧"

func wrapped(s string) bool {
	return len(s) > len(textOpen)+len(textClose) && strings.HasPrefix(s, textOpen) && strings.HasSuffix(s, textClose)
}

// plainText is the form in which answers are compared as text: lower case,
// single blanks, no punctuation around it.
func plainText(cleaned string) string {
	s := strings.Join(strings.Fields(strings.ToLower(cleaned)), " ")
	for {
		t := strings.Trim(s, ` .,;:!?"'*_`+"`")
		if n := len(t) - 1; n > 1 && (t[0] == '(' && t[n] == ')' || t[0] == '[' && t[n] == ']') &&
			!strings.ContainsAny(t[1:n], "()[]") {
			t = t[1:n]
		}
		switch t {
		case "": // nothing but punctuation stands for itself
			return s
		case s:
			return s
		}
		s = t
	}
}
