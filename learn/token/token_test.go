package token

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"orrery/task"
)

// builtin is the vocabulary of all tasks, as a recipe makes it.
func builtin(t testing.TB) *Vocab {
	t.Helper()
	v, err := New(Pieces(task.Vocabulary()))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// tangled is a small vocabulary made to go wrong: words that are prefixes,
// suffixes and overlaps of each other, regular-expression signs, characters of
// several bytes.
func tangled(t testing.TB) *Vocab {
	t.Helper()
	v, err := New([]string{"ab", "abc", "abcde", "bc", "cd", "de", "aa", "aaaa", " a", "  ", "é", "éa", "日本", "本日本", ".*", "(a|b)", `\boxed{`, "[^", "a$", "<b", "os>", "\t\t"})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// naive is the definition: at each place, try all pieces, keep the longest.
func naive(v *Vocab, s string) []int {
	ids := []int{}
	if v.spaced {
		s = linewise(s)
	}
	for len(s) > 0 {
		best := 0
		for id := FirstByte; id < v.Size(); id++ {
			if p := v.pieces[id]; strings.HasPrefix(s, p) && (best == 0 || len(p) > len(v.pieces[best])) {
				best = id
			}
		}
		ids = append(ids, best)
		s = s[len(v.pieces[best]):]
	}
	return ids
}

// huggingFace follows the tokenizer.json as its library would: cut at the
// matches of the expression, map to printable characters, look whole pieces up,
// else each character.
func huggingFace(t *testing.T, v *Vocab) func(string) []int {
	f := v.file()
	steps := f.PreTokenizer.(map[string]any)["pretokenizers"].([]any)
	re := regexp.MustCompile(steps[0].(map[string]any)["pattern"].(map[string]any)["Regex"].(string))
	return func(s string) []int {
		ids := []int{}
		if f.Normalizer != nil && s != "" {
			for _, n := range f.Normalizer.(map[string]any)["normalizers"].([]any) {
				switch n := n.(map[string]any); n["type"] {
				case "Prepend":
					s = n["prepend"].(string) + s
				case "Replace": // by hand: Go's expressions can't look ahead
					if re := n["pattern"].(map[string]any)["Regex"]; re != `\n(?=[\s\S])` || n["content"] != "\n " {
						t.Fatalf("the normalizer replaces %q by %q", re, n["content"])
					}
					for i := len(s) - 2; i >= 0; i-- {
						if s[i] == '\n' {
							s = s[:i+1] + " " + s[i+1:]
						}
					}
				}
			}
		}
		piece := func(p string) {
			p = toPrintable(p)
			if id, ok := f.Model.Vocab[p]; ok {
				ids = append(ids, id)
				return
			}
			for _, r := range p {
				ids = append(ids, f.Model.Vocab[string(r)])
			}
		}
		at := 0
		for _, m := range re.FindAllStringIndex(s, -1) {
			piece(s[at:m[0]])
			piece(s[m[0]:m[1]])
			at = m[1]
		}
		piece(s[at:])
		return ids
	}
}

// randomText is made of pieces, parts of pieces, and bytes, or runes if valid.
func randomText(r *rand.Rand, v *Vocab, valid bool) string {
	var b []byte
	for range r.IntN(20) {
		switch p := v.pieces[FirstByte+r.IntN(v.Size()-FirstByte)]; {
		case r.IntN(3) == 0:
			b = append(b, p[:1+r.IntN(len(p))]...)
		case r.IntN(4) == 0:
			b = utf8.AppendRune(b, rune(r.IntN(0x3000)))
		default:
			b = append(b, p...)
		}
	}
	if valid {
		b = bytes.ToValidUTF8(b, nil)
	}
	return string(b)
}

func TestEncodeEqualsTwins(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for name, v := range map[string]*Vocab{"builtin": builtin(t), "tangled": tangled(t), "words": words(t)} {
		hf := huggingFace(t, v)
		for range 1500 {
			s := randomText(r, v, false)
			got := v.Encode(s)
			if want := naive(v, s); !slices.Equal(got, want) {
				t.Fatalf("%s: %q gives %v, want %v", name, s, got, want)
			}
			if back := v.Decode(got); back != s {
				t.Fatalf("%s: %q came back as %q", name, s, back)
			}
			s = strings.ToValidUTF8(s, "")
			if got, want := v.Encode(s), hf(s); !slices.Equal(got, want) && !named(v, s) {
				t.Fatalf("%s: %q gives %v, the tokenizer.json %v", name, s, got, want)
			}
		}
	}
}

// named reports whether a text holds a special token's name.
func named(v *Vocab, s string) bool {
	return slices.ContainsFunc(v.names, func(n string) bool { return strings.Contains(s, n) })
}

// All strings up to length 5 over the letters the tangled words are made of.
func TestEncodeExhaustively(t *testing.T) {
	v := tangled(t)
	hf := huggingFace(t, v)
	var grow func(s string)
	grow = func(s string) {
		got := v.Encode(s)
		if !slices.Equal(got, naive(v, s)) || !slices.Equal(got, hf(s)) || v.Decode(got) != s {
			t.Fatalf("%q gives %v, naive %v, tokenizer.json %v", s, got, naive(v, s), hf(s))
		}
		if len(s) < 5 {
			for _, c := range "abcde " {
				grow(s + string(c))
			}
		}
	}
	grow("")
}

func FuzzRoundTrip(f *testing.F) {
	v, w, x := builtin(f), tangled(f), words(f)
	f.Add(" \n\n  Every\n \n")
	f.Add("Anna has 12 apples.\n12 + 7 = 19\n\\boxed{19}")
	f.Add("\xff\x00abcde<eos>日本日本")
	f.Fuzz(func(t *testing.T, s string) {
		for _, v := range []*Vocab{v, w, x} {
			ids := v.Encode(s)
			if v.Decode(ids) != s || !slices.Equal(ids, naive(v, s)) {
				t.Fatalf("%q gives %v, back %q", s, ids, v.Decode(ids))
			}
			for _, id := range ids {
				if v.Special(id) {
					t.Fatalf("%q gives the special token %d", s, id)
				}
			}
		}
	})
}

// A text's encoding is that of its two sides of any newline.
func TestNewlineSplits(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	both := []*Vocab{builtin(t), words(t)}
	for i := range 1000 {
		v := both[i%2]
		a, b := randomText(r, v, false), randomText(r, v, false)
		if !slices.Equal(v.Encode(a+"\n"+b), append(v.Encode(a+"\n"), v.Encode(b)...)) {
			t.Fatalf("%q and %q encode differently together", a, b)
		}
	}
}

// The layout that checkpoints rely on.
func TestLayout(t *testing.T) {
	v, err := New([]string{"the", " the"}, "<extra>")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"<pad>", "<bos>", "<eos>", "<bot>", "<eot>", "<thought>", "<pause>", "<extra>", "<unused8>"}
	if got := v.Specials(); !slices.Equal(got[:9], want) || len(got) != 16 {
		t.Errorf("specials %q", got)
	}
	if v.Size() != 274 || v.BOS() != 1 || v.EOS() != 2 {
		t.Errorf("size %d, bos %d, eos %d", v.Size(), v.BOS(), v.EOS())
	}
	if id, ok := v.ID("<pause>"); !ok || id != Pause {
		t.Errorf("<pause> is %d, %v", id, ok)
	}
	if _, ok := v.ID("the"); ok {
		t.Error("a word passes for a special token")
	}
	for b := range 256 {
		if got := v.Encode(string([]byte{byte(b)})); !slices.Equal(got, []int{16 + b}) {
			t.Fatalf("byte %d is %v", b, got)
		}
	}
	if got := v.Encode("the the12"); !slices.Equal(got, []int{272, 273, 16 + '1', 16 + '2'}) {
		t.Errorf("got %v", got)
	}
	if v.Bytes(BOS) != nil || v.Name(BOS) != "<bos>" || string(v.Bytes(273)) != " the" || v.Decode([]int{1, 272, 2}) != "the" {
		t.Error("special tokens must have names and no bytes")
	}
	if got := v.Decode(v.Encode("<eos>")); got != "<eos>" || slices.Contains(v.Encode("<eos>"), EOS) {
		t.Error("a text must not make a special token")
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		words, specials []string
		want            string
	}{
		{words: []string{"a"}, want: "fewer than two bytes"},
		{words: []string{""}, want: "fewer than two bytes"},
		{words: []string{"x\xff"}, want: "isn't UTF-8"},
		{words: []string{"a1"}, want: "digit"},
		{words: []string{"a\n"}, want: "newline"},
		{words: []string{"x<bos>"}, want: "special token <bos>"},
		{words: []string{"ab", "ab"}, want: "twice"},
		{specials: []string{"<bos>"}, want: "isn't a new name"},
		{specials: []string{"new"}, want: "isn't a new name"},
		{specials: []string{"<a><b>"}, want: "isn't a new name"},
		{specials: make([]string, 10), want: "places for 9"},
	} {
		if _, err := New(c.words, c.specials...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q %q: got %v, want %q", c.words, c.specials, err, c.want)
		}
	}
}

// The built-in word list stays within its budget, and spends one token a word,
// sign and digit on the texts it was made for.
func TestBuiltinVocabulary(t *testing.T) {
	v := builtin(t)
	if v.Size() > 1024 { // the output layer is the largest product of a small model's step
		t.Errorf("%d tokens", v.Size())
	}
	for text, want := range map[string]int{
		"12 + 7 = 19\n":    8, // five digits, two signs with their blanks, the newline
		`\boxed{19}`:       4,
		"(3 + 4) * 5":      7,
		"Anna has 3 pears": 5, // three words, a blank, a digit
	} {
		if got := len(v.Encode(text)); got != want {
			t.Errorf("%q takes %d tokens, want %d", text, got, want)
		}
	}
}

func TestSaveLoad(t *testing.T) {
	for _, v := range []*Vocab{builtin(t), tangled(t), words(t), must(New(nil)), must(New([]string{"the"}, "<extra>"))} {
		dir := t.TempDir()
		if err := v.Save(dir); err != nil {
			t.Fatal(err)
		}
		list, _ := os.ReadDir(dir)
		if len(list) != 2 {
			t.Errorf("the folder holds %v", list)
		}
		for _, path := range []string{dir, filepath.Join(dir, "tokenizer.json")} {
			w, err := Load(path)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(w.pieces, v.pieces) || !slices.Equal(w.names, v.names) || w.spaced != v.spaced {
				t.Errorf("%q came back as %q", v.pieces[FirstWord:], w.pieces[FirstWord:])
			}
		}
		var config struct{ Bos_token, Chat_template string }
		data, _ := os.ReadFile(filepath.Join(dir, "tokenizer_config.json"))
		if err := json.Unmarshal(data, &config); err != nil || config.Bos_token != "<bos>" || config.Chat_template != ChatTemplate {
			t.Errorf("tokenizer_config.json: %s, %v", data, err)
		}
	}
	if _, err := Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "tokenizer.json") {
		t.Errorf("an empty folder: %v", err)
	}
}

func must(v *Vocab, err error) *Vocab {
	if err != nil {
		panic(err)
	}
	return v
}

// A file that would give other ids in its own library must not load.
func TestParseRefuses(t *testing.T) {
	good, err := must(New([]string{"ab", "abc"})).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, old, new, want string }{
		{"shortest first", "abc|ab", "ab|abc", "pre_tokenizer"},
		{"behavior", "Isolated", "Removed", "pre_tokenizer"},
		{"normalizer", `"normalizer": null`, `"normalizer": {"type": "NFC"}`, "normalizer"},
		{"merges", `"merges": []`, `"merges": [["a","b"]]`, "model"},
		{"ignore_merges", `"ignore_merges": true`, `"ignore_merges": false`, "model"},
		{"stripping special", `"lstrip": false`, `"lstrip": true`, "added_tokens"},
		{"two with one id", `"abc": 273`, `"abc": 272`, "is taken"},
		{"id beyond", `"abc": 273`, `"abc": 274`, "beyond"},
		{"negative id", `"abc": 273`, `"abc": -1`, "beyond"},
		{"foreign letter", `"abc": 273`, `"日": 273`, "alphabet"},
		{"swapped bytes", `"!": 49`, `"!": 50`, "is taken"},
		{"other special", `"<eos>": 2`, `"<end>": 2`, ""},
		{"not JSON", `{`, ``, "read x"},
		{"short", string(good), `{"model":{"vocab":{}}}`, "0 tokens"},
	} {
		bad := bytes.Replace(good, []byte(c.old), []byte(c.new), 1)
		if bytes.Equal(bad, good) {
			t.Fatalf("%s: nothing to replace", c.name)
		}
		if _, err := Parse("x", bad); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
	// Fields that don't touch ids may change, as other libraries add their own.
	other := bytes.Replace(good, []byte(`"padding": null`), []byte(`"padding": {"x": 1}, "new": 2`), 1)
	if _, err := Parse("x", other); err != nil {
		t.Error(err)
	}
}

// The table of GPT-2 has these well-known entries, and 256 different ones.
func TestPrintable(t *testing.T) {
	if got := toPrintable(" \n\t\x00a~\x7f\xad\xff"); got != "ĠĊĉĀa~ġŃÿ" {
		t.Errorf("got %q", got)
	}
	var all []byte
	for b := range 256 {
		all = append(all, byte(b))
	}
	if back, ok := fromPrintable(toPrintable(string(all))); !ok || back != string(all) {
		t.Error("the table isn't one to one")
	}
}

func BenchmarkEncode(b *testing.B) {
	v := builtin(b)
	text := strings.Repeat("Anna has 12 apples. She buys 7 more.\n12 + 7 = 19\n\\boxed{19}\n", 20)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		v.Encode(text)
	}
}
