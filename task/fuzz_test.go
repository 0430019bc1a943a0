package task

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// Files of published problems, read by every task that reads files: whatever
// the bytes, an error that says where, or problems with a question and an answer.
func FuzzReadFiles(f *testing.F) {
	var readers []FileReader
	for _, name := range Names() {
		t, err := Lookup(name)
		if err != nil {
			f.Fatal(err)
		}
		if r, ok := t.(FileReader); ok {
			readers = append(readers, r)
		}
	}
	f.Add([]byte(`[{"question": "Every a is a b. X is a a. Is X a b or c?", "answer": "X is a b.", "steps": ["X is a a."], "edges": [[0, 1]], "root": 0, "target": 1, "neg_target": 2, "idx_to_symbol": ["X", "b", "c"]}]`))
	f.Add([]byte("1 2 3 | 4\n(1+2)*3\n"))
	f.Add([]byte(`{"1": {"test_example": {"question": "Q", "query": "q", "chain_of_thought": ["a."], "answer": "True"}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, r := range readers {
			problems, err := r.ReadFile(bytes.NewReader(b))
			if err != nil {
				if err.Error() == "" || problems != nil {
					t.Fatalf("%T: %d problems and %v", r, len(problems), err)
				}
				continue
			}
			for _, p := range problems {
				if strings.TrimSpace(p.Question) == "" {
					t.Fatalf("%T: a problem without a question: %+v", r, p)
				}
			}
		}
	})
}

// A graph question as a line of symbols, or in sentences: refused, or a
// question with one reachable candidate, which its own line asks again.
func FuzzReadSymbols(f *testing.F) {
	f.Add("3 7 | 7 9 | 4 2 [Q] 9 2 [R] 3")
	f.Add("Every wumpus is a gorpus. Every gorpus is a yumpus. Every lempus is a sterpus. Alex is a wumpus. Is Alex a yumpus or sterpus?")
	f.Add("[Q] [R]")
	f.Fuzz(func(t *testing.T, text string) {
		s, names, err := ReadSymbols(text)
		if err != nil {
			return
		}
		again, err := ParseSymbols(s.String())
		if err != nil || again.Target != s.Target || !reflect.DeepEqual(again.Edges, s.Edges) || again.Root != s.Root {
			t.Fatalf("%q is %q, which is %+v, %v", text, s, again, err)
		}
		for _, id := range []int{s.Target, s.Root, s.Candidates[0], s.Candidates[1]} {
			if id < 0 || id >= len(names) {
				t.Fatalf("%q: id %d has no name among %q", text, id, names)
			}
		}
	})
}

// A graph in JSON and the numbers of a countdown question come back as they were.
func FuzzGraphsAndNumbers(f *testing.F) {
	f.Add(`{"edges": [[0, 1]], "root": 0, "target": 1, "neg_target": 2, "idx_to_symbol": ["a", "b", "c"]}`, "Use 1, 2 and 3, each exactly once, with +, - and * to make 7.")
	f.Add(`[]`, "Use , each exactly once, with  to make 9223372036854775808.")
	f.Fuzz(func(t *testing.T, graph, question string) {
		var g Graph
		if json.Unmarshal([]byte(graph), &g) == nil {
			b, err := json.Marshal(&g)
			var again Graph
			if err != nil || json.Unmarshal(b, &again) != nil {
				t.Fatalf("%q is written as %q, %v", graph, b, err)
			}
		}
		if c, ok := readCountdown(question); ok && len(c.Numbers) == 0 {
			t.Fatalf("%q has no numbers: %+v", question, c)
		}
	})
}
