package token

import (
	"bytes"
	"testing"
)

// A tokenizer.json of any bytes is refused, or is a vocabulary that is written
// as one that reads the same, and that brings any text back.
func FuzzParse(f *testing.F) {
	for _, build := range []func() (*Vocab, error){
		func() (*Vocab, error) { return New([]string{"ab", "abc", " x"}) },
		func() (*Vocab, error) { return NewWords([]string{"wumpus", "."}, "<a>") },
	} {
		v, err := build()
		if err != nil {
			f.Fatal(err)
		}
		b, err := v.MarshalJSON()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, "abc ab x\xff wumpus.")
	}
	f.Add([]byte(`{"model": {"vocab": {"a": 0}}}`), "")
	f.Fuzz(func(t *testing.T, b []byte, text string) {
		v, err := Parse("fuzz", b)
		if err != nil {
			return
		}
		out, err := v.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse("again", out)
		if err != nil {
			t.Fatalf("a vocabulary is written as %s, which is refused: %v", out, err)
		}
		if twice, err := again.MarshalJSON(); err != nil || !bytes.Equal(out, twice) {
			t.Fatalf("written twice: %s and %s, %v", out, twice, err)
		}
		if len(v.Encode(text)) != len(again.Encode(text)) {
			t.Fatalf("%q has %d tokens and, read again, %d", text, len(v.Encode(text)), len(again.Encode(text)))
		}
	})
}
