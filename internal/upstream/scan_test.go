package upstream

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
)

// build reads any JSON value with the scanner into what encoding/json would
// give, so that the two can be compared. Duplicate names: the last wins.
func build(s *scanner, depth int) any {
	if depth > maxDepth {
		s.fail()
		return nil
	}
	switch s.peek() {
	case '{':
		m := map[string]any{}
		for more := s.open('{'); more; more = s.next('}') {
			k := string([]rune(string(s.key())))
			m[k] = build(s, depth+1)
		}
		return m
	case '[':
		a := []any{}
		for more := s.open('['); more; more = s.next(']') {
			a = append(a, build(s, depth+1))
		}
		return a
	case '"':
		return string([]rune(string(s.text(nil)))) // bytes outside UTF-8 become U+FFFD downstream, in llm.Stops
	case 't', 'f':
		return s.truth()
	case 'n':
		s.literal("null")
		return nil
	}
	return s.num()
}

func compareWithJSON(t *testing.T, text string) {
	t.Helper()
	var want any
	err := json.Unmarshal([]byte(text), &want)
	s := scanner{b: []byte(text)}
	got := build(&s, 0)
	valid := !s.bad && s.peek() == 0 && s.i == len(s.b)
	skipper := scanner{b: []byte(text)}
	skipper.skip()
	if skipped := !skipper.bad && skipper.peek() == 0 && skipper.i == len(skipper.b); skipped != json.Valid([]byte(text)) && depthOf(text) < maxDepth {
		t.Fatalf("skip of %q: valid = %v; encoding/json says otherwise", text, skipped)
	}
	if strings.Contains(text, "e") || strings.Contains(text, "E") {
		// A number beyond float64 is an error to encoding/json, to us −Inf
		// is log 0: compare only what both read.
		if err != nil {
			return
		}
	}
	if valid != (err == nil) {
		if depthOf(text) >= maxDepth {
			return // ours is bounded, documented at maxDepth
		}
		t.Fatalf("scanner says valid = %v of %q, encoding/json says %v", valid, text, err)
	}
	if valid && !reflect.DeepEqual(got, want) {
		t.Fatalf("scanner reads %q as %#v, encoding/json as %#v", text, got, want)
	}
}

func depthOf(text string) int { return strings.Count(text, "[") + strings.Count(text, "{") }

var jsonSamples = []string{
	`{}`, `[]`, ` { "a" : [ 1 , -2.5e-3 , null , true , false , "x" ] } `, `"\u00e9\ud83d\ude00\ud83d x\udc00\ud83dA"`,
	`"\"\\\/\b\f\n\r\t"`, `{"a\u0062":1}`, `-0`, `0`, `1e5`, `1E+5`, `01`, `-`, `1.`, `.5`, `+1`, `1e`, `[1,]`, `{,}`, `{"a"}`, `{"a":}`,
	`{"a":1,}`, `"\x"`, `"\u12g4"`, `"\u12`, "\"a\nb\"", "\"a\x00b\"", `nul`, `nullx`, `tru`, ``, ` `, `"abc`, `[[[]]]`, `{"a":{"b":[{}]}}`,
	"\"\xff\xe4\xbd\"", `-9999`, `-3.4028234663852886e+38`, `"\ud83d\u0041"`, `"\ud83d\ud83d\ude00"`, `[1 2]`, `"a"b`, `{"a":1 "b":2}`, `"\ud83d\n"`,
}

func TestScannerIsEncodingJSON(t *testing.T) {
	for _, s := range jsonSamples {
		compareWithJSON(t, s)
	}
}

func TestScannerBounds(t *testing.T) {
	s := scanner{b: []byte(strings.Repeat("[", 1<<20))}
	s.skip()
	if !s.bad {
		t.Fatal("a million open brackets were accepted")
	}
	s = scanner{b: []byte(`-1e999`)}
	if v := s.num(); !math.IsInf(v, -1) || s.bad {
		t.Fatalf("−1e999 reads as %v, bad = %v; want −Inf", v, s.bad)
	}
	s = scanner{b: []byte(`null`)}
	if v := s.num(); !math.IsNaN(v) || s.bad {
		t.Fatalf("null reads as %v, bad = %v; want NaN", v, s.bad)
	}
}

func FuzzScanner(f *testing.F) {
	for _, s := range jsonSamples {
		f.Add(s)
	}
	f.Fuzz(compareWithJSON)
}
