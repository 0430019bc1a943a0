package answer

import (
	"math/big"
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokEnd   tokenKind = iota
	tokNum             // an unsigned number; r is its value, s its digits if it is an integer
	tokVar             // a letter with its subscript
	tokFunc            // the name of a function
	tokUnit            // a unit in canonical spelling
	tokWord            // letters that are none of the above
	tokMacro           // a TeX macro with arguments: frac, sqrt, binom, begin, end, unit
	tokOp              // everything else: an operator, a bracket, a separator, a named constant
)

type token struct {
	kind  tokenKind
	s     string
	r     *big.Rat
	blank bool // a blank stands before it
}

func (t token) is(op string) bool { return t.kind == tokOp && t.s == op }

// operators are the macros that stand for one sign.
var operators = map[string]string{
	"cdot": "*", "times": "*", "ast": "*", "div": "/", "pm": "±", "mp": "∓", "colon": ":",
	"le": "≤", "leq": "≤", "leqslant": "≤", "ge": "≥", "geq": "≥", "geqslant": "≥", "ne": "≠", "neq": "≠",
	"lt": "<", "gt": ">", "in": "∈", "cup": "∪", "bigcup": "∪", "infty": "∞", "emptyset": "∅", "varnothing": "∅",
	"lor": "or", "vee": "or", "land": "and", "vert": "|", "lvert": "|", "rvert": "|", "mid": "|", "pi": "π",
	"lfloor": "⌊", "rfloor": "⌋", "lceil": "⌈", "rceil": "⌉", "slash": "/", "{": `\{`, "}": `\}`, `\`: `\\`,
}

// words are the names that stand for one sign in running text.
var words = map[string]string{
	"or": "or", "and": "and", "pi": "π", "Pi": "π", "infty": "∞", "infinity": "∞", "inf": "∞", "oo": "∞",
}

var functions = set("sin", "cos", "tan", "cot", "csc", "sec", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh",
	"log", "ln", "lg", "exp", "abs", "floor", "ceil", "factorial")

// shortWords are two-letter words that are not products of two letters.
var shortWords = set("am", "an", "as", "at", "be", "by", "do", "go", "he", "hi", "if", "in", "is", "it", "me", "mr",
	"my", "no", "of", "oh", "ok", "on", "pm", "so", "to", "up", "us", "vs", "we")

var greekMacros = set("alpha", "beta", "gamma", "delta", "epsilon", "varepsilon", "zeta", "eta", "theta", "vartheta",
	"iota", "kappa", "lambda", "mu", "nu", "xi", "rho", "sigma", "tau", "upsilon", "phi", "varphi", "chi", "psi",
	"omega", "Gamma", "Delta", "Theta", "Lambda", "Xi", "Sigma", "Upsilon", "Phi", "Psi", "Omega", "ell", "hbar")

var greekLetters = map[rune]string{
	'α': "alpha", 'β': "beta", 'γ': "gamma", 'δ': "delta", 'ε': "epsilon", 'ζ': "zeta", 'η': "eta", 'θ': "theta",
	'κ': "kappa", 'λ': "lambda", 'ν': "nu", 'ξ': "xi", 'ρ': "rho", 'σ': "sigma", 'τ': "tau", 'φ': "phi", 'ϕ': "phi",
	'χ': "chi", 'ψ': "psi", 'ω': "omega", 'Γ': "Gamma", 'Δ': "Delta", 'Θ': "Theta", 'Λ': "Lambda", 'Σ': "Sigma",
	'Φ': "Phi", 'Ψ': "Psi", 'Ω': "Omega", 'ℓ': "ell",
}

// lexer cuts a cleaned answer into tokens.
type lexer struct {
	s        string
	i        int
	toks     []token
	brackets int  // open ( [ \{; inside them a comma never groups digits
	braces   int  // open {
	units    int  // braces at which the \unit{…} being read began, plus 1
	blank    bool // a blank came before s[i]
}

// lex panics with unreadable on what no answer contains.
func lex(s string) []token {
	l := &lexer{s: s}
	for l.i < len(l.s) {
		l.next()
	}
	l.op("")
	l.toks[len(l.toks)-1].kind = tokEnd
	return l.toks
}

func (l *lexer) emit(kind tokenKind, s string) {
	l.toks = append(l.toks, token{kind: kind, s: s, blank: l.blank})
	l.blank = false
}

func (l *lexer) op(s string) { l.emit(tokOp, s) }

func (l *lexer) next() {
	r, n := utf8.DecodeRuneInString(l.s[l.i:])
	switch {
	case unicode.IsSpace(r):
		l.i += n
		l.blank = true
	case isDigit(l.s[l.i]), r == '.' && l.i+1 < len(l.s) && isDigit(l.s[l.i+1]):
		l.number()
	case r == '\\':
		l.macro()
	case greekLetters[r] != "":
		l.i += n
		l.emit(tokVar, `\`+greekLetters[r]+l.subscript())
	case unicode.IsLetter(r) && !strings.ContainsRune(letterSigns, r):
		l.letters()
	default:
		l.sign(r, n)
	}
}

func (l *lexer) sign(r rune, n int) {
	l.i += n
	switch r {
	case '(', '[':
		l.brackets++
	case ')', ']':
		l.brackets--
	case '{':
		l.braces++
	case '}':
		if l.units == l.braces {
			l.units = 0
		}
		l.braces--
	case '*':
		if strings.HasPrefix(l.s[l.i:], "*") { // Python's power
			l.i++
			r = '^'
		}
	case '<', '>', '!':
		if strings.HasPrefix(l.s[l.i:], "=") {
			l.i++
			r = map[rune]rune{'<': '≤', '>': '≥', '!': '≠'}[r]
		}
	case '°':
		l.degree()
		return
	case '%', '$', '€', '£', '¥':
		l.emit(tokUnit, string(r))
		return
	}
	if !strings.ContainsRune("+-*/^_!=<>≤≥≠,;:|()[]{}&±∓∪∈∞∅πℝℤℕℚℂ⌊⌋⌈⌉", r) {
		panic(unreadable("sign " + string(r)))
	}
	l.op(string(r))
}

// degree reads what follows °: "C" and "F" make it a temperature.
func (l *lexer) degree() {
	rest := strings.TrimLeft(l.s[l.i:], " \t\n")
	for _, scale := range []string{"Celsius", "celsius", "Fahrenheit", "fahrenheit", "C", "F"} {
		after, ok := strings.CutPrefix(rest, scale)
		if r, _ := utf8.DecodeRuneInString(after); ok && (after == "" || !unicode.IsLetter(r)) {
			l.i = len(l.s) - len(after)
			l.emit(tokUnit, "°"+strings.ToUpper(scale[:1]))
			return
		}
	}
	l.emit(tokUnit, "°")
}

// macro reads a backslash and what belongs to it.
func (l *lexer) macro() {
	name := macroAt(l.s, l.i)
	l.i += 1 + len(name)
	switch op, ok := operators[name]; {
	case ok:
		switch op {
		case `\{`:
			l.brackets++
		case `\}`:
			l.brackets--
		}
		l.op(op)
	case functions[name]:
		l.emit(tokFunc, name)
	case greekMacros[name]:
		l.emit(tokVar, `\`+name+l.subscript())
	case name == "frac", name == "sqrt", name == "binom", name == "begin", name == "end":
		l.emit(tokMacro, name)
		if name == "begin" || name == "end" {
			l.environment()
		}
	case name == "unit":
		l.emit(tokMacro, name)
		if l.units == 0 {
			l.units = l.braces + 1
		}
	default:
		panic(unreadable("macro " + name))
	}
}

// environment checks the {name} of \begin or \end, whose token is the last: all
// matrices are alike. It skips the column specification of an array.
func (l *lexer) environment() {
	rest := l.s[l.i:]
	end := strings.IndexByte(rest, '}')
	if !strings.HasPrefix(rest, "{") || end < 0 {
		panic(unreadable("environment without a name"))
	}
	begins := l.toks[len(l.toks)-1].s == "begin"
	l.i += end + 1
	name := rest[1:end]
	if name == "array" {
		if rest = l.s[l.i:]; begins && strings.HasPrefix(rest, "{") {
			if end = strings.IndexByte(rest, '}'); end < 0 || strings.Trim(rest[1:end], "clr| ") != "" {
				panic(unreadable("columns of an array"))
			}
			l.i += end + 1
		}
		return
	}
	switch name {
	case "pmatrix", "bmatrix", "Bmatrix", "matrix", "smallmatrix":
	default:
		panic(unreadable("environment " + name))
	}
}

// letters reads a run of letters.
func (l *lexer) letters() {
	start := l.i
	count := 0
	for l.i < len(l.s) {
		r, n := utf8.DecodeRuneInString(l.s[l.i:])
		if !unicode.IsLetter(r) || greekLetters[r] != "" || strings.ContainsRune(letterSigns, r) {
			break
		}
		l.i += n
		count++
	}
	run := l.s[start:l.i]
	if l.units > 0 {
		l.emit(tokUnit, unitName(run))
		return
	}
	switch sign, ok := words[run]; {
	case ok:
		l.op(sign)
	case run == "sqrt":
		l.emit(tokMacro, run)
	case functions[run] && run != "sec":
		l.emit(tokFunc, run)
	case count == 1:
		l.letter(run, true)
	case unitSymbols[run] && run != "in":
		l.emit(tokUnit, run)
	case count == 2 && !shortWords[strings.ToLower(run)]:
		_, n := utf8.DecodeRuneInString(run)
		l.letter(run[:n], false)
		l.letter(run[n:], true)
	default:
		l.emit(tokWord, run)
	}
}

// letterSigns are letters in Unicode and constants here.
const letterSigns = "πℝℤℕℚℂ"

// letter emits a variable; the last letter of a run takes the subscript.
func (l *lexer) letter(name string, last bool) {
	if name == "μ" { // not among the Greek letters, since units begin with it
		name = `\mu`
	}
	if last {
		name += l.subscript()
	}
	l.emit(tokVar, name)
}

// maxSubscript keeps names short.
const maxSubscript = 8

// subscript reads _1, _{12} or _n behind a letter.
func (l *lexer) subscript() string {
	rest, ok := strings.CutPrefix(l.s[l.i:], "_")
	if !ok || rest == "" {
		return ""
	}
	n := 0
	alnum := func(c byte) bool { return isLetter(c) || isDigit(c) }
	if rest[0] == '{' {
		if n = strings.IndexByte(rest, '}'); n < 2 || n > maxSubscript || strings.ContainsFunc(rest[1:n], func(r rune) bool {
			return r >= utf8.RuneSelf || !alnum(byte(r))
		}) {
			panic(unreadable("subscript"))
		}
		l.i += n + 2
		rest = rest[1:n]
	} else {
		for n < len(rest) && n < maxSubscript && isDigit(rest[n]) {
			n++
		}
		if n == 0 && isLetter(rest[0]) {
			n = 1
		}
		l.i += n + 1
		rest = rest[:n]
	}
	switch {
	case n == 0:
		panic(unreadable("subscript"))
	case len(rest) == 1 || strings.Trim(rest, "0123456789") == "":
		return "_" + rest
	}
	return "_{" + rest + "}"
}

// maxDigits bounds the digits of a number: 10^1233 has 4096 bits.
const maxDigits = 1233

// number reads digits with separators, decimals, a period and an exponent.
func (l *lexer) number() {
	digits := l.digits()
	if n := len(digits); 0 < n && n <= 3 && digits[0] != '0' {
		digits += l.groups()
	}
	whole := digits
	isInt := true
	var repeat string
	if l.i < len(l.s) && l.s[l.i] == '.' {
		isInt = false
		l.i++
		digits += "." + l.digits()
		repeat = l.repeating()
	}
	// 5e-1, but not 5e alone, which is a product.
	if rest := l.s[l.i:]; repeat == "" && len(rest) > 1 && rest[0]|0x20 == 'e' {
		n := 1
		if rest[1] == '-' || rest[1] == '+' {
			n = 2
		}
		from := n
		for n < len(rest) && isDigit(rest[n]) {
			n++
		}
		if n > from {
			if n > from+4 {
				panic(unreadable("number too large"))
			}
			isInt = false
			digits += rest[:n]
			l.i += n
		}
	}
	if len(digits) > maxDigits {
		panic(unreadable("number too large"))
	}
	r, ok := new(big.Rat).SetString(digits)
	if !ok {
		panic(unreadable("number " + digits))
	}
	if repeat != "" { // 0.1\overline{6}: repeat/(10^n−1), shifted behind the digits before it
		ten := big.NewInt(10)
		tail, _ := new(big.Int).SetString(repeat, 10)
		den := new(big.Int).Exp(ten, big.NewInt(int64(len(repeat))), nil)
		den.Sub(den, big.NewInt(1))
		den.Mul(den, new(big.Int).Exp(ten, big.NewInt(int64(len(digits)-len(whole)-1)), nil))
		r.Add(r, new(big.Rat).SetFrac(tail, den))
	}
	l.emit(tokNum, "")
	t := &l.toks[len(l.toks)-1]
	t.r = r
	if isInt {
		t.s = whole
	}
}

func (l *lexer) digits() string {
	from := l.i
	for l.i < len(l.s) && isDigit(l.s[l.i]) {
		l.i++
	}
	return l.s[from:l.i]
}

// groups reads the groups of three digits that follow 1–3 digits. A plain comma
// groups only outside brackets, and only if every comma in the row does.
func (l *lexer) groups() string {
	var out string
	i := l.i
	for {
		n := 0
		for _, sep := range []string{",", "{,}", string(thin)} {
			if strings.HasPrefix(l.s[i:], sep) && (sep != "," || l.brackets == 0) {
				n = len(sep)
			}
		}
		if n == 0 {
			break
		}
		end := i + n
		for end < len(l.s) && isDigit(l.s[end]) {
			end++
		}
		if end == i+n {
			break // a comma that ends a list item
		}
		if end != i+n+3 {
			return ""
		}
		out += l.s[i+n : end]
		i = end
	}
	l.i = i
	return out
}

// repeating reads \overline{3} or \bar{3}.
func (l *lexer) repeating() string {
	for _, macro := range []string{`\overline{`, `\bar{`} {
		if rest, ok := strings.CutPrefix(l.s[l.i:], macro); ok {
			n := 0
			for n < len(rest) && isDigit(rest[n]) {
				n++
			}
			if n > 0 && n < len(rest) && rest[n] == '}' {
				l.i += len(macro) + n + 1
				return rest[:n]
			}
		}
	}
	return ""
}
