package upstream

import (
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// scanner reads one JSON text from front to back without building anything.
// It exists because at k = 20 a token is about 2 kB of JSON, of which two
// dozen numbers are wanted: encoding/json was the bottleneck of 32 streams
// (BenchmarkStream compares the two). It accepts exactly what encoding/json
// accepts, up to maxDepth (FuzzScanner holds it to that).
//
// An error sticks: bad stays set, every loop ends, and the caller asks once at
// the end. The usual shape is
//
//	for more := s.open('{'); more; more = s.next('}') {
//		switch string(s.key()) {
//		case "id": id = s.num()
//		default: s.skip()
//		}
//	}
type scanner struct {
	b   []byte
	i   int
	bad bool
	kb  []byte // a key with escapes in it, decoded
}

// maxDepth bounds the nesting of what skip passes over. Servers nest six deep;
// a hostile one must not overflow the stack.
const maxDepth = 200

func (s *scanner) fail() { s.bad, s.i = true, len(s.b) }

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// peek is the next byte after white space, 0 at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.i == len(s.b) {
		return 0
	}
	return s.b[s.i]
}

// open enters an object ('{') or array ('['); false if it is empty, null, or
// not one.
func (s *scanner) open(c byte) bool {
	switch s.peek() {
	case c:
		s.i++
		if s.peek() == c+2 { // ']' and '}' follow '[' and '{' by two in ASCII
			s.i++
			return false
		}
		return !s.bad
	case 'n':
		s.literal("null")
	default:
		s.fail()
	}
	return false
}

// next goes to the next member; false after the last.
func (s *scanner) next(end byte) bool {
	switch s.peek() {
	case ',':
		s.i++
		return true
	case end:
		s.i++
	default:
		s.fail()
	}
	return false
}

// key reads a member's name and its colon. It is valid until the next key.
func (s *scanner) key() []byte {
	if s.peek() != '"' {
		s.fail()
		return nil
	}
	raw, plain := s.raw()
	if !plain {
		s.kb = unescape(s.kb[:0], raw)
		raw = s.kb
	}
	if s.peek() != ':' {
		s.fail()
		return nil
	}
	s.i++
	return raw
}

// raw passes over a string and returns what is between its quotes; plain says
// that there is no escape in it.
func (s *scanner) raw() (text []byte, plain bool) {
	start := s.i + 1
	plain = true
	for i := start; i < len(s.b); i++ {
		switch c := s.b[i]; {
		case c == '"':
			s.i = i + 1
			return s.b[start:i], plain
		case c < ' ':
			s.fail()
			return nil, true
		case c == '\\':
			plain = false
			i++
			if i == len(s.b) {
				break
			}
			switch s.b[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				if i+4 >= len(s.b) || hex4(s.b[i+1:]) < 0 {
					s.fail()
					return nil, true
				}
				i += 4
			default:
				s.fail()
				return nil, true
			}
		}
	}
	s.fail()
	return nil, true
}

// text appends a string's value to dst. null is the empty string.
func (s *scanner) text(dst []byte) []byte {
	switch s.peek() {
	case '"':
		raw, plain := s.raw()
		if plain {
			return append(dst, raw...)
		}
		return unescape(dst, raw)
	case 'n':
		s.literal("null")
	default:
		s.fail()
	}
	return dst
}

// num reads a number; null is NaN.
func (s *scanner) num() float64 {
	if s.peek() == 'n' {
		s.literal("null")
		return math.NaN()
	}
	start := s.i
	s.number()
	if s.bad {
		return math.NaN()
	}
	// The bytes do not change while ParseFloat looks at them, and it keeps
	// nothing of them but in an error, which is dropped: so no copy is made.
	f, err := strconv.ParseFloat(unsafe.String(&s.b[start], s.i-start), 64)
	if err != nil {
		if math.IsInf(f, 0) && !math.IsInf(f, 1) {
			return f // −1e999: log 0, as good a way to write it as any
		}
		s.fail()
		return math.NaN()
	}
	return f
}

// number passes over a number, by JSON's grammar.
func (s *scanner) number() {
	digits := func() bool {
		n := s.i
		for s.i < len(s.b) && s.b[s.i]-'0' <= 9 {
			s.i++
		}
		return s.i > n
	}
	at := func(c, d byte) bool { return s.i < len(s.b) && (s.b[s.i] == c || s.b[s.i] == d) }
	if at('-', '-') {
		s.i++
	}
	if at('0', '0') {
		s.i++
	} else if !digits() {
		s.fail()
		return
	}
	if at('.', '.') {
		s.i++
		if !digits() {
			s.fail()
			return
		}
	}
	if at('e', 'E') {
		s.i++
		if at('+', '-') {
			s.i++
		}
		if !digits() {
			s.fail()
		}
	}
}

func (s *scanner) literal(word string) {
	if len(s.b)-s.i < len(word) || string(s.b[s.i:s.i+len(word)]) != word {
		s.fail()
		return
	}
	s.i += len(word)
}

// truth reads a boolean; null is false.
func (s *scanner) truth() bool {
	switch s.peek() {
	case 't':
		s.literal("true")
		return !s.bad
	case 'f':
		s.literal("false")
	case 'n':
		s.literal("null")
	default:
		s.fail()
	}
	return false
}

// skip passes over any value and returns its text.
func (s *scanner) skip() []byte {
	s.space()
	start := s.i
	s.pass(0)
	if s.bad {
		return nil
	}
	return s.b[start:s.i]
}

func (s *scanner) pass(depth int) {
	if depth > maxDepth {
		s.fail()
		return
	}
	switch c := s.peek(); c {
	case '"':
		s.raw()
	case '{':
		for more := s.open('{'); more; more = s.next('}') {
			if s.peek() != '"' {
				s.fail()
				return
			}
			s.raw()
			if s.peek() != ':' {
				s.fail()
				return
			}
			s.i++
			s.pass(depth + 1)
		}
	case '[':
		for more := s.open('['); more; more = s.next(']') {
			s.pass(depth + 1)
		}
	case 't', 'f':
		s.truth()
	case 'n':
		s.literal("null")
	default:
		s.number()
	}
}

// unescape appends the value of a string whose escapes raw has checked.
func unescape(dst, raw []byte) []byte {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			dst = append(dst, raw[i])
			continue
		}
		i++
		switch c := raw[i]; c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r := hex4(raw[i+1:])
			i += 4
			if utf16.IsSurrogate(r) {
				pair := utf8.RuneError
				if len(raw) > i+6 && raw[i+1] == '\\' && raw[i+2] == 'u' {
					pair = utf16.DecodeRune(r, hex4(raw[i+3:]))
				}
				if pair != utf8.RuneError {
					i += 6
				}
				r = pair
			}
			dst = utf8.AppendRune(dst, r)
		default: // quote, backslash, slash
			dst = append(dst, c)
		}
	}
	return dst
}

// hex4 is the value of four hexadecimal digits, −1 if they are not.
func hex4(b []byte) rune {
	if len(b) < 4 {
		return -1
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case c-'0' <= 9:
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}
