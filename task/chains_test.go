package task

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var assignment = regexp.MustCompile(`^([a-z]) = (\w) ([-+*]) (\w)$`)

// solve is a checker of its own: it reads the sentences, and works the variable
// asked for out by recursion, with the steps that this takes.
func solve(t *testing.T, question string) (answer string, steps []string, sentences int) {
	t.Helper()
	parts := strings.Split(question, ". ")
	rules := map[string][]string{}
	for _, s := range parts[:len(parts)-1] {
		m := assignment.FindStringSubmatch(s)
		if m == nil || rules[m[1]] != nil {
			t.Fatalf("the sentence %q in %q", s, question)
		}
		rules[m[1]] = m
	}
	var value func(s string) int
	value = func(s string) int {
		if n, err := strconv.Atoi(s); err == nil {
			return n
		}
		m := rules[s]
		if m == nil {
			t.Fatalf("%s isn't assigned in %q", s, question)
		}
		l, r := value(m[2]), value(m[4])
		v := map[string]int{"+": l + r, "-": l - r, "*": l * r}[m[3]]
		v = (v%10 + 10) % 10
		steps = append(steps, fmt.Sprintf("<<%d%s%d=%d>>", l, m[3], r, v))
		return v
	}
	m := regexp.MustCompile(`^What is ([a-z])\?$`).FindStringSubmatch(parts[len(parts)-1])
	if m == nil {
		t.Fatalf("no query in %q", question)
	}
	return strconv.Itoa(value(m[1])), steps, len(rules)
}

func TestChainsFollowFromTheirSentences(t *testing.T) {
	for level, want := range map[Level]ChainsShape{Easy: {2, 3, 0}, Standard: {2, 5, 2}, Hard: {6, 8, 4}} {
		if ChainsShapeOf(level) != want {
			t.Errorf("%v has the shape %+v", level, ChainsShapeOf(level))
		}
		rng := source(41)
		lengths := map[int]bool{}
		digits := map[string]int{}
		const n = 600
		for range n {
			p := Chains{}.Generate(rng, level)
			answer, steps, sentences := solve(t, p.Question)
			if answer != p.Answer || !slices.Equal(steps, p.Steps) || sentences != len(steps)+want.Distractors {
				t.Fatalf("%v: answer %s, steps %v, worked out %s, %v, for %s", level, p.Answer, p.Steps, answer, steps, p.Question)
			}
			lengths[len(steps)] = true
			digits[p.Answer]++
		}
		for k := range lengths {
			if k < want.MinSteps || k > want.MaxSteps {
				t.Errorf("%v: %d steps", level, k)
			}
		}
		// Each length has a chance of a third or a quarter, so that 600 problems miss none.
		if len(lengths) != want.MaxSteps-want.MinSteps+1 || len(digits) != 10 {
			t.Errorf("%v: lengths %v, answers %v", level, lengths, digits)
		}
		// Products make 0 common; no constant answer is right in a third.
		for d, k := range digits {
			if k > n/3 {
				t.Errorf("%v: %s is the answer of %d of %d", level, d, k, n)
			}
		}
	}
}

func TestModulo10(t *testing.T) {
	for a := range 10 {
		for b := range 10 {
			for op, want := range map[byte]int{'+': a + b, '-': a - b, '*': a * b} {
				if got := modulo10(a, op, b); got < 0 || got > 9 || (got-want)%10 != 0 {
					t.Errorf("%d %c %d = %d", a, op, b, got)
				}
			}
		}
	}
}

func TestChainsReadsGSM8k(t *testing.T) {
	const file = "Ann has 3 pens and buys 4 boxes of 5 || more. How many?||<<4*5=20>> <<20+3=23>> #### 23\r\n" +
		"\n" +
		"How many are 1,000 and 500?|| #### 1,500\n" +
		"A third of 10%?||<<10/ 3=3.33>><<3.33-0=3.33>>####3.33"
	want := []Problem{
		{Task: "chains", Question: "Ann has 3 pens and buys 4 boxes of 5 || more. How many?", Steps: []string{"<<4*5=20>>", "<<20+3=23>>"}, Answer: "23"},
		{Task: "chains", Question: "How many are 1,000 and 500?", Steps: []string{}, Answer: "1500"},
		{Task: "chains", Question: "A third of 10%?", Steps: []string{"<<10/ 3=3.33>>", "<<3.33-0=3.33>>"}, Answer: "3.33"},
	}
	same := func(a, b Problem) bool {
		return a.Task == b.Task && a.Question == b.Question && a.Answer == b.Answer && slices.Equal(a.Steps, b.Steps)
	}
	problems, err := Chains{}.ReadFile(strings.NewReader(file))
	if err != nil || !slices.EqualFunc(problems, want, same) {
		t.Errorf("%+v, %v", problems, err)
	}
	if !(Chains{}).Verify(problems[1], "1,500") || (Chains{}).Verify(problems[1], "500") {
		t.Error("1,500 must be right, and 500 wrong")
	}
	list := ` [{"question": "How many are 1,000 and 500?", "steps": [], "answer": "1,500"}]`
	if problems, err = (Chains{}).ReadFile(strings.NewReader(list)); err != nil || !slices.EqualFunc(problems, want[1:2], same) {
		t.Errorf("%+v, %v", problems, err)
	}
	// Generated problems are the same after a way through the text form.
	var text strings.Builder
	var drawn []Problem
	rng := source(42)
	for range 20 {
		p := Chains{}.Generate(rng, Hard)
		drawn = append(drawn, p)
		fmt.Fprintf(&text, "%s||%s #### %s\n", p.Question, strings.Join(p.Steps, " "), p.Answer)
	}
	if problems, err = (Chains{}).ReadFile(strings.NewReader(text.String())); err != nil || !slices.EqualFunc(problems, drawn, same) {
		t.Errorf("changed on the way through a file: %v", err)
	}
}

func TestChainsNamesTheLine(t *testing.T) {
	const good = "q||<<1+1=2>> #### 2\n"
	for bad, want := range map[string]string{
		"q <<1+1=2>> #### 2":         `no "||"`,
		"q||<<1+1=2>> 2":             `no "####"`,
		"q||<<1+1=2>> ####":          "empty",
		"||<<1+1=2>> #### 2":         "empty",
		"q||<<1+1=2>> ####,":         "empty",
		"q||1+1=2 #### 2":            "no step",
		"q||<<1+1=2>> so #### 2":     "no step",
		"q||<<1+1=2 #### 2":          "no step",
		"q||<<1+1>> #### 2":          "no step",
		"q||<<1+1=<<2>> #### 2":      "no step",
		strings.Repeat("q", 1<<20+1): "longer than",
	} {
		problems, err := Chains{}.ReadFile(strings.NewReader(good + "\n" + bad + "\n" + good))
		var line *LineError
		if !errors.As(err, &line) || line.Line != 3 || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "chains line 3: ") || problems != nil {
			t.Errorf("%.60q: %d problems, %v", bad, len(problems), err)
		}
	}
	var field *FieldError
	if _, err := (Chains{}).ReadFile(strings.NewReader(`[{"question": "q", "steps": [], "answer": ","}]`)); !errors.As(err, &field) || field.Field != "answer" || field.Item != 0 {
		t.Errorf("an empty answer in a list: %v", err)
	}
}

// Whatever the bytes, reading ends in a typed error or in problems with question
// and answer on one line each.
func FuzzChainsReadFile(f *testing.F) {
	f.Add([]byte("q||<<1+1=2>> <<2*3=6>> #### 6\n\nr|| #### 1,000"))
	f.Add([]byte(`[{"question":"q","answer":"1,0","steps":["<<1+1=2>>"]}]`))
	f.Add([]byte("||####\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		problems, err := Chains{}.ReadFile(bytes.NewReader(b))
		if err != nil {
			var line *LineError
			var field *FieldError
			if !errors.As(err, &line) && !errors.As(err, &field) || problems != nil {
				t.Fatalf("%d problems beside the error %v", len(problems), err)
			}
			return
		}
		for _, p := range problems {
			if p.Answer == "" || strings.ContainsAny(p.Answer, ",") || strings.Contains(p.Question+strings.Join(p.Steps, ""), "\n") {
				t.Fatalf("read %+v", p)
			}
		}
	})
}
