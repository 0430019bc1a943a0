package latent

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"orrery/learn/nn"
	"orrery/learn/token"
	"orrery/task"
)

// toy is a problem of s steps whose parts are told apart at a glance.
func toy(s int) task.Problem {
	p := task.Problem{Task: "arithmetic", Question: "Q", Answer: "A"}
	for i := range s {
		p.Steps = append(p.Steps, fmt.Sprintf("s%d", i+1))
	}
	return p
}

func bytesOnly(t *testing.T) *token.Vocab {
	t.Helper()
	v, err := token.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// show writes a sequence with names for special tokens, and a bar before what is
// supervised.
func show(v *token.Vocab, s Sequence) string {
	var b strings.Builder
	for i, id := range s.IDs {
		if i == s.Written {
			b.WriteString("|")
		}
		if id == nn.Thought {
			b.WriteString("*")
		} else {
			b.WriteString(v.Name(id))
		}
	}
	return b.String()
}

// The sequence of every method at every stage, of a problem of two steps with
// three stages and two thoughts a step (spec: training sequence at stage k).
func TestSequences(t *testing.T) {
	v := bytesOnly(t)
	c := Curriculum{Stages: 3, EpochSteps: 5, EpochsPerStage: 2, ThoughtsPerStep: 2}
	const q = "<bos>Q\n"
	full, none := "|s1\ns2\n### A<eos>", "|### A<eos>"
	stars, pauses := strings.Repeat("*", 6), strings.Repeat("<pause>", 6)
	for m, want := range map[Method][5]string{
		CoT:          {q + full, q + full, q + full, q + full, q + full},
		NoCoT:        {q + none, q + none, q + none, q + none, q + none},
		Pause:        repeat(q + "<bot>" + pauses + "<eot>" + none),
		NoCurriculum: repeat(q + "<bot>" + stars + "<eot>" + none),
		NoThought:    {q + full, q + "|s2\n### A<eos>", q + none, q + none, q + none},
		Coconut: {q + "<bot><eot>" + full, q + "<bot>**<eot>|s2\n### A<eos>", q + "<bot>****<eot>" + none,
			q + "<bot>******<eot>" + none, q + "<bot>******<eot>" + none},
		PauseAsThought: {q + "<bot><eot>" + full, q + "<bot><pause><pause><eot>|s2\n### A<eos>",
			q + "<bot><pause><pause><pause><pause><eot>" + none, q + "<bot>" + pauses + "<eot>" + none, q + "<bot>" + pauses + "<eot>" + none},
	} {
		l := Layout{Vocab: v, Method: m}
		for step := range 60 {
			got := show(v, l.Sequence(toy(2), c.Cut(m, step, 2, 6, nil)))
			if stage := min(step/10, 4); got != want[stage] {
				t.Fatalf("%s at step %d: %q, want %q", m, step, got, want[stage])
			}
		}
	}
}

func repeat(s string) (out [5]string) {
	for i := range out {
		out[i] = s
	}
	return out
}

// Every shape of a problem at every stage: how many tokens of which kind there
// are, which are supervised, and that stage 0 is plain CoT.
func TestSequenceCounts(t *testing.T) {
	v := bytesOnly(t)
	for stages := 1; stages <= 4; stages++ {
		for per := 1; per <= 3; per++ {
			c := Curriculum{Stages: stages, EpochSteps: 1, EpochsPerStage: 1, ThoughtsPerStep: per}
			for s := range 7 {
				plain := Layout{Vocab: v, Method: CoT}.Sequence(toy(s), Cut{})
				for k := range stages + 3 {
					for _, m := range []Method{Coconut, PauseAsThought} {
						got := Layout{Vocab: v, Method: m}.Sequence(toy(s), c.Cut(m, k, s, 3*s, nil))
						fill := map[Method]int{Coconut: nn.Thought, PauseAsThought: token.Pause}[m]
						kept := max(0, s-k)
						if k > stages {
							kept = 0
						}
						if n := count(got.IDs, fill); n != min(k, stages)*per {
							t.Fatalf("%s, s=%d k=%d c=%d: %d thoughts", m, s, k, per, n)
						}
						if n := strings.Count(v.Decode(got.IDs[got.Written:]), "\n"); n != kept {
							t.Fatalf("%s, s=%d k=%d: %d steps are written, want %d", m, s, k, n, kept)
						}
						if got.IDs[got.Written-1] != token.Eot || got.IDs[len(got.IDs)-1] != token.EOS {
							t.Fatalf("%s: %v", m, show(v, got))
						}
						for _, id := range got.IDs[got.Written:] {
							if id == fill || id == token.Bot || id == token.Eot {
								t.Fatalf("%s supervises %d: %v", m, id, show(v, got))
							}
						}
						if k == 0 {
							ids := slices.DeleteFunc(slices.Clone(got.IDs), func(id int) bool { return id == token.Bot || id == token.Eot })
							if !slices.Equal(ids, plain.IDs) || !slices.Equal(got.IDs[got.Written:], plain.IDs[plain.Written:]) {
								t.Fatalf("stage 0 is %q, plain CoT %q", show(v, got), show(v, plain))
							}
						}
					}
				}
			}
		}
	}
}

func count(ids []int, id int) (n int) {
	for _, x := range ids {
		if x == id {
			n++
		}
	}
	return n
}

// A mixture draws from 0…s, each as often, and leaves the rest at their stage.
func TestMixture(t *testing.T) {
	c := Curriculum{Stages: 4, EpochSteps: 10, EpochsPerStage: 1, ThoughtsPerStep: 1, Mix: 0.3}
	rng := rand.New(rand.NewPCG(1, 2))
	const n = 20000
	seen := map[int]int{}
	for range n {
		cut := c.Cut(Coconut, 45, 3, 9, rng) // stage 4 of a problem of three steps
		if cut.Steps != cut.Fill {
			t.Fatalf("%+v: steps and thoughts differ", cut)
		}
		seen[cut.Steps]++
	}
	for k, share := range map[int]float64{0: 0.075, 1: 0.075, 2: 0.075, 3: 0.075, 4: 0.7} {
		// Four standard errors of a share.
		if d := math.Abs(float64(seen[k])/n - share); d > 4*math.Sqrt(share*(1-share)/n) {
			t.Errorf("stage %d was drawn %d times of %d, want a share of %v", k, seen[k], n, share)
		}
	}
	if len(seen) != 5 {
		t.Errorf("stages %v", seen)
	}
	c.Mix = 1
	for range 1000 {
		if cut := c.Cut(Coconut, 0, 6, 9, rng); cut.Steps > 4 || cut.Fill > 4 {
			t.Fatalf("a drawn stage has more thoughts than the last: %+v", cut)
		}
	}
}

// iCoT removes tokens from the front, one by one, at the pace of Coconut's
// stages, and only they.
func TestICoT(t *testing.T) {
	v := bytesOnly(t)
	c := Curriculum{Stages: 3, EpochSteps: 10, EpochsPerStage: 3, ThoughtsPerStep: 1}
	l := Layout{Vocab: v, Method: ICoT}
	p := toy(2) // steps of three tokens
	whole := l.Sequence(p, Cut{})
	rng := rand.New(rand.NewPCG(1, 2))
	extra, n := 0, 0
	for range 200 {
		for step := range 130 {
			cut := c.Cut(ICoT, step, 2, 6, rng)
			s := l.Sequence(p, cut)
			least := max(0, step-30) / 10 // three tokens a stage of thirty steps, from stage 1 on
			if s.Written != whole.Written || !slices.Equal(s.IDs[:s.Written], whole.IDs[:whole.Written]) || !strings.HasSuffix(v.Decode(s.IDs), "### A") {
				t.Fatalf("step %d: %q", step, show(v, s))
			}
			gone := len(whole.IDs) - len(s.IDs)
			if gone < min(least, 6) || step >= 120 && gone != 6 {
				t.Fatalf("step %d: %d tokens are gone, want at least %d", step, gone, min(least, 6))
			}
			if step < 80 {
				extra, n = extra+cut.Tokens-least, n+1
			}
		}
	}
	// The mean of a geometric distribution of ratio exp(−4), and four standard errors.
	r := math.Exp(-4.0)
	if mean, se := r/(1-r), math.Sqrt(r)/(1-r)/math.Sqrt(float64(n)); math.Abs(float64(extra)/float64(n)-mean) > 4*se {
		t.Errorf("%v tokens more are removed on average, want %v ± %v", float64(extra)/float64(n), mean, se)
	}
}

// Coconut costs K tokens more than No-CoT for the same answer; <bot>, <eot> and
// pauses cost nothing.
func TestGenerated(t *testing.T) {
	v := bytesOnly(t)
	for k := range 7 {
		cost := map[Method]int{}
		for _, m := range Methods {
			s := Layout{Vocab: v, Method: m}.Sequence(toy(3), Cut{Steps: All, Fill: k})
			cost[m] = Layout{Vocab: v, Method: m}.Generated(len(s.IDs)-s.Written, k)
		}
		for _, m := range Methods {
			want := cost[NoCoT]
			if m.Fill() == Thoughts {
				want += k
			}
			if cost[m] != want {
				t.Errorf("%s with %d thoughts costs %d tokens, want %d", m, k, cost[m], want)
			}
		}
	}
}

func TestStages(t *testing.T) {
	c := Curriculum{Stages: 6, EpochSteps: 3, EpochsPerStage: 5, ThoughtsPerStep: 1}
	for step := range 300 {
		if got, want := c.Stage(step), min(step/15, 7); got != want {
			t.Fatalf("step %d is of stage %d, want %d", step, got, want)
		}
	}
	c.FirstStage = 1
	for step := range 300 {
		got := c.Stage(step)
		if want := min(1+step/15, 7); got != want || c.Begin(got) > step || got < 7 && c.Begin(got+1) <= step {
			t.Fatalf("from stage 1 on step %d is of stage %d, want %d", step, got, want)
		}
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	for _, bad := range []Curriculum{{}, {Stages: 1, EpochSteps: 1, EpochsPerStage: 1}, {1, 1, 1, 0, 1, 1.5}, {1, 1, 1, -1, 1, 0}, {1, 1, 1, 0, 1, math.NaN()}} {
		if bad.Validate() == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

func TestAnswers(t *testing.T) {
	for text, want := range map[string]string{
		"s\n### 1,234": "1234", "#### 7\n": "7", "### a # b": "b", "###  Sam is a wumpus. ": "Sam is a wumpus.",
		"no mark": "", "###": "", "### ,": "",
	} {
		if got, ok := AnswerOf(text); got != want || ok != (want != "") {
			t.Errorf("the answer of %q is %q, %v", text, got, ok)
		}
	}
	g := &task.Graph{IdxToSymbol: []string{"Sam", "wumpus"}, Root: 0, Target: 1}
	if got := AnswerText(task.Problem{Task: "prosqa-tiny", Answer: "wumpus", Data: g}); got != "Sam is a wumpus." {
		t.Errorf("%q", got)
	}
}
