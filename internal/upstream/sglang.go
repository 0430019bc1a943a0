package upstream

import (
	"context"

	"orrery/think/llm"
)

var _ = register(&dialect{
	name: "sglang", rank: 10,
	recognise: func(ctx context.Context, p *facts) bool {
		return p.ownedBy("sglang") || p.has(ctx, "/get_model_info", "model_path")
	},
	request: sglangRequest,
	busy:    sglangBusy,
	remedies: map[llm.ErrorKind]string{
		llm.ContextOverflow: "shorten the prompt, lower max_tokens, or start SGLang with a larger --context-length",
	},
	stops: "matched_stop; the text is kept", prefill: "yes, continue_final_message", raw: "/v1/completions",
	suits: func(r *Report) (Fitness, Fitness) {
		d := fitDeepConf(r)
		if r.Basis == llm.BasisAfter && d.Level != Impossible {
			d = Fitness{Approximate, "log-probabilities are taken after the temperature; start SGLang with SGLANG_RETURN_ORIGINAL_LOGPROB=1"}
		}
		return d, fitThreadWeaver(r, "")
	},
})

func sglangRequest(t *target, r *llm.Request) (*call, *badRequest) {
	f := openAIFields(t, r)
	f.exactSampling(r, -1)
	f.askLogprobs(r, r.TopLogprobs)
	if r.TopLogprobs == 0 {
		f["stream_options"] = fields{"include_usage": true, "continuous_usage_stats": true}
	}
	if len(r.Stop) > 0 {
		f["stop"], f["no_stop_trim"] = r.Stop, true
		if r.Prompt != "" {
			f["skip_special_tokens"] = false // see vllmRequest
		}
	}
	if r.Prompt == "" {
		// Split off, reasoning comes in chunks without log-probabilities.
		f["separate_reasoning"] = false
		if prefill(r) {
			f["continue_final_message"] = true
		}
	}
	return &call{
		route: openAIRoute(r), body: f.encode(), decode: decodeOpenAI, finish: openAIFinish, asked: r.TopLogprobs, exact: true,
	}, nil
}

// sglangBusy reads the gauge of running requests, which is there when SGLang
// was started with --enable-metrics.
func sglangBusy(ctx context.Context, c *Client, _ *target) (int, error) {
	body, f := c.small(ctx, "GET", "/metrics", nil)
	if f != nil {
		return 0, f.err
	}
	return gauge(body, "sglang:num_running_reqs")
}
