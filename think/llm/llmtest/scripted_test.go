package llmtest

import (
	"testing"

	"orrery/think/llm"
)

func TestScriptedConforms(t *testing.T) {
	Conform(t, Subject{K: 20, Seeded: true, New: func(t *testing.T) llm.Generator {
		return &Scripted{Pick: func(r llm.Request) Script { return Random(r.Seed, Shape{Tokens: 100}) }, Parallel: 4}
	}})
	for _, raw := range []bool{false, true} {
		ConformScripted(t, func(t *testing.T, pick func(uint64) Script) llm.Generator {
			return &Scripted{Pick: func(r llm.Request) Script { return pick(r.Seed) }}
		}, raw)
	}
}
