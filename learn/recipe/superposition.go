package recipe

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"orrery/learn/latent"
	"orrery/learn/nn"
	"orrery/learn/train"
	"orrery/task"
)

// Superposition trains a two-layer transformer to tell which of two nodes of a
// directed graph can be reached, in as many thoughts as there are hops (arXiv
// 2505.12514), or one of the baselines and controls of that.
//
// Only one position of a question is supervised, so an example asks several
// questions of one graph: its edges are the trunk, each question a branch. For
// what a question costs by itself that is a dozen for the price of two.
type Superposition struct {
	Method latent.Reach `json:"method"`

	// Targets says what a thought's position learns to say while steps are left:
	// "path", a random node that is next on a shortest path to the target, or
	// "bfs", a random one of the nodes that are first reached in one more step.
	Targets string `json:"targets"`

	// Stage 0 has no thoughts and lasts FirstStage steps; each further one has a
	// thought more and lasts StageSteps, up to Stages, which goes on to the end.
	FirstStage int     `json:"first_stage"`
	StageSteps int     `json:"stage_steps"`
	Stages     int     `json:"stages"`
	Mix        float64 `json:"mix"`            // probability that a question has a random number of thoughts, up to its stage's
	Curriculum bool    `json:"use_curriculum"` // false: all thoughts from the beginning

	// GraphRamp is the step from which on graphs have their full size; they begin
	// with a few edges. Until then targets are "bfs": finding an edge by its
	// source is what must be learnt first, and among few edges chance finds it soonest.
	GraphRamp    int        `json:"graph_ramp"`
	ExtraQueries int        `json:"extra_queries"` // further questions of each graph
	HopWeights   []float64  `json:"hop_weights"`   // how often a further question's target is 1, 2, 3, … hops away, where there is one
	OwnRoot      float64    `json:"own_root"`      // probability that a further question has the graph's own root; else a random source
	SortedIDs    bool       `json:"sorted_ids"`    // nodes keep their topologically sorted ids; false: random ones
	Level        task.Level `json:"level"`         // of task symbols
	MaxHops      int        `json:"max_hops"`      // above the level's: half of the graphs have more hops than it, up to so many
	SmallGraphs  float64    `json:"small_graphs"`  // probability of a smaller graph, as in the ramp; not from its end on if 0

	Model nn.Config    `json:"model"` // vocab_size, bos and eos are the symbols'
	Train train.Config `json:"train"`

	goesOn bool // it is nothing without a model to begin from
}

func init() {
	Register(Recipe{
		Name:  "superposition",
		About: "which of two nodes can be reached: a two-layer model with continuous thoughts (about an hour on a core)",
		May:   true,
		New:   func() Settings { return superposition() },
	})
	Register(Recipe{
		Name:  "superposition-deep",
		About: "goes on with such a model (--from) on the questions that it finds hardest, far targets of the graphs' own roots",
		May:   true,
		New:   func() Settings { return deepSuperposition() },
	})
	Register(Recipe{
		Name:  "superposition-prosqa",
		About: "goes on with such a model (--from) on all of ProsQA's graphs, up to 6 hops, and on small ones",
		May:   true,
		New:   func() Settings { return prosqaSuperposition() },
	})
	Register(Recipe{
		Name:  "superposition-small",
		About: "the same on graphs of 10 nodes with up to 3 hops, in minutes",
		New:   func() Settings { return smallSuperposition() },
	})
}

// superposition is the first of the shipped model's two trainings. The block is GPT-2's, as
// published, a sixth as wide. What short runs of a prototype on graphs of 7 nodes showed, in 1,000
// steps of 1,000 tokens each:
//
//   - With targets that are next on a path and a rate of 3e-3 edges are not found:
//     0.37 to 0.40 of the probability is on the root's children, with nn.New's
//     deviation of 0.02 as with three times that.
//   - With four times, "bfs" targets and 1e-3 it is 0.70, and 0.86 after 1,500 steps;
//     with 3e-3 it stays at 0.42.
//   - Eight heads of 16 are slower than four of 32: at the recipe's step 1000 the loss
//     was 1.62 against 1.01, at 2000 0.98 against 0.92. 31 ids that must be told
//     apart in 16 dimensions disturb each other.
func superposition() *Superposition {
	return &Superposition{
		Method: latent.ReachThoughts, Targets: "path",
		FirstStage: 5000, StageSteps: 3000, Stages: 4, Mix: 0.1, Curriculum: true,
		GraphRamp: 4000, ExtraQueries: 12, HopWeights: []float64{1, 1, 1, 1},
		Model: nn.Config{
			HiddenSize: 128, Layers: 2, Heads: 4, Intermediate: 512, MaxPositions: 256,
			Positions: "learned", Norm: "layer", MLP: "gelu", Bias: true, Tied: true,
		},
		Train: train.Config{
			Seed: 1, Steps: 26000, BatchTokens: 2600, InitScale: 4, Clip: 1, CheckpointEvery: 200, Storage: "fp32",
			Optimizer: train.Optimizer{Kind: "adamw", LR: 1e-3, Beta1: 0.9, Beta2: 0.98, Eps: 1e-8, Decay: 0.01},
			Schedule:  train.Schedule{Warmup: 100, Final: 0.02},
			Eval:      train.Evaluation{Every: 1000, Problems: 200, MaxTokens: 1},
		},
	}
}

// deepSuperposition is the second: it goes on from a model of superposition's.
func deepSuperposition() *Superposition {
	s := superposition()
	s.goesOn, s.Curriculum, s.FirstStage, s.GraphRamp = true, false, 0, 0
	s.HopWeights, s.OwnRoot = []float64{1, 1, 2, 4}, 0.5
	s.Train.Seed, s.Train.Steps, s.Train.Optimizer.LR = 2, 30000, 5e-4
	return s
}

// prosqaSuperposition is the third: ProsQA has 3 to 6 hops, and people ask about small graphs.
func prosqaSuperposition() *Superposition {
	s := deepSuperposition()
	s.Stages, s.MaxHops, s.SmallGraphs, s.Mix = 6, 6, 0.3, 0.2
	s.HopWeights = []float64{1, 1, 2, 4, 4, 4}
	s.Train.Seed, s.Train.Steps, s.Train.Optimizer.LR = 3, 8000, 1.5e-4
	return s
}

// smallSuperposition is for a first look.
func smallSuperposition() *Superposition {
	s := superposition()
	s.Level, s.Stages = task.Easy, 3
	s.FirstStage, s.StageSteps, s.GraphRamp = 1500, 500, 1000
	s.Model.HiddenSize, s.Model.Heads, s.Model.Intermediate, s.Model.MaxPositions = 64, 2, 256, 128
	s.Train.Steps, s.Train.BatchTokens = 3500, 1200
	s.Train.Eval.Every, s.Train.Eval.Problems = 500, 100
	return s
}

// longestHops is what graphs of 28 slots are asked for at most: longer chains are too
// rare to draw.
const longestHops = 8

// check reports the first setting without meaning, by its JSON name.
func (s *Superposition) check() error {
	for _, c := range []struct {
		ok    bool
		field string
		value any
		want  string
	}{
		{slices.Contains(latent.Reaches, s.Method), "method", s.Method, fmt.Sprintf("one of %q", latent.Reaches)},
		{s.Targets == "path" || s.Targets == "bfs", "targets", s.Targets, `"path" or "bfs"`},
		{s.FirstStage >= 0, "first_stage", s.FirstStage, "0 or more"},
		{s.StageSteps > 0, "stage_steps", s.StageSteps, "1 or more"},
		{s.Stages > 0, "stages", s.Stages, "1 or more"},
		{s.Mix >= 0 && s.Mix <= 1, "mix", s.Mix, "a probability"},
		{s.GraphRamp >= 0, "graph_ramp", s.GraphRamp, "0 or more"},
		{s.ExtraQueries >= 0, "extra_queries", s.ExtraQueries, "0 or more"},
		{len(s.HopWeights) > 0 && slices.Min(s.HopWeights) >= 0 && slices.Max(s.HopWeights) > 0, "hop_weights", s.HopWeights, "weights of 0 or more, and not all 0"},
		{s.OwnRoot >= 0 && s.OwnRoot <= 1, "own_root", s.OwnRoot, "a probability"},
		{!s.Model.Bidirectional, "model.bidirectional", s.Model.Bidirectional, "false: what a bidirectional model thinks would change what it thought on"},
		{s.Level == task.Standard || s.Level == task.Easy || s.Level == task.Hard, "level", s.Level, "0 (standard), 1 (easy) or 2 (hard)"},
		{s.MaxHops == 0 || s.MaxHops > task.SymbolShapeOf(s.Level).MaxHops && s.MaxHops <= longestHops, "max_hops", s.MaxHops,
			fmt.Sprintf("0, or more than the level's %d and at most %d", task.SymbolShapeOf(s.Level).MaxHops, longestHops)},
		{s.SmallGraphs >= 0 && s.SmallGraphs <= 1, "small_graphs", s.SmallGraphs, "a probability"},
	} {
		if !c.ok {
			return fmt.Errorf("%s is %v, want %s", c.field, c.value, c.want)
		}
	}
	return nil
}

// Run implements Settings.
func (s *Superposition) Run(ctx context.Context, name string, o Options) error {
	fail := func(err error) error { return fmt.Errorf("recipe %s: %w", name, err) }
	if err := s.check(); err != nil {
		return fail(err)
	}
	if o.Dir == "" {
		return fail(errors.New("no run folder is given"))
	}
	switch {
	case o.Base == nil && s.goesOn:
		return fail(errors.New("it goes on with a trained model: give one with --from, such as runs/superposition/final"))
	case o.Base != nil:
		if err := o.Base.Check(); err != nil {
			return fail(err)
		}
		if o.Base.Vocab != nil || o.Base.Model.Config.VocabSize != task.SymbolCount {
			return fail(fmt.Errorf("the model %s has another vocabulary than graph questions in symbols: give one of a superposition recipe, or none to begin from nothing", o.Base.Name))
		}
		s.Model = o.Base.Model.Config
	}
	s.Model.VocabSize, s.Model.BOS, s.Model.EOS = task.SymbolCount, task.SymbolEOS, task.SymbolEOS
	held, err := s.heldOut()
	if err != nil {
		return fail(err)
	}
	r := train.Run{
		Dir: o.Dir, Resume: o.Resume, Recipe: Choice{name, s}, Config: s.Train, Base: o.Base, Model: s.Model,
		Source: &graphs{s, held}, Files: map[string][]byte{latent.SymbolsFile: latent.NewSymbolsInfo(s.Method, s.Stages).Bytes()},
	}
	return r.Train(ctx, o.Progress)
}

// heldOut are the questions of evaluations: of the level, and half of them of the hard
// one if graphs of more hops are trained on.
func (s *Superposition) heldOut() ([][]task.Problem, error) {
	n := s.Train.Eval.Problems
	draw := func(level task.Level, n int) ([]task.Problem, error) {
		mix := train.Mix{Task: task.SymbolTask{}.Name(), Weight: 1, Easy: level == task.Easy, Hard: level == task.Hard}
		p, err := train.NewProblems(nil, []train.Mix{mix}, s.Train.Seed, n)
		if err != nil {
			return nil, err
		}
		return p.HeldOut()[0], nil
	}
	deep := 0
	if s.MaxHops > 0 {
		deep = n / 2
	}
	list, err := draw(s.Level, n-deep)
	if err != nil {
		return nil, err
	}
	harder, err := draw(task.Hard, deep)
	return [][]task.Problem{append(list, harder...)}, err
}

// graphs is the Source of a Superposition.
type graphs struct {
	*Superposition
	held [][]task.Problem
}

// HeldOut implements train.HeldOut. Training graphs are drawn anew for every
// example, with random ids and edges in random order: that one of them is held out is
// as good as impossible.
func (g *graphs) HeldOut() [][]task.Problem { return g.held }

// stage is the most thoughts of a step, counted from 0.
func (s *Superposition) stage(step int) int {
	switch {
	case !s.Curriculum:
		return s.Stages
	case step < s.FirstStage:
		return 0
	}
	return min(s.Stages, 1+(step-s.FirstStage)/s.StageSteps)
}

// shape is what graphs are drawn from at a step.
func (s *Superposition) shape(rng *rand.Rand, step int) task.ProsQAShape {
	full := task.SymbolShapeOf(s.Level)
	small, most := full, full.Slots-smallestGraph
	switch {
	case step < s.GraphRamp:
		most = most * step / s.GraphRamp
	case s.SmallGraphs > 0 && rng.Float64() < s.SmallGraphs:
	case s.MaxHops > 0 && rng.IntN(2) == 0:
		full.MinHops, full.MaxHops = full.MaxHops+1, s.MaxHops
		return full
	default:
		return full
	}
	small.Slots = smallestGraph + rng.IntN(1+most)
	// Fewer nodes have shorter paths; 3 hops need some 20 of them.
	small.MinHops = min(full.MinHops, 1+small.Slots/21)
	return small
}

// Draw implements train.Source.
func (g *graphs) Draw(rng *rand.Rand, step int) train.Example {
	p := g.shape(rng, step).Generate(rng)
	s, err := task.Symbolize(rng, p.Data.(*task.Graph), !g.SortedIDs)
	if err != nil {
		panic(err) // no shape has more than 31 slots
	}
	trunk := s.Prompt()[:3*len(s.Edges)]
	e := train.Example{Tokens: trunk, Targets: slices.Repeat([]int{-1}, len(trunk)), Branch: make([]int, len(trunk))}
	g.ask(&e, 1, rng, step, s)
	for n := range g.ExtraQueries {
		if other, ok := g.otherNodes(rng, s); ok {
			g.ask(&e, n+2, rng, step, other)
		}
	}
	return e
}

// ask adds one question as a branch.
func (s *Superposition) ask(e *train.Example, branch int, rng *rand.Rand, step int, q task.Symbols) {
	tokens, targets := s.sequence(rng, step, q)
	trunk := 3 * len(q.Edges)
	e.Tokens, e.Targets = append(e.Tokens, tokens[trunk:]...), append(e.Targets, targets[trunk:]...)
	e.Branch = append(e.Branch, slices.Repeat([]int{branch}, len(tokens)-trunk)...)
}

// sequence is a question's training sequence and what each of its positions
// should say next, −1 for nothing.
func (s *Superposition) sequence(rng *rand.Rand, step int, q task.Symbols) (tokens, targets []int) {
	tokens = q.Prompt()
	optimal := q.Graph().Optimal()
	hops := len(optimal) - 1
	switch s.Method {
	case latent.ReachThoughts, latent.ReachPause:
		n := min(s.stage(step), hops)
		if s.Mix > 0 && rng.Float64() < s.Mix {
			n = rng.IntN(n + 1)
		}
		tokens = append(tokens, s.Method.Fill(n)...)
		target := q.Target
		if n == hops {
			tokens = append(tokens, task.SymbolAnswer)
		} else {
			next := optimal[n+1]
			if s.Targets == "bfs" || step < s.GraphRamp {
				next = at(q.Graph().Distances(q.Root), n+1)
			}
			target = next[rng.IntN(len(next))]
		}
		targets = slices.Repeat([]int{-1}, len(tokens))
		targets[len(tokens)-1] = target
		return tokens, targets
	case latent.ReachCoT:
		tokens = append(tokens, q.Graph().ShortestPath(rng)[1:]...)
	}
	from := len(q.Prompt()) - 1 // the root says what comes first
	tokens = append(tokens, task.SymbolAnswer, q.Target, task.SymbolEOS)
	targets = append(slices.Repeat([]int{-1}, from), tokens[from+1:]...)
	return tokens[:len(tokens)-1], targets
}

// at lists the nodes at a distance.
func at(distances []int, d int) (nodes []int) {
	for v, x := range distances {
		if x == d {
			nodes = append(nodes, v)
		}
	}
	return nodes
}

// otherNodes asks something else of the same graph: whether a node some hops below a
// root can be reached, or one that cannot. ok is false where the drawn roots have no
// such nodes.
func (s *Superposition) otherNodes(rng *rand.Rand, q task.Symbols) (task.Symbols, bool) {
	const tries = 20
	inEdge := make([]bool, task.SymbolNodes)
	for _, e := range q.Edges {
		inEdge[e[0]], inEdge[e[1]] = true, true
	}
	own := s.OwnRoot > 0 && rng.Float64() < s.OwnRoot
	for range tries {
		other := q
		if !own {
			other.Root = q.Edges[rng.IntN(len(q.Edges))][0]
		}
		distance := other.Graph().Distances(other.Root)
		below := at(distance, 1+s.hops(rng))
		beside := slices.DeleteFunc(at(distance, -1), func(v int) bool { return !inEdge[v] })
		if len(below) == 0 || len(beside) == 0 {
			continue
		}
		other.Target = below[rng.IntN(len(below))]
		other.Candidates = [2]int{other.Target, beside[rng.IntN(len(beside))]}
		if rng.IntN(2) == 0 {
			other.Candidates[0], other.Candidates[1] = other.Candidates[1], other.Candidates[0]
		}
		return other, true
	}
	return q, false
}

// hops draws from HopWeights, counted from 0.
func (s *Superposition) hops(rng *rand.Rand) int {
	w := s.HopWeights
	if slices.Min(w) == slices.Max(w) {
		return rng.IntN(len(w))
	}
	total := 0.0
	for _, x := range w {
		total += x
	}
	u := rng.Float64() * total
	for h, x := range w[:len(w)-1] {
		if u < x {
			return h
		}
		u -= x
	}
	return len(w) - 1
}

// Style implements train.Styled.
func (g *graphs) Style(train.Evaluation, int) train.Style { return graphStyle{g.Superposition} }

type graphStyle struct{ *Superposition }

// Worked implements train.Style: the sequence of the last stage.
func (s graphStyle) Worked(p task.Problem) train.Example {
	last := *s.Superposition
	last.Mix = 0
	tokens, targets := last.sequence(rand.New(rand.NewPCG(0, 0)), s.FirstStage+s.Stages*s.StageSteps, symbolsOf(p))
	return train.Example{Tokens: tokens, Targets: targets}
}

// symbolsOf reads a generated problem's question.
func symbolsOf(p task.Problem) task.Symbols {
	q, err := task.ParseSymbols(p.Question)
	if err != nil {
		panic(err) // the task wrote it
	}
	return q
}

// Answers implements train.Style, with as many thoughts as there are hops.
func (s graphStyle) Answers(ctx context.Context, d *nn.Decoder, ps []task.Problem, _ []uint64) ([]train.Reply, error) {
	out := make([]train.Reply, len(ps))
	for i, p := range ps {
		r, err := s.Method.Answer(ctx, d, symbolsOf(p), latent.Hops, nil)
		if err != nil {
			return nil, err
		}
		out[i] = train.Reply{Answer: r.Text(), Answered: r.Text() != "", Tokens: r.Tokens}
	}
	return out, nil
}
