package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"orrery/think/llm"
	"orrery/think/llm/llmtest"
)

// Each way to go wrong ends in its own kind of error, with what had come kept.
func TestFaults(t *testing.T) {
	script := llmtest.Words(3, "one two three four five six")
	play := func(f llmtest.Fault) llmtest.Reply { return llmtest.Reply{Script: script, Fault: f} }
	gone := script
	gone.Tokens = nil
	for _, c := range []struct {
		name   string
		reply  llmtest.Reply
		kind   llm.ErrorKind // "": none
		tokens int
		words  string
	}{
		{"well", play(llmtest.Fault{}), "", 6, ""},
		{"error event", play(llmtest.Fault{Error: llmtest.ErrorData, ErrorAfter: 3}), llm.StreamError, 3, "the engine died"},
		{"error before text", play(llmtest.Fault{Error: llmtest.ErrorData}), llm.StreamError, 0, "the engine died"},
		{"error field", play(llmtest.Fault{Error: llmtest.ErrorField, ErrorAfter: 2}), llm.StreamError, 2, "the engine died"},
		{"error type", play(llmtest.Fault{Error: llmtest.ErrorEvent, ErrorAfter: 2}), llm.StreamError, 2, "the engine died"},
		{"error text", play(llmtest.Fault{Error: llmtest.ErrorText, ErrorAfter: 2}), llm.StreamError, 2, "the engine died"},
		{"error lost", play(llmtest.Fault{Error: llmtest.ErrorNone, ErrorAfter: 2}), llm.StreamTruncated, 2, ""},
		{"error after the last token", play(llmtest.Fault{Error: llmtest.ErrorData, ErrorAfter: 6}), llm.StreamError, 6, "the engine died"},
		{"context full", play(llmtest.Fault{Error: llmtest.ErrorText, ErrorWords: "input is longer than the model's context length"}), llm.ContextOverflow, 0, "longer"},
		{"[DONE] without finish", play(llmtest.Fault{NoFinish: true}), llm.StreamTruncated, 6, ""},
		{"end without finish", play(llmtest.Fault{NoFinish: true, NoDone: true}), llm.StreamTruncated, 6, ""},
		{"end without [DONE]", play(llmtest.Fault{NoDone: true}), "", 6, ""},
		{"no usage", play(llmtest.Fault{NoUsage: true}), "", 6, ""},
		{"zero usage", play(llmtest.Fault{ZeroUsage: true}), "", 6, ""},
		{"no log-probabilities", play(llmtest.Fault{NoLogprobs: true}), llm.NoTopLogprobs, 0, ""},
		{"text lag", play(llmtest.Fault{Lag: 7}), "", 6, ""},
		{"JSON for a stream", play(llmtest.Fault{Body: `{"id": 1, "object": "list"}`}), llm.NotStreaming, 0, `"object"`},
		{"HTML for a stream", play(llmtest.Fault{Body: "\n<!doctype html><title>proxy</title>"}), llm.NotStreaming, 0, "proxy"},
		{"error for a stream", play(llmtest.Fault{Body: `{"error": {"message": "no room"}}`}), llm.StreamError, 0, "no room"},
		{"empty body", llmtest.Reply{Script: gone, Fault: llmtest.Fault{NoFinish: true, NoDone: true}}, llm.StreamTruncated, 0, ""},
		{"no tokens", llmtest.Reply{Script: gone}, "", 0, ""},
		{"unauthorised", play(llmtest.Fault{Status: 401}), llm.Auth, 0, ""},
		{"forbidden", play(llmtest.Fault{Status: 403}), llm.Auth, 0, ""},
		{"no such route", play(llmtest.Fault{Status: 404}), llm.BadRequest, 0, ""},
		{"too large", play(llmtest.Fault{Status: 413}), llm.ContextOverflow, 0, ""},
		{"not implemented", play(llmtest.Fault{Status: 501}), llm.StreamError, 0, ""},
	} {
		for _, dialect := range names {
			for _, raw := range []bool{false, true} {
				route := map[bool]string{false: " chat ", true: " raw "}[raw]
				c := c
				t.Run(dialect+route+c.name, func(t *testing.T) {
					if dialect == "ollama" && raw {
						switch c.name {
						case "error field", "error type":
							t.Skip("a line of JSON has no field names")
						case "JSON for a stream":
							c.kind = llm.StreamTruncated // it is a line like any other, without an end
							c.words = ""
						}
					}
					f := &llmtest.Fake{Dialect: dialect, Rules: []llmtest.Rule{{Reply: c.reply}}}
					tr := llmtest.Collect(t, dialTo(t, f, func(c *Config) { c.Retries = -1 }), context.Background(), request(raw, 3))
					if len(tr.Tokens) != c.tokens {
						t.Errorf("%d tokens came; want %d", len(tr.Tokens), c.tokens)
					}
					text := llmtest.Script{Tokens: script.Tokens[:c.tokens]}.Text(llm.Answer)
					if c.kind != llm.NoTopLogprobs && tr.Text[llm.Answer] != text {
						t.Errorf("text %q; want %q", tr.Text[llm.Answer], text)
					}
					if c.kind == "" {
						if tr.End.Finish != llm.FinishEOS {
							t.Errorf("End is %+v", tr.End)
						}
						if c.tokens > 0 && tr.End.Tokens != c.tokens {
							t.Errorf("%d tokens are counted by %s; want %d", tr.End.Tokens, tr.End.Counted, c.tokens)
						}
						return
					}
					var e *llm.Error
					if !errors.As(tr.End.Err, &e) {
						t.Fatalf("End is %+v; want %s", tr.End, c.kind)
					}
					if e.Kind != c.kind || e.Tokens != c.tokens || e.Backend != dialect || !strings.HasPrefix(e.Route, "POST /") || e.Remedy == "" || e.Label != "t" {
						t.Errorf("error %+v; want kind %s after %d tokens, with backend, route, label and remedy", e, c.kind, c.tokens)
					}
					if !strings.Contains(e.Words, c.words) {
						t.Errorf("the server's words are %q; want %q in them", e.Words, c.words)
					}
				})
			}
		}
	}
}

// Lists go on as received: null, log 0 in both spellings, short, long, unordered.
func TestListsAsReceived(t *testing.T) {
	nan := math.NaN()
	lists := [][]float64{{nan, -1}, {-9999, -0.5}, {-3.4028235e38}, {-3, -1, -2, -4, -5, -6, -7}, {}}
	var s llmtest.Script
	for i, l := range lists {
		tok := llmtest.Token{Text: " w", Logprob: -0.25, Verbatim: true}
		if i == 0 {
			tok.Logprob = nan
		}
		for j, p := range l {
			tok.Top = append(tok.Top, llmtest.Alt{Text: string(rune('a' + j)), Logprob: p})
		}
		s.Tokens = append(s.Tokens, tok)
	}
	for _, dialect := range names {
		for _, raw := range []bool{false, true} {
			tr := llmtest.Collect(t, playing(t, dialect, func(uint64) llmtest.Script { return s }), context.Background(), request(raw, 3))
			if len(tr.Tokens) != len(lists) || tr.End.Finish != llm.FinishEOS {
				t.Fatalf("%s: %d tokens, End %+v", dialect, len(tr.Tokens), tr.End)
			}
			for i, l := range lists {
				got := tr.Tokens[i]
				if len(got.Top) != len(l) {
					t.Fatalf("%s: list %v came as %v", dialect, l, got.Top)
				}
				for j := range l {
					if got.Top[j] != l[j] && !(math.IsNaN(l[j]) && math.IsNaN(got.Top[j])) {
						t.Fatalf("%s: list %v came as %v", dialect, l, got.Top)
					}
				}
				if math.IsNaN(got.Logprob) != (i == 0) {
					t.Fatalf("%s: token %d has log-probability %v", dialect, i, got.Logprob)
				}
			}
		}
	}
}

// Text without entries and entries without text are both legal, and neither
// delays the other.
func TestTextAndEntriesAreIndependent(t *testing.T) {
	s := llmtest.Words(3, "one two three four")
	s.Tokens[1].NoEntry = true
	s.Tokens[2].NoText = true
	for _, dialect := range names {
		tr := llmtest.Collect(t, playing(t, dialect, func(uint64) llmtest.Script { return s }), context.Background(), request(false, 3))
		want := 3
		if dialect == "ollama" {
			want = 2 // it sends no entry where there is no text
		}
		if tr.Text[llm.Answer] != "one two four" || len(tr.Tokens) != want || tr.End.Finish != llm.FinishEOS {
			t.Errorf("%s: text %q, %d tokens, End %+v", dialect, tr.Text[llm.Answer], len(tr.Tokens), tr.End)
		}
	}
}

// Reasoning goes to its channel where the server splits it off, whatever it
// calls the field; SGLang is told not to, because it would drop the entries.
func TestReasoningChannel(t *testing.T) {
	s := llmtest.Words(3, "let me see well then")
	for i := range 3 {
		s.Tokens[i].Channel = llm.Reasoning
	}
	for _, c := range []struct {
		dialect, reasoning, answer string
		entries                    int
	}{
		{"vllm", "let me see", " well then", 5}, {"llamacpp", "let me see", " well then", 5}, {"ollama", "let me see", " well then", 5},
		{"sglang", "", "let me see well then", 5}, {"openai", "", " well then", 2},
	} {
		for _, per := range []int{1, 2} { // two an event: one event is mixed
			f := &llmtest.Fake{Dialect: c.dialect, Rules: []llmtest.Rule{{Reply: llmtest.Reply{Script: s, Wire: llmtest.Wire{PerEvent: per}}}}}
			tr := llmtest.Collect(t, dialTo(t, f), context.Background(), request(false, 3))
			if tr.Text != [2]string{c.answer, c.reasoning} || len(tr.Tokens) != c.entries {
				t.Errorf("%s, %d tokens an event: %q with %d entries", c.dialect, per, tr.Text, len(tr.Tokens))
			}
		}
	}
}

// Stop strings are found by us even if the server ignores them, and in
// reasoning too. A server that trims one and says so is believed.
func TestStopsWithoutTheServersHelp(t *testing.T) {
	s := llmtest.Words(3, "a b STOP c d")
	for _, dialect := range names {
		for _, raw := range []bool{false, true} {
			for name, fault := range map[string]llmtest.Fault{"ignored": {IgnoreStop: true}, "trimmed": {TrimStop: true}} {
				f := &llmtest.Fake{Dialect: dialect, Rules: []llmtest.Rule{{Reply: llmtest.Reply{Script: s, Fault: fault}}}}
				tr := llmtest.Collect(t, dialTo(t, f), context.Background(), request(raw, 3, "STOP"))
				if tr.Text[llm.Answer] != "a b " || tr.End.Finish != llm.FinishStop || tr.End.Matched != "STOP" {
					t.Errorf("%s, raw %v, stop %s: text %q, End %+v", dialect, raw, name, tr.Text[llm.Answer], tr.End)
				}
			}
		}
	}
	// A script of its own: servers that were left may still be reading s.
	reasoning := llmtest.Script{Tokens: slices.Clone(s.Tokens), Finish: s.Finish}
	for i := range reasoning.Tokens {
		reasoning.Tokens[i].Channel = llm.Reasoning
	}
	tr := llmtest.Collect(t, playing(t, "vllm", func(uint64) llmtest.Script { return reasoning }), context.Background(), request(false, 3, "STOP"))
	if tr.Text[llm.Reasoning] != "a b " || tr.End.Finish != llm.FinishStop {
		t.Errorf("in reasoning: text %q, End %+v", tr.Text, tr.End)
	}
}

// A server that does not obey max_tokens is cut off by its entries.
func TestDisobeyedLimit(t *testing.T) {
	f := &llmtest.Fake{Dialect: "vllm", Rules: []llmtest.Rule{{Reply: llmtest.Reply{
		Script: llmtest.Random(1, llmtest.Shape{Tokens: 500}), Fault: llmtest.Fault{IgnoreMax: true},
	}}}}
	r := request(true, 3)
	r.MaxTokens = 10
	tr := llmtest.Collect(t, dialTo(t, f), context.Background(), r)
	if tr.End.Finish != llm.FinishLength || len(tr.Tokens) > 11 {
		t.Errorf("%d tokens for a limit of 10, End %+v", len(tr.Tokens), tr.End)
	}
}

// vLLM's chat loses the k-th alternative when the sampled token is not among
// the best, so one more is asked for, and if that is refused the trace says so.
func TestVLLMAsksOneMore(t *testing.T) {
	s := llmtest.Random(4, llmtest.Shape{Tokens: 40, K: 21, Rare: true})
	for _, c := range []struct{ limit, k, requests int }{{21, 20, 1}, {20, 20, 2}} {
		f := &llmtest.Fake{Dialect: "vllm", Rules: []llmtest.Rule{{Reply: llmtest.Reply{Script: s, Fault: llmtest.Fault{MaxTop: c.limit}}}}}
		g := dialTo(t, f)
		reduced := c.limit <= c.k
		for round := range 2 {
			tr := llmtest.Collect(t, g, context.Background(), request(false, c.k))
			if tr.End.Finish != llm.FinishEOS {
				t.Fatalf("End is %+v", tr.End)
			}
			if got := len(tr.End.Warnings) == 1 && tr.End.Warnings[0] == llm.WarnKReduced; got != reduced {
				t.Errorf("--max-logprobs %d, k %d: warnings %v", c.limit, c.k, tr.End.Warnings)
			}
			exact := c.k
			if reduced {
				exact--
			}
			for i, tok := range s.Tokens {
				got := descending(tr.Tokens[i].Top)
				for j := range exact {
					if got[j] != tok.Top[j].Logprob {
						t.Fatalf("--max-logprobs %d: alternative %d of token %d is %v; want %v", c.limit, j, i, got[j], tok.Top[j].Logprob)
					}
				}
			}
			if n := len(f.Calls()); n != c.requests+round {
				t.Errorf("--max-logprobs %d: %d requests after round %d; want %d, since a refusal is remembered", c.limit, n, round, c.requests+round)
			}
			if tr.End.Retries != 0 {
				t.Errorf("asking for one less counts as a retry")
			}
		}
	}
	f := &llmtest.Fake{Dialect: "vllm", Rules: []llmtest.Rule{{Reply: llmtest.Play(s)}}}
	tr := llmtest.Collect(t, dialTo(t, f), context.Background(), request(false, 25))
	var e *llm.Error
	if !errors.As(tr.End.Err, &e) || e.Kind != llm.TopLogprobsTooLarge || !strings.Contains(e.Error(), "--max-logprobs") {
		t.Errorf("k = 25: %v", tr.End.Err)
	}
}

// What each dialect is told, field by field.
func TestRequestBodies(t *testing.T) {
	chat := llm.Request{Messages: []llm.Message{{Role: "user", Content: "<q>"}}, MaxTokens: 9, Temperature: 0.5, Seed: 1<<63 + 5, Stop: []string{"</T>"}, TopLogprobs: 4}
	raw := chat
	raw.Messages, raw.Prompt, raw.Rendered = nil, "<q>", true
	pre := chat
	pre.Messages = append(pre.Messages[:1:1], llm.Message{Role: "assistant", Content: "So"})
	type want map[string]any // nil: the field must be absent
	for _, c := range []struct {
		dialect, route string
		r              llm.Request
		want           want
	}{
		{"vllm", "/v1/chat/completions", chat, want{"logprobs": true, "top_logprobs": 5.0, "include_stop_str_in_output": true, "skip_special_tokens": nil, "max_tokens": 9.0, "top_k": -1.0, "top_p": 1.0, "n": nil}},
		{"vllm", "/v1/completions", raw, want{"logprobs": 4.0, "top_logprobs": nil, "return_tokens_as_token_ids": true, "skip_special_tokens": false, "add_special_tokens": false, "prompt": "<q>"}},
		{"vllm", "/v1/chat/completions", pre, want{"continue_final_message": true, "add_generation_prompt": false}},
		{"sglang", "/v1/chat/completions", chat, want{"separate_reasoning": false, "no_stop_trim": true, "top_logprobs": 4.0}},
		{"sglang", "/v1/completions", raw, want{"logprobs": 4.0, "no_stop_trim": true, "skip_special_tokens": false}},
		{"sglang", "/v1/chat/completions", pre, want{"continue_final_message": true}},
		{"llamacpp", "/v1/chat/completions", chat, want{"stop": nil, "logprobs": true, "top_logprobs": 4.0, "cache_prompt": true, "min_p": 0.0, "top_k": 0.0}},
		{"llamacpp", "/completion", raw, want{"n_predict": 9.0, "n_probs": 4.0, "stop": []any{"</T>"}, "max_tokens": nil, "cache_prompt": true}},
		{"ollama", "/v1/chat/completions", chat, want{"stop": nil, "top_logprobs": 4.0}},
		{"ollama", "/api/generate", raw, want{"raw": true, "stop": nil, "logprobs": true, "top_logprobs": 4.0, "max_tokens": nil}},
		{"openai", "/v1/chat/completions", chat, want{"stop": nil, "top_k": nil, "min_p": nil, "max_tokens": 9.0, "top_logprobs": 4.0}},
		{"openai", "/v1/completions", raw, want{"stop": nil, "logprobs": 4.0}},
	} {
		call, bad := dialects[c.dialect].request(&target{model: "m"}, &c.r)
		if bad != nil {
			t.Fatal(bad.words)
		}
		again, _ := dialects[c.dialect].request(&target{model: "m"}, &c.r)
		if string(again.body) != string(call.body) {
			t.Errorf("%s: equal requests are not equal bytes", c.dialect)
		}
		var got map[string]any
		if err := json.Unmarshal(call.body, &got); err != nil {
			t.Fatal(err)
		}
		if call.route != c.route || got["stream"] != true || !strings.Contains(string(call.body), "<q>") {
			t.Errorf("%s: %s %s", c.dialect, call.route, call.body)
		}
		for name, v := range c.want {
			g, there := got[name]
			if v == nil && there {
				t.Errorf("%s %s sends %s = %v", c.dialect, c.route, name, g)
			} else if v != nil && !equalJSON(g, v) {
				t.Errorf("%s %s: %s is %v; want %v", c.dialect, c.route, name, g, v)
			}
		}
	}
	reasoning, _ := dialects["openai"].request(&target{model: "o4-mini"}, &chat)
	if b := string(reasoning.body); !strings.Contains(b, `"max_completion_tokens":9`) || strings.Contains(b, `"max_tokens"`) {
		t.Errorf("to a reasoning model: %s", b)
	}
	topK := chat
	topK.TopK = 20
	for _, dialect := range []string{"openai", "ollama"} {
		for what, r := range map[string]llm.Request{"prefill": pre, "top_k": topK} {
			if _, bad := dialects[dialect].request(&target{model: "m"}, &r); bad == nil {
				t.Errorf("%s takes a %s, which it has no way to express", dialect, what)
			}
		}
	}
}

func equalJSON(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

func TestFoldSeed(t *testing.T) {
	for _, bits := range []uint{31, 32, 53, 63} {
		seen := map[uint64]uint64{}
		for i := range uint64(1000) {
			for _, seed := range []uint64{i, (i + 1) << 40, ^i} {
				v := foldSeed(seed, bits)
				if v >= 1<<bits-1 {
					t.Fatalf("seed %d folds to %d, which is no seed of %d bits", seed, v, bits)
				}
				seen[v] = seed
			}
			if v := foldSeed(i, bits); v != i {
				t.Fatalf("the small seed %d becomes %d", i, v)
			}
		}
		// Two of 3,000 meet by chance with probability 3000²/2/2³¹ = 0.2 %.
		if len(seen) != 3000 {
			t.Errorf("%d bits: 3000 seeds give %d", bits, len(seen))
		}
	}
}
