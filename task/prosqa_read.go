package task

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// FieldError says which field of which item of a problem file is at fault.
type FieldError struct {
	Item  int    // position in the list, from 0; -1 for a problem that isn't from a list
	Field string // JSON key; empty if the item as a whole is meant
	Err   error
}

func (e *FieldError) Error() string {
	var b strings.Builder
	b.WriteString("prosqa")
	if e.Item >= 0 {
		fmt.Fprintf(&b, " item %d", e.Item)
	}
	if e.Field != "" {
		fmt.Fprintf(&b, ", field %q", e.Field)
	}
	return b.String() + ": " + e.Err.Error()
}

func (e *FieldError) Unwrap() error { return e.Err }

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
	dec := json.NewDecoder(r)
	whole := func(item int, err error) ([]Problem, error) {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, &FieldError{Item: item, Err: err}
	}
	if open, err := dec.Token(); err != nil {
		return whole(0, fmt.Errorf("read the start of the list: %w", err))
	} else if open != json.Delim('[') {
		return whole(0, fmt.Errorf("the file starts with %v, not with a JSON list", open))
	}
	var problems []Problem
	for i := 0; dec.More(); i++ {
		var fields map[string]json.RawMessage
		if err := dec.Decode(&fields); err != nil {
			return whole(i, fmt.Errorf("read as a JSON object: %w", err))
		}
		p, err := readItem(fields)
		if err != nil {
			err.Item = i
			return nil, err
		}
		problems = append(problems, p)
	}
	if _, err := dec.Token(); err != nil {
		return whole(len(problems), fmt.Errorf("read the end of the list: %w", err))
	}
	if _, err := dec.Token(); err != io.EOF {
		return whole(len(problems), errors.New("something follows the list; a file holds one JSON list"))
	}
	return problems, nil
}

// graphFields are the keys that describe the graph: all or none.
var graphFields = []string{"idx_to_symbol", "edges", "root", "target", "neg_target"}

// readItem makes a problem of one item.
func readItem(fields map[string]json.RawMessage) (p Problem, bad *FieldError) {
	field := func(name string, to any) {
		if bad != nil {
			return
		}
		raw, ok := fields[name]
		if !ok || string(raw) == "null" {
			bad = fieldf(name, "is missing")
		} else if err := json.Unmarshal(raw, to); err != nil {
			bad = &FieldError{Field: name, Err: err}
		}
	}
	p.Task = ProsQA{}.Name()
	var answer string
	field("question", &p.Question)
	field("answer", &answer)
	field("steps", &p.Steps)
	p.Question = strings.TrimSpace(p.Question)
	p.Answer = strings.TrimSpace(answer)
	if bad != nil {
		return p, bad
	}
	for i, s := range p.Steps {
		p.Steps[i] = strings.TrimSpace(s)
	}
	if strings.Contains(p.Question, "\n") {
		return p, fieldf("question", "has a line break; it must be one paragraph")
	}
	if i := slices.IndexFunc(p.Steps, func(s string) bool { return strings.Contains(s, "\n") }); i >= 0 {
		return p, fieldf("steps", "step %d has a line break; a step is one line", i)
	}
	q, isQuery := findQuery(p.Question)
	if isQuery {
		kind, ok := q.candidate(p.Answer)
		if !ok {
			return p, fieldf("answer", "%q doesn't say that %s is a %s or a %s", answer, q.name, q.kinds[0], q.kinds[1])
		}
		p.Answer = kind
	}
	if !slices.ContainsFunc(graphFields, func(f string) bool { _, ok := fields[f]; return ok }) {
		if g := graphOfText(p.Question, p.Answer); g != nil {
			p.Data = g
		}
		return p, nil
	}
	g := &Graph{}
	field("idx_to_symbol", &g.IdxToSymbol)
	var edges [][]int // a Go array would take lists of any length
	field("edges", &edges)
	field("root", &g.Root)
	field("target", &g.Target)
	field("neg_target", &g.NegTarget)
	if _, ok := fields["neighbor_k"]; ok {
		field("neighbor_k", &g.NeighborK)
	}
	if bad != nil {
		return p, bad
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

func fieldf(field, format string, args ...any) *FieldError {
	return &FieldError{Item: -1, Field: field, Err: fmt.Errorf(format, args...)}
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
			return &FieldError{Item: i, Err: errors.New("write: the problem has no *Graph as its Data; generate it or read it from a file that has one")}
		}
		if err := g.check(); err != nil {
			err.Item = i
			return err
		}
		items[i] = prosqaItem{p.Question, g.IdxToSymbol[g.Root] + " is a " + p.Answer + ".", p.Steps, g}
	}
	return json.NewEncoder(w).Encode(items)
}
