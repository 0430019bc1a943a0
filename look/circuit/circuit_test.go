package circuit

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"orrery/learn/grad"
	"orrery/learn/recipe"
	"orrery/learn/tensor"
	"orrery/look/grok"
)

// tiny are runs of a fraction of a second.
func tiny() map[string]Settings {
	t := nanda().with(func(s *Settings) {
		s.Table, s.Width, s.Heads, s.Hidden, s.Epochs, s.Train, s.Every = "Z5", 8, 2, 12, 24, 0.8, 4
	})
	return map[string]Settings{
		"nanda": t,
		"grokfast, minibatch": grokfast().with(func(s *Settings) {
			s.Table, s.Width, s.Heads, s.Hidden, s.Epochs, s.Batch, s.Every, s.Filter = "Mod5", 8, 2, 12, 24, 4, 4, emaFilter
		}),
		"moving average": t.with(func(s *Settings) { s.Filter = Filter{Kind: "ma", Window: 5, Lambda: 3} }),
		"residual":       residualSettings("S3", 10, 0.7).with(func(s *Settings) { s.Epochs, s.Every, s.VInit = 24, 4, 1 }),
	}
}

func learn(t *testing.T, s Settings) *learner {
	t.Helper()
	l, err := newLearner(s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestTables: products and quotients undo each other, groups are their own table.
func TestTables(t *testing.T) {
	mod, err := parseTable("mod13")
	if err != nil {
		t.Fatal(err)
	}
	div, err := parseTable("Div13")
	if err != nil {
		t.Fatal(err)
	}
	if mod.name != "Mod13" || mod.pairs() != 13*12 || div.pairs() != 13*12 {
		t.Fatalf("%s has %d pairs, %s %d", mod.name, mod.pairs(), div.name, div.pairs())
	}
	for p, z := range mod.answer {
		x, y := mod.pair(p)
		if z != x*y%13 || y < 1 || y > 12 {
			t.Fatalf("%d·%d mod 13 is %d", x, y, z)
		}
		if back := div.answer[z*12+y-1]; back != x {
			t.Fatalf("%d/%d mod 13 is %d, want %d", z, y, back, x)
		}
	}
	d5, err := parseTable("D5")
	if err != nil || d5.pairs() != 100 || d5.answer[23] != d5.group.Mul(2, 3) {
		t.Errorf("D5: %+v, %v", d5, err)
	}
	for _, bad := range []string{"mod8", "modx", "div1", "Y3", ""} {
		if _, err := parseTable(bad); err == nil {
			t.Errorf("%q is a table", bad)
		}
	}
}

// naiveResidual is the network of three layers by its definition in float64.
func naiveResidual(r *residual, pairs []int) float64 {
	m, k := r.table.elements, r.w.Val.Dim(1)
	at := func(v *grad.Var, i, j int) float64 { return float64(v.Val.Data[i*v.Val.Dim(1)+j]) }
	loss := 0.0
	for _, p := range pairs {
		x, y := r.table.pair(p)
		f1, f2, o := make([]float64, k), make([]float64, k), make([]float64, m)
		for j := range k {
			f1[j] = max(0, at(r.w, x, j)+at(r.w, m+y, j))
		}
		mean := 0.0
		for j := range k {
			s := 0.0
			for i := range k {
				s += at(r.u, j, i) * f1[i]
			}
			f2[j] = f1[j] + max(0, s)
		}
		for s := range m {
			for j := range k {
				o[s] += at(r.v, s, j) * f2[j]
			}
			mean += o[s] / float64(m)
		}
		for s := range m {
			d := o[s] - mean + 1/float64(m)
			if s == r.table.answer[p] {
				d--
			}
			loss += d * d / float64(len(pairs))
		}
	}
	return loss
}

// TestGradients holds the gradients of all nets to central differences of their
// losses, and the residual net's loss to its definition.
func TestGradients(t *testing.T) {
	for name, s := range tiny() {
		l := learn(t, s)
		pairs := l.split.Train
		value := func() float64 {
			tape := &grad.Tape{NoGrad: true}
			return float64(l.net.loss(tape, l.net.outputs(tape, pairs), pairs).Val.Data[0])
		}
		if r, ok := l.net.(*residual); ok {
			value = func() float64 { return naiveResidual(r, pairs) }
		}
		loss := l.net.loss(l.tape, l.net.outputs(l.tape, pairs), pairs)
		if v := value(); math.Abs(v-float64(loss.Val.Data[0])) > 1e-5*v {
			t.Errorf("%s: loss %g, by definition %g", name, loss.Val.Data[0], v)
		}
		if err := l.tape.Backward(loss); err != nil {
			t.Fatal(err)
		}
		for _, p := range l.net.params() {
			// Along the gradient itself, so that the slope is its norm: the largest one,
			// next to which float32's 6e-8 of the loss over the step is small.
			norm := math.Sqrt(float64(tensor.Dot(p.Grad.Data, p.Grad.Data)))
			if norm < 1e-3 { // the table of positions has rows that nothing reads
				continue
			}
			const h = 1e-2
			was := slices.Clone(p.Val.Data)
			move := func(by float64) float64 {
				copy(p.Val.Data, was)
				tensor.Axpy(p.Val.Data, float32(by/norm), p.Grad.Data)
				return value()
			}
			slope := (move(h) - move(-h)) / (2 * h)
			copy(p.Val.Data, was)
			// ReLU's kinks cost more than the h² of smooth functions.
			if math.Abs(slope-norm) > 0.02*norm+2e-4 {
				t.Errorf("%s: %s rises by %g along its gradient, which has norm %g", name, p.Name, slope, norm)
			}
		}
	}
}

// TestFilter holds both filters to their sums, over ten updates.
func TestFilter(t *testing.T) {
	for _, f := range []Filter{{}, {Kind: "ema", Alpha: 0.9, Lambda: 2}, {Kind: "ma", Window: 4, Lambda: 5}} {
		p := grad.NewParam("p", tensor.New(3))
		s := newFilter(f, []*grad.Var{p})
		mean := 0.0
		var all []float64
		for i := 1; i <= 10; i++ {
			g := math.Sin(float64(i))
			p.Grad.Data[1] = float32(g)
			all = append(all, g)
			want := g
			switch f.Kind {
			case "ema":
				mean = f.Alpha*mean + (1-f.Alpha)*g
				if i == 1 {
					mean = g
				}
				want += f.Lambda * mean
			case "ma":
				if i >= f.Window {
					for _, x := range all[i-f.Window:] {
						want += f.Lambda * x / float64(f.Window)
					}
				}
			}
			s.apply(i)
			if got := float64(p.Grad.Data[1]); math.Abs(got-want) > 1e-5 {
				t.Errorf("%s, update %d: %g, want %g", f.name(), i, got, want)
			}
		}
	}
}

// TestAdam: two steps by hand, coupled and decoupled, with a rate that rises.
func TestAdam(t *testing.T) {
	for _, kind := range []string{"adam", "adamw"} {
		o := grok.Optimizer{Kind: kind, LR: 0.1, Beta1: 0.9, Beta2: 0.98, Eps: 1e-8, Decay: 0.5}
		p := grad.NewParam("p", tensor.Of([]float32{2}, 1))
		a := newAdam(o, 2, []*grad.Var{p})
		w, m, v := 2.0, 0.0, 0.0
		for i, g := range []float64{0.3, -0.2} {
			p.Grad.Data[0] = float32(g)
			a.step(i + 1)
			lr := 0.1 * []float64{0.5, 1}[i]
			if kind == "adam" {
				g += 0.5 * w
			} else {
				w -= lr * 0.5 * w
			}
			m, v = 0.9*m+0.1*g, 0.98*v+0.02*g*g
			n := float64(i + 1)
			w -= lr * (m / (1 - math.Pow(0.9, n))) / (math.Sqrt(v/(1-math.Pow(0.98, n))) + 1e-8)
			if got := float64(p.Val.Data[0]); math.Abs(got-w) > 1e-5 {
				t.Errorf("%s, step %d: %g, want %g", kind, i+1, got, w)
			}
		}
	}
}

// TestShares: vectors of one frequency are one component, random ones most.
func TestShares(t *testing.T) {
	tab, err := parseTable("Z11")
	if err != nil {
		t.Fatal(err)
	}
	s, err := newShares(tab)
	if err != nil {
		t.Fatal(err)
	}
	v := tensor.New(11, 2)
	for x := range 11 {
		v.Data[2*x], v.Data[2*x+1] = float32(3+math.Cos(2*math.Pi*3*float64(x)/11)), float32(math.Sin(2*math.Pi*3*float64(x)/11))
	}
	share := s.of(v)
	for k, c := range s.parts {
		want := 0.0
		if c.Label == "3" {
			want = 1
		}
		if math.Abs(share[k]-want) > 1e-6 {
			t.Errorf("component %s has %g, want %g", c.Label, share[k], want)
		}
	}
	if n := key(share); n != 1 {
		t.Errorf("%d key components, want 1", n)
	}
	if n := key([]float64{0.3, 0.25, 0.25, 0.2}); n != 4 {
		t.Errorf("%d key components of four alike, want 4", n)
	}
}

func start(ctx context.Context, s Settings, dir string, resume bool, watch func(recipe.Reading)) error {
	return s.Run(ctx, "nanda", recipe.Options{Dir: dir, Resume: resume, Watch: watch})
}

// TestResume: interrupted and resumed on another number of threads, a run ends in
// the same bytes; it has a result and a page.
func TestResume(t *testing.T) {
	defer tensor.SetThreads(0)
	for name, s := range tiny() {
		t.Run(name, func(t *testing.T) {
			tensor.SetThreads(1)
			whole, parts := t.TempDir(), t.TempDir()
			if err := start(t.Context(), s, whole, false, nil); err != nil {
				t.Fatal(err)
			}
			tensor.SetThreads(3)
			for i, stops := 0, 0; ; i++ {
				ctx, cancel := context.WithCancel(t.Context())
				readings := 0
				err := start(ctx, s, parts, i > 0, func(recipe.Reading) {
					if readings++; readings > 2+i {
						cancel()
					}
				})
				cancel()
				if err == nil {
					if stops < 2 {
						t.Errorf("interrupted %d times only", stops)
					}
					break
				}
				if !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
				stops++
			}
			for _, file := range []string{"final/model.safetensors", "checkpoints/epoch-24.safetensors"} {
				a, err := os.ReadFile(filepath.Join(whole, file))
				b, err2 := os.ReadFile(filepath.Join(parts, file))
				if err != nil || err2 != nil || string(a) != string(b) {
					t.Errorf("%s differs after interruptions (%v, %v)", file, err, err2)
				}
			}
			if err := s.WriteReport(whole); err != nil {
				t.Fatal(err)
			}
			page, err := os.ReadFile(filepath.Join(whole, "report.html"))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"Which components do the elements", "agree?", "The components of", s.Table[:1]} {
				if !strings.Contains(string(page), want) {
					t.Errorf("the page lacks %q", want)
				}
			}
			out, err := s.Result(whole)
			if err != nil || len(out.Lines) < 3 || out.Fields["components"] == 0 {
				t.Errorf("result %+v, %v", out, err)
			}
		})
	}
}

// TestLearns: the residual net fits a small table, and with the seed the bytes change.
func TestLearns(t *testing.T) {
	s := residualSettings("Z5", 48, 0.9).with(func(s *Settings) { s.VInit, s.Optimizer.LR = 0, 0.01 })
	l := learn(t, s)
	other := learn(t, s.with(func(s *Settings) { s.Seed = 2 }))
	if slices.Equal(l.net.params()[0].Val.Data, other.net.params()[0].Val.Data) {
		t.Error("two seeds give the same weights")
	}
	for range 200 {
		if _, err := l.Step(); err != nil {
			t.Fatal(err)
		}
	}
	if score, _ := l.Score(); score.Accuracy < 1 {
		t.Errorf("after 200 passes %.0f %% of the training pairs are right", 100*score.Accuracy)
	}
}

func TestSettingsErrors(t *testing.T) {
	for want, spoil := range map[string]func(*Settings){
		"net is":                        func(s *Settings) { s.Net = "mlp" },
		"is none of":                    func(s *Settings) { s.Table = "Y5" },
		"prompt is":                     func(s *Settings) { s.Prompt = "=" },
		"width is":                      func(s *Settings) { s.Width = 0 },
		"vinit is":                      func(s *Settings) { s.VInit = -1 },
		"scale is":                      func(s *Settings) { s.Scale = 0 },
		"train is":                      func(s *Settings) { s.Train = 0.001 },
		"epochs is":                     func(s *Settings) { s.Epochs = 0 },
		"batch is":                      func(s *Settings) { s.Batch = -1 },
		"every is":                      func(s *Settings) { s.Every = -1 },
		"warmup is":                     func(s *Settings) { s.Warmup = -1 },
		"optimizer.kind is":             func(s *Settings) { s.Optimizer.Kind = "muon" },
		"optimizer.lr is":               func(s *Settings) { s.Optimizer.LR = 0 },
		"filter.kind is":                func(s *Settings) { s.Filter.Kind = "fft" },
		"filter.alpha is":               func(s *Settings) { s.Filter = Filter{Kind: "ema", Alpha: 1} },
		"filter.window is":              func(s *Settings) { s.Filter = Filter{Kind: "ma"} },
		"filter.lambda is":              func(s *Settings) { s.Filter.Lambda = math.NaN() },
		"num_attention_heads is 0":      func(s *Settings) { s.Heads = 0 },
		"norm is \"batch\", want one":   func(s *Settings) { s.Norm = "batch" },
		"settings: the transformer: nn": func(s *Settings) { s.Layers = -1 },
	} {
		s := tiny()["nanda"]
		spoil(&s)
		if _, err := newLearner(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
