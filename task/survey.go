package task

import (
	"cmp"
	"maps"
	"math"
	"slices"
)

// Survey describes a set of problems, one problem at a time. The zero value is
// ready.
type Survey struct {
	n         int
	unanswer  int
	words     span
	solution  span
	steps     map[int]int
	hops      map[int]int
	answers   map[string]int
	first     ratio // the right candidate of a ProsQA query stands first
	graphs    int
	figures   []ratio // of graphFigures
	shortcuts []ratio // of Shortcuts
	mentions  ratio   // ProntoQA's shortcut
}

// Figure is a mean over problems, or a ratio of sums over them, with its standard error.
type Figure struct {
	Name string   `json:"name"`
	Mean float64  `json:"mean"`
	SE   *float64 `json:"se"` // null of a single problem

	// What the published test file has (spec coconut.md), null where nothing is
	// published or the problems are of another shape; Z is the difference in
	// standard errors of both.
	Published   *float64 `json:"published"`
	PublishedSE *float64 `json:"published_se"`
	Z           *float64 `json:"z"`
}

// Length is of texts, in words, digits and marks; of solutions without the answer.
type Length struct {
	Mean float64 `json:"mean"`
	Min  int     `json:"min"`
	Max  int     `json:"max"`
}

// Answers is how the answers are spread.
type Answers struct {
	Distinct  int     `json:"distinct"`
	Most      string  `json:"most_common"` // of several as common, the first in the alphabet
	MostShare float64 `json:"most_common_share"`
	First     *Figure `json:"first_candidate"` // ProsQA: the right candidate stands first; else null
}

// Summary is the result of a Survey. Shares are of all problems with such data.
type Summary struct {
	N            int             `json:"n"`
	Unanswerable int             `json:"unanswerable"` // of them; not part of what follows
	Question     Length          `json:"question_words"`
	Solution     Length          `json:"solution_words"`
	Steps        map[int]float64 `json:"steps"` // share by number of steps
	Hops         map[int]float64 `json:"hops"`  // share by number of hops, null where they are steps
	Answers      Answers         `json:"answers"`
	Figures      []Figure        `json:"figures"`   // of graphs, else null
	Shortcuts    []Figure        `json:"shortcuts"` // accuracy of rules that follow no chain to its end
}

// graphFigure is a line of the spec's table: x(g) over m(g), summed over graphs.
type graphFigure struct {
	name      string
	published float64
	se        float64 // of published; 0: not given
	x, m      func(*Graph) float64
}

// publishedItems is the size of the test file that the published figures are of.
const publishedItems = 500

func one(*Graph) float64 { return 1 }

// graphFigures are the spec's rows. A share of items has the standard error of a
// binomial share of the published file's items.
func graphFigures() []graphFigure {
	list := []graphFigure{
		{"nodes", 22.80, .09, func(g *Graph) float64 { return float64(g.Nodes()) }, one},
		{"edges", 35.84, .26, func(g *Graph) float64 { return float64(len(g.Edges)) }, one},
		{"parentless", 2.58, 0, func(g *Graph) float64 { return countIf(g.isParentless(), func(top bool) bool { return top }) }, one},
		{"reachable", 13.36, .13, func(g *Graph) float64 { return float64(g.Reachable()) }, one},
		{"shortest paths", 1.57, 0, func(g *Graph) float64 { return float64(g.ShortestPaths()) }, one},
	}
	share := func(name string, p float64, is func(*Graph) bool) {
		list = append(list, graphFigure{name, p, math.Sqrt(p * (1 - p) / publishedItems), func(g *Graph) float64 { return indicator(is(g)) }, one})
	}
	for i, p := range []float64{.40, .43, .14, .02} {
		share([]string{"hops 3", "hops 4", "hops 5", "hops 6"}[i], p, func(g *Graph) bool { return g.Hops() == i+3 })
	}
	for k, p := range []float64{.113, .438, .278, .120} {
		list = append(list, graphFigure{[]string{"in-degree 0", "in-degree 1", "in-degree 2", "in-degree 3"}[k], p, 0,
			func(g *Graph) float64 {
				return countIf(g.Parents(), func(parents []int) bool { return len(parents) == k })
			},
			func(g *Graph) float64 { return float64(g.Nodes()) }})
	}
	share("root id = 1", .63, func(g *Graph) bool { return g.Root == 1 })
	return list
}

// publishedShortcuts are the accuracies of Shortcuts on the published test file.
var publishedShortcuts = [...]float64{.66, .71, .70, .92}

// Add takes a problem into account.
func (s *Survey) Add(p Problem) {
	s.n++
	if a, ok := p.Data.(interface{ Answerable() bool }); ok && !a.Answerable() {
		s.unanswer++
		return
	}
	if s.steps == nil {
		s.steps, s.hops, s.answers = map[int]int{}, map[int]int{}, map[string]int{}
	}
	s.words.add(tokens(p.Question))
	length := 0
	for _, step := range p.Steps {
		length += tokens(step)
	}
	s.solution.add(length)
	s.steps[len(p.Steps)]++
	s.answers[p.Answer]++
	switch d := p.Data.(type) {
	case *Graph:
		s.addGraph(p, d)
	case *Ontology:
		hops, _ := d.Hops()
		s.hops[hops]++
		s.mentions.add(d.byMentions(), 1)
	}
}

func (s *Survey) addGraph(p Problem, g *Graph) {
	s.graphs++
	s.hops[g.Hops()]++
	if q, ok := findQuery(p.Question); ok {
		s.first.add(indicator(q.kinds[0] == p.Answer), 1)
	}
	list, rules := graphFigures(), Shortcuts()
	if s.figures == nil {
		s.figures, s.shortcuts = make([]ratio, len(list)), make([]ratio, len(rules))
	}
	for i, f := range list {
		s.figures[i].add(f.x(g), f.m(g))
	}
	for i, r := range rules {
		s.shortcuts[i].add(r.Correct(g), 1)
	}
}

// Summary is what was found. With published, graphs stand beside the published
// test file's, which is right for problems of its shape only.
func (s *Survey) Summary(published bool) Summary {
	known := s.n - s.unanswer
	out := Summary{N: s.n, Unanswerable: s.unanswer, Question: s.words.length(), Solution: s.solution.length(),
		Steps: shares(s.steps, known), Answers: Answers{Distinct: len(s.answers)}}
	if len(s.hops) > 0 {
		out.Hops = shares(s.hops, known)
	}
	for _, a := range slices.Sorted(maps.Keys(s.answers)) {
		if share := float64(s.answers[a]) / float64(known); share > out.Answers.MostShare {
			out.Answers.Most, out.Answers.MostShare = a, share
		}
	}
	if s.first.n > 0 {
		f := s.first.figure("the right candidate is first")
		out.Answers.First = &f
	}
	if s.mentions.n > 0 {
		out.Shortcuts = []Figure{s.mentions.figure("the kind that more sentences name")}
	}
	if s.graphs == 0 {
		return out
	}
	for i, f := range graphFigures() {
		fig := s.figures[i].figure(f.name)
		if published {
			fig.beside(f.published, f.se)
		}
		out.Figures = append(out.Figures, fig)
	}
	for i, r := range Shortcuts() {
		fig := s.shortcuts[i].figure(r.Name)
		if published {
			fig.beside(publishedShortcuts[i], 0)
		}
		out.Shortcuts = append(out.Shortcuts, fig)
	}
	return out
}

// beside sets the published figure, and z where both standard errors are known.
func (f *Figure) beside(published, se float64) {
	f.Published = &published
	if se == 0 {
		return
	}
	f.PublishedSE = &se
	if f.SE != nil {
		z := (f.Mean - published) / math.Hypot(*f.SE, se)
		f.Z = &z
	}
}

// byMentions is the probability that the rule "of the kinds with the property asked
// for or its contrary, believe the one that more sentences name" is right.
func (o *Ontology) byMentions() float64 {
	named := map[string]int{}
	for _, c := range slices.Concat(o.Facts, o.Rules) {
		named[c.Subject]++
		if c.Kind {
			named[c.Is]++
		}
	}
	best, says := 0, []bool{} // what the kinds named most often say
	for _, r := range o.Rules {
		if r.Kind != o.Query.Kind || r.Is != o.Query.Is {
			continue
		}
		switch n := cmp.Compare(named[r.Subject], best); {
		case n > 0:
			best, says = named[r.Subject], []bool{r.Negated == o.Query.Negated}
		case n == 0:
			says = append(says, r.Negated == o.Query.Negated)
		}
	}
	if len(says) == 0 {
		return 0.5
	}
	_, holds := o.Hops()
	return countIf(says, func(yes bool) bool { return yes == holds }) / float64(len(says))
}

// ratio sums x and m over problems: Σx/Σm estimates the ratio of their means.
type ratio struct {
	n                int
	x, m, xx, xm, mm float64
}

func (r *ratio) add(x, m float64) {
	r.n++
	r.x, r.m, r.xx, r.xm, r.mm = r.x+x, r.m+m, r.xx+x*x, r.xm+x*m, r.mm+m*m
}

// figure is the ratio R with its linearised standard error, √(Σ(x−Rm)²/(n(n−1)))/m̄;
// for m = 1 that is a mean's.
func (r *ratio) figure(name string) Figure {
	f := Figure{Name: name, Mean: r.x / r.m}
	if r.n > 1 {
		n := float64(r.n)
		square := r.xx - 2*f.Mean*r.xm + f.Mean*f.Mean*r.mm
		se := math.Sqrt(max(0, square)/(n*(n-1))) / (r.m / n)
		f.SE = &se
	}
	return f
}

// span sums lengths.
type span struct{ n, sum, min, max int }

func (s *span) add(k int) {
	if s.n == 0 || k < s.min {
		s.min = k
	}
	s.n, s.sum, s.max = s.n+1, s.sum+k, max(s.max, k)
}

func (s *span) length() Length {
	return Length{float64(s.sum) / float64(max(1, s.n)), s.min, s.max}
}

func shares(counts map[int]int, n int) map[int]float64 {
	out := map[int]float64{}
	for k, c := range counts {
		out[k] = float64(c) / float64(n)
	}
	return out
}

func countIf[T any](list []T, is func(T) bool) float64 {
	n := 0.0
	for _, x := range list {
		n += indicator(is(x))
	}
	return n
}

func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
