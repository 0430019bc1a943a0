package sample

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"orrery/learn/tensor"
)

func randomRow(rng *rand.Rand, n int) []float32 {
	row := make([]float32, n)
	for i := range row {
		row[i] = float32(rng.NormFloat64() * 2)
	}
	return row
}

// softmax is the naive twin of the sampler's distribution, in float64.
func softmax(row []float32, temperature float64) []float64 {
	p, total := make([]float64, len(row)), 0.0
	for i, x := range row {
		p[i] = math.Exp(float64(x) / temperature)
		total += p[i]
	}
	for i := range p {
		p[i] /= total
	}
	return p
}

// frequencies draws n tokens from one row.
func frequencies(t *testing.T, s *Sampler, row []float32, n int) []float64 {
	t.Helper()
	f := make([]float64, len(row))
	for range n {
		c, err := s.Next(row)
		if err != nil {
			t.Fatal(err)
		}
		f[c.Token] += 1 / float64(n)
	}
	return f
}

// TestDistribution draws 40,000 tokens. A frequency's standard error is at most
// √(¼/40000) = 0.0025; five of them bound it for all tokens of all cases, and
// the seeds are fixed.
func TestDistribution(t *testing.T) {
	const n, tolerance = 40000, 5 * 0.0025
	row := []float32{0.3, -1, 2, 1.1, -0.2, 2, -7}
	for _, temperature := range []float64{0.5, 1, 1.7} {
		got := frequencies(t, New(Settings{Temperature: temperature}, 3), row, n)
		for i, want := range softmax(row, temperature) {
			if math.Abs(got[i]-want) > tolerance {
				t.Errorf("temperature %v: token %d drawn %.4f of the time, want %.4f", temperature, i, got[i], want)
			}
		}
	}
}

// TestCuts compares which tokens can be drawn, and how often, with a naive
// reading of top-k and top-p.
func TestCuts(t *testing.T) {
	const n, tolerance = 20000, 5 * 0.0036 // √(¼/20000) = 0.0035…
	row := []float32{0.3, -1, 2, 1.1, -0.2, 2, -7}
	for _, s := range []Settings{
		{1, 1, 0}, {1, 2, 0}, {1, 3, 1}, {0.7, 0, 0.5}, {1.3, 0, 0.9}, {1, 4, 0.6}, {1, 99, 0.01}, {2, 0, 0.999999},
	} {
		p := softmax(row, s.Temperature)
		ids := []int{2, 5, 3, 0, 4, 1, 6} // by falling logit, then rising id
		kept := ids
		if s.TopK > 0 {
			kept = ids[:min(s.TopK, len(ids))]
		}
		total := 0.0
		for _, i := range kept {
			total += p[i]
		}
		if s.TopP > 0 {
			sum := 0.0
			for at, i := range kept {
				if sum += p[i] / total; sum >= s.TopP {
					kept = kept[:at+1]
					break
				}
			}
		}
		total = 0
		for _, i := range kept {
			total += p[i]
		}
		got := frequencies(t, New(s, 9), row, n)
		for i := range row {
			want := 0.0
			if slices.Contains(kept, i) {
				want = p[i] / total
			}
			if want == 0 && got[i] != 0 || math.Abs(got[i]-want) > tolerance {
				t.Errorf("%+v: token %d drawn %.4f of the time, want %.4f", s, i, got[i], want)
			}
		}
	}
}

func TestGreedy(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		row := randomRow(rng, 1+rng.IntN(50))
		if len(row) > 2 {
			row[len(row)-1] = slices.Max(row) // a tie: the lower id wins
		}
		c, err := New(Settings{}, 0).Next(row)
		if err != nil {
			t.Fatal(err)
		}
		if want := slices.Index(row, slices.Max(row)); c.Token != want {
			t.Fatalf("greedy took %d of %v, want %d", c.Token, row, want)
		}
	}
}

// TestLogprobIgnoresSettings holds the reported value to one definition.
func TestLogprobIgnoresSettings(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 1))
	for range 100 {
		row := randomRow(rng, 40)
		for _, s := range []Settings{{}, {1, 0, 0}, {0.3, 5, 0.9}, {3, 2, 0}} {
			c, err := New(s, rng.Uint64()).Next(row)
			if err != nil {
				t.Fatal(err)
			}
			if want := row[c.Token] - tensor.LogSumExp(row); c.Logprob != want {
				t.Fatalf("%+v: log-probability %v, want %v to the bit", s, c.Logprob, want)
			}
		}
	}
}

func TestSeeds(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	rows := make([][]float32, 60)
	for i := range rows {
		rows[i] = randomRow(rng, 30)
	}
	draw := func(seed uint64) (ids []int) {
		s := New(Settings{Temperature: 1}, seed)
		for _, r := range rows {
			c, err := s.Next(r)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, c.Token)
		}
		return ids
	}
	if !slices.Equal(draw(5), draw(5)) {
		t.Error("one seed gave two traces")
	}
	if slices.Equal(draw(5), draw(6)) {
		t.Error("two seeds gave one trace")
	}
}

func TestTop(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 1))
	for range 300 {
		row := randomRow(rng, 1+rng.IntN(30))
		for i := range row { // coarse values make ties
			row[i] = float32(math.Round(float64(row[i])))
		}
		k := rng.IntN(len(row) + 3)
		ids := make([]int, len(row))
		for i := range ids {
			ids[i] = i
		}
		slices.SortStableFunc(ids, func(a, b int) int { return int(row[b] - row[a]) })
		prefix := []Candidate{{Token: -1}}
		got := Top(prefix, row, k)
		if len(got) != 1+min(k, len(row)) || got[0].Token != -1 {
			t.Fatalf("Top(%d of %d) returned %d candidates", k, len(row), len(got)-1)
		}
		for i, c := range got[1:] {
			if c.Token != ids[i] || c.Logprob != Logprob(row, c.Token) {
				t.Fatalf("Top(%v, %d)[%d] = %v, want token %d at %v", row, k, i, c, ids[i], Logprob(row, ids[i]))
			}
		}
	}
}

func TestNotFinite(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, row := range [][]float32{nil, {nan}, {1, nan, 2}, {0, inf}, {-inf, -inf}} {
		for _, s := range []Settings{{}, {Temperature: 1}} {
			if c, err := New(s, 1).Next(row); !errors.Is(err, ErrNotFinite) {
				t.Errorf("%v at %+v: drew %v, error %v", row, s, c, err)
			}
		}
	}
	// Single forbidden tokens are no error, and are never drawn.
	s := New(Settings{Temperature: 5}, 1)
	for range 1000 {
		c, err := s.Next([]float32{-inf, 0, -inf, 1})
		if err != nil || c.Token%2 == 0 {
			t.Fatalf("drew %v, %v", c, err)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, s := range []Settings{{-1, 0, 0}, {math.NaN(), 0, 0}, {math.Inf(1), 0, 0}, {1, -1, 0}, {1, 0, -0.1}, {1, 0, 1.1}, {1, 0, math.NaN()}} {
		if s.Validate() == nil {
			t.Errorf("%+v passed", s)
		}
	}
	for _, s := range []Settings{{}, {1, 0, 0}, {0.6, 20, 0.95}, {1, 0, 1}} {
		if err := s.Validate(); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	row := randomRow(rand.New(rand.NewPCG(1, 1)), 512)
	for _, c := range []struct {
		name string
		set  Settings
	}{{"plain", Settings{Temperature: 1}}, {"top-k and top-p", Settings{1, 50, 0.9}}} {
		b.Run(c.name, func(b *testing.B) {
			s := New(c.set, 1)
			for b.Loop() {
				if _, err := s.Next(row); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
