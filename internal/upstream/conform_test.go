package upstream

import (
	"testing"

	"orrery/think/llm"
	"orrery/think/llm/llmtest"
)

var names = []string{"vllm", "sglang", "llamacpp", "ollama", "openai"}

// dialTo makes a client of a fake in memory.
func dialTo(t testing.TB, f *llmtest.Fake, change ...func(*Config)) *Client {
	t.Helper()
	cfg := Config{URL: "http://fake", Transport: f.Transport(t), Dialect: f.Dialect, Model: "fake", MaxParallel: 16}
	for _, c := range change {
		c(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// playing makes a client of a fake that plays what pick says.
func playing(t testing.TB, dialect string, pick func(seed uint64) llmtest.Script) *Client {
	f := &llmtest.Fake{Dialect: dialect, Rules: []llmtest.Rule{{Make: func(c *llmtest.Call) llmtest.Reply {
		return llmtest.Play(pick(c.Seed))
	}}}}
	return dialTo(t, f)
}

func TestConform(t *testing.T) {
	for _, name := range names {
		for _, raw := range []bool{false, true} {
			route := "chat"
			k := 19 // what a default vLLM serves exactly in a chat
			if raw {
				route, k = "raw", 20
				if name == "openai" {
					k = 5
				}
			}
			t.Run(name+" "+route, func(t *testing.T) {
				llmtest.Conform(t, llmtest.Subject{
					K: k, Seeded: true, Raw: raw,
					New: func(t *testing.T) llm.Generator {
						return playing(t, name, func(seed uint64) llmtest.Script {
							return llmtest.Random(seed, llmtest.Shape{Tokens: 60})
						})
					},
				})
				llmtest.ConformScripted(t, func(t *testing.T, pick func(uint64) llmtest.Script) llm.Generator {
					return playing(t, name, pick)
				}, raw)
			})
		}
	}
}
