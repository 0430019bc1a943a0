package task

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// published opens one of the original files. They aren't part of this
// repository: ORRERY_DATA, or ../../shared/data, is where they may lie.
func published(t *testing.T, name string) []Problem {
	t.Helper()
	dir := os.Getenv("ORRERY_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "data")
	}
	f, err := os.Open(filepath.Join(dir, name))
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("skipped: the published %s isn't in %s; to run, set ORRERY_DATA to a folder with it", name, dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	problems, err := ProsQA{}.ReadFile(f)
	if err != nil {
		t.Fatal(err)
	}
	return problems
}

// Every fact recorded about the published validation file. Means are compared
// to the last digit recorded.
func TestPublishedFile(t *testing.T) {
	problems := published(t, "prosqa_valid.json")
	if len(problems) != 300 {
		t.Fatalf("%d items, want 300", len(problems))
	}
	for i, p := range problems {
		if err := ValidateProsQA(p); err != nil {
			t.Errorf("item %d: %v", i, err)
		}
		if g := graphOf(p); g.NeighborK != nil || g.Root > 1 {
			t.Errorf("item %d: neighbor_k %v, root %d", i, g.NeighborK, g.Root)
		}
	}
	mean := func(f func(*Graph) float64) float64 { m, _ := moments(problems, f); return m }
	leaves := func(g *Graph) float64 {
		n := 0.0
		for _, c := range g.Children() {
			n += bit(len(c) == 0)
		}
		return n
	}
	for name, c := range map[string]struct{ got, want, digit float64 }{
		"nodes":          {mean(features["nodes"]), 22.82, .01},
		"edges":          {mean(features["edges"]), 36.26, .01},
		"parentless":     {mean(features["parentless"]), 2.51, .01},
		"leaves":         {mean(leaves), 7.42, .01},
		"reachable":      {mean(features["reachable"]), 13.37, .01},
		"shortest paths": {mean(features["shortest paths"]), 1.61, .01},
		"hops 3":         {300 * mean(features["hops 3"]), 124, 0},
		"hops 4":         {300 * mean(features["hops 4"]), 133, 0},
		"hops 5":         {300 * mean(features["hops 5"]), 36, 0},
		"hops 6":         {300 * mean(features["hops 6"]), 7, 0},
	} {
		if math.Abs(c.got-c.want) > c.digit/2+1e-9 {
			t.Errorf("%s: %.4f, recorded %v", name, c.got, c.want)
		}
	}

	var degree [5]float64
	var nodes float64
	least, most := [3]int{math.MaxInt, math.MaxInt, math.MaxInt}, [3]int{}
	first, length := 0, 0
	seen := map[bool]map[string]bool{true: {}, false: {}} // by whether parentless
	for _, p := range problems {
		g := graphOf(p)
		for _, parents := range g.Parents() {
			degree[min(len(parents), 4)]++
			nodes++
		}
		for v, top := range g.isParentless() {
			seen[top][g.IdxToSymbol[v]] = true
		}
		for i, n := range [3]int{g.Nodes(), len(g.Edges), tokens(p.Question)} {
			least[i], most[i] = min(least[i], n), max(most[i], n)
		}
		for _, e := range g.Edges {
			if e[0] >= e[1] {
				t.Fatalf("edge %v isn't in topological order", e)
			}
		}
		length += tokens(p.Question)
		if q, _ := findQuery(p.Question); q.kinds[0] == p.Answer {
			first++
		}
	}
	for k, want := range [5]float64{.110, .437, .277, .124, .052} {
		if got := degree[k] / nodes; math.Abs(got-want) > .0005+1e-9 {
			t.Errorf("in-degree %d: %.4f, recorded %.3f", k, got, want)
		}
	}
	if least != [3]int{17, 22, 130} || most != [3]int{28, 53, 312} {
		t.Errorf("nodes, edges, words: from %v to %v, recorded 17–28, 22–53, 130–312", least, most)
	}
	if m := float64(length) / 300; math.Abs(m-217.8) > .05 {
		t.Errorf("mean length %.2f words and marks, recorded 217.8", m)
	}
	if first != 144 {
		t.Errorf("correct candidate first in %d, recorded 144", first)
	}
	if len(seen[true]) != len(persons) || len(seen[false]) != len(kinds) {
		t.Errorf("%d persons and %d kinds, recorded 17 and 38", len(seen[true]), len(seen[false]))
	}
	for _, n := range persons {
		if !seen[true][n] || seen[false][n] {
			t.Errorf("%s isn't the name of parentless nodes only", n)
		}
	}
	for _, n := range kinds {
		if !seen[false][n] || seen[true][n] {
			t.Errorf("%s isn't the name of nodes with parents only", n)
		}
	}
}

// The second file: the 3- and 4-hop items of the first, in the same wording,
// with the optimal nodes by depth (which ReadFile has compared with Optimal).
func TestPublishedFileWithLayers(t *testing.T) {
	problems := published(t, "prosqa_valid_graph_4_coconut.json")
	wording := map[string]bool{}
	for _, p := range published(t, "prosqa_valid.json") {
		wording[p.Question] = true
	}
	hops := map[int]int{}
	for i, p := range problems {
		g := graphOf(p)
		hops[g.Hops()]++
		if err := ValidateProsQA(p); err != nil || len(g.NeighborK) != g.Hops()+1 || !wording[p.Question] {
			t.Errorf("item %d: error %v, %d layers for %d hops, in the first file: %v", i, err, len(g.NeighborK), g.Hops(), wording[p.Question])
		}
	}
	if !reflect.DeepEqual(hops, map[int]int{3: 124, 4: 133}) {
		t.Errorf("items by hops: %v", hops)
	}
}

// The generator's own means against the validation file, 4 standard errors of the
// difference.
func TestGeneratorMatchesPublishedFile(t *testing.T) {
	theirs := published(t, "prosqa_valid.json")
	ours := sample(t, ProsQAShapeOf(Standard), 3000, 21)
	for name, f := range features {
		a, sa := moments(ours, f)
		b, sb := moments(theirs, f)
		if math.Abs(a-b) > 4*math.Hypot(sa, sb) {
			t.Errorf("%s: generated %.3f ± %.3f, published %.3f ± %.3f", name, a, sa, b, sb)
		}
	}
}

func TestFileRoundTrip(t *testing.T) {
	problems := append(sample(t, ProsQAShapeOf(Standard), 20, 22), sample(t, ProsQAShapeOf(Easy), 20, 23)...)
	graphOf(problems[0]).NeighborK = nil
	var file bytes.Buffer
	if err := (ProsQA{}).WriteFile(&file, problems); err != nil {
		t.Fatal(err)
	}
	read, err := ProsQA{}.ReadFile(bytes.NewReader(file.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(read, problems) {
		t.Error("problems changed on the way through a file")
	}
	var items []map[string]json.RawMessage
	if err := json.Unmarshal(file.Bytes(), &items); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"question", "answer", "steps", "idx_to_symbol", "edges", "root", "target", "neg_target"} {
		if _, ok := items[0][key]; !ok {
			t.Errorf("the file lacks %q", key)
		}
	}
	if _, ok := items[0]["neighbor_k"]; ok {
		t.Error("neighbor_k is written where there is none")
	}
	if k := string(items[1]["neighbor_k"]); !strings.HasPrefix(k, `{"0":[`) {
		t.Errorf("neighbor_k is written as %s", k)
	}
	var bad *FieldError
	if err := (ProsQA{}).WriteFile(&file, []Problem{problems[0], {}}); !errors.As(err, &bad) || bad.Item != 1 {
		t.Errorf("writing a problem without a graph: %v", err)
	}
}

// Lists with question, answer and steps only: ProsQA's own wording yields the graph,
// derived wording too, and other kinds of problems come through as they are.
func TestReadFileTextOnly(t *testing.T) {
	const file = `[
	{"question": "Every brimpus is a gorpus. Rex is a brimpus. Tom is a zumpus. Is Rex a zumpus or gorpus?",
	 "answer": "Rex is a gorpus.", "steps": ["Rex is a brimpus.", "Every brimpus is a gorpus."]},
	{"question": "Every brimpus is a gorpus. Every dumpus is a zumpus. Is Rex a gorpus or a zumpus?",
	 "answer": "Rex is a gorpus.", "steps": ["Every brimpus is a gorpus, so Rex is a gorpus."], "hops": 7},
	{"question": "Rex has 3 bones and digs up 1,997 more. How many has he?", "answer": "2,000", "steps": ["<<3+1997=2000>>"]},
	{"question": "True or false: Rex is not loud.", "answer": "True", "steps": []}
	]`
	problems, err := ProsQA{}.ReadFile(strings.NewReader(file))
	if err != nil || len(problems) != 4 {
		t.Fatalf("%d problems, error %v", len(problems), err)
	}
	if err := ValidateProsQA(problems[0]); err != nil || problems[0].Answer != "gorpus" {
		t.Errorf("graph from text: answer %q, %v", problems[0].Answer, err)
	}
	if err := ValidateProsQA(problems[1]); !errors.Is(err, ErrUnanswerable) || graphOf(problems[1]).Answerable() {
		t.Errorf("the person isn't joined to any chain: error %v", err)
	}
	for i, right := range map[int]string{0: "gorpus", 2: "2000", 3: "True"} {
		if !(ProsQA{}).Verify(problems[i], right) || (ProsQA{}).Verify(problems[i], "1997") {
			t.Errorf("item %d: %q marked wrong, or 1997 right", i, right)
		}
	}
	both, err := ProsQA{}.ReadFile(strings.NewReader(`[{"question": "Rex is a gorpus. Rex is a zumpus. Is Rex a zumpus or gorpus?", "answer": "Rex is a zumpus.", "steps": []}]`))
	if err != nil || graphOf(both[0]).Answerable() {
		t.Errorf("both candidates are right: error %v, answerable %v", err, err == nil)
	}
	if problems[2].Data != nil || problems[3].Data != nil {
		t.Error("a graph was made of other sentences")
	}
}

// Each fault is reported with the item and the field that have it.
func TestReadFileNamesItemAndField(t *testing.T) {
	var good bytes.Buffer
	if err := (ProsQA{}).WriteFile(&good, sample(t, ProsQAShapeOf(Easy), 2, 24)); err != nil {
		t.Fatal(err)
	}
	spoil := func(key, value string) string {
		var items []map[string]json.RawMessage
		if err := json.Unmarshal(good.Bytes(), &items); err != nil {
			t.Fatal(err)
		}
		if value == "" {
			delete(items[1], key)
		} else {
			items[1][key] = json.RawMessage(value)
		}
		b, err := json.Marshal(items)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, c := range []struct {
		file, field string
		item        int
	}{
		{`[{"question": "Rex is a gorpus. Tom is a zumpus. Is Rex a zumpus or gorpus?", "answer": "Rex is a zumpus.", "steps": []}]`, "answer", 0},
		{"", "", 0}, {"{}", "", 0}, {"[", "", 0}, {"[1]", "", 0}, {"[{}", "question", 0}, {"[] []", "", 0},
		{good.String()[:good.Len()-3], "", 1},
		{spoil("question", ""), "question", 1}, {spoil("question", "7"), "question", 1}, {spoil("question", `"a\nb"`), "question", 1},
		{spoil("question", `"Is it so?"`), "question", 1},
		{spoil("answer", "null"), "answer", 1}, {spoil("answer", `"Nobody is a brimpus."`), "answer", 1},
		{spoil("steps", ""), "steps", 1}, {spoil("steps", `["a\nb"]`), "steps", 1}, {spoil("steps", `[]`), "steps", 1},
		{spoil("idx_to_symbol", ""), "idx_to_symbol", 1}, {spoil("idx_to_symbol", `"x"`), "idx_to_symbol", 1},
		{spoil("edges", ""), "edges", 1}, {spoil("edges", "[[0]]"), "edges", 1}, {spoil("edges", "[[0,1,2]]"), "edges", 1}, {spoil("edges", "[[0,-1]]"), "edges", 1},
		{spoil("root", "0.5"), "root", 1}, {spoil("root", "999"), "root", 1},
		{spoil("target", ""), "target", 1}, {spoil("neg_target", `"x"`), "neg_target", 1},
		{spoil("neighbor_k", `{"1":[0]}`), "neighbor_k", 1}, {spoil("neighbor_k", `{"0":[0]}`), "neighbor_k", 1}, {spoil("neighbor_k", `[[0]]`), "neighbor_k", 1},
	} {
		problems, err := ProsQA{}.ReadFile(strings.NewReader(c.file))
		var bad *FieldError
		if !errors.As(err, &bad) || bad.Item != c.item || bad.Field != c.field || problems != nil || !strings.HasPrefix(err.Error(), "prosqa item") {
			t.Errorf("want item %d, field %q: got %d problems, error %v, for\n%.200s", c.item, c.field, len(problems), err, c.file)
		}
	}
}

// Whatever the bytes, reading ends without panic, in a *FieldError or in problems; those that
// are valid survive a round trip.
func FuzzProsQAReadFile(f *testing.F) {
	rng := source(25)
	var file bytes.Buffer
	if err := (ProsQA{}).WriteFile(&file, []Problem{ProsQA{}.Generate(rng, Easy)}); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes())
	f.Add([]byte(`[{"question":"A is a b. Is A a b or c?","answer":"b","steps":["A is a b."]}]`))
	f.Add([]byte(`[{"question":"","answer":"","steps":null,"edges":[[0,0]],"root":0}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		problems, err := ProsQA{}.ReadFile(bytes.NewReader(b))
		if err != nil {
			var bad *FieldError
			if !errors.As(err, &bad) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		for _, p := range problems {
			if ValidateProsQA(p) != nil {
				continue
			}
			var again bytes.Buffer
			if err := (ProsQA{}).WriteFile(&again, []Problem{p}); err != nil {
				t.Fatal(err)
			}
			read, err := ProsQA{}.ReadFile(&again)
			if err != nil || !reflect.DeepEqual(read, []Problem{p}) {
				t.Fatalf("round trip of %+v gives %+v, %v", p, read, err)
			}
		}
	})
}
