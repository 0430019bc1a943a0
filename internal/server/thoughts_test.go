package server

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"orrery/think/llm"
	"orrery/think/llm/llmtest"
)

// latent has two hidden thoughts and answers in a word.
func latent() *llmtest.Scripted {
	s := llmtest.Say(2, "gorpus")
	for n, word := range []string{"wumpus", "gorpus"} {
		s.Thoughts = append(s.Thoughts, llm.Thought{Number: n + 1, Holds: []llm.Reading{{Text: word, P: 0.5}}})
	}
	return &llmtest.Scripted{Model: "m", Pick: func(llm.Request) llmtest.Script { return s },
		Latent: &llm.Latent{Method: "coconut", Thoughts: 2, Trained: 2, Alike: "they answer in one token"}}
}

// Thoughts reach a client that looks for them, whole and streamed, and are
// counted; one that does not sees empty deltas.
func TestThoughtsOverTheWire(t *testing.T) {
	sv := serve(t, Config{Generator: latent()})
	for _, model := range []string{"m", "m@coconut"} {
		_, text, _ := sv.get("/v1/chat/completions", `{"model": "`+model+`", "logprobs": true, "top_logprobs": 1, `+user+`}`)
		var r struct {
			Choices []struct {
				Logprobs struct{ Content []any }
			}
			Usage  usage
			Orrery struct {
				Traces []struct{ Thoughts []llm.Thought }
			}
		}
		if err := json.Unmarshal(text, &r); err != nil {
			t.Fatal(err)
		}
		if had := r.Orrery.Traces[0].Thoughts; len(had) != 2 || had[1].Holds[0].Text != "gorpus" || r.Usage.Completion != 3 || len(r.Choices[0].Logprobs.Content) != 1 {
			t.Errorf("%s: the reply is %s", model, text)
		}
		if _, text, _ = sv.get("/v1/chat/completions", `{"model": "`+model+`", "orrery": {"thoughts": 1}, `+user+`}`); strings.Count(string(text), `"holds"`) != 1 {
			t.Errorf("%s with one thought: %s", model, text)
		}
		for _, prompt := range []string{user, `"prompt": "?"`} {
			got := sv.stream(`{"model": "` + model + `", "stream": true, ` + prompt + `}`)
			var held []llm.Thought
			for _, ev := range got.events {
				var o struct{ Thought *llm.Thought }
				if ev.Orrery != nil && json.Unmarshal(ev.Orrery, &o) == nil && o.Thought != nil {
					held = append(held, *o.Thought)
				}
			}
			if got.text != "gorpus" || !got.done || len(held) != 2 || held[0].Number != 1 || held[1].Holds[0].P != 0.5 {
				t.Errorf("%s streams as %+v", model, got)
			}
		}
	}
}

// Only what suits the model is listed, and what does not says why.
func TestMethodsOfLatentModels(t *testing.T) {
	for _, c := range []struct {
		g             *llmtest.Scripted
		listed, other string
		body, why     string
	}{
		{latent(), "m@coconut", "m@deepconf-low", `"model": "m@deepconf-low"`, "they answer in one token"},
		{boxes("4"), "m@deepconf-low", "m@coconut", `"model": "m@coconut"`, "trained to think in hidden states"},
		{boxes("4"), "m@single", "m@coconut", `"orrery": {"thoughts": 2}`, "parameter thoughts"},
	} {
		sv := serve(t, Config{Generator: c.g})
		_, text, _ := sv.get("/v1/models", "")
		var list struct{ Data []struct{ ID string } }
		json.Unmarshal(text, &list)
		var ids []string
		for _, m := range list.Data {
			ids = append(ids, m.ID)
		}
		if !slices.Contains(ids, c.listed) || slices.Contains(ids, c.other) {
			t.Errorf("models are %q, want %s and not %s", ids, c.listed, c.other)
		}
		if status, text, _ := sv.get("/v1/chat/completions", `{`+c.body+`, `+user+`}`); status != 400 || !strings.Contains(string(text), c.why) {
			t.Errorf("%s is answered with %d %s", c.body, status, text)
		}
	}
}
