package task

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// SymbolTask is graph reachability in node ids (arXiv 2505.12514), the question of
// the two-layer models: "3 7 | 7 9 | 4 2 [Q] 9 2 [R] 3" lists edges, two candidates and the
// root, and its answer is the candidate that can be reached.
//
//	level     shape
//	Easy      10 slots, 2–3 hops
//	Standard  the published files' statistics: 28 slots, 3–4 hops
//	Hard      28 slots, 5–6 hops
//
// Every problem carries a *Graph over all 31 ids as its Data, with the edges in
// the question's order.
type SymbolTask struct{}

func init() { Register(SymbolTask{}) }

func (SymbolTask) Name() string { return "symbols" }

func (SymbolTask) About() string {
	return "which of two nodes of a directed graph can be reached, in node ids"
}

func (SymbolTask) Instruction() string {
	return `The line lists the edges "from to" of a directed graph, then two candidates after [Q] and the root after [R]; put the candidate that can be reached from the root alone in \boxed{}.`
}

// Words are the letters of the markers.
func (SymbolTask) Words() []string { return []string{"Q", "R"} }

// SymbolShapeOf is the shape of a level's graphs.
func SymbolShapeOf(level Level) ProsQAShape {
	s := ProsQAShapeOf(Standard)
	switch s.MaxHops = 4; level {
	case Easy:
		s.Slots, s.MinHops, s.MaxHops = 10, 2, 3
	case Hard:
		s.MinHops, s.MaxHops = 5, 6
	}
	return s
}

func (SymbolTask) Generate(rng *rand.Rand, level Level) Problem {
	return generateSymbols(rng, level, true)
}

// Sorted is Generate with ids that ascend along edges, as published files have them.
func (SymbolTask) Sorted(rng *rand.Rand, level Level) Problem {
	return generateSymbols(rng, level, false)
}

func generateSymbols(rng *rand.Rand, level Level, permute bool) Problem {
	g := SymbolShapeOf(level).Generate(rng).Data.(*Graph)
	s, err := Symbolize(rng, g, permute)
	if err != nil {
		panic(err) // 28 slots are fewer than 31 ids
	}
	h := s.Graph()
	return s.problem(h.ShortestPath(rng), level)
}

// problem asks the question, with a path from root to target as its solution.
func (s Symbols) problem(path []int, level Level) Problem {
	g := s.Graph()
	g.NeighborK = g.Optimal()
	p := Problem{Task: SymbolTask{}.Name(), Question: s.String(), Answer: strconv.Itoa(s.Target), Level: level, Data: g}
	for i := range len(path) - 1 {
		p.Steps = append(p.Steps, fmt.Sprintf("%d %d", path[i], path[i+1]))
	}
	return p
}

// Verify accepts the id of the candidate that can be reached. An id is a name:
// "07" and "7.0" are none.
func (SymbolTask) Verify(p Problem, answer string) bool {
	return p.Answer == strings.TrimSpace(answer)
}

// String is the question as one line of text.
func (s Symbols) String() string {
	var b strings.Builder
	for i, e := range s.Edges {
		if i > 0 {
			b.WriteString(" | ")
		}
		fmt.Fprintf(&b, "%d %d", e[0], e[1])
	}
	fmt.Fprintf(&b, " [Q] %d %d [R] %d", s.Candidates[0], s.Candidates[1], s.Root)
	return b.String()
}

// ParseSymbols reads a question from its line of text. Target is the candidate
// that can be reached; a question with none or with two is refused.
func ParseSymbols(text string) (Symbols, error) {
	var s Symbols
	edges, rest, query := strings.Cut(text, "[Q]")
	pair, root, asked := strings.Cut(rest, "[R]")
	if !query || !asked {
		return s, errors.New(`read a graph question: it has no "[Q]" followed by "[R]"; write "3 7 | 7 9 | 4 2 [Q] 9 2 [R] 3"`)
	}
	for i, e := range strings.Split(edges, "|") {
		ids, err := symbolIDs(e, 2)
		if err != nil {
			return s, fmt.Errorf("read a graph question: edge %d: %w", i+1, err)
		}
		s.Edges = append(s.Edges, [2]int(ids))
	}
	candidates, err := symbolIDs(pair, 2)
	if err != nil {
		return s, fmt.Errorf("read a graph question: candidates after [Q]: %w", err)
	}
	top, err := symbolIDs(root, 1)
	if err != nil {
		return s, fmt.Errorf("read a graph question: root after [R]: %w", err)
	}
	s.Candidates, s.Root = [2]int(candidates), top[0]
	return s, s.decide(s.Graph())
}

// ErrUndecided is the end of the error of a question that has two answers or none.
var ErrUndecided = errors.New("exactly one must be")

// decide sets Target; g is the question's graph, for its names.
func (s *Symbols) decide(g *Graph) error {
	d, c := g.Distances(s.Root), s.Candidates
	first, second := d[c[0]] >= 0, d[c[1]] >= 0
	if first == second {
		return fmt.Errorf("read a graph question: of the candidates %s and %s, %s can be reached from %s; %w",
			g.IdxToSymbol[c[0]], g.IdxToSymbol[c[1]], map[bool]string{true: "both", false: "neither"}[first], g.IdxToSymbol[s.Root], ErrUndecided)
	}
	s.Target = c[0]
	if second {
		s.Target = c[1]
	}
	return nil
}

// ReadSymbols reads a question as ParseSymbols does, or in ProsQA's sentences, whose
// names then get ids in the order in which they appear. names are those of
// ids 0, 1, …: of all 31, or of as many as the sentences mention.
func ReadSymbols(text string) (s Symbols, names []string, err error) {
	if strings.Contains(text, "[Q]") {
		s, err = ParseSymbols(text)
		return s, s.Graph().IdxToSymbol, err
	}
	if _, _, err := readQuestion(text); err != nil {
		return s, nil, fmt.Errorf("read a graph question: %w, and there is no \"[Q]\" of one in symbols", err)
	}
	g := graphOfText(text, "")
	if g.Nodes() > SymbolNodes {
		return s, nil, fmt.Errorf("read a graph question: its sentences have %d names, but there are only %d ids", g.Nodes(), SymbolNodes)
	}
	s = Symbols{Edges: g.Edges, Candidates: [2]int{g.Target, g.NegTarget}, Root: g.Root}
	return s, g.IdxToSymbol, s.decide(g)
}

func symbolIDs(text string, n int) ([]int, error) {
	words := strings.Fields(text)
	if len(words) != n {
		return nil, fmt.Errorf("%q has %d ids, want %d", strings.TrimSpace(text), len(words), n)
	}
	ids := make([]int, n)
	for i, w := range words {
		id, err := strconv.Atoi(w)
		if err != nil || id < 0 || id >= SymbolNodes {
			return nil, fmt.Errorf("%q is not an id from 0 to %d", w, SymbolNodes-1)
		}
		ids[i] = id
	}
	return ids, nil
}

// ReadFile reads a ProsQA file whose items have graphs, among them those with neighbor_k
// (arXiv 2505.12514), as questions in symbols. Nodes keep the file's ids; edges and
// candidates stand in the order of the sentences. Errors are *FieldError.
func (SymbolTask) ReadFile(r io.Reader) ([]Problem, error) {
	items, err := ProsQA{}.ReadFile(r)
	if err != nil {
		return nil, err
	}
	for i, p := range items {
		if items[i], err = symbolProblem(p); err != nil {
			return nil, &FieldError{Item: i, Err: err}
		}
	}
	return items, nil
}

// symbolProblem rewrites a ProsQA problem.
func symbolProblem(p Problem) (Problem, error) {
	g, ok := p.Data.(*Graph)
	if !ok {
		return p, errors.New("it has no graph; the symbol task needs ProsQA's edges, root and candidates")
	}
	if g.Nodes() > SymbolNodes {
		return p, fmt.Errorf("it has %d nodes, but there are only %d ids", g.Nodes(), SymbolNodes)
	}
	facts, q, err := readQuestion(p.Question)
	if err != nil {
		return p, err
	}
	id := func(name string) int { return slices.Index(g.IdxToSymbol, name) }
	s := Symbols{Candidates: [2]int{id(q.kinds[0]), id(q.kinds[1])}, Root: g.Root, Target: g.Target}
	for _, f := range facts {
		s.Edges = append(s.Edges, [2]int{id(f.from), id(f.to)})
	}
	path := []int{g.Root}
	for _, step := range p.Steps {
		if f, ok := readFact(step); ok {
			path = append(path, id(f.to))
		}
	}
	return s.problem(path, p.Level), nil
}
