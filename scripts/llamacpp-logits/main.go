// Command llamacpp-logits exports models as GGUF, runs them in llama.cpp and
// in package nn on the same token ids, and prints how far the logits differ;
// then how far the two tokenizers do. run.sh brings the libraries.
//
// It exits with 1 if float32 logits differ by more than float32 arithmetic in
// another order explains, or any text is tokenized differently.
package main

import (
	_ "embed"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/hybridgroup/yzma/pkg/llama"

	"orrery/learn/checkpoint"
	"orrery/learn/export"
	"orrery/learn/grad"
	"orrery/learn/nn"
	"orrery/learn/token"
	"orrery/task"
)

//go:embed prompts.txt
var prompts string

// limit bounds |Δlogit| of a float32 model, relative to the largest logit: some
// hundreds of sums of about a hundred terms, each good to 2^-24 of its size.
const limit = 1e-4

// context is llama.cpp's number of positions, more than any prompt takes.
const context = 512

type subject struct {
	name  string
	model *nn.Model
	vocab *token.Vocab
}

func main() {
	lib := flag.String("lib", "", "folder of llama.cpp's libraries")
	work := flag.String("work", "", "folder for exported models")
	dir := flag.String("model", "", "a trained model's folder; default: random models")
	flag.Parse()
	ok, err := run(*lib, *work, *dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "llamacpp-logits:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

func run(lib, work, dir string) (bool, error) {
	if err := llama.Load(lib); err != nil {
		return false, err
	}
	llama.LogSet(llama.LogSilent())
	llama.Init()
	subjects, err := random()
	if dir != "" {
		subjects, err = trained(dir)
	}
	if err != nil {
		return false, err
	}
	ok := true
	fmt.Printf("%-22s %-9s %-15s %9s %11s %11s %8s %11s\n", "model", "file", "against", "positions", "max |Δ|", "mean |Δ|", "argmax", "mean KL")
	for _, s := range subjects {
		for _, format := range []string{"gguf", "gguf-bf16", "gguf-f16"} {
			folder := filepath.Join(work, s.name+"-"+format)
			if err := export.Export(format, s.model, s.vocab, folder); err != nil {
				return false, err
			}
			e, err := open(filepath.Join(folder, "model.gguf"), context)
			if err != nil {
				return false, err
			}
			good, err := s.compare(e, format)
			if err == nil && format == "gguf" {
				ok = s.compareTokens(e) && ok
			}
			e.close()
			if err != nil {
				return false, err
			}
			ok = ok && good
		}
	}
	return ok, nil
}

// random makes models of several shapes. Their weights are larger than a new
// model's, so that attention and logits are far from uniform.
func random() ([]subject, error) {
	vocab, err := token.New(token.Pieces(task.Vocabulary()))
	if err != nil {
		return nil, err
	}
	base := nn.Config{VocabSize: vocab.Size(), MaxPositions: context, BOS: vocab.BOS(), EOS: vocab.EOS()}
	var list []subject
	for _, shape := range []struct {
		name   string
		change func(c *nn.Config)
	}{
		{"d64-2x4-tied", func(c *nn.Config) {
			c.HiddenSize, c.Layers, c.Heads, c.Intermediate, c.Tied = 64, 2, 4, 160, true
		}},
		{"d256-4x8-grouped", func(c *nn.Config) {
			c.HiddenSize, c.Layers, c.Heads, c.KVHeads, c.Intermediate, c.RopeTheta = 256, 4, 8, 2, 688, 5e5
		}},
		{"d96-3x4-wide-bias", func(c *nn.Config) {
			c.HiddenSize, c.Layers, c.Heads, c.HeadDim, c.Intermediate, c.Bias, c.NormEps = 96, 3, 4, 32, 256, true, 1e-6
		}},
	} {
		c := base
		shape.change(&c)
		m, err := nn.New(c, 1)
		if err != nil {
			return nil, err
		}
		r := rand.New(rand.NewPCG(9, uint64(len(list))))
		for _, p := range m.Params() {
			scale, shift := 0.3, 1.0 // norms
			switch {
			case strings.Contains(p.Name, "embed") || strings.HasSuffix(p.Name, ".bias"):
				scale, shift = 0.5, 0
			case len(p.Shape()) == 2:
				scale, shift = 1.2/math.Sqrt(float64(p.Shape()[1])), 0
			}
			for i := range p.Val.Data {
				p.Val.Data[i] = float32(shift + scale*r.NormFloat64())
			}
		}
		list = append(list, subject{shape.name, m, vocab})
	}
	return list, nil
}

// ids are <bos> and a text, a newline, and the text again, so that there is
// something to attend to; cut to what the model has positions for.
func (s subject) ids(text string) []int {
	ids := append([]int{s.vocab.BOS()}, s.vocab.Encode(text+"\n"+text)...)
	return ids[:min(len(ids), s.model.Config.MaxPositions, context)]
}

func ours(m *nn.Model, ids []int) [][]float32 {
	t := grad.NewTape()
	t.NoGrad = true
	x := m.Logits(t, m.Hidden(t, nn.Input{Tokens: ids, Lens: []int{len(ids)}}), nil).Val
	rows := make([][]float32, len(ids))
	for i := range rows {
		rows[i] = x.Data[i*m.Config.VocabSize : (i+1)*m.Config.VocabSize]
	}
	return rows
}

// compare prints a row of the table for the model as it is, and one for the
// model with its matrices rounded as the file has them.
func (s subject) compare(e *engine, format string) (bool, error) {
	refs := []struct {
		name  string
		model *nn.Model
	}{{"nn", s.model}}
	if dtype, ok := map[string]checkpoint.DType{"gguf-bf16": checkpoint.BF16, "gguf-f16": checkpoint.F16}[format]; ok {
		m, err := rounded(s.model, dtype)
		if err != nil {
			return false, err
		}
		refs = append(refs, struct {
			name  string
			model *nn.Model
		}{"nn, rounded", m})
	}
	ok := true
	for _, ref := range refs {
		var d difference
		for text := range strings.Lines(prompts) {
			ids := s.ids(strings.TrimSuffix(text, "\n"))
			theirs, err := e.logits(ids)
			if err != nil {
				return false, err
			}
			for i, row := range ours(ref.model, ids) {
				d.add(row, theirs[i])
			}
		}
		fmt.Printf("%-22s %-9s %-15s %9d %11.2g %11.2g %7.2f%% %11.2g\n", s.name, strings.TrimPrefix(format, "gguf-"), ref.name,
			d.rows, d.max, d.sum/float64(d.n), 100*float64(d.argmax)/float64(d.rows), d.kl/float64(d.rows))
		if format == "gguf" && d.max > limit*d.largest {
			fmt.Printf("  float32 logits of up to %.3g differ by more than %g of that\n", d.largest, limit)
			ok = false
		}
	}
	return ok, nil
}

// rounded is a copy of the model with its matrices rounded to a type and back.
func rounded(m *nn.Model, dtype checkpoint.DType) (*nn.Model, error) {
	c, err := nn.New(m.Config, 0)
	if err != nil {
		return nil, err
	}
	for i, p := range c.Params() {
		from := m.Params()[i].Val.Data
		for j, v := range from {
			switch {
			case len(p.Shape()) < 2:
			case dtype == checkpoint.BF16:
				v = checkpoint.BF16To(checkpoint.BF16From(v))
			default:
				v = checkpoint.F16To(checkpoint.F16From(v))
			}
			p.Val.Data[j] = v
		}
	}
	return c, nil
}

// difference gathers how two sets of logits differ.
type difference struct {
	rows, n, argmax       int
	max, sum, kl, largest float64
}

func (d *difference) add(a, b []float32) {
	la, lb := logSumExp(a), logSumExp(b)
	ia, ib := 0, 0
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		d.max = max(d.max, math.Abs(x-y)) // NaN stays
		d.sum += math.Abs(x - y)
		d.largest = max(d.largest, math.Abs(x))
		d.kl += math.Exp(x-la) * (x - la - y + lb)
		if a[i] > a[ia] {
			ia = i
		}
		if b[i] > b[ib] {
			ib = i
		}
	}
	if ia == ib {
		d.argmax++
	}
	d.n += len(a)
	d.rows++
}

func logSumExp(x []float32) float64 {
	top, sum := math.Inf(-1), 0.0
	for _, v := range x {
		top = max(top, float64(v))
	}
	for _, v := range x {
		sum += math.Exp(float64(v) - top)
	}
	return top + math.Log(sum)
}
