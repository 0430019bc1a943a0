package answer

import (
	"slices"
	"strings"
)

// Bounds on what is read as mathematics; anything beyond is text.
const (
	maxBytes = 2000 // of an answer, and of its rendering
	maxDepth = 64   // of nested groups and functions
	maxBits  = 4096 // of a numerator or denominator
)

// KeyOf is the class of an answer. It is total: what cannot be read as
// mathematics gets a text key, and only a blank answer gets the zero Key.
func KeyOf(ans string) Key {
	switch {
	case strings.TrimSpace(ans) == "":
		return Key{}
	case wrapped(ans):
		return Key{Value: ans}
	}
	s := clean(ans)
	k, ok := read(s)
	if !ok {
		return textKey(s, ans)
	}
	// The rendering is read once more, so that a key is its own key by
	// construction and not only because parser and renderer agree.
	if again, ok := read(clean(k.String())); !ok || again != k {
		return Key{Value: textOpen + k.String() + textClose}
	}
	return k
}

// read is the key of a cleaned answer that is mathematics, a choice or a list
// of words.
func read(s string) (Key, bool) {
	if len(s) > maxBytes {
		return Key{}, false
	}
	if c, ok := choice(s); ok {
		return Key{Value: c}, true
	}
	if k, ok := readMath(s); ok {
		return k, true
	}
	return readWords(s)
}

func readMath(s string) (k Key, ok bool) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case unreadable:
			k, ok = Key{}, false
		default:
			panic(e)
		}
	}()
	p := &parser{algebra: algebra{workLimit}, toks: markUnits(lex(s))}
	v, unit := p.setAside(p.answer())
	k = Key{v.render(), unit}
	if c, ok := choice(k.Value); ok && unit == "" {
		k.Value = c
	}
	return k, len(k.Value)+len(k.Unit) <= maxBytes-len(`() \unit{\}`)
}

// choice recognises a single letter: B, b, (B), B), [B].
func choice(s string) (string, bool) {
	s = strings.TrimSpace(s)
	if len(s) > 1 {
		s = strings.TrimSpace(strings.TrimLeft(s, "([ "))
		s = strings.TrimRight(s, ")].: ")
	}
	if len(s) == 1 && isLetter(s[0]) {
		return strings.ToUpper(s), true
	}
	return "", false
}

// maxWords bounds a list of words; what is longer is a sentence with commas.
const maxWords = 200

// readWords reads an unordered list of which some members are words: "red,
// blue" is "blue or red".
func readWords(s string) (Key, bool) {
	if len(s) > maxWords {
		return Key{}, false
	}
	if inner, ok := strings.CutPrefix(s, `\{`); ok {
		if inner, ok = strings.CutSuffix(inner, `\}`); ok {
			s = inner
		}
	}
	parts := strings.Split(strings.ReplaceAll(s, " or ", ","), ",")
	if len(parts) < 2 {
		return Key{}, false
	}
	var items []string
	hasWord := false
	for i, part := range parts {
		part = clean(part)
		part = strings.TrimPrefix(part, "or ")
		if part == "" {
			if i > 0 && i < len(parts)-1 { // "a, b, or c"
				continue
			}
			return Key{}, false
		}
		k := Key{}
		if c, ok := choice(part); ok {
			k.Value = c
		} else if k, ok = readMath(part); !ok {
			k = textKey(part, part)
			hasWord = true
		}
		item := k.String()
		if strings.ContainsAny(item, `,()[]{}\$⟦⟧`) {
			return Key{}, false
		}
		items = append(items, item)
	}
	slices.Sort(items)
	items = slices.Compact(items)
	if len(items) == 1 || !hasWord {
		return Key{}, false
	}
	return Key{Value: `\{` + strings.Join(items, ", ") + `\}`}, true
}

// textKey compares an answer that could not be read as text. The text stands for
// itself unless it would be read as something else; then it is set in brackets
// that say so.
func textKey(cleaned, ans string) Key {
	t := plainText(cleaned)
	if t == "" {
		t = strings.TrimSpace(ans)
	}
	plain := !wrapped(t)
	if again := clean(t); plain && again != cleaned { // cleaned is known not to be readable
		_, readable := read(again)
		plain = !readable && plainText(again) == t
	}
	if !plain {
		t = textOpen + t + textClose
	}
	return Key{Value: t}
}
