package upstream

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"math"
	"testing"

	"orrery/think/llm"
	"orrery/think/llm/llmtest"
)

// wideBody is a stream of 500 tokens with 20 alternatives each, as the fake
// puts it on the wire: about 1.5 kB a token.
func wideBody(b *testing.B, dialect string, r llm.Request) []byte {
	return record(b, dialect, wide(500), r)
}

func wide(tokens int) llmtest.Reply {
	return llmtest.Reply{Script: llmtest.Random(1, llmtest.Shape{Tokens: tokens, K: 21}), Fault: llmtest.Fault{MaxTop: -1}}
}

// rivalEvent is the same event for encoding/json, with nothing that we skip.
type rivalEvent struct {
	Choices []struct {
		Delta struct {
			Content   string `json:"content"`
			Reasoning string `json:"reasoning"`
		} `json:"delta"`
		Logprobs *struct {
			Content []struct {
				Logprob *float64 `json:"logprob"`
				Top     []struct {
					Token   string   `json:"token"`
					Logprob *float64 `json:"logprob"`
				} `json:"top_logprobs"`
			} `json:"content"`
		} `json:"logprobs"`
		Finish *string `json:"finish_reason"`
	} `json:"choices"`
	Usage *struct {
		Completion int `json:"completion_tokens"`
	} `json:"usage"`
	Error json.RawMessage `json:"error"`
}

// rival reads a chat stream with bufio.Scanner and encoding/json.
func rival(body []byte) (tokens, finish int, sum float64) {
	lines := bufio.NewScanner(bytes.NewReader(body))
	lines.Buffer(make([]byte, 64<<10), 16<<20)
	for lines.Scan() {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !ok || string(data) == "[DONE]" {
			continue
		}
		var e rivalEvent
		if json.Unmarshal(data, &e) != nil {
			return -1, 0, 0
		}
		for _, c := range e.Choices {
			if c.Logprobs != nil {
				for _, entry := range c.Logprobs.Content {
					tokens++
					for _, alt := range entry.Top {
						sum += *alt.Logprob
					}
				}
			}
			if c.Finish != nil {
				finish++
			}
		}
	}
	return tokens, finish, sum
}

// BenchmarkStream counts bytes of the body, from the reply's reader to events
// in the consumer's hands: parsing, decoding, stop strings and all. The rival
// does less: no stop strings, no events.
func BenchmarkStream(b *testing.B) {
	for _, c := range []struct {
		name    string
		dialect string
		raw     bool
	}{
		{"vllm chat", "vllm", false}, {"vllm completions", "vllm", true}, {"llamacpp completion", "llamacpp", true},
	} {
		r := request(c.raw, 20, "</Thread>", "</Outlines>")
		r.MaxTokens = 1000
		body := wideBody(b, c.dialect, r)
		b.Run(c.name, func(b *testing.B) {
			g := cannedClient(b, c.dialect, &canned{body: body})
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				tokens, sum := 0, 0.0
				for e := range g.Generate(context.Background(), r) {
					if e.Kind == llm.KindToken {
						tokens++
						for _, p := range e.Token.Top {
							sum += p
						}
					}
					if e.Kind == llm.KindEnd && e.End.Finish != llm.FinishEOS {
						b.Fatal(e.End.Err)
					}
				}
				if tokens != 500 || sum == 0 {
					b.Fatalf("%d tokens, sum %v", tokens, sum)
				}
			}
		})
	}
	r := request(false, 20)
	r.MaxTokens = 1000
	body := wideBody(b, "vllm", r)
	b.Run("rival encoding-json", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			if tokens, finish, _ := rival(body); tokens != 500 || finish != 1 {
				b.Fatalf("%d tokens", tokens)
			}
		}
	})
}

// The rival and the client read the same numbers, so that the benchmark
// compares equals.
func TestRivalAgrees(t *testing.T) {
	r := request(false, 20)
	r.MaxTokens = 1000
	body := record(t, "vllm", wide(100), r)
	tokens, _, want := rival(body)
	got := 0.0
	tr := llmtest.Collect(t, cannedClient(t, "vllm", &canned{body: body}), context.Background(), r)
	for _, tok := range tr.Tokens {
		for _, p := range tok.Top {
			got += p
		}
	}
	if len(tr.Tokens) != tokens || math.Float64bits(got) != math.Float64bits(want) {
		t.Errorf("%d tokens with sum %v; encoding/json reads %d with %v", len(tr.Tokens), got, tokens, want)
	}
}
