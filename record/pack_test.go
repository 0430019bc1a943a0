package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
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
		room := maxUnpacked
		u := &unpacker{rest: appendFloats(nil, list), room: &room}
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

// repeated is a section of n times the same byte, in 4 bytes for each 128 KiB: what a
// byte unpacks to at most. It says that it has so many.
func repeated(b byte, n, says int) []byte {
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x80 | 0x20} // RFC 8878: one segment, its size in 4 bytes
	frame = binary.LittleEndian.AppendUint32(frame, uint32(says))
	for n > 0 {
		size := min(n, 128<<10)
		n -= size
		head := uint32(size)<<3 | 1<<1 // a run of one byte
		if n == 0 {
			head |= 1
		}
		frame = append(frame, byte(head), byte(head>>8), byte(head>>16), b)
	}
	return append(binary.AppendUvarint(nil, uint64(len(frame))<<1|1), frame...)
}

// numbers is a list of n numbers all of whose bytes are 0x40: 32.5… of each.
func numbers(n, says int) []byte {
	out := append(binary.AppendUvarint(nil, uint64(n)), single)
	for range 4 {
		out = append(out, repeated(0x40, n, says)...)
	}
	return out
}

// allocated is how many bytes f takes, whoever frees them.
func allocated(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

// TestForgedRowsTakeLittle: a row takes what its bytes can honestly unpack to, and no
// more than a trace that was recorded can have; what asks for more is refused at once.
func TestForgedRowsTakeLittle(t *testing.T) {
	part := func(p ...[]byte) []byte { return append([]byte{packVersion}, bytes.Join(p, nil)...) }
	number := func(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }
	const many = maxUnpacked/8 + 1
	texts := func(n, says int) []byte { return part(repeated(0, n, says)) }
	var trace Trace
	if err := unpackTrace(&trace, part(numbers(1<<20, 1<<20)), texts(1<<20, 1<<20), nil); err != nil || len(trace.Confidences) != 1<<20 || len(trace.Reasoning) != 1<<20-1 {
		t.Fatalf("what has a million of each has %d and %d: %v", len(trace.Confidences), len(trace.Reasoning), err)
	}
	for name, c := range map[string]struct {
		parts [3][]byte
		want  error
	}{
		"more numbers than there is room":  {[3][]byte{part(numbers(many, many))}, errTooMuch},
		"numbers of which there are none":  {[3][]byte{part(number(1<<23), []byte{single, 0, 0, 0, 0})}, errDamaged},
		"a section that lies":              {[3][]byte{part(number(1<<23), []byte{single}, repeated(1, 100, 1<<23))}, errDamaged},
		"a section of another length":      {[3][]byte{part(numbers(1000, 1001))}, errDamaged},
		"all of them missing":              {[3][]byte{part(number(many), []byte{someMissing}, repeated(0xff, (many+7)/8, (many+7)/8), make([]byte, 8))}, errTooMuch},
		"a text that is too long":          {[3][]byte{nil, texts(maxUnpacked+1, maxUnpacked+1)}, errTooMuch},
		"a text that says so":              {[3][]byte{nil, texts(10, maxUnpacked)}, errDamaged},
		"a text that is longer than said":  {[3][]byte{nil, texts(1<<20, 300)}, errDamaged},
		"a text of four gigabytes":         {[3][]byte{nil, texts(10, math.MaxUint32)}, errDamaged},
		"lists of which there are none":    {[3][]byte{nil, nil, part([]byte{0, single, 0, 0, 0, 0}, number(maxPacked), []byte{0, 0, single, 0, 0, 0, 0, 0, 0, 0})}, errDamaged},
		"more lists than there is room":    {[3][]byte{nil, nil, part([]byte{0, single, 0, 0, 0, 0}, number(1<<22), repeated(0, 1<<22, 1<<22), []byte{0, single, 0, 0, 0, 0, 0, 0, 0})}, errTooMuch},
		"texts of alternatives beyond all": {[3][]byte{nil, nil, part([]byte{0, single, 0, 0, 0, 0, 0, 0, 0, single, 0, 0, 0, 0, 1}, repeated(0, 1<<23, 1<<23), repeated(0, 1<<20, 1<<20))}, errTooMuch},
		"three parts that share the room":  {[3][]byte{part(numbers(many/2, many/2)), texts(maxUnpacked/2+100, maxUnpacked/2+100)}, errTooMuch},
	} {
		var err error
		took := allocated(func() {
			var got Trace
			err = unpackTrace(&got, c.parts[0], c.parts[1], c.parts[2])
		})
		length := len(c.parts[0]) + len(c.parts[1]) + len(c.parts[2])
		// Twice, because lists and texts are made of bytes that are freed then.
		if !errors.Is(err, c.want) || took > 2*min(maxUnpacked, length*maxRatio)+1<<20 {
			t.Errorf("%s: %d bytes take %d, %v", name, length, took, err)
		}
	}
}

// TestHonestRowsFit: what a queue takes, by its measure, is read again. Only the
// different texts of alternatives are not in its measure.
func TestHonestRowsFit(t *testing.T) {
	whole := simulated(4000)
	whole.Text = strings.Repeat("text ", 4000)
	one := &Trace{}
	for i := range 4000 {
		one.Confidences, one.Logprobs = append(one.Confidences, float64(i)), append(one.Logprobs, math.NaN())
		one.Top, one.TopTexts = append(one.Top, []float64{-1 / float64(i+1)}), append(one.TopTexts, []string{"the same"})
	}
	for name, tr := range map[string]*Trace{"twenty alternatives": whole, "one": one, "none": {Confidences: whole.Confidences}, "text": {Text: whole.Text}} {
		words := map[string]int{}
		for _, list := range tr.TopTexts {
			for _, w := range list {
				words[w] = 2*len(w) + stringBytes + 2
			}
		}
		room := int((&op{trace: *tr}).size()) * (maxUnpacked >> 20) / 64
		for _, n := range words {
			room += n
		}
		var got Trace
		a, b, c := packTrace(tr)
		if err := unpackWithin(room, &got, a, b, c); err != nil {
			t.Errorf("%s: there is no room for what was recorded: %v", name, err)
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
