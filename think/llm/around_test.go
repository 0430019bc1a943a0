package llm_test

import (
	"context"
	"testing"

	"orrery/think/llm"
	"orrery/think/llm/llmtest"
)

type rendering struct{ llm.Generator }

func (rendering) Render(context.Context, []llm.Message) (string, error) { return "rendered", nil }

type wrapper struct{ llm.Generator }

// A wrapper can render where what it wraps can, and only there; it generates itself.
func TestAround(t *testing.T) {
	plain := &llmtest.Scripted{Model: "m"}
	if _, ok := llm.Around(wrapper{plain}, plain).(llm.Renderer); ok {
		t.Error("a wrapper renders what nobody can")
	}
	inner := rendering{plain}
	got := llm.Around(wrapper{inner}, inner)
	r, ok := got.(llm.Renderer)
	if !ok {
		t.Fatal("a wrapper hides that its generator renders")
	}
	if text, err := r.Render(t.Context(), nil); err != nil || text != "rendered" {
		t.Errorf("rendered %q (%v)", text, err)
	}
	if got.Info().Model != "m" {
		t.Errorf("the wrapper says it is %+v", got.Info())
	}
}
