package task

import (
	"math/rand/v2"
	"strconv"
)

// Arithmetic is multi-step whole-number arithmetic, half of it bare expressions
// with precedence and brackets, half of it short stories.
//
// A step is one equation, "12 + 7 = 19"; operators are the ASCII + - * /. All
// intermediate results are whole and at least 1, products have a factor from 2
// to 9 and divisors are 2 to 9. Expressions are evaluated in the order left operand,
// right operand, operation; stories in the order of their sentences.
//
//	level     steps  results  question  solution (estimated tokens)
//	Easy      2      ≤ 99     ≤ 70      ≤ 60
//	Standard  3–5    ≤ 999    ≤ 70      ≤ 60
//	Hard      6–8    ≤ 9999   ≤ 140     ≤ 160
type Arithmetic struct{}

func init() { Register(Arithmetic{}) }

// scale is what a level of arithmetic allows.
type scale struct {
	minSteps, maxSteps int
	limit              int // largest result
	operand            int // largest number in the question
	asides             int // most irrelevant sentences in a story
	question, solution int // most tokens, see tokens
}

func scaleOf(level Level) scale {
	switch level {
	case Easy:
		return scale{2, 2, 99, 50, 0, 70, 60}
	case Hard:
		return scale{6, 8, 9999, 999, 1, 140, 160}
	}
	return scale{3, 5, 999, 99, 1, 70, 60}
}

func (Arithmetic) Name() string { return "arithmetic" }

func (Arithmetic) About() string {
	return "word problems and bracketed expressions in whole numbers, solved one operation a line"
}

func (Arithmetic) Instruction() string {
	return `Solve step by step, one operation a line, and put the final whole number in \boxed{}.`
}

// Words lists the words of the story templates and of the expression prompts.
func (Arithmetic) Words() []string {
	texts := storyTexts()
	for _, p := range expressionPrompts {
		texts = append(texts, fill(p, "{e}", ""))
	}
	return wordsIn(texts...)
}

// Generate draws a story or an expression with equal probability. Drafts that
// break a limit of the level are drawn again.
func (Arithmetic) Generate(rng *rand.Rand, level Level) Problem {
	sc := scaleOf(level)
	for {
		draft := draftExpression
		if rng.IntN(2) == 0 {
			draft = draftStory
		}
		n := sc.minSteps + rng.IntN(sc.maxSteps-sc.minSteps+1)
		// The kind and the number of steps are settled before drawing again, so
		// that rejection doesn't favour what is rejected less.
		for {
			p, ok := draft(rng, sc, n)
			if !ok {
				continue
			}
			p.Task, p.Level = Arithmetic{}.Name(), level
			if tokens(p.Question) <= sc.question && tokens(p.Solution()) <= sc.solution {
				return p
			}
		}
	}
}

// Verify compares as package think/answer does, so "1,234" and "1234" agree.
func (Arithmetic) Verify(p Problem, answer string) bool { return sameAnswer(p.Answer, answer) }

// amount draws a number to add or take away: one digit in a third of the draws,
// else up to most. ok is false if most is below 2.
func amount(rng *rand.Rand, most int) (n int, ok bool) {
	if most < 2 {
		return 0, false
	}
	if most < 10 || rng.IntN(3) == 0 {
		return 2 + rng.IntN(min(most, 9)-1), true
	}
	return 10 + rng.IntN(most-9), true
}

// digit draws a factor or a divisor, 2 to 9.
func digit(rng *rand.Rand) int { return 2 + rng.IntN(8) }

var expressionPrompts = [...]string{"Compute {e}.", "What is {e}?"}

// draftExpression draws an expression of n operations.
func draftExpression(rng *rand.Rand, sc scale, n int) (p Problem, ok bool) {
	e, ok := randomExpr(rng, sc, n)
	if !ok {
		return p, false
	}
	prompt := expressionPrompts[rng.IntN(len(expressionPrompts))]
	p.Question = fill(prompt, "{e}", e.String())
	p.Steps = e.steps(nil)
	p.Answer = strconv.Itoa(e.n)
	return p, true
}

// randomExpr draws a tree of n operations whose values all lie in 1…sc.limit.
// A right operand that is a single number is drawn to fit the left value.
func randomExpr(rng *rand.Rand, sc scale, n int) (e *expr, ok bool) {
	if n == 0 {
		v, _ := amount(rng, sc.operand)
		return leaf(v), true
	}
	op := "+++---**/"[rng.IntN(9)]
	left := rng.IntN(n)
	if op == '/' {
		left = n - 1 // the divisor is a digit that fits
	}
	l, ok := randomExpr(rng, sc, left)
	if !ok {
		return nil, false
	}
	r, ok := rightOperand(rng, sc, l, op, n-1-left)
	if !ok {
		return nil, false
	}
	// A leaf on the left adapts instead where the right side is a tree.
	if op == '*' && l.op == 0 && l.n > 9 && r.n > 9 {
		l = leaf(digit(rng))
	}
	if op == '*' && (min(l.n, r.n) < 2 || min(l.n, r.n) > 9) {
		return nil, false
	}
	e, ok = join(l, op, r)
	return e, ok && e.n <= sc.limit
}

// rightOperand draws the right side of l op _, a tree of n operations.
func rightOperand(rng *rand.Rand, sc scale, l *expr, op byte, n int) (r *expr, ok bool) {
	if n > 0 {
		return randomExpr(rng, sc, n)
	}
	switch op {
	case '+':
		v, ok := amount(rng, min(sc.operand, sc.limit-l.n))
		return leaf(v), ok
	case '-':
		v, ok := amount(rng, min(sc.operand, l.n-1))
		return leaf(v), ok
	case '*':
		return leaf(digit(rng)), true
	}
	// Division: a bare dividend is drawn as a product, so that quotients vary.
	d := digit(rng)
	if l.op == 0 {
		q, ok := amount(rng, sc.operand/d)
		l.n = d * q
		return leaf(d), ok
	}
	return leaf(d), l.n%d == 0
}
