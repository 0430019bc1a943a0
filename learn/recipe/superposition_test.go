package recipe

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"orrery/learn/latent"
	"orrery/learn/nn"
	"orrery/learn/train"
	"orrery/task"
)

// chosen are questions of every number of hops from 1 to 4.
func chosen(t *testing.T) []task.Symbols {
	t.Helper()
	rng := rand.New(rand.NewPCG(2, 2))
	var list []task.Symbols
	seen, r := make([]int, 5), superposition()
	for len(list) < 40 {
		p := task.SymbolTask{}.Generate(rng, task.Standard)
		for range 8 {
			if q, ok := r.otherNodes(rng, symbolsOf(p)); ok {
				seen[q.Graph().Hops()]++
				list = append(list, q)
			}
		}
	}
	if slices.Min(seen[1:]) == 0 {
		t.Fatalf("hops of the questions: %v", seen)
	}
	return list
}

// TestGraphSequences: prompt, thoughts and the single supervised position, for
// every stage and number of hops, and those of the baselines.
func TestGraphSequences(t *testing.T) {
	s := superposition()
	s.Mix = 0
	rng := rand.New(rand.NewPCG(1, 1))
	for _, q := range chosen(t) {
		prompt := q.Prompt()
		if len(prompt) != 3*len(q.Edges)+5 {
			t.Fatalf("%d edges make a prompt of %d", len(q.Edges), len(prompt))
		}
		g := q.Graph()
		hops, optimal := g.Hops(), g.Optimal()
		for stage := range 5 {
			step := 0
			if stage > 0 {
				step = s.FirstStage + (stage-1)*s.StageSteps
			}
			for _, when := range []int{step, step + s.StageSteps - 1} {
				if got := s.stage(when); got != stage {
					t.Fatalf("step %d is of stage %d, want %d", when, got, stage)
				}
			}
			for _, method := range []latent.Reach{latent.ReachThoughts, latent.ReachPause} {
				s.Method = method
				id := nn.Thought
				if method == latent.ReachPause {
					id = task.SymbolThought
				}
				for _, targets := range []string{"path", "bfs"} {
					s.Targets = targets
					tokens, labels := s.sequence(rng, max(step, s.GraphRamp), q)
					n := min(stage, hops)
					want := append(slices.Clone(prompt), slices.Repeat([]int{id}, n)...)
					allowed := []int{q.Target}
					if n == hops {
						want = append(want, task.SymbolAnswer)
					} else if allowed = optimal[n+1]; targets == "bfs" {
						allowed = at(g.Distances(q.Root), n+1)
					}
					if !slices.Equal(tokens, want) {
						t.Fatalf("stage %d, %d hops: %v, want %v", stage, hops, tokens, want)
					}
					last := len(labels) - 1
					if len(labels) != len(tokens) || slices.Max(labels[:last]) != -1 || !slices.Contains(allowed, labels[last]) {
						t.Fatalf("stage %d, %d hops, %s: targets %v, want one of %v at the end and nothing else", stage, hops, targets, labels, allowed)
					}
				}
			}
		}
		s.Method = latent.ReachNoCoT
		end := []int{task.SymbolAnswer, q.Target, task.SymbolEOS}
		tokens, labels := s.sequence(rng, 0, q)
		if !slices.Equal(tokens, append(slices.Clone(prompt), end[:2]...)) || !slices.Equal(labels[len(prompt)-1:], end) || slices.Max(labels[:len(prompt)-1]) != -1 {
			t.Fatalf("no-cot: %v %v", tokens, labels)
		}
		s.Method = latent.ReachCoT
		tokens, labels = s.sequence(rng, 0, q)
		path := tokens[len(prompt) : len(tokens)-2]
		for i, v := range path {
			if !slices.Contains(optimal[i+1], v) {
				t.Fatalf("cot: node %d of the path %v is none of %v", i, path, optimal[i+1])
			}
		}
		if len(path) != hops || !slices.Equal(labels[len(prompt)-1:], append(slices.Clone(path), end...)) {
			t.Fatalf("cot: %v %v", tokens, labels)
		}
	}
}

// TestMixedStages: a mixture draws the number of thoughts evenly from 0 to the
// stage's, as often as it says, and leaves the rest as they are.
func TestMixedStages(t *testing.T) {
	s := superposition()
	s.Mix = 0.1
	rng := rand.New(rand.NewPCG(1, 1))
	const draws = 1000
	for _, q := range chosen(t)[:5] {
		hops, seen := q.Graph().Hops(), map[int]int{}
		for range draws {
			tokens, _ := s.sequence(rng, s.Train.Steps, q)
			n := 0
			for _, id := range tokens {
				if id == nn.Thought {
					n++
				}
			}
			seen[n]++
		}
		for n := range hops + 1 {
			p := s.Mix / float64(hops+1)
			if n == hops {
				p += 1 - s.Mix
			}
			if !within(seen[n], draws, p) {
				t.Errorf("%d hops: %d thoughts came %d times of %d, want a share of %.3f", hops, n, seen[n], draws, p)
			}
		}
	}
}

// TestGraphBranches takes examples apart: the trunk is the edges, every branch a
// question about them, and what it is supervised on is right.
func TestGraphBranches(t *testing.T) {
	s := superposition()
	g := &graphs{Superposition: s}
	rng := rand.New(rand.NewPCG(6, 6))
	questions, sizes := 0, map[bool]int{}
	for _, step := range []int{0, 1000, 3999, 4000, 9000, 25000} {
		for range 10 {
			e := g.Draw(rng, step)
			trunk := slices.Index(e.Branch, 1)
			if trunk%3 != 0 || slices.Max(e.Targets[:trunk]) != -1 {
				t.Fatalf("step %d: a trunk of %d tokens has targets", step, trunk)
			}
			sizes[step < s.GraphRamp] += trunk
			for b := 1; b <= slices.Max(e.Branch); b++ {
				lo := slices.Index(e.Branch, b)
				if lo < 0 {
					continue // could not be drawn
				}
				hi := lo
				for hi < len(e.Branch) && e.Branch[hi] == b {
					hi++
				}
				questions++
				branch := e.Tokens[lo:hi]
				var edges [][2]int
				for i := 1; i < trunk; i += 3 {
					edges = append(edges, [2]int{e.Tokens[i], e.Tokens[i+1]})
				}
				q := task.Symbols{Edges: edges, Candidates: [2]int{branch[1], branch[2]}, Root: branch[4]}
				dist := q.Graph().Distances(q.Root)
				if (dist[branch[1]] >= 0) == (dist[branch[2]] >= 0) {
					t.Fatalf("step %d: of %d and %d one must be reachable from %d", step, branch[1], branch[2], q.Root)
				}
				if q.Target = branch[1]; dist[branch[1]] < 0 {
					q.Target = branch[2]
				}
				if !slices.Equal(append(slices.Clone(e.Tokens[:trunk]), branch[:5]...), q.Prompt()) {
					t.Fatalf("step %d: trunk and branch %v are no prompt", step, branch)
				}
				n, label := len(branch)-5, e.Targets[hi-1]
				if branch[len(branch)-1] == task.SymbolAnswer {
					if n--; n != dist[q.Target] || label != q.Target {
						t.Fatalf("step %d: after %d thoughts the answer is %d; target %d is %d hops away", step, n, label, q.Target, dist[q.Target])
					}
				} else if dist[label] != n+1 {
					t.Fatalf("step %d: after %d thoughts node %d is next, which is %d hops away", step, n, label, dist[label])
				}
			}
		}
	}
	if questions < 400 || sizes[true] >= sizes[false] {
		t.Errorf("60 graphs had %d questions; sizes while they grow %d, then %d", questions, sizes[true], sizes[false])
	}
}

// TestSuperpositionRun trains for three steps: what the folder holds, and that the
// held-out questions are answered by the method.
func TestSuperpositionRun(t *testing.T) {
	for _, method := range latent.Reaches {
		s := smallSuperposition()
		s.Method = method
		s.Train.Steps, s.Train.BatchTokens, s.Train.Eval.Problems, s.Train.Eval.Every = 3, 100, 2, 0
		s.Model.HiddenSize, s.Model.Intermediate, s.FirstStage, s.StageSteps, s.GraphRamp = 16, 32, 1, 1, 0
		dir := filepath.Join(t.TempDir(), "run")
		if err := s.Run(context.Background(), "superposition-small", Options{Dir: dir}); err != nil {
			t.Fatal(err)
		}
		info, err := latent.ReadSymbols(os.DirFS(filepath.Join(dir, "final")))
		if err != nil || info.Method != method {
			t.Errorf("%s: %+v (%v)", method, info, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "final", "tokenizer.json")); err == nil {
			t.Errorf("%s: symbols have a tokenizer", method)
		}
		m, err := nn.Load(filepath.Join(dir, "final"))
		if err != nil || m.Config.VocabSize != task.SymbolCount {
			t.Errorf("%s: the model does not load: %v", method, err)
		}
	}
}

// TestSuperpositionResumes: a run that was interrupted goes on, with settings of the model left out.
func TestSuperpositionResumes(t *testing.T) {
	run := func(dir string, resume bool, ctx context.Context, progress func(train.Progress)) error {
		s := smallSuperposition()
		s.Train.Steps, s.Train.BatchTokens, s.Train.Eval.Problems = 3, 100, 0
		s.Model.HiddenSize, s.Model.Intermediate = 16, 32
		return s.Run(ctx, "superposition-small", Options{Dir: dir, Resume: resume, Progress: progress})
	}
	straight, cut := t.TempDir(), t.TempDir()
	if err := run(straight, false, t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := run(cut, false, ctx, func(p train.Progress) {
		if p.Step == 1 {
			cancel()
		}
	}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := run(cut, true, t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	var weights [2]string
	for i, dir := range []string{straight, cut} {
		b, err := os.ReadFile(filepath.Join(dir, "final", "model.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		weights[i] = string(b)
	}
	if weights[0] != weights[1] {
		t.Error("an interruption changes the weights")
	}
}

func TestSuperpositionRefuses(t *testing.T) {
	for want, change := range map[string]func(*Superposition){
		"method":        func(s *Superposition) { s.Method = "x" },
		"targets":       func(s *Superposition) { s.Targets = "dfs" },
		"stages":        func(s *Superposition) { s.Stages = 0 },
		"mix":           func(s *Superposition) { s.Mix = 2 },
		"extra_queries": func(s *Superposition) { s.ExtraQueries = -1 },
		"level":         func(s *Superposition) { s.Level = 7 },
		"hop_weights":   func(s *Superposition) { s.HopWeights = []float64{0, 0} },
		"max_hops":      func(s *Superposition) { s.MaxHops = 4 },
		"small_graphs":  func(s *Superposition) { s.SmallGraphs = -0.1 },
		"own_root":      func(s *Superposition) { s.OwnRoot = 1.5 },
		"bidirectional": func(s *Superposition) { s.Model.Bidirectional = true },
	} {
		s := superposition()
		change(s)
		if err := s.Run(context.Background(), "superposition", Options{Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error about %s", err, want)
		}
	}
}

// within reports whether k of n draws are a share p, to five deviations.
func within(k, n int, p float64) bool {
	return math.Abs(float64(k)/float64(n)-p) <= 5*math.Sqrt(p*(1-p)/float64(n))
}

// TestLabelsAreDrawnEvenly: the label is each of the allowed nodes equally often, and
// the candidates' order tells nothing. Always taking the first one would teach an order of ids.
func TestLabelsAreDrawnEvenly(t *testing.T) {
	s, rng := superposition(), rand.New(rand.NewPCG(4, 4))
	s.Mix = 0
	const draws = 500
	checked := 0
	for _, q := range chosen(t) {
		for _, targets := range []string{"path", "bfs"} {
			s.Targets = targets
			allowed := q.Graph().Optimal()[1]
			if targets == "bfs" {
				allowed = at(q.Graph().Distances(q.Root), 1)
			}
			if len(allowed) < 2 || checked == 10 {
				continue
			}
			checked++
			s.FirstStage = s.GraphRamp + 1 // a step behind the ramp with no thoughts
			seen := map[int]int{}
			for range draws {
				_, labels := s.sequence(rng, s.GraphRamp, q)
				seen[labels[len(labels)-1]]++
			}
			for _, v := range allowed {
				if !within(seen[v], draws, 1/float64(len(allowed))) {
					t.Errorf("%s: labels %v of the nodes %v, want each equally often", targets, seen, allowed)
					break
				}
			}
		}
	}
	if checked < 10 {
		t.Fatalf("only %d questions have several labels", checked)
	}
	first, asked := 0, 0
	for range 60 {
		q := symbolsOf(task.SymbolTask{}.Generate(rng, task.Standard))
		for range 10 {
			if other, ok := s.otherNodes(rng, q); ok {
				asked++
				if other.Candidates[0] == other.Target {
					first++
				}
			}
		}
	}
	if asked < 300 || !within(first, asked, 0.5) {
		t.Errorf("the target is the first candidate in %d of %d questions, want half", first, asked)
	}
}

// TestHarderQuestions: hops are drawn as their weights say, and half of the questions
// of the deep recipe are about the graph's own root.
func TestHarderQuestions(t *testing.T) {
	s, rng := deepSuperposition(), rand.New(rand.NewPCG(8, 8))
	const n = 8000
	var drawn [4]int
	for range n {
		drawn[s.hops(rng)]++
	}
	for h, w := range s.HopWeights {
		p := w / 8
		// Six deviations of a share of n draws.
		if got := float64(drawn[h]) / n; math.Abs(got-p) > 6*math.Sqrt(p*(1-p)/n) {
			t.Errorf("%d hops come with %.3f, want %.3f", h+1, got, p)
		}
	}
	// shares of questions about the graph's own root, and of 3 hops or more
	shares := func(s *Superposition) (own, deep float64) {
		all := 0.0
		for range 60 {
			q := symbolsOf(task.SymbolTask{}.Generate(rng, task.Standard))
			for range 12 {
				if other, ok := s.otherNodes(rng, q); ok {
					all++
					if other.Root == q.Root {
						own++
					}
					if other.Graph().Hops() >= 3 {
						deep++
					}
				}
			}
		}
		return own / all, deep / all
	}
	own, deep := shares(s)
	if _, before := shares(superposition()); own < 0.45 || deep < 1.3*before {
		t.Errorf("%.2f of the questions are the root's, %.2f of 3 hops or more (%.2f in the first recipe)", own, deep, before)
	}
}

// TestGraphSizes: the recipes draw their level's graphs; the third one also smaller ones and
// deeper ones, in the shares that it says, and asks about both when it is examined.
func TestGraphSizes(t *testing.T) {
	rng := rand.New(rand.NewPCG(12, 3))
	level := task.SymbolShapeOf(task.Standard)
	deep := deepSuperposition()
	for range 100 {
		if got := deep.shape(rng, 0); got != level {
			t.Fatalf("superposition-deep draws %+v, want the level's %+v", got, level)
		}
	}
	s := prosqaSuperposition()
	const n = 4000
	var small, deeper float64
	slots := map[int]bool{}
	for range n {
		switch got := s.shape(rng, 0); {
		case got.Slots < level.Slots || got.MinHops < level.MinHops:
			small++
			slots[got.Slots] = true
		case got.MinHops == level.MaxHops+1 && got.MaxHops == s.MaxHops:
			deeper++
		case got != level:
			t.Fatalf("drew %+v", got)
		}
	}
	for _, c := range []struct {
		what      string
		got, want float64
	}{{"small", small / n, s.SmallGraphs}, {"deeper", deeper / n, (1 - s.SmallGraphs) / 2}} {
		if math.Abs(c.got-c.want) > 6*math.Sqrt(c.want*(1-c.want)/n) {
			t.Errorf("%.3f of the graphs are %s, want %.3f", c.got, c.what, c.want)
		}
	}
	if sizes := level.Slots - smallestGraph + 1; len(slots) != sizes {
		t.Errorf("small graphs have %d sizes, want %d", len(slots), sizes)
	}
	s.Train.Eval.Problems = 11
	held, err := s.heldOut()
	if err != nil {
		t.Fatal(err)
	}
	far := 0
	for _, p := range held[0] {
		if symbolsOf(p).Graph().Hops() > level.MaxHops {
			far++
		}
	}
	if len(held[0]) != 11 || far != 5 {
		t.Errorf("%d held-out questions, %d of more hops than the level's, want 11 and 5", len(held[0]), far)
	}
}

// TestSuperpositionGoesOn: a run may begin from a model of symbols, whose shape it
// takes, and from no other.
func TestSuperpositionGoesOn(t *testing.T) {
	model, err := nn.New(nn.Config{VocabSize: task.SymbolCount, BOS: task.SymbolEOS, EOS: task.SymbolEOS, HiddenSize: 16, Layers: 2, Heads: 2, Intermediate: 24, MaxPositions: 256,
		Positions: "learned", Norm: "layer", MLP: "gelu", Bias: true, Tied: true}, 5)
	if err != nil {
		t.Fatal(err)
	}
	base := &train.Base{Name: "symbols", Model: model}
	s := deepSuperposition()
	s.Train.Steps, s.Train.BatchTokens, s.Train.Eval.Problems, s.Train.Optimizer.LR = 1, 100, 1, 1e-9
	dir := filepath.Join(t.TempDir(), "run")
	if err := s.Run(t.Context(), "superposition-deep", Options{Dir: dir, Base: base}); err != nil {
		t.Fatal(err)
	}
	got, err := nn.Load(filepath.Join(dir, "final"))
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range got.Params() {
		for j, x := range p.Val.Data { // a step of Adam moves a weight by the rate at most
			if d := math.Abs(float64(x - model.Params()[i].Val.Data[j])); d > 1e-8 {
				t.Fatalf("%s is %g away from the model that the run began from", p.Name, d)
			}
		}
	}
	if err := deepSuperposition().Run(t.Context(), "superposition-deep", Options{Dir: t.TempDir(), Base: smallBase(t)}); err == nil || !strings.Contains(err.Error(), "symbols") {
		t.Errorf("from a model of words: %v", err)
	}
	if err := deepSuperposition().Run(t.Context(), "superposition-deep", Options{Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "--from") {
		t.Errorf("from nothing: %v", err)
	}
	for _, name := range []string{"sft", "grpo", "coconut"} {
		r, err := Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Start(t.Context(), Options{Dir: t.TempDir(), Base: base}); err == nil || !strings.Contains(err.Error(), "symbols") {
			t.Errorf("%s from a model of symbols: %v", name, err)
		}
	}
}

// counting counts the questions of examples.
type counting struct {
	*graphs
	questions int
}

func (c *counting) Draw(rng *rand.Rand, step int) train.Example {
	e := c.graphs.Draw(rng, step)
	for _, target := range e.Targets {
		if target >= 0 {
			c.questions++
		}
	}
	return e
}

// BenchmarkSuperposition is whole training steps at the last stage, graphs
// drawn, gradients taken and weights updated: questions a second, each with a
// graph of its own, and 13 to a graph as the recipe has it. scripts/bench/superposition.sh
// compares it with PyTorch.
func BenchmarkSuperposition(b *testing.B) {
	for _, extra := range []int{0, 12} {
		b.Run(fmt.Sprintf("extra=%d", extra), func(b *testing.B) {
			s := superposition()
			s.Method, s.ExtraQueries, s.GraphRamp, s.FirstStage, s.StageSteps = latent.ReachThoughts, extra, 0, 0, 1
			s.Train.Steps, s.Train.Eval.Problems, s.Train.Eval.Every, s.Train.CheckpointEvery = max(1, b.N), 0, 0, 0
			s.Train.BatchTokens = 64 * 118
			if extra > 0 {
				s.Train.BatchTokens = 64 * 118 / 3 // as many questions
			}
			s.Model.VocabSize = task.SymbolCount
			source := &counting{graphs: &graphs{Superposition: s}}
			r := train.Run{Dir: b.TempDir(), Config: s.Train, Model: s.Model, Source: source}
			if err := r.Train(context.Background(), nil); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(source.questions)/b.Elapsed().Seconds(), "questions/s")
		})
	}
}
