// Package task holds problems that a machine can set and mark: each task has a
// seeded generator, a worked solution, a verifier and a difficulty, one file a
// task. A task registers itself from its own file; nothing else changes.
//
// Tasks know neither models nor servers. Answers are compared through package
// think/answer, the same code that votes use.
package task

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
)

// Level is a difficulty.
type Level int

const (
	Standard Level = iota // what the built-in model is trained and scored on
	Easy
	Hard
)

func (l Level) String() string {
	switch l {
	case Standard:
		return "standard"
	case Easy:
		return "easy"
	case Hard:
		return "hard"
	}
	return fmt.Sprintf("Level(%d)", int(l))
}

// Problem is one question with its worked solution.
type Problem struct {
	Task     string   `json:"task"`
	Question string   `json:"question"` // one paragraph, no trailing newline
	Steps    []string `json:"steps"`    // worked solution, one line each, no newlines
	Answer   string   `json:"answer"`   // what belongs in \boxed{}
	Level    Level    `json:"level"`

	// Data is the task's own structure (a graph, the numbers of a countdown),
	// nil where the question says everything. Verifiers may read it.
	Data any `json:"data,omitempty"`
}

// Solution is the worked solution as a model should write it: every step ends
// in a newline, then the boxed answer.
func (p Problem) Solution() string {
	var b strings.Builder
	for _, s := range p.Steps {
		b.WriteString(s)
		b.WriteByte('\n')
	}
	b.WriteString(`\boxed{`)
	b.WriteString(p.Answer)
	b.WriteByte('}')
	return b.String()
}

// Task generates and marks problems of one kind.
type Task interface {
	// Name is the registered name, as on the command line.
	Name() string

	// About is one line for help texts.
	About() string

	// Generate draws a problem. Equal generator states give equal problems.
	Generate(rng *rand.Rand, level Level) Problem

	// Verify reports whether an extracted answer solves p. It never panics,
	// whatever the answer. An empty answer is wrong.
	Verify(p Problem, answer string) bool

	// Instruction is what a general-purpose model must be told besides the
	// question, as one sentence; empty if the question is enough.
	Instruction() string

	// Words lists every word, without surrounding blanks, that the task's
	// questions and solutions are made of (not numbers, not punctuation), for
	// building a vocabulary. Sorted, no duplicates.
	Words() []string
}

// FileReader is a Task that can read a published file of its kind.
type FileReader interface {
	Task
	// ReadFile returns the problems of a file in the task's original format.
	// Errors name the item and the field.
	ReadFile(r io.Reader) ([]Problem, error)
}

var registry = map[string]Task{}

// Register adds a task; it panics if the name is taken.
func Register(t Task) {
	if _, dup := registry[t.Name()]; dup {
		panic("task: " + t.Name() + " registered twice")
	}
	registry[t.Name()] = t
}

// Names lists the registered tasks in alphabetical order.
func Names() []string {
	names := make([]string, 0, len(registry))
	for n := range registry {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Lookup finds a task by name. The error lists the known ones.
func Lookup(name string) (Task, error) {
	if t, ok := registry[name]; ok {
		return t, nil
	}
	return nil, fmt.Errorf("unknown task %q: known are %s", name, strings.Join(Names(), ", "))
}
