package task

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// problemsOf draws n problems of a task.
func problemsOf(k Task, level Level, n int, seed uint64) []Problem {
	rng := source(seed)
	problems := make([]Problem, n)
	for i := range problems {
		problems[i] = k.Generate(rng, level)
	}
	return problems
}

var stepForm = regexp.MustCompile(`^(\d+) ([-+*/]) (\d+) = (\d+)$`)

// readStep takes an equation apart.
func readStep(t *testing.T, step string) (a int, op string, b, result int) {
	t.Helper()
	m := stepForm.FindStringSubmatch(step)
	if m == nil {
		t.Fatalf("step %q isn't an equation", step)
	}
	a, _ = strconv.Atoi(m[1])
	b, _ = strconv.Atoi(m[3])
	result, _ = strconv.Atoi(m[4])
	return a, m[2], b, result
}

// holds checks an equation without dividing: a / b = n says a = n*b.
func holds(a int, op string, b, n int) bool {
	switch op {
	case "+":
		return a+b == n
	case "-":
		return n+b == a
	case "*":
		return a*b == n
	}
	return b != 0 && n*b == a
}

// shunt is the independent evaluator: Dijkstra's shunting-yard over the
// tokens of an expression, which applies operators as they leave the stack. The
// order in which they leave is the documented order of the steps.
func shunt(text string) (value int, steps []string, err error) {
	var values []int
	var stack []string
	rank := map[string]int{"(": 0, "+": 1, "-": 1, "*": 2, "/": 2}
	pop := func() {
		op := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		a, b := values[len(values)-2], values[len(values)-1]
		n := map[string]func() int{"+": func() int { return a + b }, "-": func() int { return a - b },
			"*": func() int { return a * b }, "/": func() int { return a / b }}[op]()
		values = append(values[:len(values)-2], n)
		steps = append(steps, fmt.Sprintf("%d %s %d = %d", a, op, b, n))
	}
	for _, tok := range strings.Fields(strings.NewReplacer("(", " ( ", ")", " ) ").Replace(text)) {
		switch tok {
		case "(":
			stack = append(stack, tok)
		case ")":
			for stack[len(stack)-1] != "(" {
				pop()
			}
			stack = stack[:len(stack)-1]
		case "+", "-", "*", "/":
			for len(stack) > 0 && rank[stack[len(stack)-1]] >= rank[tok] {
				pop()
			}
			stack = append(stack, tok)
		default:
			n, err := strconv.Atoi(tok)
			if err != nil {
				return 0, nil, err
			}
			values = append(values, n)
		}
	}
	for len(stack) > 0 {
		pop()
	}
	if len(values) != 1 {
		return 0, nil, fmt.Errorf("%d values left", len(values))
	}
	return values[0], steps, nil
}

// expressionIn returns the expression of a question, "" for a story.
func expressionIn(question string) string {
	m := regexp.MustCompile(`^(?:Compute|What is) ([-+*/() 0-9]+)[.?]$`).FindStringSubmatch(question)
	if m == nil {
		return ""
	}
	return m[1]
}

// Expressions, re-solved from their text: the same value and the same steps in the
// same order; the formula parser agrees on the value.
func TestExpressionsResolved(t *testing.T) {
	for _, level := range levels {
		n := 0
		for _, p := range problemsOf(Arithmetic{}, level, 1500, 31) {
			text := expressionIn(p.Question)
			if text == "" {
				continue
			}
			n++
			value, steps, err := shunt(text)
			if err != nil || strconv.Itoa(value) != p.Answer || !slices.Equal(steps, p.Steps) {
				t.Fatalf("%q: %d by %q, error %v; the problem says %s by %q", text, value, steps, err, p.Answer, p.Steps)
			}
			f, err := ParseFormula(text)
			if err != nil || f.Value.RatString() != p.Answer || len(f.Ops) != len(steps) {
				t.Fatalf("%q parses as %v with operators %q, error %v", text, f.Value, f.Ops, err)
			}
		}
		// Half of 1500 by a fair coin, 4.5 s.e.
		if n < 750-88 || n > 750+88 {
			t.Errorf("%v: %d of 1500 are expressions", level, n)
		}
	}
}

// reader solves a story from its text by one rule a wording, written against the
// English, not against the generator's tables. Numbers are captured in order.
var reader = []struct {
	form  *regexp.Regexp
	solve func(stock int, n []int) int
}{
	{regexp.MustCompile(`^\w+ has (\d+) (bags|boxes|baskets) of (\d+) \w+s$`), func(_ int, n []int) int { return n[0] * n[1] }},
	{regexp.MustCompile(`^\w+ has (\d+) large (\w+s) and (\d+) small \w+s$`), func(_ int, n []int) int { return n[0] + n[1] }},
	{regexp.MustCompile(`^\w+ has (\d+) \w+s$`), func(_ int, n []int) int { return n[0] }},
	{regexp.MustCompile(`^(She|He) (buys|sells) (\d+) (bags|boxes|baskets) of (\d+) \w+s$`), nil},
	{regexp.MustCompile(`^(She|He) (buys|finds) (\d+) (more )?\w+s$`), func(s int, n []int) int { return s + n[0] }},
	{regexp.MustCompile(`^\w+ gives (her|him) (\d+) \w+s$`), func(s int, n []int) int { return s + n[0] }},
	{regexp.MustCompile(`^(She|He) (sells|loses) (\d+) \w+s$`), func(s int, n []int) int { return s - n[0] }},
	{regexp.MustCompile(`^(She|He) gives (\d+) \w+s to \w+$`), func(s int, n []int) int { return s - n[0] }},
	{regexp.MustCompile(`^Then (her|his) \w+s double in number$`), func(s int, _ []int) int { return s * 2 }},
	{regexp.MustCompile(`^Then (her|his) \w+s triple in number$`), func(s int, _ []int) int { return s * 3 }},
	{regexp.MustCompile(`^(She|He) gives half of (her|his) \w+s to \w+$`), func(s int, _ []int) int { return s / 2 }},
	{regexp.MustCompile(`^(She|He) keeps a third of (her|his) \w+s and gives away the rest$`), func(s int, _ []int) int { return s / 3 }},
	{regexp.MustCompile(`^(She|He) keeps a quarter of (her|his) \w+s and gives away the rest$`), func(s int, _ []int) int { return s / 4 }},
	{regexp.MustCompile(`^How many \w+s does \w+ have now$`), func(s int, _ []int) int { return s }},
	{regexp.MustCompile(`^(She|He) sells all (her|his) \w+s for (\d+) coins each$`), func(s int, n []int) int { return s * n[0] }},
	{regexp.MustCompile(`^How many coins does \w+ get$`), func(s int, _ []int) int { return s }},
	{regexp.MustCompile(`^\w+ has (\d+) times as many \w+s as \w+ has now$`), func(s int, n []int) int { return s * n[0] }},
	{regexp.MustCompile(`^How many \w+s does \w+ have$`), func(s int, _ []int) int { return s }},
	{regexp.MustCompile(`^(She|He) shares all (her|his) \w+s equally among (\d+) friends$`), func(s int, n []int) int { return s / n[0] }},
	{regexp.MustCompile(`^How many \w+s does each friend get$`), func(s int, _ []int) int { return s }},
	{regexp.MustCompile(`^(She|He) packs all (her|his) \w+s into (bags|boxes|baskets) of (\d+)$`), func(s int, n []int) int { return s / n[0] }},
	{regexp.MustCompile(`^How many (bags|boxes|baskets) does \w+ fill$`), func(s int, _ []int) int { return s }},
	{regexp.MustCompile(`^\w+ has (\d+) more \w+s than \w+ has now$`), func(s int, n []int) int { return s + s + n[0] }},
	{regexp.MustCompile(`^How many \w+s do they have together$`), func(s int, _ []int) int { return s }},
}

var number = regexp.MustCompile(`\d+`)

// solveStory reads a story; asides is how many sentences don't matter.
func solveStory(question string) (stock, asides int, err error) {
	sentences := strings.Split(strings.TrimRight(question, "?."), ". ")
	hero := strings.Fields(sentences[0])[0]
	thing := strings.Fields(sentences[0][strings.LastIndex(sentences[0], " ")+1:])[0]
next:
	for i, s := range sentences {
		if strings.HasSuffix(s, "years old") || strings.HasPrefix(s, "The shop is open") ||
			i > 0 && !strings.HasPrefix(s, hero) && regexp.MustCompile(`^\w+ has \d+ \w+$`).MatchString(s) && !strings.HasSuffix(s, thing) {
			asides++
			continue
		}
		for _, rule := range reader {
			if !rule.form.MatchString(s) {
				continue
			}
			var n []int
			for _, d := range number.FindAllString(s, -1) {
				v, _ := strconv.Atoi(d)
				if v < 2 {
					return 0, 0, fmt.Errorf("%d stands before a plural in %q", v, s)
				}
				n = append(n, v)
			}
			switch {
			case rule.solve != nil:
				stock = rule.solve(stock, n)
			case strings.Contains(s, "buys"):
				stock += n[0] * n[1]
			default:
				stock -= n[0] * n[1]
			}
			continue next
		}
		return 0, 0, fmt.Errorf("no rule reads %q", s)
	}
	return stock, asides, nil
}

// Stories, re-solved from their text alone.
func TestStoriesResolved(t *testing.T) {
	for _, level := range levels {
		asides := [3]int{}
		for _, p := range problemsOf(Arithmetic{}, level, 1500, 32) {
			if expressionIn(p.Question) != "" {
				continue
			}
			got, n, err := solveStory(p.Question)
			if err != nil || strconv.Itoa(got) != p.Answer {
				t.Fatalf("%s\nread as %d, the answer is %s, error %v", p.Question, got, p.Answer, err)
			}
			asides[min(n, 2)]++
		}
		if asides[2] > 0 || (asides[1] > 0) != (level != Easy) || asides[0] == 0 {
			t.Errorf("%v: stories with 0, 1, more asides: %v", level, asides)
		}
	}
}

// A pronoun names the hero; the other person is of the other sex, so it can't
// name anybody else, and both keep their names.
func TestStoryPronouns(t *testing.T) {
	sex := map[string]string{}
	for _, p := range women {
		sex[p.name] = "f"
	}
	for _, p := range men {
		sex[p.name] = "m"
	}
	for word, s := range map[string]string{"She": "f", "her": "f", "He": "m", "his": "m", "him": "m"} {
		sex["pronoun "+word] = s
	}
	for _, p := range problemsOf(Arithmetic{}, Standard, 1000, 33) {
		if expressionIn(p.Question) != "" {
			continue
		}
		words := strings.FieldsFunc(p.Question, func(r rune) bool { return strings.ContainsRune(" .?", r) })
		hero, others := words[0], map[string]bool{}
		for _, w := range words {
			if s := sex["pronoun "+w]; s != "" && s != sex[hero] {
				t.Fatalf("%q in the story of %s: %s", w, hero, p.Question)
			}
			if s := sex[w]; s != "" && w != hero {
				others[w] = true
				if s == sex[hero] {
					t.Fatalf("%s beside %s: %s", w, hero, p.Question)
				}
			}
		}
		if len(others) > 1 {
			t.Fatalf("more than two persons: %s", p.Question)
		}
	}
}

// Every step is true and within the level's limits, operands are given or found
// before, and the last result is the answer.
func TestArithmeticSteps(t *testing.T) {
	for _, level := range levels {
		sc := scaleOf(level)
		counts := map[int]int{}
		for _, p := range problemsOf(Arithmetic{}, level, 2000, 34) {
			counts[len(p.Steps)]++
			known := map[int]bool{2: true, 3: true, 4: true} // "double", "triple", "quarter"
			for _, d := range number.FindAllString(p.Question, -1) {
				v, _ := strconv.Atoi(d)
				known[v] = true
			}
			last := 0
			for _, s := range p.Steps {
				a, op, b, n := readStep(t, s)
				if !holds(a, op, b, n) || n < 1 || n > sc.limit {
					t.Fatalf("%q is false or beyond %d", s, sc.limit)
				}
				if op == "*" && (min(a, b) < 2 || min(a, b) > 9) || op == "/" && (b < 2 || b > 9) {
					t.Fatalf("%q: factor or divisor isn't 2 to 9", s)
				}
				if !known[a] || !known[b] {
					t.Fatalf("%q uses a number from nowhere in %q, %q", s, p.Question, p.Steps)
				}
				known[n], last = true, n
			}
			if strconv.Itoa(last) != p.Answer {
				t.Fatalf("last step %d, answer %s", last, p.Answer)
			}
			if q, s := tokens(p.Question), tokens(p.Solution()); q > sc.question || s > sc.solution {
				t.Fatalf("%d and %d tokens, limits %d and %d: %q", q, s, sc.question, sc.solution, p.Question)
			}
		}
		// Each number of steps is equally likely: at least 4.5 s.e. from none.
		for n := sc.minSteps; n <= sc.maxSteps; n++ {
			if counts[n] < 500 {
				t.Errorf("%v: %d of 2000 problems have %d steps", level, counts[n], n)
			}
		}
		if len(counts) != sc.maxSteps-sc.minSteps+1 {
			t.Errorf("%v: step counts %v", level, counts)
		}
	}
}

// n draws from D equally likely questions hold about n²/2D equal pairs, more if they
// aren't equally likely. At D = 10⁶ and n = 20,000 that is 200 pairs.
func TestArithmeticRarelyRepeats(t *testing.T) {
	seen := map[string]int{}
	pairs := 0
	for _, p := range problemsOf(Arithmetic{}, Standard, 20000, 35) {
		pairs += seen[p.Question]
		seen[p.Question]++
	}
	if pairs >= 200 {
		t.Errorf("%d equal pairs in 20,000 questions: fewer than a million distinct ones", pairs)
	}
}

func TestArithmeticVerify(t *testing.T) {
	p := Problem{Question: "Compute 600 * 2.", Answer: "1200"}
	for answer, want := range map[string]bool{
		"1200": true, " 1200": true, "1,200": true, "1200.0": true, "$1200$": true,
		"120": false, "12000": false, "-1200": false, "": false, "twelve": false, "1200 or 1300": false,
	} {
		if got := (Arithmetic{}).Verify(p, answer); got != want {
			t.Errorf("%q marked %v", answer, got)
		}
	}
}
