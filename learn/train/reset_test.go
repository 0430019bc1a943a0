package train

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"orrery/learn/nn"
	"orrery/task"
)

// newReset is newRun with an optimiser that begins anew twice, once at a
// checkpoint and an evaluation, and once between.
func newReset(t testing.TB, dir string) *Run {
	r := newRun(t, dir)
	r.Config.ResetAt = []int{4, 7}
	return r
}

func init() { victims["reset"] = newReset }

// The step after a reset is Adam's first: with both moments 0 each parameter with a
// gradient moves by the learning rate, whatever the gradient's size, but for decay.
func TestReset(t *testing.T) {
	weights := func(steps int, resets []int) []float32 {
		r := newRun(t, t.TempDir())
		r.Config.Steps, r.Config.Eval.Problems, r.Config.ResetAt, r.Config.Storage = steps, 0, resets, fp32
		r.Config.Schedule, r.Config.Optimizer.Decay, r.Config.Clip = Schedule{Final: 1}, 0, 0
		if err := r.Train(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		m, err := nn.Load(filepath.Join(r.Dir, "final"))
		if err != nil {
			t.Fatal(err)
		}
		var all []float32
		for _, p := range m.Params() {
			all = append(all, p.Val.Data...)
		}
		return all
	}
	before, with, without := weights(5, nil), weights(6, []int{5}), weights(6, nil)
	moves := func(after []float32) (whole int) {
		lr := smallConfig().Optimizer.LR
		for i, w := range after {
			// A float32 weight around 1 is rounded by 1e-7, lr is 3e-3.
			if d := float64(w - before[i]); d > 0.99*lr || d < -0.99*lr {
				whole++
			}
		}
		return whole
	}
	// Rows of the vocabulary without a gradient, and gradients as small as Eps, do
	// not move.
	if n, m := moves(with), moves(without); n < len(before)/3 || m > n/4 {
		t.Errorf("%d of %d weights move by the learning rate after a reset, %d without", n, len(before), m)
	}
	if !slices.Equal(before, weights(5, []int{5})) {
		t.Error("a reset after the last step changes the weights")
	}
}

// styled answers as told by the step: right at steps 4 and 8, wrong at the others.
type styled struct{ *Problems }

func (s styled) Style(_ Evaluation, step int) Style { return scripted{step} }

type scripted struct{ step int }

func (s scripted) Worked(p task.Problem) Example { return Supervised(vocab, p, 0) }

func (s scripted) Answers(_ context.Context, _ *nn.Decoder, ps []task.Problem, _ []uint64) ([]Reply, error) {
	out := make([]Reply, len(ps))
	for i, p := range ps {
		out[i] = Reply{Answer: p.Answer, Answered: s.step != 12, Tokens: s.step}
		if s.step == 8 && i == 0 {
			out[i].Answer = "nonsense"
		}
	}
	return out, nil
}

// final/ has the weights of the best evaluation that counts, and the run's own
// files; the metrics have what the Style answered.
func TestFinishBest(t *testing.T) {
	for from, want := range map[int]int{0: 4, 5: 8, 9: 12} {
		r := newRun(t, t.TempDir())
		r.Source = styled{r.Source.(*Problems)}
		r.Config.Finish, r.Config.Eval.BestFrom, r.Config.Storage = "best", from, fp32
		r.Files = map[string][]byte{"more.json": []byte("{}\n")}
		if err := r.Train(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		for name, same := range map[string]bool{"model.safetensors": true, "more.json": true} {
			a, err := os.ReadFile(filepath.Join(r.Dir, "final", name))
			if err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(filepath.Join(r.Dir, "checkpoints", stepName(want), name))
			if err != nil || (string(a) == string(b)) != same {
				t.Errorf("best from step %d: %s is not that of step %d (%v)", from, name, want, err)
			}
		}
		got := untimed(t, r.Dir)
		for step, tokens := range map[int]int{4: 4, 8: 8, 12: 12} {
			if !strings.Contains(got, fmt.Sprintf(`"tokens":%d,"loss"`, tokens)) {
				t.Errorf("the evaluation at step %d does not have the tokens of its replies:\n%s", step, got)
			}
		}
		// Doing it again changes nothing.
		before := finalBytes(t, r.Dir)
		r.Resume = true
		if err := r.Train(t.Context(), nil); err != nil || !maps.Equal(before, finalBytes(t, r.Dir)) {
			t.Errorf("resuming a finished run changed it (%v)", err)
		}
	}
	c := smallConfig()
	c.Finish, c.Eval.Problems = "best", 0
	if c.Validate() == nil {
		t.Error("the best of no evaluations was taken")
	}
}
