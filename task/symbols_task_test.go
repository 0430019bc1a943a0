package task

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

// TestSymbolTextReadsBack: text and tokens say the same question.
func TestSymbolTextReadsBack(t *testing.T) {
	rng := source(41)
	for _, level := range levels {
		for range 200 {
			s, err := Symbolize(rng, graphOf(SymbolShapeOf(level).Generate(rng)), true)
			if err != nil {
				t.Fatal(err)
			}
			back, err := ParseSymbols(s.String())
			if err != nil || !reflect.DeepEqual(back, s) {
				t.Fatalf("%q reads back as %+v, error %v, want %+v", s, back, err, s)
			}
		}
	}
}

// TestSymbolSteps: a solution is a shortest path, and hops are those of the level.
func TestSymbolSteps(t *testing.T) {
	rng := source(42)
	for level, hops := range map[Level][2]int{Easy: {2, 3}, Standard: {3, 4}, Hard: {5, 6}} {
		for range 100 {
			p := SymbolTask{}.Generate(rng, level)
			s, err := ParseSymbols(p.Question)
			if err != nil {
				t.Fatal(err)
			}
			g := s.Graph()
			if n := len(p.Steps); n != g.Hops() || n < hops[0] || n > hops[1] {
				t.Fatalf("%v: %d steps for %d hops", level, n, g.Hops())
			}
			at := s.Root
			for _, step := range p.Steps {
				ids, err := symbolIDs(step, 2)
				if err != nil || ids[0] != at || !hasEdge(g, ids) {
					t.Fatalf("step %q from %d of %q", step, at, p.Question)
				}
				at = ids[1]
			}
			if at != s.Target || !(SymbolTask{}).Verify(p, p.Answer) || (SymbolTask{}).Verify(p, g.IdxToSymbol[g.NegTarget]) {
				t.Fatalf("the steps of %q end at %d", p.Question, at)
			}
		}
	}
}

func hasEdge(g *Graph, e []int) bool {
	for _, f := range g.Edges {
		if f[0] == e[0] && f[1] == e[1] {
			return true
		}
	}
	return false
}

// TestSymbolFile: a file in the published format, and its graphs, as questions in
// symbols with the file's own ids and the sentences' order.
func TestSymbolFile(t *testing.T) {
	words := sample(t, SymbolShapeOf(Standard), 20, 43)
	var file bytes.Buffer
	if err := (ProsQA{}).WriteFile(&file, words); err != nil {
		t.Fatal(err)
	}
	got, err := SymbolTask{}.ReadFile(&file)
	if err != nil {
		t.Fatal(err)
	}
	checkSymbolFile(t, got, words)
}

func checkSymbolFile(t *testing.T, got, words []Problem) {
	t.Helper()
	if len(got) != len(words) {
		t.Fatalf("%d problems, want %d", len(got), len(words))
	}
	for i, p := range got {
		g, own := graphOf(words[i]), graphOf(p)
		if p.Answer != own.IdxToSymbol[g.Target] || own.Root != g.Root || !reflect.DeepEqual(own.Optimal(), g.Optimal()) {
			t.Fatalf("item %d: %+v of %+v", i, own, g)
		}
		facts, q, err := readQuestion(words[i].Question)
		if err != nil {
			t.Fatal(err)
		}
		s, err := ParseSymbols(p.Question)
		if err != nil {
			t.Fatal(err)
		}
		for k, f := range facts {
			if e := s.Edges[k]; g.IdxToSymbol[e[0]] != f.from || g.IdxToSymbol[e[1]] != f.to {
				t.Fatalf("item %d, edge %d: %v, the sentence says %v", i, k, e, f)
			}
		}
		if g.IdxToSymbol[s.Candidates[0]] != q.kinds[0] || g.IdxToSymbol[s.Candidates[1]] != q.kinds[1] {
			t.Fatalf("item %d: candidates %v, the question asks for %v", i, s.Candidates, q.kinds)
		}
		if len(p.Steps) != len(words[i].Steps) {
			t.Fatalf("item %d: steps %v, want as %v", i, p.Steps, words[i].Steps)
		}
	}
}

func TestPublishedSymbolFile(t *testing.T) {
	words := published(t, "prosqa_valid_graph_4_coconut.json")
	var got []Problem
	for _, p := range words {
		q, err := symbolProblem(p)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, q)
	}
	checkSymbolFile(t, got, words)
	if len(got) != 257 {
		t.Errorf("%d items, want 257", len(got))
	}
}

func TestSymbolErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                        `no "[Q]"`,
		"1 2 [Q] 2 3":             `no "[Q]" followed by "[R]"`,
		"1 2 | 3 [Q] 2 3 [R] 1":   `edge 2: "3" has 1 ids, want 2`,
		"1 2 | 3 x [Q] 2 3 [R] 1": `edge 2: "x" is not an id from 0 to 30`,
		"1 31 [Q] 2 3 [R] 1":      `"31" is not an id`,
		"1 2 | [Q] 2 3 [R] 1":     `edge 2: "" has 0 ids`,
		"1 2 [Q] 2 [R] 1":         `candidates after [Q]: "2" has 1 ids`,
		"1 2 [Q] 2 3 [R]":         `root after [R]`,
		"1 2 | 1 3 [Q] 2 3 [R] 1": "both can be reached from 1; exactly one must be",
		"1 2 | 4 3 [Q] 5 3 [R] 1": "neither can be reached",
	} {
		if _, err := ParseSymbols(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", text, err, want)
		}
	}
	if _, err := (SymbolTask{}).ReadFile(strings.NewReader(`[{"question": "How much?", "answer": "3", "steps": ["x"]}]`)); err == nil || !strings.Contains(err.Error(), "item 0: it has no graph") {
		t.Errorf("an item without a graph: %v", err)
	}
}

// TestSortedIDs: ids ascend along every edge, which random ones do not.
func TestSortedIDs(t *testing.T) {
	rng, falls := source(3), 0
	for range 20 {
		for _, e := range (SymbolTask{}).Sorted(rng, Standard).Data.(*Graph).Edges {
			if e[0] >= e[1] {
				t.Fatalf("edge %v", e)
			}
		}
		for _, e := range (SymbolTask{}).Generate(rng, Standard).Data.(*Graph).Edges {
			if e[0] > e[1] {
				falls++
			}
		}
	}
	if falls < 200 { // half of some 700 edges
		t.Errorf("%d of the edges of graphs with random ids fall", falls)
	}
}
