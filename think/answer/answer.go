// Package answer takes the answer out of a model's text and decides which
// answers are the same.
//
// Two answers are the same when their keys are equal. [KeyOf] is a pure
// function of one answer, so sameness is transitive and does not depend on
// which answers are compared, unlike pairwise comparison with a tolerance.
// Everything is exact: numbers are rationals, roots and π stay symbols, and no
// floating-point number occurs anywhere.
//
// One thing cannot be decided from one answer: whether "5" and "5 cm" are the
// same. A key therefore sets the unit aside, and [Merge] settles it once all
// votes are known.
//
// A reading goes through four stages, one file each: clean.go drops typography
// (delimiters, spacing, fonts), lex.go and units.go cut tokens, parse.go and
// list.go read them, poly.go, root.go and quotient.go bring expressions into a
// normal form that value.go and render.go write out again. What cannot be read
// as mathematics is compared as text. What is too large to be read cheaply is
// text as well, so the time for one key is bounded whatever a model writes.
//
// The doubts: "5m" is 5 times a variable while "5 m" is five metres; √(x²) is
// not simplified; fractions in several variables are only reduced where one
// side divides the other. In each case equal answers may get different keys,
// never the other way round.
package answer

import "strings"

// Key identifies a class of equal answers. Keys are compared with ==.
//
// The zero Key belongs to the empty answer, which is no answer at all.
type Key struct {
	// Value is the canonical rendering of the answer without its unit.
	Value string `json:"value"`
	// Unit is the canonical unit ("cm", "m/s^2", "%", "°", "$"), empty if the
	// answer had none.
	Unit string `json:"unit,omitempty"`
}

// IsZero reports whether k is the key of the empty answer.
func (k Key) IsZero() bool { return k == Key{} }

// String is the canonical rendering. For every k that KeyOf returned,
// KeyOf(k.String()) == k.
func (k Key) String() string {
	switch {
	case k.Unit == "":
		return k.Value
	case !isRational(k.Value):
		return "(" + k.Value + ") " + unitMacro(k.Unit)
	case k.Unit == "%" || k.Unit == "°":
		return k.Value + k.Unit
	case k.Unit == "$":
		if abs, negative := strings.CutPrefix(k.Value, "-"); negative {
			return `-\$` + abs
		}
		return `\$` + k.Value
	}
	return k.Value + " " + unitMacro(k.Unit)
}

// unitMacro writes a unit so that nothing else can be read into it: a bare $
// could delimit mathematics.
func unitMacro(u string) string { return `\unit{` + strings.ReplaceAll(u, "$", `\$`) + "}" }

// isRational recognises the rendering of a rational number.
func isRational(s string) bool {
	return s != "" && strings.Trim(s, "-/0123456789") == ""
}

// Raw is the key of an answer compared as it stands, for replaying runs whose
// votes were counted on strings. Outer blanks do not count.
func Raw(ans string) Key { return Key{Value: strings.TrimSpace(ans)} }

// Equal reports whether two answers would be one class in a vote between just
// these two. An answer without a unit equals the same number with any unit;
// because of that Equal alone is not transitive, and more than two answers are
// compared through [Merge].
func Equal(a, b string) bool {
	ka, kb := KeyOf(a), KeyOf(b)
	return !ka.IsZero() && ka.Value == kb.Value && (ka.Unit == kb.Unit || ka.Unit == "" || kb.Unit == "")
}

// Merge sorts votes into classes: out[i] is the class of keys[i], numbered
// 0, 1, … by first occurrence; -1 for a zero key, which is no vote.
//
// Let U be the set of units that occur together with a value. If U has exactly
// one element, the votes for the value without a unit belong to it. Otherwise
// every unit, and no unit, is a class of its own: "5" cannot tell 5 m from
// 5 cm. The partition depends on the set of keys only; their order decides
// nothing but the numbering.
func Merge(keys []Key) []int {
	only := make(map[string]string, len(keys)) // value → its one unit, "" none yet
	many := make(map[string]bool)              // values with two units or more
	for _, k := range keys {
		switch u := only[k.Value]; {
		case k.Unit == "" || u == k.Unit:
		case u == "":
			only[k.Value] = k.Unit
		default:
			many[k.Value] = true
		}
	}
	out := make([]int, len(keys))
	class := make(map[Key]int, len(keys))
	for i, k := range keys {
		if k.IsZero() {
			out[i] = -1
			continue
		}
		if k.Unit == "" && !many[k.Value] {
			k.Unit = only[k.Value]
		}
		c, seen := class[k]
		if !seen {
			c = len(class)
			class[k] = c
		}
		out[i] = c
	}
	return out
}
