package task

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
)

// written is an expression as text with full brackets, and its value.
type written struct {
	text  string
	value *big.Rat
}

// everyExpression lists all expressions over all the numbers, the naive way: join
// any two in either order by any operator until one is left.
func everyExpression(pool []written, ops string) (all []written) {
	if len(pool) == 1 {
		return pool
	}
	for i, a := range pool {
		for j, b := range pool {
			if i == j {
				continue
			}
			var rest []written
			for k, c := range pool {
				if k != i && k != j {
					rest = append(rest, c)
				}
			}
			for _, op := range strings.Split(ops, "") {
				v := new(big.Rat)
				switch op {
				case "+":
					v.Add(a.value, b.value)
				case "-":
					v.Sub(a.value, b.value)
				case "*":
					v.Mul(a.value, b.value)
				case "/":
					if b.value.Sign() == 0 {
						continue
					}
					v.Quo(a.value, b.value)
				}
				joined := written{"(" + a.text + op + b.text + ")", v}
				all = append(all, everyExpression(append(slices.Clone(rest), joined), ops)...)
			}
		}
	}
	return all
}

func pool(numbers []int) (p []written) {
	for _, n := range numbers {
		p = append(p, written{fmt.Sprint(n), ratOf(n)})
	}
	return p
}

// The verifier against the exhaustive solver: of all expressions over the numbers it
// accepts exactly those with the target's value, so every problem is solvable too.
func TestCountdownVerifyIsExhaustive(t *testing.T) {
	for level, n := range map[Level]int{Easy: 100, Standard: 25, Hard: 1} {
		for _, p := range problemsOf(Countdown{}, level, n, 41) {
			c := p.Data.(CountdownNumbers)
			solutions := 0
			for _, e := range everyExpression(pool(c.Numbers), c.Ops) {
				hits := e.value.Cmp(ratOf(c.Target)) == 0
				if hits {
					solutions++
				}
				if (Countdown{}).Verify(p, e.text) != hits {
					t.Fatalf("%s: %s = %v marked %v", p.Question, e.text, e.value, !hits)
				}
			}
			if solutions == 0 {
				t.Fatalf("%s: no solution", p.Question)
			}
		}
	}
}

func TestCountdownForm(t *testing.T) {
	type form struct{ size, most, misses int }
	for level, want := range map[Level]form{Easy: {2, 40, 0}, Standard: {3, 99, 2}, Hard: {4, 99, 1}} {
		missed := make([]int, want.misses+1)
		for _, p := range problemsOf(Countdown{}, level, 1000, 42) {
			c := p.Data.(CountdownNumbers)
			if len(c.Numbers) != want.size || slices.Min(c.Numbers) < 1 || slices.Max(c.Numbers) > 20 || c.Target < 1 || c.Target > want.most {
				t.Fatalf("%v: %+v", level, c)
			}
			if read, ok := readCountdown(p.Question); !ok || !slices.Equal(read.Numbers, c.Numbers) || read.Target != c.Target || read.Ops != c.Ops {
				t.Fatalf("%q reads as %+v, is %+v", p.Question, read, c)
			}
			if level == Standard && (tokens(p.Solution()) > 60 || tokens(p.Question) > 60) {
				t.Fatalf("too long: %q", p.Solution())
			}
			// Guesses: size-1 equations each, from the given numbers down to one. All miss the
			// target but the last, whose equations are those of the answer.
			guess := want.size - 1
			if len(p.Steps)%guess != 0 {
				t.Fatalf("%d steps are no whole number of guesses", len(p.Steps))
			}
			for at := 0; at < len(p.Steps); at += guess {
				left := slices.Clone(c.Numbers)
				for _, s := range p.Steps[at : at+guess] {
					a, op, b, n := readStep(t, s)
					if !holds(a, op, b, n) || !strings.Contains(c.Ops, op) {
						t.Fatalf("%q is false or not allowed", s)
					}
					for _, operand := range []int{a, b} {
						i := slices.Index(left, operand)
						if i < 0 {
							t.Fatalf("%q uses %d, left are %v: %q", s, operand, left, p.Steps)
						}
						left = slices.Delete(left, i, i+1)
					}
					left = append(left, n)
				}
				if last := at+guess == len(p.Steps); len(left) != 1 || (left[0] == c.Target) != last {
					t.Fatalf("guess at %d ends in %v, target %d: %q", at, left, c.Target, p.Steps)
				}
			}
			_, steps, err := shunt(p.Answer)
			if err != nil || !slices.Equal(steps, p.Steps[len(p.Steps)-guess:]) {
				t.Fatalf("answer %q, last guess %q", p.Answer, p.Steps[len(p.Steps)-guess:])
			}
			missed[len(p.Steps)/guess-1]++
		}
		// Uniform but for the few that are too long: none rarer than half its share.
		for n, count := range missed {
			if count < 1000/len(missed)/2 {
				t.Errorf("%v: %d of 1000 solutions have %d failed guesses", level, count, n)
			}
		}
	}
}

// Notations that models write, all of one problem.
func TestCountdownVerifyNotations(t *testing.T) {
	p := Problem{Question: "Use 3, 4 and 5, each exactly once, with + - * / to make 35."}
	for _, right := range []string{
		"(3 + 4) * 5", "(3+4)*5", "5*(4+3)", "5 × (3 + 4)", `5 \times (3 + 4)`, `5 \cdot \left(3 + 4\right)`, "$(3+4)*5$",
		"[3 + 4]·5", "(3 + 4) * 5 = 35", "((3)+(4))*((5))",
	} {
		if !(Countdown{}).Verify(p, right) {
			t.Errorf("%q rejected", right)
		}
	}
	for _, wrong := range []string{
		"", "35", "3 + 4 * 5", "5*3 + 4*5", "(3 + 4) * 5 * 1", "(3 + 4) 5", "5(3+4)", "(3 + 4) * 5 = 36", "(3 + 4) * 5 = 35 = 35", "(3+4)*5)", "((3+4)*5",
		"3 + 4", "(3 + 4) * 5.0", "34 + 5 - 4", "(3 − −4) * 5", "-5 * (-3 - 4)", "3 / 0", "(3 + 4) ^ 5", `\frac{35}{1}`, "５*(3+4)",
		strings.Repeat("(", 1000), strings.Repeat("1+", 1000),
	} {
		if (Countdown{}).Verify(p, wrong) {
			t.Errorf("%q accepted", wrong)
		}
	}
	// Fractions on the way count; allowed operators are enforced; numbers may repeat.
	for _, c := range []struct {
		question, answer string
		want             bool
	}{
		{"Use 5, 5, 5 and 1, each exactly once, with + - * / to make 24.", "5 * (5 - 1 / 5)", true},
		{"Use 5, 5, 5 and 1, each exactly once, with + - * / to make 24.", "5 * 5 - 1", false},
		{"Use 8, 2 and 6, each exactly once, with + - * / to make 10.", `\frac{8}{2} + 6`, true},
		{"Use 8, 2 and 6, each exactly once, with + - * / to make 7.", `\dfrac{8 + 6}{2}`, true},
		{"Use 8, 2 and 6, each exactly once, with + - * / to make 7.", "(8 + 6) ÷ 2", true},
		{"Use 8, 2 and 6, each exactly once, with + - * / to make 12.", "8 + 6 − 2", true},
		{"Use 4 and 2, each exactly once, with + and - to make 2.", "4 - 2", true},
		{"Use 4 and 2, each exactly once, with + and - to make 2.", "4 / 2", false},
		{"Name a number.", "4", false},
	} {
		if got := (Countdown{}).Verify(Problem{Question: c.question}, c.answer); got != c.want {
			t.Errorf("%s %q marked %v", c.question, c.answer, got)
		}
	}
	var none *CountdownNumbers
	if (Countdown{}).Verify(Problem{Data: none}, "1") {
		t.Error("a problem without numbers was solved")
	}
}

// The formula parser against the shunting-yard of the arithmetic tests, on
// random expressions, and its bounds.
func TestParseFormula(t *testing.T) {
	for _, p := range problemsOf(Arithmetic{}, Hard, 300, 43) {
		if text := expressionIn(p.Question); text != "" {
			f, err := ParseFormula(text)
			if v, steps, _ := shunt(text); err != nil || f.Value.Cmp(ratOf(v)) != 0 || len(f.Ops) != len(steps) || len(f.Numbers) != len(steps)+1 || f.Equals != nil {
				t.Errorf("%q: %+v, %v; want %d", text, f, err, v)
			}
		}
	}
	f, err := ParseFormula("1 / 3 + 1 / 6 - 2 / 7 = 4")
	if err != nil || f.Value.RatString() != "3/14" || f.Equals.RatString() != "4" || f.Ops != "/+/-/" || !slices.Equal(f.Numbers, []int{1, 3, 1, 6, 2, 7}) {
		t.Errorf("%+v, %v", f, err)
	}
	nest := func(n int) string { return strings.Repeat("(", n) + "1" + strings.Repeat(")", n) }
	for text, ok := range map[string]bool{
		nest(maxDepth): true, nest(maxDepth + 1): false,
		"999999999": true, "1000000000": false,
		"1" + strings.Repeat(" ", maxFormula-1): true, "1" + strings.Repeat(" ", maxFormula): false,
		"1/(2-2)": false, `\frac{1}{0}`: false, `\frac1`: false, `\frac{1}`: false, `\frac{1}{2`: false,
		"": false, "()": false, "1 +": false, "+1": false, "1 2": false, "1 = ": false, "x": false, "(1]": false,
	} {
		_, err := ParseFormula(text)
		if (err == nil) != ok {
			t.Errorf("%.40q: error %v", text, err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "read formula: ") {
			t.Errorf("%.40q: error %v doesn't say what was being done", text, err)
		}
	}
}

// Whatever the text, parsing ends without panic; a value has one number more than
// operators, and reading the text again with its blanks doubled gives the same.
func FuzzParseFormula(f *testing.F) {
	for _, s := range []string{"(3 + 4) * 5", `\frac{8}{2} − 6 = 2`, "1/(2-2)", "((((", `5 \times \left[ 2 ÷ 7 \right]`, "$1$", "9 ", "\xe2\x88"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		formula, err := ParseFormula(text)
		if err != nil {
			return
		}
		if len(formula.Numbers) != len(formula.Ops)+1 {
			t.Fatalf("%q: numbers %v, operators %q", text, formula.Numbers, formula.Ops)
		}
		if bits := max(formula.Value.Num().BitLen(), formula.Value.Denom().BitLen()); bits > 30*maxFormula {
			t.Fatalf("%q: a value of %d bits", text, bits)
		}
		wide := strings.ReplaceAll(text, " ", "  ")
		if len(wide) > maxFormula || strings.Contains(text, `\ `) {
			return
		}
		again, err := ParseFormula(wide)
		if err != nil || again.Value.Cmp(formula.Value) != 0 {
			t.Fatalf("%q: %v, with wider blanks %v, %v", text, formula.Value, again.Value, err)
		}
		Countdown{}.Verify(Problem{Data: CountdownNumbers{Numbers: formula.Numbers, Target: 1, Ops: "+-*/"}}, text)
	})
}
