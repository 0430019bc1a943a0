package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// The compact form of a trace's parts. Each begins with the version of its form.
//
// Numbers are exact. The float64 of a list are cut into their eight bytes, and each
// byte of all of them is compressed by itself: signs, exponents and the first bits of
// the mantissas repeat, the last bits of a mean of logarithms do not and are stored
// as they are. A list whose values are all float32, as most servers' log-probabilities
// are, has four bytes.
const packVersion = 1

const (
	// maxPacked bounds numbers that say how much of something follows.
	maxPacked = 1 << 26
	// maxUnpacked bounds the bytes that a trace's parts unpack to. A trace of more than
	// 64 MiB is never written, because a [Queue] does not take it; it measures neither
	// the different texts of alternatives, some MB, nor their places, a ninth of the rest.
	maxUnpacked = 96 << 20
	// maxRatio is what a byte unpacks to at most: a block of Zstandard has at least 4
	// bytes and makes at most 128 KiB (RFC 8878, 3.1.1.2.3).
	maxRatio = 128 << 10 / 4
)

var coder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(2), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(1<<20))
	if err != nil {
		panic(err) // of these options, which are constant
	}
	return e
})

var decoder = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(maxUnpacked), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic(err)
	}
	return d
})

// packTrace makes the three parts; nil where there is nothing to keep.
func packTrace(t *Trace) (confidences, texts, alternatives []byte) {
	if t.Confidences != nil {
		confidences = appendFloats([]byte{packVersion}, t.Confidences)
	}
	if t.Text != "" || t.Reasoning != "" {
		both := binary.AppendUvarint(nil, uint64(len(t.Text)))
		texts = appendSection([]byte{packVersion}, append(append(both, t.Text...), t.Reasoning...))
	}
	if t.Top != nil || t.Logprobs != nil {
		alternatives = appendFloats([]byte{packVersion}, t.Logprobs)
		alternatives = appendTop(alternatives, t.Top, t.TopTexts)
	}
	return confidences, texts, alternatives
}

func unpackTrace(t *Trace, confidences, texts, alternatives []byte) error {
	return unpackWithin(maxUnpacked, t, confidences, texts, alternatives)
}

func unpackWithin(room int, t *Trace, confidences, texts, alternatives []byte) error {
	for _, p := range []struct {
		name string
		data []byte
		read func(*unpacker)
	}{
		{"confidences", confidences, func(u *unpacker) { t.Confidences = u.floats() }},
		{"texts", texts, func(u *unpacker) {
			inner := u.inner()
			t.Text = string(inner.take(inner.count()))
			t.Reasoning = string(inner.rest)
			u.err = errors.Join(u.err, inner.err)
		}},
		{"alternatives", alternatives, func(u *unpacker) {
			if t.Logprobs = u.floats(); len(t.Logprobs) == 0 {
				t.Logprobs = nil
			}
			t.Top, t.TopTexts = u.top()
		}},
	} {
		if p.data == nil {
			continue
		}
		u := &unpacker{rest: p.data, room: &room}
		if v := u.take(1); u.err == nil && v[0] != packVersion {
			return fmt.Errorf("its %s are written in form %d and this program knows form %d: use a newer orrery", p.name, v[0], packVersion)
		}
		p.read(u)
		if u.err == nil && len(u.rest) > 0 {
			u.err = errDamaged
		}
		if u.err != nil {
			return fmt.Errorf("its %s: %w", p.name, u.err)
		}
	}
	return nil
}

// appendSection adds bytes with their length, compressed if that is shorter.
func appendSection(out, data []byte) []byte {
	if packed := coder().EncodeAll(data, nil); len(packed) < len(data) {
		return append(binary.AppendUvarint(out, uint64(len(packed))<<1|1), packed...)
	}
	return append(binary.AppendUvarint(out, uint64(len(data))<<1), data...)
}

// Flags of a list of numbers.
const (
	someMissing = 1 << iota // a bitmap says which are NaN, and only the others follow
	single                  // each is a float32
)

// appendFloats adds a list of numbers.
func appendFloats(out []byte, values []float64) []byte {
	out = binary.AppendUvarint(out, uint64(len(values)))
	var flags byte = single
	missing := make([]byte, (len(values)+7)/8)
	present := make([]float64, 0, len(values))
	for i, v := range values {
		if v != v {
			missing[i/8] |= 1 << (i % 8)
			flags |= someMissing
			continue
		}
		if float64(float32(v)) != v {
			flags &^= single
		}
		present = append(present, v)
	}
	out = append(out, flags)
	if flags&someMissing != 0 {
		out = appendSection(out, missing)
	}
	plane := make([]byte, len(present))
	for byte := range planes(flags) {
		for i, v := range present {
			if flags&single != 0 {
				plane[i] = uint8(math.Float32bits(float32(v)) >> (8 * byte))
			} else {
				plane[i] = uint8(math.Float64bits(v) >> (8 * byte))
			}
		}
		out = appendSection(out, plane)
	}
	return out
}

func planes(flags byte) int {
	if flags&single != 0 {
		return 4
	}
	return 8
}

// appendTop adds the alternatives: how many each token has, their numbers, their
// texts as places in a list of the different ones.
func appendTop(out []byte, top [][]float64, texts [][]string) []byte {
	var counts, words, places []byte
	var values []float64
	for _, t := range top {
		counts = binary.AppendUvarint(counts, uint64(len(t)))
		values = append(values, t...)
	}
	out = binary.AppendUvarint(out, uint64(len(top)))
	out = appendFloats(appendSection(out, counts), values)
	out = binary.AppendUvarint(out, uint64(len(texts)))
	known := map[string]int{}
	for _, list := range texts {
		places = binary.AppendUvarint(places, uint64(len(list)))
		for _, w := range list {
			at, ok := known[w]
			if !ok {
				at = len(known)
				known[w] = at
				words = append(binary.AppendUvarint(words, uint64(len(w))), w...)
			}
			places = binary.AppendUvarint(places, uint64(at))
		}
	}
	return appendSection(appendSection(out, words), places)
}

const remedy = "; delete the run with 'orrery runs rm'"

var (
	errDamaged = errors.New("the stored bytes are damaged" + remedy)
	errTooMuch = fmt.Errorf("the stored bytes unpack to more than the %d MiB that a recorded trace can have, so they are forged or damaged%s", maxUnpacked>>20, remedy)
)

// unpacker reads the compact form. After an error everything reads as empty. Nothing
// is taken on a length's word: what is made is at most what the bytes that follow can
// unpack to, and all of it is counted against the room that a trace has.
type unpacker struct {
	rest []byte
	room *int // bytes that may still be made, of all parts
	err  error
}

func (u *unpacker) fail() { u.failWith(errDamaged) }

func (u *unpacker) failWith(err error) {
	if u.err == nil {
		u.err = err
	}
	u.rest = nil
}

// charge counts bytes that are about to be made.
func (u *unpacker) charge(n int) bool {
	if n > *u.room {
		u.failWith(errTooMuch)
		return false
	}
	*u.room -= n
	return true
}

// inner reads what a section holds.
func (u *unpacker) inner() *unpacker { return &unpacker{rest: u.section(-1), room: u.room} }

// count reads a number that something of that size follows.
func (u *unpacker) count() int {
	n, used := binary.Uvarint(u.rest)
	if used <= 0 || n > maxPacked {
		u.fail()
		return 0
	}
	u.rest = u.rest[used:]
	return int(n)
}

func (u *unpacker) take(n int) []byte {
	if n > len(u.rest) {
		u.fail()
		return nil
	}
	part := u.rest[:n]
	u.rest = u.rest[n:]
	return part
}

// section reads bytes that appendSection wrote: so many, for which the caller has
// room, or, with -1, as many as they say.
func (u *unpacker) section(want int) []byte {
	n := u.count()
	data := u.take(n >> 1)
	if u.err != nil {
		return nil
	}
	if n&1 == 0 {
		if want >= 0 && want != len(data) {
			u.fail()
			return nil
		}
		return data // a piece of the row
	}
	var h zstd.Header
	if h.Decode(data) != nil {
		u.fail()
		return nil
	}
	size := 255 // what is shorter than 256 bytes may not say how long it is
	if h.HasFCS {
		size = int(min(h.FrameContentSize, math.MaxInt32))
	}
	if want >= 0 && h.HasFCS && want != size || size > 255 && size/maxRatio > len(data) {
		u.fail()
		return nil
	}
	if want < 0 && !u.charge(size) {
		return nil
	}
	out, err := decoder().DecodeAll(data, make([]byte, 0, size))
	if err != nil || want >= 0 && len(out) != want {
		u.fail()
		return nil
	}
	return out
}

// floats reads a list of numbers; nil where there is none.
func (u *unpacker) floats() []float64 {
	n := u.count()
	flags := u.take(1)
	if u.err != nil || !u.charge(8*n) {
		return nil
	}
	var missing []byte
	absent := 0
	if flags[0]&someMissing != 0 {
		missing = u.section((n + 7) / 8)
		if u.err != nil {
			return nil
		}
		for i := range n {
			absent += int(missing[i/8] >> (i % 8) & 1)
		}
	}
	var bits []uint64
	for p := range planes(flags[0]) {
		plane := u.section(n - absent)
		if u.err != nil {
			return nil
		}
		if p == 0 { // after the first plane has shown that there are so many
			bits = make([]uint64, n-absent)
		}
		for i, b := range plane {
			bits[i] |= uint64(b) << (8 * p)
		}
	}
	out := make([]float64, n)
	for i := range out {
		switch {
		case missing != nil && missing[i/8]>>(i%8)&1 == 1:
			out[i] = math.NaN()
			continue
		case flags[0]&single != 0:
			out[i] = float64(math.Float32frombits(uint32(bits[0])))
		default:
			out[i] = math.Float64frombits(bits[0])
		}
		bits = bits[1:]
	}
	return out
}

func (u *unpacker) top() (top [][]float64, texts [][]string) {
	n := u.count()
	counts := u.inner()
	values := u.floats()
	tokens := u.count()
	words := u.inner()
	places := u.inner()
	// Each list takes a byte or more to say how long it is.
	if u.err != nil || n > len(counts.rest) || tokens > len(places.rest) {
		u.fail()
		return nil, nil
	}
	if !u.charge(sliceBytes * (n + tokens)) {
		return nil, nil
	}
	if n > 0 {
		top = make([][]float64, 0, n)
	}
	for range n {
		m := counts.count()
		if counts.err != nil || m > len(values) {
			u.fail()
			return nil, nil
		}
		top = append(top, slices.Clip(values[:m]))
		values = values[m:]
	}
	all := 0
	for w := *words; len(w.rest) > 0; all++ {
		w.take(w.count())
	}
	if !u.charge(stringBytes*all + len(words.rest)) {
		return nil, nil
	}
	known := make([]string, 0, all)
	for len(words.rest) > 0 {
		known = append(known, string(words.take(words.count())))
	}
	if tokens > 0 {
		texts = make([][]string, 0, tokens)
	}
	for range tokens {
		m := places.count()
		if places.err != nil || words.err != nil || m > len(places.rest) {
			u.fail()
			return nil, nil
		}
		if !u.charge(stringBytes * m) {
			return nil, nil
		}
		var list []string
		if m > 0 {
			list = make([]string, 0, m)
		}
		for range m {
			at := places.count()
			if places.err != nil || at >= len(known) {
				u.fail()
				return nil, nil
			}
			list = append(list, known[at])
		}
		texts = append(texts, list)
	}
	if len(values)+len(counts.rest)+len(places.rest) > 0 {
		u.fail()
	}
	return top, texts
}

// What a slice and a string take beside what is in them.
const sliceBytes, stringBytes = 24, 16
