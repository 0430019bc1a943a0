package upstream

import (
	"context"

	"orrery/think/llm"
)

var _ = register(&dialect{
	name: "ollama", rank: 14,
	recognise: func(ctx context.Context, p *facts) bool { return p.has(ctx, "/api/version", "version") },
	request:   ollamaRequest,
	parallel:  1, // OLLAMA_NUM_PARALLEL's default
	remedies: map[llm.ErrorKind]string{
		llm.ModelNotFound:   "pull the model first (ollama pull), or name one that the server lists under /v1/models",
		llm.NoTopLogprobs:   "update Ollama to 0.12.11 or later, or use a method that needs no log-probabilities",
		llm.StreamTruncated: "look at Ollama's log: it ends streams without telling why",
	},
	stops: "not told", raw: "/api/generate, raw",
	suits: func(r *Report) (Fitness, Fitness) {
		return fitDeepConf(r), fitThreadWeaver(r, "special tokens may be missing from the text")
	},
})

func ollamaRequest(t *target, r *llm.Request) (*call, *badRequest) {
	if r.Prompt == "" {
		if r.TopK > 0 {
			return nil, &badRequest{"top_k", "Ollama's chat has no top_k", "leave top_k at 0, set it in the model's Modelfile, or send a raw prompt"}
		}
		if prefill(r) {
			return nil, errNoPrefill
		}
		f := openAIFields(t, r)
		f["seed"] = foldSeed(r.Seed, 31)
		f.askLogprobs(r, r.TopLogprobs)
		return &call{
			route: "/v1/chat/completions", body: f.encode(), decode: decodeOpenAI, finish: openAIFinish, asked: r.TopLogprobs, exact: true,
		}, nil
	}
	// Its /v1/completions would put the prompt into the chat template.
	options := fields{
		"num_predict": r.MaxTokens, "temperature": r.Temperature, "top_p": or(r.TopP, 1), "seed": foldSeed(r.Seed, 31),
	}
	options.exactSampling(r, 0)
	f := fields{"model": t.model, "prompt": r.Prompt, "raw": true, "stream": true, "options": options}
	if r.TopLogprobs > 0 {
		f["logprobs"], f["top_logprobs"] = true, r.TopLogprobs
	}
	return &call{
		route: "/api/generate", body: f.encode(), lines: true, decode: decodeGenerate, finish: openAIFinish, asked: r.TopLogprobs, exact: true,
	}, nil
}

// decodeGenerate reads a line of /api/generate.
func decodeGenerate(s *scanner, c *chunk) {
	done := false
	for more := s.open('{'); more; more = s.next('}') {
		switch string(s.key()) {
		case "response":
			c.text = s.text(c.text)
		case "thinking":
			c.reasoning = s.text(c.reasoning)
		case "logprobs":
			decodeLogprobs(s, c)
		case "done":
			done = s.truth()
		case "done_reason":
			c.finish = string(s.text(nil))
		case "eval_count":
			c.usage.Completion = s.count()
		case "prompt_eval_count":
			c.usage.Prompt = s.count()
		case "error":
			decodeFault(s, c)
		default:
			s.skip()
		}
	}
	if done {
		c.done = true
	} else {
		c.finish = ""
	}
}
