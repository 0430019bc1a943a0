package coconut

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"orrery/learn/latent"
	"orrery/learn/nn"
	"orrery/task"
)

// Reacher is a trained model of graph questions in symbols (arXiv 2505.12514).
type Reacher struct {
	Dir  string
	Info latent.SymbolsInfo
	Net  *nn.Model
}

// OpenReacher reads a model's folder.
func OpenReacher(dir string) (*Reacher, error) {
	info, net, err := load(dir, latent.ReadSymbols)
	return &Reacher{dir, info, net}, err
}

// SortedProblems is Problems of graph questions whose ids ascend along edges.
func SortedProblems(level task.Level, n int, seed uint64) []task.Problem {
	ps := make([]task.Problem, n)
	for i := range ps {
		ps[i] = task.SymbolTask{}.Sorted(rand.New(rand.NewPCG(seed, testStream+uint64(i))), level)
	}
	return ps
}

// mostThoughts is the last column of the table by number of thoughts.
const mostThoughts = 6

// ReachScore is one model on graph questions.
type ReachScore struct {
	Model    *Reacher
	Main     Tally             // with as many thoughts or pauses as hops, which the model is told
	Sweep    []Tally           // with 0 to 6, of models that fill
	Controls map[Control]Tally // of models that think
}

// Measure asks a model everything. progress, if not nil, is called after each pass over
// the problems.
func (m *Reacher) Measure(ctx context.Context, ps []task.Problem, seed uint64, progress func(what string)) (*ReachScore, error) {
	qs := make([]task.Symbols, len(ps))
	for i, p := range ps {
		var err error
		if qs[i], err = task.ParseSymbols(p.Question); err != nil {
			return nil, fmt.Errorf("asking %s: problem %d: %w", m.Dir, i+1, err)
		}
	}
	s := &ReachScore{Model: m}
	ask := func(what string, k int, fed [][][]float32) (Tally, [][][]float32, error) {
		t, own, err := m.ask(ctx, qs, k, fed)
		if err == nil && progress != nil {
			progress(what)
		}
		return t, own, err
	}
	var own [][][]float32
	var err error
	if s.Main, own, err = ask("as many thoughts as hops", latent.Hops, nil); err != nil || len(m.Info.Method.Fill(1)) == 0 {
		return s, err
	}
	for k := range mostThoughts + 1 {
		t, _, err := ask(fmt.Sprintf("%d thoughts", k), k, nil)
		if err != nil {
			return nil, err
		}
		s.Sweep = append(s.Sweep, t)
	}
	if m.Info.Method != latent.ReachThoughts {
		return s, nil
	}
	s.Controls = map[Control]Tally{ZeroLatent: s.Sweep[0]}
	for _, c := range Controls[1:] {
		t, _, err := ask(string(c), latent.Hops, feed(c, own, seed))
		if err != nil {
			return nil, err
		}
		s.Controls[c] = t
	}
	return s, nil
}

// ask answers all questions with k thoughts; fed, if not nil, has what is fed
// instead of each question's own thoughts, which are returned.
func (m *Reacher) ask(ctx context.Context, qs []task.Symbols, k int, fed [][][]float32) (t Tally, own [][][]float32, err error) {
	d := nn.NewDecoder(m.Net)
	t = Tally{Right: make([]bool, len(qs)), Tokens: make([]int, len(qs))}
	own = make([][][]float32, len(qs))
	for i, q := range qs {
		var feed func(int, []float32) []float32
		if fed != nil {
			feed = func(n int, _ []float32) []float32 { return fed[i][n] }
		}
		r, err := m.Info.Method.Answer(ctx, d, q, k, feed)
		if errors.Is(err, nn.ErrFull) {
			return t, own, fmt.Errorf("asking %s: a graph of %d edges and %d thoughts are more than its %d positions: ask it about smaller graphs, as --level easy has them", m.Dir, len(q.Edges), len(r.Thoughts), m.Net.Config.MaxPositions)
		}
		if err != nil {
			return t, own, fmt.Errorf("asking %s: %w", m.Dir, err)
		}
		t.Right[i], t.Tokens[i], own[i] = r.Answer == q.Target, r.Tokens, r.Thoughts
	}
	return t, own, nil
}
