package answer

import (
	"math/big"
	"slices"
	"strings"
)

// unitSymbols are the units recognised wherever they stand. Symbols of one
// letter are not among them: "5m" may be 5 times m.
var unitSymbols = set("mm", "cm", "dm", "km", "μm", "nm", "in", "ft", "yd", "mi", "ha", "mg", "kg", "lb", "oz",
	"mL", "cL", "dL", "kL", "ms", "μs", "ns", "min", "hr", "day", "week", "month", "year", "Hz", "kHz", "MHz", "GHz",
	"kN", "Pa", "kPa", "MPa", "kJ", "MJ", "eV", "cal", "kcal", "kW", "MW", "kWh", "Wh", "mV", "kV", "mA", "mol", "rad",
	"kB", "MB", "GB", "TB", "cent", "acre", "gal")

// letterUnits are units of one letter. They count only at the end of an answer,
// after a blank: "5 m".
var letterUnits = set("m", "g", "s", "h", "L", "N", "J", "W", "V", "A", "K", "C", "F", "T", `\Omega`)

// unitAliases maps names in lower case, without a plural s, to canonical units.
var unitAliases = map[string]string{
	"millimeter": "mm", "millimetre": "mm", "centimeter": "cm", "centimetre": "cm", "decimeter": "dm",
	"decimetre": "dm", "meter": "m", "metre": "m", "kilometer": "km", "kilometre": "km", "inch": "in", "inche": "in",
	"foot": "ft", "feet": "ft", "yard": "yd", "mile": "mi", "hectare": "ha", "milligram": "mg", "gram": "g",
	"kilogram": "kg", "kilo": "kg", "pound": "lb", "lbs": "lb", "ounce": "oz", "milliliter": "mL", "millilitre": "mL",
	"ml": "mL", "liter": "L", "litre": "L", "l": "L", "gallon": "gal", "millisecond": "ms", "second": "s", "sec": "s",
	"minute": "min", "mins": "min", "hour": "hr", "hrs": "hr", "h": "hr", "hertz": "Hz", "newton": "N", "pascal": "Pa",
	"joule": "J", "kilojoule": "kJ", "watt": "W", "kilowatt": "kW", "volt": "V", "ampere": "A", "amp": "A",
	"kelvin": "K", "mole": "mol", "radian": "rad", `\omega`: "ohm", "calorie": "cal", "percent": "%",
	"percentage": "%", "degree": "°", "deg": "°", "dollar": "$", "usd": "$", "buck": "$", "euro": "€", "eur": "€",
	"coulomb": "C", "farad": "F", "tesla": "T",
}

// temperature are the words that make degrees one.
var temperature = map[string]string{
	"C": "°C", "Celsius": "°C", "celsius": "°C", "F": "°F", "Fahrenheit": "°F", "fahrenheit": "°F",
}

// compoundUnits are single words for quotients.
var compoundUnits = map[string][2]string{"mph": {"mi", "hr"}, "kph": {"km", "hr"}, "kmh": {"km", "hr"}}

// notUnits are words that never end a quantity; an answer with one of them
// after a number is a sentence.
var notUnits = set("a", "all", "also", "am", "an", "and", "any", "are", "as", "at", "be", "because", "but", "by", "each",
	"else", "equals", "for", "from", "has", "have", "how", "if", "into", "is", "it", "its", "less", "mod", "modulo",
	"more", "most", "no", "none", "not", "of", "off", "ok", "on", "only", "or", "out", "pm", "remainder", "since", "so",
	"some", "such", "than", "that", "the", "their", "then", "there", "these", "they", "this", "times", "to", "until",
	"up", "us", "versus", "vs", "was", "we", "when", "where", "which", "while", "who", "with", "yes", "true", "false")

var multipliers = map[string]int64{
	"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000, "trillion": 1_000_000_000_000,
}

// unitName is the canonical spelling of a unit; canonical names map to
// themselves. Unknown words are taken in lower case and in the singular.
func unitName(word string) string {
	if unitSymbols[word] || word != "h" && letterUnits[word] && word != `\Omega` {
		return word
	}
	w := strings.ToLower(word)
	if u, ok := unitAliases[w]; ok {
		return u
	}
	n := len(w) - 1
	if n > 2 && w[n] == 's' && w[n-1] != 's' && w[n-1] != 'u' && w[n-1] != 'i' {
		w = w[:n]
	}
	if u, ok := unitAliases[w]; ok {
		return u
	}
	return w
}

// maxUnits bounds the factors of a unit: more words are a sentence.
const maxUnits = 4

// markUnits finds the units at the ends of items: words and letters become
// unit tokens, "per" becomes a slash, "square" and "cubed" become exponents.
func markUnits(toks []token) []token {
	out := make([]token, 0, len(toks))
	for i := 0; i < len(toks); {
		if i > 0 && endsQuantity(toks[i-1]) {
			if t, ok := readTail(toks, i); ok && (!t.letters || isPlainNumber(toks[:i])) {
				out = append(out, t.toks...)
				i = t.end
				continue
			}
		}
		out = append(out, toks[i])
		i++
	}
	return out
}

func endsQuantity(t token) bool {
	return t.kind == tokNum || t.kind == tokUnit ||
		t.kind == tokOp && slices.Contains([]string{")", "]", "}", `\}`, "!", "π"}, t.s)
}

func endsItem(t token) bool {
	return t.kind == tokEnd || t.kind == tokOp && slices.Contains([]string{",", ";", "or", "and", ")", "]", `\}`}, t.s)
}

// isPlainNumber reports whether the last item of toks is one term without
// letters, so that a letter behind it is a unit.
func isPlainNumber(toks []token) bool {
	depth := 0
	for i := len(toks) - 1; i >= 0; i-- {
		t := toks[i]
		if t.kind == tokVar {
			return false
		}
		if t.kind != tokOp {
			continue
		}
		switch t.s {
		case ")", "]", "}", `\}`:
			depth++
		case "(", "[", "{", `\{`:
			if depth == 0 {
				return true
			}
			depth--
		case ",", ";", "or", "and", "=", "<", ">", "≤", "≥", "≠":
			if depth == 0 {
				return true
			}
		case "+", "-", "±", "∓":
			if depth == 0 && i > 0 && endsQuantity(toks[i-1]) {
				return false
			}
		}
	}
	return true
}

// tail is a unit as it will be parsed.
type tail struct {
	toks    []token
	end     int  // of what it was read from
	letters bool // it has a unit of one letter
}

// readTail reads the unit that begins at toks[i] and ends its item.
func readTail(toks []token, i int) (t tail, ok bool) {
	op := func(s string) { t.toks = append(t.toks, token{kind: tokOp, s: s}) }
	num := func(n int64) { t.toks = append(t.toks, token{kind: tokNum, r: big.NewRat(n, 1)}) }
	atoms, scaled := 0, false
	isWord := func(t token, names ...string) bool { return t.kind == tokWord && slices.Contains(names, t.s) }
	for toks[i].kind == tokWord && multipliers[toks[i].s] != 0 {
		op("*")
		num(multipliers[toks[i].s])
		scaled = true
		i++
	}
	afterOp := false
	if isWord(toks[i], "per") || toks[i].is("/") && !scaled && toks[i+1].kind != tokVar {
		op("/")
		afterOp = true
		i++
	}
	for {
		exp := int64(0)
		switch {
		case isWord(toks[i], "square", "sq"):
			exp = 2
			i++
		case isWord(toks[i], "cubic", "cu"):
			exp = 3
			i++
		}
		x := toks[i]
		switch {
		case x.kind == tokUnit:
		case x.kind == tokWord && !notUnits[strings.ToLower(x.s)] && !isWord(x, "per", "squared", "cubed"):
		case x.kind == tokVar && letterUnits[x.s] && (x.blank || afterOp):
			t.letters = true
		default:
			// The end, or no unit at all.
			t.end = i
			return t, (atoms > 0 || scaled) && !afterOp && exp == 0 && endsItem(x)
		}
		if atoms++; atoms > maxUnits {
			return t, false
		}
		i++
		if pair, ok := compoundUnits[strings.ToLower(x.s)]; ok {
			t.toks = append(t.toks, token{kind: tokUnit, s: pair[0]}, token{kind: tokOp, s: "/"}, token{kind: tokUnit, s: pair[1]})
			afterOp = false
			continue
		}
		name := x.s
		if x.kind != tokUnit {
			name = unitName(x.s)
		}
		if name == "°" && temperature[toks[i].s] != "" {
			name = temperature[toks[i].s]
			i++
		}
		t.toks = append(t.toks, token{kind: tokUnit, s: name, blank: true})
		switch {
		case isWord(toks[i], "squared"):
			exp = 2
			i++
		case isWord(toks[i], "cubed"):
			exp = 3
			i++
		case toks[i].is("^") && exp == 0:
			n := exponentTokens(toks[i:])
			t.toks = append(t.toks, toks[i:i+n]...)
			i += n
		}
		if exp > 0 {
			op("^")
			num(exp)
		}
		afterOp = false
		switch {
		case isWord(toks[i], "per"), toks[i].is("/"):
			op("/")
			afterOp = true
			i++
		case toks[i].is("*"):
			op("*")
			afterOp = true
			i++
		}
	}
}

// exponentTokens counts the tokens of ^2, ^-1 or ^{-1}; 1 if it is neither.
func exponentTokens(toks []token) int {
	i := 1
	braced := toks[i].is("{")
	if braced {
		i++
	}
	if toks[i].is("-") {
		i++
	}
	if toks[i].kind != tokNum {
		return 1
	}
	if i++; braced {
		if !toks[i].is("}") {
			return 1
		}
		i++
	}
	return i
}
