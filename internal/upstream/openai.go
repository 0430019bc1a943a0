package upstream

import (
	"context"
	"regexp"

	"orrery/think/llm"
)

// The openai dialect is OpenAI's own API, and the fallback for any server that
// resembles it: nothing beyond the documented fields is sent.
var _ = register(&dialect{
	name: "openai", rank: 100,
	recognise: func(context.Context, *facts) bool { return true },
	request:   openAIRequest,
	remedies: map[llm.ErrorKind]string{
		llm.TopLogprobsTooLarge: "ask for at most 20 alternatives of a chat, 5 of a raw prompt (--k)",
		llm.LogprobsUnsupported: "use a model without hidden reasoning: those give no log-probabilities",
	},
	stops: "not told", raw: "/v1/completions (older models)",
	suits: func(r *Report) (Fitness, Fitness) {
		return fitDeepConf(r), Fitness{Level: Approximate, Why: "prompted through chat only; the trained grammar needs a raw prompt with special tokens"}
	},
})

// hiddenReasoning matches OpenAI's models that know max_completion_tokens only.
var hiddenReasoning = regexp.MustCompile(`^(o[0-9]|gpt-5)`)

func openAIRequest(t *target, r *llm.Request) (*call, *badRequest) {
	if r.TopK > 0 {
		return nil, &badRequest{"top_k", "this API has no top_k", "leave top_k at 0, or use a server of another dialect"}
	}
	if prefill(r) {
		return nil, errNoPrefill
	}
	f := openAIFields(t, r)
	if r.Prompt == "" && hiddenReasoning.MatchString(t.model) {
		f["max_completion_tokens"] = r.MaxTokens
		delete(f, "max_tokens")
	}
	f.askLogprobs(r, r.TopLogprobs)
	return &call{
		route: openAIRoute(r), body: f.encode(), decode: decodeOpenAI, finish: openAIFinish, asked: r.TopLogprobs, exact: true,
	}, nil
}
