// Package sample turns a row of logits into a token: temperature, top-k, top-p,
// and one generator of random numbers a trace, so that a trace depends on its
// own seed and on nothing that runs beside it.
//
// Reported log-probabilities are always x[i] − LogSumExp(x) at temperature 1
// over the whole vocabulary, whatever the sampling settings: the distribution
// as trained, bit for bit the value that the trainer's cross-entropy computes.
//
// The package knows neither models nor text.
package sample

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"orrery/learn/tensor"
)

// ErrNotFinite says that a row of logits holds a NaN or nothing but −Inf, or
// holds +Inf: there is no distribution to draw from.
var ErrNotFinite = errors.New("logits are not finite")

// Settings shape the distribution. The zero value is greedy.
type Settings struct {
	Temperature float64 // 0 is greedy: the largest logit, the lowest id of equal ones
	TopK        int     // keep the k likeliest tokens; 0 keeps all
	TopP        float64 // then keep the smallest set of the likeliest with at least this probability; 0 and 1 keep all
}

// Validate reports settings without meaning.
func (s Settings) Validate() error {
	switch {
	case !(s.Temperature >= 0) || math.IsInf(s.Temperature, 0):
		return fmt.Errorf("sampling temperature %v: give a finite number of at least 0 (0 is greedy)", s.Temperature)
	case s.TopK < 0:
		return fmt.Errorf("sampling top_k %d: give at least 0 (0 keeps every token)", s.TopK)
	case !(s.TopP >= 0 && s.TopP <= 1):
		return fmt.Errorf("sampling top_p %v: give a number from 0 to 1 (0 and 1 keep every token)", s.TopP)
	}
	return nil
}

// Candidate is a token and its log-probability in nats at temperature 1.
type Candidate struct {
	Token   int
	Logprob float32
}

// Sampler draws the tokens of one trace. It is not safe for concurrent use.
type Sampler struct {
	set   Settings
	rng   *rand.Rand
	prob  []float64 // V, the shaped and unnormalised distribution
	order []int     // V, ids from the likeliest down
}

// seedStream is the second word of every sampler's PCG seed. It only has to
// differ from other users of PCG with the same first word.
const seedStream = 0x73616d706c65 // "sample"

// New returns a sampler for one trace. Equal settings, seeds and logits give
// equal tokens. The settings must be valid.
func New(s Settings, seed uint64) *Sampler {
	return &Sampler{set: s, rng: rand.New(rand.NewPCG(seed, seedStream))}
}

// Next draws a token from logits (V). One uniform number is used a token,
// none when greedy, so that a trace can be followed again from its seed.
func (s *Sampler) Next(logits []float32) (Candidate, error) {
	best, err := argmax(logits)
	if err != nil {
		return Candidate{}, err
	}
	if s.set.Temperature == 0 {
		return Candidate{best, Logprob(logits, best)}, nil
	}
	s.shape(logits, float64(logits[best]))
	total := 0.0
	for _, p := range s.prob {
		total += p
	}
	u := s.rng.Float64() * total
	token := best
	for i, p := range s.prob {
		if p == 0 {
			continue
		}
		token = i // the last possible token takes what rounding leaves over
		if u -= p; u < 0 {
			break
		}
	}
	return Candidate{token, Logprob(logits, token)}, nil
}

// shape fills s.prob with exp((x − max)/T), zero where top-k or top-p cut.
func (s *Sampler) shape(logits []float32, most float64) {
	s.prob = slices.Grow(s.prob[:0], len(logits))[:len(logits)]
	for i, x := range logits {
		s.prob[i] = math.Exp((float64(x) - most) / s.set.Temperature)
	}
	k, p := s.set.TopK, s.set.TopP
	if k == 0 || k > len(logits) {
		k = len(logits)
	}
	if p == 0 {
		p = 1
	}
	if k == len(logits) && p == 1 {
		return
	}
	s.order = s.order[:0]
	for i := range logits {
		s.order = append(s.order, i)
	}
	slices.SortFunc(s.order, func(a, b int) int { return likelier(logits, a, b) })
	keep := k
	if p < 1 {
		total, sum := 0.0, 0.0
		for _, i := range s.order[:k] {
			total += s.prob[i]
		}
		for n, i := range s.order[:k] {
			if sum += s.prob[i]; sum >= p*total {
				keep = n + 1
				break
			}
		}
	}
	for _, i := range s.order[keep:] {
		s.prob[i] = 0
	}
}

// likelier orders by falling logit, then by rising id.
func likelier(logits []float32, a, b int) int {
	switch x, y := logits[a], logits[b]; {
	case x > y:
		return -1
	case x < y:
		return 1
	}
	return a - b
}

// argmax is the id of the largest logit, the lowest of equal ones.
func argmax(logits []float32) (int, error) {
	if len(logits) == 0 {
		return 0, fmt.Errorf("sampling from an empty row: %w", ErrNotFinite)
	}
	best := 0
	for i, x := range logits {
		if x != x {
			return 0, fmt.Errorf("sampling: logit %d of %d is NaN: %w", i, len(logits), ErrNotFinite)
		}
		if x > logits[best] {
			best = i
		}
	}
	if math.IsInf(float64(logits[best]), 0) {
		return 0, fmt.Errorf("sampling: the largest of %d logits is %v: %w", len(logits), logits[best], ErrNotFinite)
	}
	return best, nil
}

// Logprob is x[token] − LogSumExp(x), in nats.
func Logprob(logits []float32, token int) float32 {
	return logits[token] - tensor.LogSumExp(logits)
}

// Top appends the k likeliest tokens to dst, the likeliest first, lower ids
// first among equals. k above V gives V of them.
func Top(dst []Candidate, logits []float32, k int) []Candidate {
	k = min(k, len(logits))
	if k <= 0 {
		return dst
	}
	start := len(dst)
	for i := range logits { // insertion into a short sorted list: k is small
		top := dst[start:]
		if len(top) == k && likelier(logits, top[k-1].Token, i) < 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(top, i, func(c Candidate, id int) int { return likelier(logits, c.Token, id) })
		if len(top) == k {
			dst = dst[:len(dst)-1]
		}
		dst = slices.Insert(dst, start+at, Candidate{Token: i})
	}
	lse := tensor.LogSumExp(logits)
	for i := range dst[start:] {
		dst[start+i].Logprob = logits[dst[start+i].Token] - lse
	}
	return dst
}
