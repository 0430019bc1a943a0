package train

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"orrery/learn/grad"
	"orrery/learn/nn"
	"orrery/learn/sample"
	"orrery/learn/tensor"
	"orrery/task"
)

func TestSchedule(t *testing.T) {
	c := Config{Steps: 110, Optimizer: Optimizer{LR: 2}, Schedule: Schedule{Warmup: 10, Final: 0.1}}
	for step, want := range map[int]float64{1: 0.2, 5: 1, 10: 2, 35: 2 * (0.1 + 0.9*(1+math.Sqrt2/2)/2), 60: 1.1, 110: 0.2} {
		if got := c.LR(step); math.Abs(got-want) > 1e-12 {
			t.Errorf("rate of step %d is %v, want %v", step, got, want)
		}
	}
	for step := 1; step < 110; step++ {
		if up := c.LR(step+1) > c.LR(step); up != (step < 10) {
			t.Errorf("the rate goes up = %v after step %d", up, step)
		}
	}
	c.Schedule, c.Steps = Schedule{Warmup: 50}, 50
	if got := c.LR(50); got != 0 {
		t.Errorf("a run that is all warm-up ends at rate %v, want the schedule's last value 0", got)
	}
}

func TestValidate(t *testing.T) {
	if err := smallConfig().Validate(); err != nil {
		t.Fatal(err)
	}
	nan := math.NaN()
	for field, spoil := range map[string]func(c *Config){
		"steps":            func(c *Config) { c.Steps = 0 },
		"batch_tokens":     func(c *Config) { c.BatchTokens = 0 },
		"init_scale":       func(c *Config) { c.InitScale = nan },
		"clip":             func(c *Config) { c.Clip = -1 },
		"checkpoint_every": func(c *Config) { c.CheckpointEvery = -1 },
		"optimizer.kind":   func(c *Config) { c.Optimizer.Kind = "sgd" },
		"optimizer.lr":     func(c *Config) { c.Optimizer.LR = nan },
		"optimizer.beta1":  func(c *Config) { c.Optimizer.Beta1 = 1 },
		"optimizer.beta2":  func(c *Config) { c.Optimizer.Beta2 = nan },
		"optimizer.eps":    func(c *Config) { c.Optimizer.Eps = 0 },
		"optimizer.decay":  func(c *Config) { c.Optimizer.Decay = math.Inf(1) },
		"schedule.warmup":  func(c *Config) { c.Schedule.Warmup = -1 },
		"schedule.final":   func(c *Config) { c.Schedule.Final = 1.5 },
		"eval.every":       func(c *Config) { c.Eval.Every = -1 },
		"eval.problems":    func(c *Config) { c.Eval.Problems = -1 },
		"eval.max_tokens":  func(c *Config) { c.Eval.MaxTokens = 0 },
		"eval.temperature": func(c *Config) { c.Eval.Temperature = -1 },
	} {
		c := smallConfig()
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), field+" is") {
			t.Errorf("spoiling %s gives %v", field, err)
		}
	}
}

func TestStrict(t *testing.T) {
	for _, bad := range []string{``, `{"steps":1}x`, `{"stepz":1}`, `{"steps":"1"}`, `{"optimizer":{"rate":1}}`} {
		var c Config
		if Strict([]byte(bad), &c) == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	type Inner struct {
		Stages int `json:"stages"`
	}
	var embedded struct {
		Inner
		Train Config `json:"train"`
	}
	for bad, want := range map[string]string{
		`{"stages":"two"}`:                    "stages is a JSON string, want a whole number",
		`{"train":{"steps":1.5}}`:             "train.steps is a JSON number 1.5, want a whole number",
		`{"train":{"optimizer":[]}}`:          "train.optimizer is a JSON array, want an object",
		`{"train":{"optimizer":{"lr":true}}}`: "train.optimizer.lr is a JSON bool, want a number",
	} {
		if err := Strict([]byte(bad), &embedded); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %q", bad, err, want)
		}
	}
	c := smallConfig()
	if err := Strict([]byte(`{"optimizer":{"lr":5}}`), &c); err != nil {
		t.Fatal(err)
	}
	want := smallConfig()
	want.Optimizer.LR = 5
	if !reflect.DeepEqual(c, want) {
		t.Errorf("one overridden field gave %+v, want %+v", c, want)
	}
}

func TestSupervised(t *testing.T) {
	p := task.Problem{Question: "Compute 3 + 4.", Steps: []string{"3 + 4 = 7"}, Answer: "7"}
	e := Supervised(vocab, p, 0)
	if got := vocab.Decode(e.Tokens[1:]); got != "Compute 3 + 4.\n3 + 4 = 7\n\\boxed{7}" || e.Tokens[0] != vocab.BOS() {
		t.Errorf("inputs are %q", got)
	}
	var said []int
	for i, id := range e.Targets {
		if id >= 0 {
			said = append(said, id)
			if i+1 < len(e.Tokens) && e.Tokens[i+1] != id {
				t.Errorf("row %d should say %d, but the next input is %d", i, id, e.Tokens[i+1])
			}
		}
	}
	if last := said[len(said)-1]; last != vocab.EOS() {
		t.Errorf("the last target is %d, want EOS", last)
	}
	if got := vocab.Decode(said[:len(said)-1]); got != p.Solution() {
		t.Errorf("the targets spell %q, want the solution", got)
	}
	w := Supervised(vocab, p, 0.25)
	n := len(Prompt(vocab, p)) - 1
	for i := range w.Tokens {
		want := float32(1)
		if i < n {
			want = 0.25
		}
		if w.Weights[i] != want || w.Targets[i] < 0 {
			t.Errorf("with weighted questions row %d has weight %v, target %d", i, w.Weights[i], w.Targets[i])
		}
	}
}

// adamTwin is one element's AdamW or Adam in float64.
func adamTwin(o Optimizer, w float64, grads []float64, lr func(t int) float64) float64 {
	m, v := 0.0, 0.0
	for i, g := range grads {
		t := float64(i + 1)
		if o.Kind == "adam" {
			g += o.Decay * w
		} else {
			w -= lr(i+1) * o.Decay * w
		}
		m = o.Beta1*m + (1-o.Beta1)*g
		v = o.Beta2*v + (1-o.Beta2)*g*g
		w -= lr(i+1) * (m / (1 - math.Pow(o.Beta1, t))) / (math.Sqrt(v/(1-math.Pow(o.Beta2, t))) + o.Eps)
	}
	return w
}

// TestOptimizer compares with the float64 twin. Each of the 20 steps rounds a
// weight of about 1 to float32 (relative 6e-8) and an update of about 0.01 from
// moments of relative error 1e-6: 20·(6e-8 + 1e-8) < 2e-6.
func TestOptimizer(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, kind := range []string{"adamw", "adam"} {
		o := Optimizer{Kind: kind, Beta1: 0.9, Beta2: 0.98, Eps: 1e-8, Decay: 0.1}
		matrix := grad.NewParam("matrix", tensor.New(3, chunk/2)) // more than one piece
		vector := grad.NewParam("vector", tensor.New(5))
		params := []*grad.Var{matrix, vector}
		start := map[*grad.Var][]float32{}
		for _, p := range params {
			for i := range p.Val.Data {
				p.Val.Data[i] = float32(rng.NormFloat64())
			}
			start[p] = slices.Clone(p.Val.Data)
		}
		opt := newOptimizer(o, params)
		history := map[*grad.Var][][]float64{matrix: make([][]float64, matrix.Val.Len()), vector: make([][]float64, 5)}
		lr := func(t int) float64 { return 0.01 / float64(t) }
		for step := 1; step <= 20; step++ {
			sum := 0.0
			for _, p := range params {
				for i := range p.Grad.Data {
					if p.Grad.Data[i] != 0 {
						t.Fatal("the gradient is not zeroed")
					}
					g := float32(rng.NormFloat64())
					p.Grad.Data[i] = g
					sum += float64(g) * float64(g)
				}
			}
			norm := opt.norm()
			// Float32 sums of 16384 squares in 16 lanes: relative error below 1024·6e-8.
			if want := math.Sqrt(sum); math.Abs(norm-want) > 6e-5*want {
				t.Fatalf("the norm is %v, want %v", norm, want)
			}
			scale := clipScale(norm, 1)
			for _, p := range params {
				for i, g := range p.Grad.Data {
					history[p][i] = append(history[p][i], float64(g*float32(scale)))
				}
			}
			opt.step(step, lr(step), scale)
		}
		for _, p := range params {
			twin := o
			if p == vector {
				twin.Decay = 0
			}
			for _, i := range []int{0, 1, 2, 3, 4, p.Val.Len() - 1} {
				want := adamTwin(twin, float64(start[p][i]), history[p][i], lr)
				if got := float64(p.Val.Data[i]); math.Abs(got-want) > 2e-6*max(1, math.Abs(want)) {
					t.Errorf("%s, %s[%d] went from %v to %v, want %v", kind, p.Name, i, start[p][i], got, want)
				}
			}
		}
	}
}

func TestClip(t *testing.T) {
	for _, c := range []struct{ norm, clip, want float64 }{{4, 1, 0.25}, {0.5, 1, 1}, {1, 1, 1}, {4, 0, 1}, {0, 1, 1}} {
		if got := clipScale(c.norm, c.clip); got != c.want {
			t.Errorf("a norm of %v clipped to %v is scaled by %v, want %v", c.norm, c.clip, got, c.want)
		}
	}
}

// TestBatchesArePure draws batches forwards and backwards, and ahead of time.
func TestBatchesArePure(t *testing.T) {
	src := newRun(t, "").Source
	draw := func(i int) (*batch, error) { return drawBatch(src, 5, i, 300, vocab.Size(), 128) }
	var first []*batch
	for i := range 6 {
		b, err := draw(i)
		if err != nil {
			t.Fatal(err)
		}
		if b.tokens < 300 || b.tokens-b.input.Lens[len(b.input.Lens)-1] >= 300 {
			t.Errorf("batch %d has %d tokens, its last example %d of them; the budget is 300", i, b.tokens, b.input.Lens[len(b.input.Lens)-1])
		}
		first = append(first, b)
	}
	for i := 5; i >= 0; i-- {
		if b, err := draw(i); err != nil || !reflect.DeepEqual(b, first[i]) {
			t.Errorf("batch %d is another when drawn after batch %d: %v", i, i+1, err)
		}
		if i > 0 && reflect.DeepEqual(first[i].input.Tokens, first[i-1].input.Tokens) {
			t.Errorf("batches %d and %d are the same", i-1, i)
		}
	}
	i := 2
	for d := range batches(t.Context(), 2, 6, draw) {
		if d.err != nil || !reflect.DeepEqual(d.batch, first[i]) {
			t.Errorf("batch %d is another when drawn ahead: %v", i, d.err)
		}
		i++
	}
	if i != 6 {
		t.Errorf("batches 2 to %d came, want 2 to 5", i-1)
	}
}

// TestHeldOut asks for easy countdown problems, of which there are few enough
// that training would meet the held-out ones again and again.
func TestHeldOut(t *testing.T) {
	p, err := NewProblems(vocab, []Mix{{Task: "countdown", Weight: 1, Easy: true}}, 3, 50)
	if err != nil {
		t.Fatal(err)
	}
	rng, met, asked := stream(3, 99), 0, map[string]bool{}
	for _, q := range p.HeldOut()[0] {
		asked[q.Question] = true
	}
	for range 3000 {
		e := p.Draw(rng, 0)
		text := vocab.Decode(e.Tokens[1:])
		if asked[text[:strings.IndexByte(text, '\n')]] {
			t.Fatalf("trained on the held-out question %q", text)
		}
		if q := p.tasks[0].Generate(rng, task.Easy); asked[q.Question] {
			met++
		}
	}
	if met == 0 {
		t.Error("the generator never met a held-out question, so this test proves nothing")
	}
}

func TestMix(t *testing.T) {
	m := Mix{EasyStart: 0.8, EasyEnd: 0.2, EasyUntil: 10}
	for step, want := range map[int]float64{0: 0.8, 5: 0.5, 10: 0.2, 99: 0.2} {
		if got := m.easy(step); math.Abs(got-want) > 1e-12 {
			t.Errorf("share of easy problems at step %d is %v, want %v", step, got, want)
		}
	}
	for _, bad := range [][]Mix{nil, {{Task: "chess", Weight: 1}}, {{Task: "arithmetic"}}, {{Task: "arithmetic", Weight: 1, EasyStart: 2}},
		{{Task: "arithmetic", Weight: 1}, {Task: "arithmetic", Weight: 1}}} {
		if _, err := NewProblems(vocab, bad, 1, 0); err == nil {
			t.Errorf("the mix %+v was taken", bad)
		}
	}
}

func TestBadExamples(t *testing.T) {
	for name, e := range map[string]Example{
		"empty":    {},
		"targets":  {Tokens: []int{1, 2}, Targets: []int{1}},
		"weights":  {Tokens: []int{1}, Targets: []int{1}, Weights: []float32{1, 2}},
		"token":    {Tokens: []int{1000000}, Targets: []int{1}},
		"target":   {Tokens: []int{1}, Targets: []int{-2}},
		"length":   {Tokens: make([]int, 200), Targets: make([]int, 200)},
		"branches": {Tokens: []int{1}, Targets: []int{1}, Branch: []int{0, 0}},
		"no trunk": {Tokens: []int{1}, Targets: []int{1}, Branch: []int{1}},
		"order":    {Tokens: []int{1, 2, 3}, Targets: []int{1, 1, 1}, Branch: []int{0, 2, 1}},
		"long": {Tokens: make([]int, 200), Targets: make([]int, 200),
			Branch: append(make([]int, 100), slices.Repeat([]int{1}, 100)...)},
		"no thought": {Tokens: []int{nn.Thought, 1}, Targets: []int{1, 1}},
	} {
		if e.check(vocab.Size(), 128) == nil {
			t.Errorf("%s: the example was taken", name)
		}
	}
}

// logprobs runs a model over examples and returns each target's
// log-probability, and the loss.
func logprobs(m *nn.Model, list ...Example) ([]float32, float32) {
	tape := grad.NewTape()
	tape.NoGrad = true
	b := pack(list)
	loss, logp := tape.CrossEntropy(b.logits(tape, m), b.targets, b.weights)
	return logp, loss.Val.Data[0]
}

// TestBranches holds an example with two branches to the two plain sequences
// that it stands for, to the bit.
func TestBranches(t *testing.T) {
	m, err := nn.New(smallModel(), 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range m.Params() { // larger weights, so that attention matters
		if len(p.Shape()) == 2 {
			tensor.Scale(p.Val.Data, p.Val.Data, 8)
		}
	}
	rng := rand.New(rand.NewPCG(8, 8))
	ids := func(n int) (list []int) {
		for range n {
			list = append(list, rng.IntN(vocab.Size()))
		}
		return list
	}
	trunk, both := ids(9), [][]int{ids(5), ids(7)}
	tree := Example{}
	add := func(e *Example, id, target, branch int) {
		e.Tokens, e.Targets = append(e.Tokens, id), append(e.Targets, target)
		e.Branch = append(e.Branch, branch)
	}
	for _, id := range trunk {
		add(&tree, id, -1, 0)
	}
	var want []float32
	for n, ids := range both {
		plain := Example{Tokens: append(slices.Clone(trunk), ids[:len(ids)-1]...)}
		plain.Targets = slices.Repeat([]int{-1}, len(plain.Tokens))
		for i, id := range ids[:len(ids)-1] {
			plain.Targets[len(trunk)+i] = ids[i+1]
			add(&tree, id, ids[i+1], n+1)
		}
		logp, _ := logprobs(m, plain)
		want = append(want, logp...)
	}
	got, _ := logprobs(m, tree, Example{Tokens: trunk[:2], Targets: trunk[1:3]})
	for i, w := range want {
		if got[i] != w {
			t.Errorf("target %d has log-probability %v in a branch, %v alone", i, got[i], w)
		}
	}
	// The branches must not see each other, or this test could not fail.
	tree.Branch = slices.Repeat([]int{0}, len(tree.Tokens))
	if seen, _ := logprobs(m, tree); math.Abs(float64(seen[len(want)-1]-want[len(want)-1])) < 1e-3 {
		t.Error("what a branch sees makes no difference")
	}
}

// TestSamplerAgreesWithTrainer: the log-probability that the sampler reports
// for a token is, bit for bit, the one that the trainer's loss is made of, and
// a trace doesn't depend on what is sampled beside it.
func TestSamplerAgreesWithTrainer(t *testing.T) {
	m, err := nn.New(smallModel(), 5)
	if err != nil {
		t.Fatal(err)
	}
	var prompts [][]int
	var seeds []uint64
	for i := range 7 {
		p := task.Countdown{}.Generate(stream(1, uint64(i)), task.Easy)
		prompts, seeds = append(prompts, Prompt(vocab, p)), append(seeds, uint64(i)*77)
	}
	set := sample.Settings{Temperature: 0.8, TopK: 200}
	traces, err := Traces(t.Context(), nn.NewDecoder(m), prompts, set, seeds, 20, vocab.EOS())
	if err != nil {
		t.Fatal(err)
	}
	var list []Example
	var want []float32
	for i, ids := range traces {
		alone, err := Traces(t.Context(), nn.NewDecoder(m), prompts[i:i+1], set, seeds[i:i+1], 20, vocab.EOS())
		if err != nil || !slices.Equal(alone[0], ids) {
			t.Errorf("trace %d is %v alone, %v among others (%v)", i, alone, ids, err)
		}
		d := nn.NewDecoder(m)
		s, logits, err := d.Prefill(prompts[i])
		if err != nil {
			t.Fatal(err)
		}
		sampler := sample.New(set, seeds[i])
		e := Example{Tokens: append(slices.Clone(prompts[i]), ids[:len(ids)-1]...)}
		e.Targets = slices.Repeat([]int{-1}, len(prompts[i])-1)
		for _, id := range ids {
			c, err := sampler.Next(logits)
			if err != nil || c.Token != id {
				t.Fatalf("stepping trace %d by hand drew %v (%v), want token %d", i, c, err, id)
			}
			e.Targets = append(e.Targets, id)
			want = append(want, c.Logprob)
			rows, err := d.Step([]*nn.Seq{s}, []int{id})
			if err != nil {
				t.Fatal(err)
			}
			logits = rows[0]
		}
		list = append(list, e)
	}
	got, _ := logprobs(m, list...)
	if !slices.Equal(got, want) {
		t.Errorf("the trainer's log-probabilities differ from the sampler's:\n%v\n%v", got, want)
	}
}

func TestBoxed(t *testing.T) {
	for text, want := range map[string]string{
		"1 + 2 = 3\n\\boxed{3}": "3", "\\boxed{(1 + 2) * 3}": "(1 + 2) * 3", "\\boxed{}": "", "a\n\\boxed{b": "-", "\\boxed{1}\nmore": "-", "": "-", "so \\boxed{1}": "-",
	} {
		got, ok := boxed(text)
		if !ok {
			got = "-"
		}
		if got != want {
			t.Errorf("boxed(%q) = %q, want %q", text, got, want)
		}
	}
}

// TestLearns trains the small model on one easy problem: it must learn it by
// heart, which needs every part of the loop to do its work.
func TestLearns(t *testing.T) {
	r := newRun(t, t.TempDir())
	p := task.Problem{Question: "Compute 3 + 4.", Steps: []string{"3 + 4 = 7"}, Answer: "7"}
	r.Source = sourceFunc(func(*rand.Rand, int) Example { return Supervised(vocab, p, 0) })
	r.Config.Steps, r.Config.BatchTokens, r.Config.Eval.Problems, r.Config.CheckpointEvery = 150, 1, 0, 0
	r.Config.Optimizer.LR = 1e-2
	var first, last float64
	if err := r.Train(t.Context(), func(p Progress) {
		if last = p.Metric.Loss; first == 0 {
			first = last
		}
	}); err != nil {
		t.Fatal(err)
	}
	// A fresh model says every token with about equal probability, ln V; one
	// that knows 19 tokens by heart is far below 0.1 nats.
	if uniform := math.Log(float64(vocab.Size())); math.Abs(first-uniform) > 0.2 || last > 0.1 {
		t.Errorf("the loss went from %.3f to %.3f, want from about %.2f to below 0.1", first, last, uniform)
	}
}

type sourceFunc func(rng *rand.Rand, step int) Example

func (f sourceFunc) Draw(rng *rand.Rand, step int) Example { return f(rng, step) }
