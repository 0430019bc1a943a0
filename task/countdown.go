package task

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// Countdown asks for an expression that makes a target from given numbers, each
// used exactly once.
//
//	level     numbers        operators  target
//	Easy      2 of 1–20      + -        1–40
//	Standard  3 of 1–20      + - * /    1–99
//	Hard      4 of 1–20      + - * /    1–99
//
// The worked solution guesses and checks: a guess is one equation an operation
// down to the last number. Failed guesses (up to two at Standard, one at Hard)
// come before the one that hits the target; for their last pair they take the
// operation that comes nearest to it. So a model that missed has been shown to
// start again from the given numbers. Guesses pass only through whole numbers from
// 1 to 999; the verifier accepts fractions on the way.
type Countdown struct{}

func init() { Register(Countdown{}) }

// CountdownNumbers is the Data of a countdown problem.
type CountdownNumbers struct {
	Numbers []int  `json:"numbers"` // in the order of the question
	Target  int    `json:"target"`
	Ops     string `json:"ops"` // allowed operators out of "+-*/"
}

func (Countdown) Name() string { return "countdown" }

func (Countdown) About() string {
	return "reach a target from given numbers, each used exactly once"
}

func (Countdown) Instruction() string {
	return `Put only the expression, such as (3 + 4) * 5, in \boxed{}.`
}

const countdownPrompt = "Use {n}, each exactly once, with {o} to make {t}."

// Words lists the words of the prompt.
func (Countdown) Words() []string {
	return wordsIn(strings.NewReplacer("{n}", " and ", "{o}", " and ", "{t}", "").Replace(countdownPrompt))
}

// question writes the numbers and the operators into the prompt.
func (c CountdownNumbers) question() string {
	numbers := fmt.Sprint(c.Numbers[0])
	for i, n := range c.Numbers[1:] {
		sep := ", "
		if i == len(c.Numbers)-2 {
			sep = " and "
		}
		numbers += sep + fmt.Sprint(n)
	}
	ops := strings.Join(strings.Split(c.Ops, ""), " ")
	if len(c.Ops) == 2 {
		ops = strings.Replace(ops, " ", " and ", 1)
	}
	return strings.NewReplacer("{n}", numbers, "{o}", ops, "{t}", fmt.Sprint(c.Target)).Replace(countdownPrompt)
}

// countdownTokens bounds question and solution at Standard (see tokens).
const countdownTokens = 60

// Generate draws numbers, then a solution; its value is the target.
func (Countdown) Generate(rng *rand.Rand, level Level) Problem {
	size, ops, most, misses := 3, "+-*/", 99, 2
	switch level {
	case Easy:
		size, ops, most, misses = 2, "+-", 40, 0 // the nearer of two operations always hits
	case Hard:
		size, misses = 4, 1
	}
	for {
		c := CountdownNumbers{Numbers: make([]int, size), Ops: ops}
		for i := range c.Numbers {
			c.Numbers[i] = 1 + rng.IntN(20)
		}
		hit := guess(rng, c, 0)
		if hit == nil || hit.n > most {
			continue
		}
		c.Target = hit.n
		p := Problem{Task: Countdown{}.Name(), Level: level, Question: c.question(), Answer: hit.String(), Data: c}
		for range rng.IntN(misses + 1) {
			// A guess isn't worth repeating, least of all as an example.
			if g := miss(rng, c); g != nil && !slices.Equal(g.steps(nil), p.Steps) {
				p.Steps = g.steps(p.Steps)
			}
		}
		p.Steps = hit.steps(p.Steps)
		if level == Standard && tokens(p.Solution()) > countdownTokens {
			continue
		}
		return p
	}
}

// miss draws a guess that fails, nil if many draws found none: 1, 1 and 1 make 1
// whichever way the last operation is aimed.
func miss(rng *rand.Rand, c CountdownNumbers) *expr {
	for range 50 {
		if g := guess(rng, c, c.Target); g != nil && g.n != c.Target {
			return g
		}
	}
	return nil
}

// guess combines random pairs until one expression is left, nil if it gets
// stuck. With a positive aim the last operation is the one that lands nearest.
func guess(rng *rand.Rand, c CountdownNumbers, aim int) *expr {
	pool := make([]*expr, len(c.Numbers))
	for i, n := range c.Numbers {
		pool[i] = leaf(n)
	}
	for len(pool) > 1 {
		rng.Shuffle(len(pool), func(i, j int) { pool[i], pool[j] = pool[j], pool[i] })
		a, b := pool[0], pool[1]
		var e *expr
		if aim > 0 && len(pool) == 2 {
			e = nearest(a, b, c.Ops, aim)
		} else {
			e, _ = combine(a, c.Ops[rng.IntN(len(c.Ops))], b)
		}
		if e == nil || e.n > 999 {
			return nil
		}
		pool = append(pool[2:], e)
	}
	return pool[0]
}

// combine is join with the larger operand first where order matters.
func combine(a *expr, op byte, b *expr) (e *expr, ok bool) {
	if (op == '-' || op == '/') && a.n < b.n {
		a, b = b, a
	}
	if e, ok = join(a, op, b); !ok {
		return nil, false
	}
	return e, true
}

// nearest combines a and b by the operator whose result is nearest to aim; the
// earlier operator wins ties.
func nearest(a, b *expr, ops string, aim int) (best *expr) {
	for _, op := range []byte(ops) {
		e, ok := combine(a, op, b)
		if ok && (best == nil || max(e.n-aim, aim-e.n) < max(best.n-aim, aim-best.n)) {
			best = e
		}
	}
	return best
}

// Verify accepts every expression over the allowed operators that uses exactly the
// given numbers and has exactly the target's value, optionally followed by
// "= target".
func (Countdown) Verify(p Problem, answer string) bool {
	c, ok := countdownOf(p)
	if !ok {
		return false
	}
	f, err := ParseFormula(answer)
	if err != nil || strings.Trim(f.Ops, c.Ops) != "" {
		return false
	}
	if f.Equals != nil && f.Equals.Cmp(ratOf(c.Target)) != 0 {
		return false
	}
	want := slices.Clone(c.Numbers)
	slices.Sort(want)
	slices.Sort(f.Numbers)
	return slices.Equal(want, f.Numbers) && f.Value.Cmp(ratOf(c.Target)) == 0
}

// countdownOf returns the problem's numbers: its Data, or what the question says
// where Data was lost on the way (JSON turns it into a map).
func countdownOf(p Problem) (c CountdownNumbers, ok bool) {
	switch d := p.Data.(type) {
	case CountdownNumbers:
		return d, true
	case *CountdownNumbers:
		if d != nil {
			return *d, true
		}
	}
	return readCountdown(p.Question)
}

// readCountdown is the inverse of question.
func readCountdown(question string) (c CountdownNumbers, ok bool) {
	rest, ok := strings.CutPrefix(question, "Use ")
	numbers, rest, ok1 := strings.Cut(rest, ", each exactly once, with ")
	ops, target, ok2 := strings.Cut(rest, " to make ")
	if !ok || !ok1 || !ok2 {
		return c, false
	}
	for _, n := range strings.Fields(strings.NewReplacer(",", " ", "and", " ").Replace(numbers)) {
		v, err := strconv.Atoi(n)
		if err != nil {
			return c, false
		}
		c.Numbers = append(c.Numbers, v)
	}
	c.Ops = strings.NewReplacer(" ", "", "and", "").Replace(ops)
	t, err := strconv.Atoi(strings.TrimSuffix(target, "."))
	c.Target = t
	return c, err == nil && len(c.Numbers) > 0
}
