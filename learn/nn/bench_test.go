package nn

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"orrery/learn/grad"
	"orrery/learn/tensor"
)

// BenchmarkTrainStep counts forward, backward and Adam over one batch in which
// every position is supervised. "d256" is the step by which other engines were
// measured (docs: decisions); "builtin" is the shape of the built-in model.
func BenchmarkTrainStep(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	uniform := make([]int, 32)
	for i := range uniform {
		uniform[i] = 64
	}
	var ragged []int
	for n := 0; n < 4096; {
		l := min(40+r.IntN(160), 4096-n)
		ragged, n = append(ragged, l), n+l
	}
	for _, bc := range []struct {
		name string
		c    Config
		lens []int
	}{
		{"d256", Config{VocabSize: 512, HiddenSize: 256, Layers: 2, Heads: 8, MLP: "gelu", Norm: "layer", Positions: "learned", MaxPositions: 64, Tied: true}, uniform},
		{"builtin", builtinShape, ragged},
	} {
		b.Run(bc.name, func(b *testing.B) {
			m, err := New(bc.c, 1)
			if err != nil {
				b.Fatal(err)
			}
			n := 0
			for _, l := range bc.lens {
				n += l
			}
			tokens, targets := randomTokens(r, n, bc.c.VocabSize), randomTokens(r, n, bc.c.VocabSize)
			mom, vel := make([][]float32, len(m.params)), make([][]float32, len(m.params))
			for i, p := range m.params {
				mom[i], vel[i] = make([]float32, p.Val.Len()), make([]float32, p.Val.Len())
			}
			tape := grad.NewTape()
			step := func() {
				tape.Reset()
				if err := tape.Backward(lossOf(m, tape, Input{Tokens: tokens, Lens: bc.lens}, targets)); err != nil {
					b.Fatal(err)
				}
				for i, p := range m.params {
					tensor.AdamStep(p.Val.Data, p.Grad.Data, mom[i], vel[i], 1e-3, 0.9, 0.99, 1e-8, 0.1, 0.1, 0.1)
					p.ZeroGrad()
				}
			}
			step() // the first takes the memory
			b.ReportAllocs()
			for b.Loop() {
				step()
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
			// Multiplications and additions of the matrix products but for
			// attention's: six a weight and token.
			weights := 0
			for _, p := range m.params {
				if len(p.Shape()) == 2 && p != m.positions {
					weights += p.Val.Len()
				}
			}
			if !bc.c.Tied {
				weights -= m.embed.Val.Len()
			}
			b.ReportMetric(6*float64(weights)*float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}

// builtinShape is the built-in model's: recipe builtin.
var builtinShape = Config{VocabSize: 593, HiddenSize: 128, Layers: 6, Heads: 4, KVHeads: 2, HeadDim: 32, Intermediate: 384, MaxPositions: 512, Tied: true}

// BenchmarkDecode counts tokens made from position 100 on by sequences that
// step together, and the prompt's tokens read at once. Beside the tokens stand
// what a step multiplies and what it reads, its weights once and each
// sequence's keys and values, to be held against the limits that "product" and
// "read" measure in the same run: a 1024³ product, and the sum of 64 MiB, far
// more than the caches hold, and of 4 MiB, as much as the weights take.
func BenchmarkDecode(b *testing.B) {
	m, err := New(builtinShape, 1)
	if err != nil {
		b.Fatal(err)
	}
	d := NewDecoder(m)
	prompt := randomTokens(rand.New(rand.NewPCG(1, 1)), 100, builtinShape.VocabSize)
	for _, n := range []int{1, 8, 32} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			first, _, err := d.Prefill(prompt)
			if err != nil {
				b.Fatal(err)
			}
			seqs, tokens := make([]*Seq, n), make([]int, n)
			restart := func() {
				for i := range seqs {
					if seqs[i] != nil {
						d.Drop(seqs[i])
					}
					seqs[i] = d.Fork(first)
				}
			}
			restart()
			b.ReportAllocs()
			for b.Loop() {
				if seqs[0].Len() == 300 {
					restart()
				}
				if _, err := d.Step(seqs, tokens); err != nil {
					b.Fatal(err)
				}
			}
			perSecond := float64(b.N) / b.Elapsed().Seconds()
			b.ReportMetric(float64(n)*perSecond, "tokens/s")
			c, at := m.Config, 200.0 // the mean position
			flops := 2*float64(m.Size()) + 4*at*float64(c.Layers*c.Heads*c.HeadDim)
			bytes := 4*float64(m.Size()) + float64(n)*8*at*float64(c.Layers*c.KVHeads*c.HeadDim)
			b.ReportMetric(float64(n)*flops*perSecond/1e9, "GFLOP/s")
			b.ReportMetric(bytes*perSecond/1e9, "GB/s")
		})
	}
	b.Run("product", func(b *testing.B) {
		x, y, z := tensor.New(1024, 1024), tensor.New(1024, 1024), tensor.New(1024, 1024)
		for b.Loop() {
			tensor.Gemm(tensor.M(z.Data, 1024, 1024), tensor.M(x.Data, 1024, 1024), tensor.M(y.Data, 1024, 1024), false)
		}
		b.ReportMetric(2*1024*1024*1024*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
	})
	for _, mib := range []int{4, 64} {
		b.Run(fmt.Sprintf("read %d MiB", mib), func(b *testing.B) {
			x := make([]float32, mib<<18)
			sums := make([]float32, 64)
			for b.Loop() {
				tensor.Parallel(len(sums), 1, func(lo, hi int) {
					for i := lo; i < hi; i++ {
						sums[i] = tensor.Sum(x[len(x)*i/len(sums) : len(x)*(i+1)/len(sums)])
					}
				})
			}
			b.ReportMetric(4*float64(len(x))*float64(b.N)/b.Elapsed().Seconds()/1e9, "GB/s")
		})
	}
	b.Run("prefill", func(b *testing.B) {
		for b.Loop() {
			s, _, err := d.Prefill(prompt)
			if err != nil {
				b.Fatal(err)
			}
			d.Drop(s)
		}
		b.ReportMetric(float64(len(prompt))*float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
	})
}
