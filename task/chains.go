package task

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Chains is arithmetic modulo 10 through named values: shuffled assignments such as
// "b = a + 3.", of which a chain leads to the variable that is asked for. It
// stands in for GSM8k where a model is trained on a laptop (arXiv 2412.06769),
// and reads the files of GSM8k with equations as steps.
//
//	level     assignments on the chain  others
//	Easy      2–3                       0
//	Standard  2–5                       2
//	Hard      6–8                       4
//
// A step is one assignment with its values, "<<7+3=0>>", in the order of
// dependence.
type Chains struct{}

// ChainsShape sets the size of generated problems.
type ChainsShape struct {
	MinSteps    int `json:"min_steps"` // assignments on the chain, at least 1
	MaxSteps    int `json:"max_steps"`
	Distractors int `json:"distractors"` // assignments beside it; 26 of both at most
}

func init() { Register(Chains{}) }

func (Chains) Name() string { return "chains" }

func (Chains) About() string {
	return "one variable of shuffled assignments in arithmetic modulo 10; reads GSM8k's equations"
}

func (Chains) Instruction() string {
	return `Compute the variable asked for, everything modulo 10 if the question says nothing else, and put the number in \boxed{}.`
}

// Words lists the variables and the words of the query.
func (Chains) Words() []string {
	texts := []string{"What is"}
	for v := range 'z' - 'a' + 1 {
		texts = append(texts, string('a'+v))
	}
	return wordsIn(texts...)
}

// Verify compares numbers as package think/answer does.
func (Chains) Verify(p Problem, answer string) bool { return sameAnswer(p.Answer, answer) }

// ChainsShapeOf is the shape of a level's problems.
func ChainsShapeOf(level Level) ChainsShape {
	switch level {
	case Easy:
		return ChainsShape{2, 3, 0}
	case Hard:
		return ChainsShape{6, 8, 4}
	}
	return ChainsShape{2, 5, 2}
}

func (Chains) Generate(rng *rand.Rand, level Level) Problem {
	p := ChainsShapeOf(level).Generate(rng)
	p.Level = level
	return p
}

// Generate draws a chain, in which each variable is the one before and a digit, and the
// first two digits; the others begin with digits or any variable. Digits are
// 1 to 9, so that no factor 0 makes irrelevant what came before it.
func (s ChainsShape) Generate(rng *rand.Rand) Problem {
	names := rng.Perm(26)
	n := s.MinSteps + rng.IntN(s.MaxSteps-s.MinSteps+1)
	var value []int // of the variables in the order of names
	var sentences, steps []string
	assign := func(from int) { // -1: from a digit
		name := func(i int) string { return string(rune('a' + names[i])) }
		left, right := 1+rng.IntN(9), 1+rng.IntN(9)
		l, r := strconv.Itoa(left), strconv.Itoa(right)
		switch {
		case from < 0:
		case rng.IntN(2) == 0:
			l, left = name(from), value[from]
		default:
			r, right = name(from), value[from]
		}
		op := "+-*"[rng.IntN(3)]
		v := modulo10(left, op, right)
		sentences = append(sentences, fmt.Sprintf("%s = %s %c %s.", name(len(value)), l, op, r))
		steps = append(steps, fmt.Sprintf("<<%d%c%d=%d>>", left, op, right, v))
		value = append(value, v)
	}
	for i := range n {
		assign(i - 1)
	}
	for range s.Distractors {
		assign(rng.IntN(len(value)+1) - 1)
	}
	asked := string(rune('a' + names[n-1]))
	rng.Shuffle(len(sentences), func(i, j int) { sentences[i], sentences[j] = sentences[j], sentences[i] })
	return Problem{
		Task: Chains{}.Name(), Steps: steps[:n], Answer: strconv.Itoa(value[n-1]),
		Question: strings.Join(sentences, " ") + " What is " + asked + "?",
	}
}

func modulo10(a int, op byte, b int) int {
	switch op {
	case '+':
		a += b
	case '-':
		a += 10 - b
	case '*':
		a *= b
	}
	return a % 10
}

// LineError says which line of a problem file is at fault.
type LineError struct {
	Task string
	Line int // from 1
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("%s line %d: %v", e.Task, e.Line, e.Err) }
func (e *LineError) Unwrap() error { return e.Err }

// ReadFile reads the text form of GSM8k with equations (da03/
// Internalize_CoT_Step_by_Step), one problem a line, or a JSON list of items
// with question, answer and steps:
//
//	question||<<a*b=c>> <<…>> #### answer
//
// A line may have no steps. Commas in answers are left out; empty lines are
// skipped. Errors are *LineError, for a list *FieldError; nothing is returned beside one.
func (Chains) ReadFile(r io.Reader) ([]Problem, error) {
	name := Chains{}.Name()
	in := bufio.NewReader(r)
	if isList(in) {
		return readList(in, name, func(f fields) (Problem, *FieldError) {
			p, bad := f.problem()
			if p.Answer = withoutCommas(p.Answer); bad == nil && p.Answer == "" {
				bad = fieldf("answer", "is empty")
			}
			return p, bad
		})
	}
	const longest = 1 << 20
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, longest)
	var problems []Problem
	n := 0
	for lines.Scan() {
		n++
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		p, err := readLine(line)
		if err != nil {
			return nil, &LineError{name, n, err}
		}
		p.Task = name
		problems = append(problems, p)
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, &LineError{name, n + 1, fmt.Errorf("is longer than %d bytes; a line is one problem", longest)}
	case err != nil:
		return nil, &LineError{name, n + 1, err}
	}
	return problems, nil
}

// isList reports whether JSON follows: a bracket after blanks.
func isList(in *bufio.Reader) bool {
	head, _ := in.Peek(512) // an error is met again by who reads on
	head = bytes.TrimLeft(head, " \t\r\n")
	return len(head) > 0 && head[0] == '['
}

func withoutCommas(answer string) string {
	return strings.TrimSpace(strings.ReplaceAll(answer, ",", ""))
}

func readLine(line string) (p Problem, err error) {
	at := strings.LastIndex(line, "||")
	if at < 0 {
		return p, errors.New(`has no "||" between question and steps`)
	}
	p.Question = strings.TrimSpace(line[:at])
	steps, answer, ok := strings.Cut(line[at+2:], "####")
	if !ok {
		return p, errors.New(`has no "####" before the answer`)
	}
	if p.Answer = withoutCommas(answer); p.Answer == "" || p.Question == "" {
		return p, errors.New("has an empty question or answer")
	}
	p.Steps = []string{}
	for rest := strings.TrimSpace(steps); rest != ""; {
		body, ok := strings.CutPrefix(rest, "<<")
		step, after, closed := strings.Cut(body, ">>")
		if !ok || !closed || !strings.Contains(step, "=") || strings.Contains(step, "<<") {
			return p, fmt.Errorf(`at %.40q no step "<<a*b=c>>" can be read`, rest)
		}
		p.Steps = append(p.Steps, "<<"+step+">>")
		rest = strings.TrimSpace(after)
	}
	return p, nil
}
