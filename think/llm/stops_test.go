package llm

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// naiveStop searches the whole text: for each end, the longest stop that ends
// there. It is the definition that Stops is held to.
func naiveStop(text string, stops []string) (before, matched string) {
	for end := range len(text) + 1 {
		for _, s := range stops {
			if s != "" && strings.HasSuffix(text[:end], s) && len(s) > len(matched) {
				matched = s
			}
		}
		if matched != "" {
			return string([]rune(text[:end-len(matched)])), matched
		}
	}
	return string([]rune(text)), ""
}

// feed pushes the parts and checks after each that nothing too long is held.
func feed(t *testing.T, stops []string, parts []string) (text, matched string) {
	t.Helper()
	longest := utf8.UTFMax
	for _, s := range stops {
		longest = max(longest, len(s))
	}
	m := NewStops(stops...)
	var out []byte
	for _, p := range parts {
		b := []byte(p)
		got, hit := m.Push(b)
		out = append(out, got...)
		clear(b) // the matcher may not keep the caller's bytes
		if hit != "" {
			if matched != "" {
				t.Fatalf("stops %q, parts %q: matched %q and then %q", stops, parts, matched, hit)
			}
			matched = hit
		}
		if !utf8.Valid(got) {
			t.Fatalf("stops %q, parts %q: released %q, which is not UTF-8", stops, parts, got)
		}
		if m.Held() >= longest {
			t.Fatalf("stops %q, parts %q: %d bytes held back; the longest stop has %d", stops, parts, m.Held(), longest)
		}
	}
	return string(append(out, m.Close()...)), matched
}

func splits(text string) [][]string {
	all := [][]string{{text}, strings.Split(text, "")}
	bytes := make([]string, len(text))
	for i := range len(text) {
		bytes[i] = text[i : i+1]
		all = append(all, []string{text[:i], text[i:]})
	}
	return append(all, bytes)
}

// Every text of up to 7 letters over {a, b}, every pair of stops of up to 3.
func TestStopsExhaustive(t *testing.T) {
	var words []string
	for n := range 8 {
		for bits := range 1 << n {
			w := make([]byte, n)
			for i := range w {
				w[i] = 'a' + byte(bits>>i&1)
			}
			words = append(words, string(w))
		}
	}
	short := words[:1+2+4+8]
	for i, s1 := range short {
		for _, s2 := range short[:i+1] {
			stops := []string{s1, s2}
			for _, text := range words {
				wantText, wantHit := naiveStop(text, stops)
				for _, parts := range splits(text) {
					if text, hit := feed(t, stops, parts); text != wantText || hit != wantHit {
						t.Fatalf("stops %q, parts %q: text %q, match %q; the naive search gives %q, %q", stops, parts, text, hit, wantText, wantHit)
					}
				}
			}
		}
	}
}

func TestStopsReleaseEarly(t *testing.T) {
	m := NewStops("</Thread>", "\n\n")
	for _, step := range []struct{ in, out, hit string }{
		{"so ", "so ", ""},
		{"x < 3", "x < 3", ""},
		{"\n", "", ""},
		{"then", "\nthen", ""},
		{" </Thr", " ", ""},
		{"ough ", "</Through ", ""},
		{"\xe4\xbd", "", ""},
		{"\xa0</", "你", ""},
		{"Thread>rest", "", "</Thread>"},
		{"more", "", ""},
	} {
		if out, hit := m.Push([]byte(step.in)); string(out) != step.out || hit != step.hit {
			t.Fatalf("Push(%q) = %q, %q; want %q, %q", step.in, out, hit, step.out, step.hit)
		}
	}
	if rest := m.Close(); len(rest) != 0 {
		t.Fatalf("Close after a match releases %q", rest)
	}
}

func TestStopsZeroValue(t *testing.T) {
	var m Stops
	out, hit := m.Push([]byte("a\xe4"))
	if string(out) != "a" || hit != "" {
		t.Fatalf("Push = %q, %q", out, hit)
	}
	if rest := m.Close(); string(rest) != "\uFFFD" {
		t.Fatalf("Close = %q, want U+FFFD for the lost character", rest)
	}
}

func FuzzStops(f *testing.F) {
	f.Add("héllo </stop> wörld", "</stop>", "op>", uint64(1))
	f.Add("aaab\xff\xe4\xbd", "aab", "\xbd", uint64(2))
	f.Fuzz(func(t *testing.T, text, s1, s2 string, seed uint64) {
		stops := []string{s1, s2}
		rng := rand.New(rand.NewPCG(seed, 0))
		var parts []string
		for rest := text; rest != ""; {
			n := 1 + rng.IntN(len(rest))
			parts, rest = append(parts, rest[:n]), rest[n:]
		}
		wantText, wantHit := naiveStop(text, stops)
		m := NewStops(stops...)
		var out []byte
		hit := ""
		for _, p := range parts {
			got, h := m.Push([]byte(p))
			out, hit = append(out, got...), hit+h
		}
		out = append(out, m.Close()...)
		if string(out) != wantText || hit != wantHit {
			t.Fatalf("stops %q, parts %q: %q, %q; the naive search gives %q, %q", stops, parts, out, hit, wantText, wantHit)
		}
	})
}

// BenchmarkStops counts bytes of text in pieces of 4 bytes, about a token,
// against searching the joined text anew for each piece.
func BenchmarkStops(b *testing.B) {
	stops := []string{"</Thread>", "</Outlines>", "<|im_end|>"}
	text := []byte(strings.Repeat("the value of x < 3 is not known; ", 128))
	b.Run("matcher", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			m := NewStops(stops...)
			for p := range slices.Chunk(text, 4) {
				m.Push(p)
			}
		}
	})
	b.Run("naive", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			for end := 4; end <= len(text); end += 4 {
				for _, s := range stops {
					strings.Contains(string(text[:end]), s)
				}
			}
		}
	})
}
