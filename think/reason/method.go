package reason

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"orrery/think/llm"
)

// Question is what every trace is asked: the same bytes for each, so that a
// server's prefix cache serves all but the first. Exactly one of Messages and
// Prompt is set.
type Question struct {
	Messages []llm.Message // rendered by the generator's chat template
	Prompt   string        // raw text to be continued
	Stop     []string      // stop strings, may be empty
}

// Ask is a Question of one user message.
func Ask(text string) Question {
	return Question{Messages: []llm.Message{{Role: "user", Content: text}}}
}

// BoxInstruction asks a general-purpose model for the form in which answers are
// found; the paper sends it after the question (arXiv 2508.15260, §4). The
// built-in models write boxes unasked.
const BoxInstruction = `Please reason step by step, and put your final answer within \boxed{}.`

func (q Question) validate() error {
	if (len(q.Messages) == 0) == (q.Prompt == "") {
		return fmt.Errorf("question: exactly one of messages and prompt must be given, not %s",
			map[bool]string{true: "none", false: "both"}[q.Prompt == ""])
	}
	return nil
}

// Method is one way of thinking. It is safe for concurrent use.
type Method interface {
	// Name is the registered name, as after the @ of a model name.
	Name() string

	// About is one line for help texts.
	About() string

	// Uses lists the JSON names of the Params fields that the method reads.
	Uses() []string

	// NeedsLogprobs reports whether the method decides by confidence: it is an
	// error on a generator without the log-probabilities of alternatives.
	NeedsLogprobs() bool

	// Suits reports, in one sentence, why the method says nothing about a model,
	// or cannot run it with these parameters. Run begins with it.
	Suits(info llm.Info, p Params) error

	// Check reports, in one sentence, a field that is out of range, that the
	// method does not use, or that contradicts the method or another field.
	Check(p Params) error

	// Run answers q. It calls emit from the calling goroutine only, one event
	// at a time, the last of them being the only [Answer] or [Failed]. A slow
	// emit slows the run down. Nothing runs any more when Run returns.
	//
	// When ctx ends, the run stops and returns what it has, without an error:
	// Result.StoppedBy is then "client_cancelled". An error means that there
	// is no result: the parameters contradict each other (then nothing was
	// emitted), or the generator failed every trace or fundamentally.
	Run(ctx context.Context, g llm.Generator, q Question, p Params, emit func(Event)) (*Result, error)
}

// OneTrace reports whether a method always runs a single trace, whose text and
// log-probabilities can then be handed on as they come.
func OneTrace(m Method) bool { return !slices.Contains(m.Uses(), "budget") }

var registry = map[string]Method{}

// Register adds a method; it panics if the name is taken.
func Register(m Method) {
	if _, dup := registry[m.Name()]; dup {
		panic("reason: " + m.Name() + " registered twice")
	}
	registry[m.Name()] = m
}

// Names lists the registered methods in alphabetical order.
func Names() []string { return slices.Sorted(maps.Keys(registry)) }

// Lookup finds a method by name. The error lists the known ones.
func Lookup(name string) (Method, error) {
	if m, ok := registry[name]; ok {
		return m, nil
	}
	return nil, fmt.Errorf("unknown method %q: known are %s", name, strings.Join(Names(), ", "))
}
