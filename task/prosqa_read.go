package task

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
)

// ErrUnanswerable marks a graph in which neither candidate can be reached from
// the root. Published derived sets have such items; they are read, not scored.
var ErrUnanswerable = errors.New("neither candidate can be reached from the root, so the question has no answer")

// ReadFile reads a JSON list of items with question, answer and steps, as all files
// of arXiv 2412.06769 have, and the graph fields of ProsQA where there are any
// (neighbor_k too). An item with a graph must be consistent, see ValidateProsQA,
// except that it may be unanswerable. An item without one gets the graph that its sentences
// spell, or nil Data if they aren't ProsQA's. Unknown fields are ignored.
//
// Errors are *FieldError; nothing is returned beside one.
func (ProsQA) ReadFile(r io.Reader) ([]Problem, error) {
	return readList(r, ProsQA{}.Name(), readProsQA)
}

// graphFields are the keys that describe the graph: all or none.
var graphFields = []string{"idx_to_symbol", "edges", "root", "target", "neg_target"}

// readProsQA makes a problem of one item.
func readProsQA(f fields) (p Problem, bad *FieldError) {
	if p, bad = f.problem(); bad != nil {
		return p, bad
	}
	q, isQuery := findQuery(p.Question)
	if isQuery {
		kind, ok := q.candidate(p.Answer)
		if !ok {
			return p, fieldf("answer", "%q doesn't say that %s is a %s or a %s", p.Answer, q.name, q.kinds[0], q.kinds[1])
		}
		p.Answer = kind
	}
	if !slices.ContainsFunc(graphFields, func(key string) bool { _, ok := f[key]; return ok }) {
		if g := graphOfText(p.Question, p.Answer); g != nil {
			if d := g.Distances(g.Root); d[g.Target] < 0 && d[g.NegTarget] >= 0 {
				return p, fieldf("answer", "is %q, but the sentences lead to %q only", p.Answer, g.IdxToSymbol[g.NegTarget])
			}
			p.Data = g
		}
		return p, nil
	}
	g := &Graph{}
	var edges [][]int // a Go array would take lists of any length
	to := map[string]any{"idx_to_symbol": &g.IdxToSymbol, "edges": &edges, "root": &g.Root, "target": &g.Target, "neg_target": &g.NegTarget}
	for _, name := range graphFields {
		if bad = f.get(name, to[name]); bad != nil {
			return p, bad
		}
	}
	if _, ok := f["neighbor_k"]; ok {
		if bad = f.get("neighbor_k", &g.NeighborK); bad != nil {
			return p, bad
		}
	}
	for i, e := range edges {
		if len(e) != 2 {
			return p, fieldf("edges", "edge %d has %d ids; it must be [source, target]", i, len(e))
		}
		g.Edges = append(g.Edges, [2]int{e[0], e[1]})
	}
	p.Data = g
	if err := ValidateProsQA(p); err != nil && !errors.Is(err, ErrUnanswerable) {
		errors.As(err, &bad)
		return p, bad
	}
	return p, nil
}

// graphOfText spells the graph of a question whose answer is known, nil if the
// question isn't ProsQA's. Nodes are numbered as they appear; the person and the candidates are
// nodes even if no sentence mentions them.
func graphOfText(question, answer string) *Graph {
	facts, q, err := readQuestion(question)
	if err != nil {
		return nil
	}
	g := &Graph{}
	ids := map[string]int{}
	id := func(name string) int {
		n, ok := ids[name]
		if !ok {
			n = len(ids)
			ids[name] = n
			g.IdxToSymbol = append(g.IdxToSymbol, name)
		}
		return n
	}
	for _, f := range facts {
		a, b := id(f.from), id(f.to)
		g.Edges = append(g.Edges, [2]int{a, b})
	}
	g.Root, g.Target, g.NegTarget = id(q.name), id(q.kinds[0]), id(q.kinds[1])
	if q.kinds[1] == answer {
		g.Target, g.NegTarget = g.NegTarget, g.Target
	}
	return g
}

// prosqaItem is an item as the files write it.
type prosqaItem struct {
	Question string   `json:"question"`
	Answer   string   `json:"answer"`
	Steps    []string `json:"steps"`
	*Graph
}

// WriteFile writes problems in the published format, which ReadFile reads back
// to equal problems of level Standard. Every problem needs its *Graph.
func (ProsQA) WriteFile(w io.Writer, problems []Problem) error {
	items := make([]prosqaItem, len(problems))
	for i, p := range problems {
		g, ok := p.Data.(*Graph)
		if !ok || g == nil {
			return &FieldError{Task: ProsQA{}.Name(), Item: i, Err: errors.New("write: the problem has no *Graph as its Data; generate it or read it from a file that has one")}
		}
		if err := g.check(); err != nil {
			err.Task, err.Item = ProsQA{}.Name(), i
			return err
		}
		items[i] = prosqaItem{p.Question, g.IdxToSymbol[g.Root] + " is a " + p.Answer + ".", p.Steps, g}
	}
	return json.NewEncoder(w).Encode(items)
}
