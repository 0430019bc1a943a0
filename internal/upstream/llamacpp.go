package upstream

import (
	"context"
	"encoding/json"

	"orrery/think/llm"
)

var _ = register(&dialect{
	name: "llamacpp", rank: 12,
	recognise: func(ctx context.Context, p *facts) bool {
		return p.ownedBy("llamacpp") || p.has(ctx, "/props", "total_slots")
	},
	request: llamacppRequest,
	slots:   llamacppSlots,
	render:  llamacppRender,
	busy:    llamacppBusy,
	remedies: map[llm.ErrorKind]string{
		llm.ContextOverflow: "shorten the prompt, lower max_tokens, or start llama-server with a larger -c (it is shared by its -np slots)",
	},
	stops: "stopping_word on /completion; not told in a chat", prefill: "yes, a trailing assistant message (not with thinking on)", raw: "/completion",
	suits: func(r *Report) (Fitness, Fitness) {
		return fitDeepConf(r), fitThreadWeaver(r, "")
	},
})

// threadTags are ThreadWeaver's special tokens: llama.cpp leaves special
// tokens out of the text unless told to preserve them. Strings that are no
// single token of the model are ignored by the server.
var threadTags = []string{
	"<think>", "</think>", "<Think>", "</Think>", "<Parallel>", "</Parallel>", "<Outlines>", "</Outlines>",
	"<Outline>", "</Outline>", "<Thread>", "</Thread>", "<Conclusion>", "</Conclusion>",
}

func llamacppRequest(t *target, r *llm.Request) (*call, *badRequest) {
	if r.Prompt == "" {
		f := openAIFields(t, r)
		f["seed"] = foldSeed(r.Seed, 32)
		f.exactSampling(r, 0)
		f["cache_prompt"] = true
		f.askLogprobs(r, r.TopLogprobs)
		// No stop: a chat's reply does not tell a met one from the model's end.
		return &call{
			route: "/v1/chat/completions", body: f.encode(), decode: decodeOpenAI, finish: openAIFinish, asked: r.TopLogprobs, exact: true,
		}, nil
	}
	f := fields{
		"prompt": r.Prompt, "stream": true, "n_predict": r.MaxTokens, "temperature": r.Temperature, "top_p": or(r.TopP, 1),
		"seed": foldSeed(r.Seed, 32), "cache_prompt": true,
	}
	f.exactSampling(r, 0)
	if r.TopLogprobs > 0 {
		f["n_probs"] = r.TopLogprobs
	}
	preserved := t.preserved
	if preserved == nil {
		preserved = threadTags
	}
	if len(r.Stop) > 0 {
		f["stop"] = r.Stop // a list: a single string is ignored here
		f["preserved_tokens"] = append(append([]string{}, preserved...), r.Stop...)
	}
	return &call{
		route: "/completion", body: f.encode(), decode: decodeCompletion, finish: completionFinish, asked: r.TopLogprobs, exact: true,
	}, nil
}

// decodeCompletion reads an event of the native /completion.
func decodeCompletion(s *scanner, c *chunk) {
	stop, kind := false, ""
	for more := s.open('{'); more; more = s.next('}') {
		switch string(s.key()) {
		case "content":
			c.text = s.text(c.text)
		case "completion_probabilities":
			decodeEntries(s, c)
		case "stop":
			stop = s.truth()
		case "stop_type":
			kind = string(s.text(nil))
		case "stopping_word":
			c.matched = string(s.text(nil))
		case "tokens_predicted":
			c.usage.Completion = s.count()
		case "tokens_evaluated":
			c.usage.Prompt = s.count()
		case "error":
			decodeFault(s, c)
		default:
			s.skip()
		}
	}
	if stop {
		c.finish, c.done = or(kind, "none"), true
	} else {
		// Running counts are of tokens decoded so far; the last event's is
		// the one that counts, and one event with it is enough.
		c.usage = llm.Usage{}
	}
}

func completionFinish(word, matched string, stops []string) (llm.Finish, string, bool) {
	switch word {
	case "eos":
		return llm.FinishEOS, "", true
	case "limit":
		return llm.FinishLength, "", true
	case "word":
		return llm.FinishStop, matched, true
	}
	return llm.FinishError, "", false
}

// llamacppSlots asks how many sequences are decoded at once (-np).
func llamacppSlots(ctx context.Context, c *Client, _ *target) (int, error) {
	var props struct {
		Slots int `json:"total_slots"`
	}
	if err := c.get(ctx, "/props", &props); err != nil {
		return 0, err
	}
	return max(0, props.Slots), nil
}

// llamacppRender asks for the template's text. The server takes the
// begin-of-text marker off it, and puts it on again when it reads a prompt.
func llamacppRender(ctx context.Context, c *Client, _ *target, messages []llm.Message) (string, error) {
	var reply struct{ Prompt string }
	if err := c.post(ctx, "/apply-template", fields{"messages": messages}, &reply); err != nil {
		return "", err
	}
	return reply.Prompt, nil
}

// llamacppBusy counts the slots at work.
func llamacppBusy(ctx context.Context, c *Client, _ *target) (int, error) {
	body, f := c.small(ctx, "GET", "/slots", nil)
	if f != nil {
		return 0, f.err
	}
	var slots []struct {
		Busy bool `json:"is_processing"`
	}
	if err := json.Unmarshal(body, &slots); err != nil {
		return 0, c.fail(llm.MalformedEvent, "GET /slots", string(body[:min(len(body), maxWords)]), err)
	}
	n := 0
	for _, s := range slots {
		if s.Busy {
			n++
		}
	}
	return n, nil
}
