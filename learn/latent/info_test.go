package latent

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"orrery/learn/token"
	"orrery/task"
)

func TestInfo(t *testing.T) {
	for _, m := range Methods {
		i := NewInfo(m, 6, "prosqa")
		if want := map[bool]int{true: 0, false: 6}[m.Fill() == Nothing]; i.Thoughts != want {
			t.Errorf("%s has %d thoughts, want %d", m, i.Thoughts, want)
		}
		got, err := Read(fstest.MapFS{FileName: {Data: i.Bytes()}})
		if err != nil || got != i {
			t.Errorf("%s: %+v came back as %+v, %v", m, i, got, err)
		}
		if back, err := ParseMethod(string(m)); err != nil || back != m {
			t.Errorf("%s: %v", m, err)
		}
	}
	if _, err := ParseMethod("coconuts"); err == nil || !strings.Contains(err.Error(), "pause-as-thought") {
		t.Errorf("an unknown method gives %v", err)
	}
	if _, err := Read(fstest.MapFS{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder without the file gives %v", err)
	}
	good := string(NewInfo(Coconut, 3, "prosqa").Bytes())
	for name, bad := range map[string]string{
		"unknown field": strings.Replace(good, `"fill"`, `"fills"`, 1),
		"trailing":      good + "{}",
		"version":       strings.Replace(good, `"version": 1`, `"version": 2`, 1),
		"method":        strings.Replace(good, `"coconut"`, `"cocoa"`, 1),
		"fill":          strings.Replace(good, `"thought",`, `"pause",`, 1),
		"thoughts":      strings.Replace(good, `"thoughts": 3`, `"thoughts": 0`, 1),
		"tokens":        strings.Replace(good, `"eot": 4`, `"eot": 3`, 1),
		"mark":          strings.Replace(good, `"### "`, `"#"`, 1),
		"task":          strings.Replace(good, `"prosqa"`, `""`, 1),
		"cut":           good[:20],
	} {
		if bad == good {
			t.Fatalf("%s: the test changes nothing", name)
		}
		if _, err := Read(fstest.MapFS{FileName: {Data: []byte(bad)}}); err == nil || !strings.Contains(err.Error(), FileName) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Both vocabularies spell every sentence of question, solution and answer; in
// Phrases a sentence is three tokens, the same in question and solution.
func TestVocabularies(t *testing.T) {
	prosqa, err := task.Lookup("prosqa-tiny")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{Words, Phrases} {
		v, err := Vocabulary(prosqa, kind)
		if err != nil {
			t.Fatal(err)
		}
		text := "Every wumpus is a lempus. Sam is a wumpus. Is Sam a lempus or gorpus?\n"
		steps := "Sam is a wumpus.\nEvery wumpus is a lempus.\n### Sam is a lempus."
		for _, s := range []string{text, steps} {
			ids := v.Encode(s)
			if v.Decode(ids) != s {
				t.Errorf("%s: %q came back as %q", kind, s, v.Decode(ids))
			}
			for _, id := range ids {
				if id < token.FirstWord && !strings.ContainsAny(v.Name(id), ".?\n") {
					t.Errorf("%s spells %q with the byte %q", kind, s, v.Name(id))
				}
			}
		}
		if kind == Phrases {
			q, a := v.Encode(text), v.Encode(steps)
			if len(q) != 3+3+6 || q[0] != a[4] || q[1] != a[5] || q[3] != a[0] || a[9] != a[0] {
				t.Errorf("the question is %v, the solution %v", q, a)
			}
		}
	}
	if _, err := Vocabulary(prosqa, "bytes"); err == nil {
		t.Error("an unknown vocabulary was taken")
	}
}
