package upstream

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"orrery/think/llm"
)

var _ = register(&dialect{
	name: "vllm", rank: 20,
	recognise: func(ctx context.Context, p *facts) bool {
		return p.ownedBy("vllm") || p.has(ctx, "/version", "version")
	},
	request: vllmRequest,
	render:  vllmRender,
	busy:    vllmBusy,
	remedies: map[llm.ErrorKind]string{
		llm.TopLogprobsTooLarge: "start vLLM with --max-logprobs 20",
		llm.ContextOverflow:     "shorten the prompt, lower max_tokens, or start vLLM with a larger --max-model-len",
	},
	stops: "stop_reason; the text is kept", prefill: "yes, continue_final_message", raw: "/v1/completions",
	suits: func(r *Report) (Fitness, Fitness) {
		d := fitDeepConf(r)
		if d.Level == Approximate && r.ChatK == wantK-1 {
			d.Why += "; start vLLM with --max-logprobs 21, or send raw prompts"
		}
		return d, fitThreadWeaver(r, "")
	},
})

func vllmRequest(t *target, r *llm.Request) (*call, *badRequest) {
	f := openAIFields(t, r)
	f["seed"] = foldSeed(r.Seed, 63)
	f.exactSampling(r, -1) // −1 turns it off in every version; 0 only in recent ones
	c := &call{route: openAIRoute(r), decode: decodeOpenAI, finish: openAIFinish, asked: r.TopLogprobs, exact: true}
	if r.TopLogprobs == 0 {
		// No entries to count: let the server count as it goes, for traces
		// that are cancelled before their end.
		f["stream_options"] = fields{"include_usage": true, "continuous_usage_stats": true}
	} else if r.Prompt != "" {
		// Equal texts of different tokens would fall on one key.
		f["return_tokens_as_token_ids"] = true
	} else {
		// The list is the sampled token, then the best, cut to what was asked:
		// one more keeps the k-th when the sampled token is not among them.
		c.asked++
		if limit := int(t.refusedK.Load()); limit > 0 && c.asked >= limit {
			c.asked, c.exact = r.TopLogprobs, false
		}
	}
	f.askLogprobs(r, c.asked)
	if len(r.Stop) > 0 {
		f["stop"], f["include_stop_str_in_output"] = r.Stop, true
		if r.Prompt != "" {
			// Stop strings of raw prompts are tags, which trained models
			// write as single special tokens.
			f["skip_special_tokens"] = false
		}
	}
	if prefill(r) {
		f["continue_final_message"], f["add_generation_prompt"] = true, false
	}
	if r.Rendered {
		f["add_special_tokens"] = false
	}
	c.body = f.encode()
	return c, nil
}

// vllmRender asks for the template's tokens and for their text, which vLLM
// encodes to the same tokens again as long as nothing is added to them.
func vllmRender(ctx context.Context, c *Client, t *target, messages []llm.Message) (string, error) {
	f := fields{"model": t.model, "messages": messages, "add_generation_prompt": true}
	if prefill(&llm.Request{Messages: messages}) {
		f["continue_final_message"], f["add_generation_prompt"] = true, false
	}
	var coded struct{ Tokens []int }
	if err := c.post(ctx, "/tokenize", f, &coded); err != nil {
		return "", err
	}
	var text struct{ Prompt string }
	if err := c.post(ctx, "/detokenize", fields{"model": t.model, "tokens": coded.Tokens}, &text); err != nil {
		return "", err
	}
	return text.Prompt, nil
}

// vllmBusy reads the gauges of running and waiting requests.
func vllmBusy(ctx context.Context, c *Client, _ *target) (int, error) {
	body, f := c.small(ctx, "GET", "/metrics", nil)
	if f != nil {
		return 0, f.err
	}
	return gauge(body, "vllm:num_requests_running")
}

// gauge sums a gauge over its labels in Prometheus' text format.
func gauge(body []byte, name string) (int, error) {
	sum, seen := 0.0, false
	for line := range strings.Lines(string(body)) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		fields := strings.Fields(rest[strings.LastIndexByte(rest, '}')+1:])
		if len(fields) == 0 {
			continue
		}
		v, err := strconv.ParseFloat(fields[0], 64)
		if err != nil {
			return 0, fmt.Errorf("read the gauge %s: %w", name, err)
		}
		sum, seen = sum+v, true
	}
	if !seen {
		return 0, fmt.Errorf("read the gauge %s: the server's metrics do not hold it", name)
	}
	return int(sum), nil
}

// post sends a small request and reads a small reply.
func (c *Client) post(ctx context.Context, path string, f fields, into any) error {
	body, fl := c.small(ctx, "POST", path, f.encode())
	if fl != nil {
		return fl.err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return c.fail(llm.MalformedEvent, "POST "+path, string(body), err)
	}
	return nil
}
