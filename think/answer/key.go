package answer

import "strings"

// Bounds on what is read as mathematics; anything beyond is text.
const (
	maxBytes = 2000 // of an answer, and of its rendering
	maxDepth = 64   // of nested groups and functions
	maxBits  = 4096 // of a numerator or denominator
)

// KeyOf is the class of an answer. It is total: what cannot be read as
// mathematics gets a text key, and only a blank answer gets the zero Key.
func KeyOf(ans string) Key {
	if strings.TrimSpace(ans) == "" {
		return Key{}
	}
	if wrapped(ans) {
		return Key{Value: ans}
	}
	s := clean(ans)
	return textKey(s, ans)
}

func textKey(cleaned, ans string) Key {
	t := plainText(cleaned)
	if t == "" {
		t = strings.TrimSpace(ans)
	}
	return Key{Value: t}
}
