package record

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func sameBits(x, y float64) bool {
	return math.Float64bits(x) == math.Float64bits(y) || x != x && y != y
}

// TestPackExact: every number comes back with all its bits, whatever it is.
func TestPackExact(t *testing.T) {
	special := []float64{0, math.Copysign(0, -1), 1, -1, math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat64, 5e-324, -9999, 0.1, float64(float32(0.1)), math.Pi}
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		list := make([]float64, rng.IntN(300))
		for i := range list {
			switch seed % 5 {
			case 0:
				list[i] = special[rng.IntN(len(special))]
			case 1:
				list[i] = math.Float64frombits(rng.Uint64())
			case 2:
				list[i] = float64(float32(rng.NormFloat64()))
			case 3:
				list[i] = 7
			case 4:
				list[i] = rng.ExpFloat64()
				if rng.IntN(3) == 0 {
					list[i] = math.NaN()
				}
			}
		}
		u := &unpacker{rest: appendFloats(nil, list)}
		got := u.floats()
		if u.err != nil || len(u.rest) > 0 || !slices.EqualFunc(got, list, sameBits) {
			t.Fatalf("seed %d: %d numbers came back as %d, %v", seed, len(list), len(got), u.err)
		}
	}
}

// TestPackDamaged: bytes that were changed are an error or other numbers, never a
// panic; bytes that are missing or too many are an error.
func TestPackDamaged(t *testing.T) {
	whole := Trace{Text: "text", Confidences: []float64{1, math.NaN(), 3}, Logprobs: []float64{-1, -2, -3},
		Top: [][]float64{{-1}, {-2, -3}, nil}, TopTexts: [][]string{{"a"}, {"b", "c"}, nil}}
	a, b, c := packTrace(&whole)
	for i, part := range [][]byte{a, b, c} {
		for at := range part {
			for _, change := range []func([]byte) []byte{
				func(p []byte) []byte { return p[:at] },
				func(p []byte) []byte { p[at] ^= 0xff; return p },
				func(p []byte) []byte { p[at]++; return p },
				func(p []byte) []byte { return append(p, 0) },
			} {
				parts := [3][]byte{}
				parts[i] = change(bytes.Clone(part))
				var got Trace
				if err := unpackTrace(&got, parts[0], parts[1], parts[2]); err == nil && len(parts[i]) != len(part) {
					t.Errorf("part %d of %d bytes is read from %d", i, len(part), len(parts[i]))
				}
			}
		}
	}
}

// simulated is a trace whose log-probabilities are those of a softmax over a thousand
// words, as float32, like those of most servers: mostly sure, sometimes not.
func simulated(tokens int) *Trace {
	rng := rand.New(rand.NewPCG(1, 2))
	t := &Trace{}
	for range tokens {
		logits := make([]float64, 1000)
		sharp := 1 + 3*rng.ExpFloat64()
		sum := 0.0
		for i := range logits {
			logits[i] = sharp * rng.NormFloat64()
			sum += math.Exp(logits[i])
		}
		slices.Sort(logits)
		var top []float64
		var texts []string
		mean := 0.0
		for i := range 20 {
			lp := float64(float32(logits[999-i] - math.Log(sum)))
			top, mean = append(top, lp), mean+lp
			texts = append(texts, fmt.Sprint("word", rng.IntN(5000)))
		}
		t.Confidences = append(t.Confidences, -mean/20)
		t.Logprobs, t.Top, t.TopTexts = append(t.Logprobs, top[0]), append(t.Top, top), append(t.TopTexts, texts)
	}
	return t
}

// BenchmarkPack counts the bytes of a token: its confidence, and its alternatives with
// their texts.
func BenchmarkPack(b *testing.B) {
	t := simulated(4000)
	var conf, alternatives []byte
	for b.Loop() {
		conf, _, alternatives = packTrace(t)
	}
	b.ReportMetric(float64(len(conf))/4000, "bytes/confidence")
	b.ReportMetric(float64(len(alternatives))/4000, "bytes/alternatives")
}

// BenchmarkPackConfidences is what a trace of 4,000 tokens costs by default.
func BenchmarkPackConfidences(b *testing.B) {
	t := &Trace{Confidences: simulated(4000).Confidences}
	for b.Loop() {
		packTrace(t)
	}
}

func BenchmarkUnpack(b *testing.B) {
	conf, _, _ := packTrace(simulated(4000))
	for b.Loop() {
		var t Trace
		if err := unpackTrace(&t, conf, nil, nil); err != nil {
			b.Fatal(err)
		}
	}
}
