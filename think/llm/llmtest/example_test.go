package llmtest_test

import (
	"context"
	"fmt"

	"orrery/think/llm"
	"orrery/think/llm/llmtest"
)

// A method is tested without a model and without HTTP.
func ExampleScripted() {
	g := &llmtest.Scripted{Pick: func(r llm.Request) llmtest.Script {
		return llmtest.Words(20, "The answer is 42. Surely.")
	}}
	r := llm.Request{Prompt: "What is it?", MaxTokens: 100, Stop: []string{". "}, TopLogprobs: 20}
	for e := range g.Generate(context.Background(), r) {
		switch e.Kind {
		case llm.KindText:
			fmt.Printf("%q\n", e.Text)
		case llm.KindEnd:
			fmt.Printf("%s %q after %d tokens\n", e.End.Finish, e.End.Matched, e.End.Tokens)
		}
	}
	// Output:
	// "The"
	// " answer"
	// " is"
	// " 42"
	// stop_string ". " after 5 tokens
}
