package recipe

import (
	"context"
	"fmt"
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
	seen := make([]int, 5)
	for len(list) < 40 {
		p := task.SymbolTask{}.Generate(rng, task.Standard)
		for range 8 {
			if q, ok := otherNodes(rng, symbolsOf(p)); ok {
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

// TestMixedStages: with a mixture, every number of thoughts up to the stage's comes.
func TestMixedStages(t *testing.T) {
	s := superposition()
	s.Mix = 0.5
	rng := rand.New(rand.NewPCG(1, 1))
	for _, q := range chosen(t)[:10] {
		hops, seen := q.Graph().Hops(), map[int]bool{}
		for range 200 { // each of at most 5 has a chance of at least 0.1 a draw
			tokens, _ := s.sequence(rng, s.Train.Steps, q)
			n := 0
			for _, id := range tokens {
				if id == nn.Thought {
					n++
				}
			}
			seen[n] = true
		}
		if len(seen) != hops+1 {
			t.Errorf("%d hops had %v thoughts", hops, seen)
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

func TestSuperpositionRefuses(t *testing.T) {
	for want, change := range map[string]func(*Superposition){
		"method":        func(s *Superposition) { s.Method = "x" },
		"targets":       func(s *Superposition) { s.Targets = "dfs" },
		"stages":        func(s *Superposition) { s.Stages = 0 },
		"mix":           func(s *Superposition) { s.Mix = 2 },
		"extra_queries": func(s *Superposition) { s.ExtraQueries = -1 },
		"level":         func(s *Superposition) { s.Level = 7 },
	} {
		s := superposition()
		change(s)
		if err := s.Run(context.Background(), "superposition", Options{Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error about %s", err, want)
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
