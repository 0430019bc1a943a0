package delta

import (
	"context"
	"crypto/subtle"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"orrery/learn/checkpoint"
)

// benchSigma changes about 2 % of the elements, sftSigma about 70 %.
const (
	benchSigma = 5e-7
	sftSigma   = 1e-4
)

// benchFile writes 16 tensors of 16 MiB of bf16: weights of standard deviation
// 0.02 in float32, moved by normal steps of sigma and rounded.
func benchFile(tb testing.TB, path string, sigma float64) string {
	var list []checkpoint.Entry
	for i := range 16 {
		shape := []int{2048, 4096}
		list = append(list, checkpoint.Entry{Name: fmt.Sprintf("layers.%d.weight", i), DType: checkpoint.BF16, Shape: shape, From: func(w io.Writer) error {
			weights, steps := rand.New(rand.NewPCG(1, uint64(i))), rand.New(rand.NewPCG(2, uint64(i)))
			row := make([]byte, 2*shape[1])
			for range shape[0] {
				for k := range shape[1] {
					x := 0.02 * weights.NormFloat64()
					if sigma > 0 {
						x += sigma * steps.NormFloat64()
					}
					store(row, k, 2, uint64(checkpoint.BF16From(float32(x))))
				}
				if _, err := w.Write(row); err != nil {
					return err
				}
			}
			return nil
		}})
	}
	if err := checkpoint.Write(path, list, nil); err != nil {
		tb.Fatal(err)
	}
	return path
}

// TestBenchPair writes the files that scripts/bench/delta.sh compares on.
func TestBenchPair(t *testing.T) {
	dir := os.Getenv("ORRERY_BENCH_PAIR")
	if dir == "" {
		t.Skip("writes 1.3 GB for scripts/bench/delta.sh, which sets ORRERY_BENCH_PAIR to a folder")
	}
	base := benchFile(t, filepath.Join(dir, "base.safetensors"), 0)
	for name, sigma := range map[string]float64{"rl": benchSigma, "sft": sftSigma} {
		tuned := benchFile(t, filepath.Join(dir, name+".safetensors"), sigma)
		a, err := os.ReadFile(base)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(tuned)
		if err != nil {
			t.Fatal(err)
		}
		subtle.XORBytes(a, a, b)
		if err := os.WriteFile(filepath.Join(dir, name+".xor"), a, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// BenchmarkDelta counts bytes of tuned weights: 256 MiB. Its rival is the
// SHA-256 of both files, which no verified update can do without.
func BenchmarkDelta(b *testing.B) {
	dir := b.TempDir()
	base := benchFile(b, filepath.Join(dir, "base.safetensors"), 0)
	tuned := benchFile(b, filepath.Join(dir, "tuned.safetensors"), benchSigma)
	st, err := os.Stat(tuned)
	if err != nil {
		b.Fatal(err)
	}
	update, out := filepath.Join(dir, "update"), filepath.Join(dir, "out")
	b.Run("make", func(b *testing.B) {
		b.SetBytes(st.Size())
		for b.Loop() {
			os.Remove(update)
			if _, err := Make(context.Background(), base, tuned, update, Options{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("apply", func(b *testing.B) {
		b.SetBytes(st.Size())
		for b.Loop() {
			os.Remove(out)
			if _, err := Apply(context.Background(), base, update, out, ApplyOptions{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("sha256 of both", func(b *testing.B) {
		b.SetBytes(st.Size())
		for b.Loop() {
			err := each(context.Background(), 2, []string{base, tuned}, func() (int, error) { return 0, nil },
				func(_ context.Context, _ int, path string) error { _, err := hashFile(path); return err })
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkChanges(b *testing.B) {
	r := rand.New(rand.NewPCG(21, 22))
	x := make([]byte, chunk)
	for i := range x {
		x[i] = byte(r.Uint32())
	}
	y := append([]byte{}, x...)
	for i := 0; i < len(y)/2; i++ {
		if r.Float64() < 0.02 {
			y[2*i]++
		}
	}
	masks := make([]uint64, chunk/64)
	b.SetBytes(chunk)
	for b.Loop() {
		changes(masks, x, y, 2)
	}
}

// The kernels against their definition: every lane alone and random mixtures.
func TestMasks(t *testing.T) {
	r := rand.New(rand.NewPCG(23, 24))
	for _, w := range []int{1, 2, 4, 8} {
		a := make([]byte, 64*w)
		for i := range a {
			a[i] = byte(r.Uint32())
		}
		check := func(b []byte) {
			t.Helper()
			if got, want := mask64(a, b, w), maskSlow(a, b, w); got != want {
				t.Fatalf("width %d: %064b, want %064b", w, got, want)
			}
		}
		for bit := range 8 * len(a) {
			b := append([]byte{}, a...)
			b[bit/8] ^= 1 << (bit % 8)
			check(b)
		}
		for range 200 {
			b := append([]byte{}, a...)
			for i := range b {
				if r.IntN(3) == 0 {
					b[i] = byte(r.Uint32())
				}
			}
			check(b)
		}
	}
}

// Zigzag is a bijection that keeps small differences small.
func TestZigzag(t *testing.T) {
	for _, w := range []int{1, 2} {
		seen := make([]bool, 1<<(8*w))
		for d := range uint64(1) << (8 * w) {
			z := zigzag(d, w)
			if z>>(8*w) != 0 || seen[z] || unzigzag(z)&(1<<(8*w)-1) != d {
				t.Fatalf("width %d: %d becomes %d, then %d", w, d, z, unzigzag(z))
			}
			seen[z] = true
		}
	}
	for _, w := range []int{4, 8} {
		for _, d := range []int64{0, -1, 1, -2, 2, math.MinInt32, math.MaxInt32, math.MinInt64, math.MaxInt64} {
			u := uint64(d) << (64 - 8*w) >> (64 - 8*w)
			if got := unzigzag(zigzag(u, w)) << (64 - 8*w) >> (64 - 8*w); got != u {
				t.Errorf("width %d: %x becomes %x", w, u, got)
			}
		}
	}
	for i, d := range []int64{0, -1, 1, -2, 2} {
		if got := zigzag(uint64(d), 8); got != uint64(i) {
			t.Errorf("%d becomes %d, not %d", d, got, i)
		}
	}
}
