package record

import (
	"math"
	"slices"
	"testing"
)

// The compact form of a trace, of any bytes: damaged, or a trace that is packed
// and read again as the same.
func FuzzUnpack(f *testing.F) {
	for _, t := range []Trace{
		{Confidences: []float64{1, 2.5, math.NaN(), math.Pi}, Text: "so 4", Reasoning: "hm"},
		{Logprobs: []float64{-0.5}, Top: [][]float64{{-0.5, -1}, nil}, TopTexts: [][]string{{"a", "b"}, nil}},
		{},
	} {
		confidences, texts, alternatives := packTrace(&t)
		f.Add(confidences, texts, alternatives)
	}
	// What is short and says that it is long.
	forged := append([]byte{packVersion}, numbers(1<<16, 1<<16)...)
	f.Add(forged, append([]byte{packVersion}, repeated(0, 1<<16, 1<<16)...), []byte{packVersion})
	f.Add(append([]byte{packVersion}, numbers(100, 1<<30)...), append([]byte{packVersion}, repeated(0, 100, math.MaxUint32)...), forged)
	f.Fuzz(func(t *testing.T, confidences, texts, alternatives []byte) {
		const room = 1 << 20 // less than what a row may have, so that it is reached
		var a Trace
		if err := unpackWithin(room, &a, confidences, texts, alternatives); err != nil {
			return
		}
		// What is stored as it is was there already.
		if n := int((&op{trace: a}).size()); n > room+8*(len(confidences)+len(texts)+len(alternatives))+1000 {
			t.Fatalf("%d, %d and %d bytes are unpacked to %d", len(confidences), len(texts), len(alternatives), n)
		}
		var b Trace
		if err := unpackTrace(&b, nil, nil, nil); err != nil {
			t.Fatal(err)
		}
		c1, t1, a1 := packTrace(&a)
		if err := unpackTrace(&b, c1, t1, a1); err != nil {
			t.Fatalf("%+v is packed as what is damaged: %v", a, err)
		}
		if a.Text != b.Text || a.Reasoning != b.Reasoning || !sameFloats(a.Confidences, b.Confidences) || !sameFloats(a.Logprobs, b.Logprobs) ||
			!slices.EqualFunc(a.Top, b.Top, sameFloats) || !slices.EqualFunc(a.TopTexts, b.TopTexts, slices.Equal[[]string]) {
			t.Fatalf("%+v comes back as %+v", a, b)
		}
	})
}

// sameFloats compares bits, but for NaN, of which there is one.
func sameFloats(a, b []float64) bool {
	return slices.EqualFunc(a, b, func(x, y float64) bool {
		return math.Float64bits(x) == math.Float64bits(y) || x != x && y != y
	})
}

// What is to be kept, in words: refused, or written as it is read.
func FuzzParseKeep(f *testing.F) {
	f.Add("text, confidence")
	f.Add("none")
	f.Add(",")
	f.Fuzz(func(t *testing.T, s string) {
		k, err := ParseKeep(s)
		if err != nil {
			return
		}
		if again, err := ParseKeep(k.String()); err != nil || again != k {
			t.Fatalf("%q is %q, which is %v, %v", s, k, again, err)
		}
	})
}
