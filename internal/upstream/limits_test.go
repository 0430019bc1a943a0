package upstream

import (
	"bytes"
	"context"
	"fmt"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"orrery/think/llm"
	"orrery/think/llm/llmtest"
)

// A line of 15 MiB is an event; one beyond 16 MiB is an error, and no more
// than that is kept.
func TestHugeEvents(t *testing.T) {
	event := func(size int) []byte {
		return []byte(`data: {"choices":[{"delta":{"content":"` + strings.Repeat("x", size) + `"},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n")
	}
	r := request(false, 0)
	tr := llmtest.Collect(t, cannedClient(t, "openai", &canned{body: event(15 << 20)}), context.Background(), r)
	if tr.End.Finish != llm.FinishEOS || len(tr.Text[0]) != 15<<20 {
		t.Errorf("15 MiB: %d bytes, End %+v", len(tr.Text[0]), tr.End)
	}
	tr = llmtest.Collect(t, cannedClient(t, "openai", &canned{body: event(17 << 20)}), context.Background(), r)
	if kindOf(tr.End) != llm.MalformedEvent {
		t.Errorf("17 MiB: End %+v", tr.End)
	}
	// Many lines of one event are bounded by the same measure.
	lines := bytes.Repeat([]byte("data: "+strings.Repeat(" ", 1<<20)+"1\n"), 17)
	tr = llmtest.Collect(t, cannedClient(t, "openai", &canned{body: lines}), context.Background(), r)
	if kindOf(tr.End) != llm.MalformedEvent {
		t.Errorf("17 lines of 1 MiB: End %+v", tr.End)
	}
}

// Events in the forms that servers have been seen to use.
func TestOddEvents(t *testing.T) {
	const fin = `{"choices":[{"delta":{},"finish_reason":"stop"}]}`
	text := func(s string) string { return fmt.Sprintf(`{"choices":[{"index":0,"delta":{"content":%q}}]}`, s) }
	for name, body := range map[string]string{
		"plain":                       "data: " + text("ab") + "\n\ndata: " + fin + "\n\ndata: [DONE]\n\n",
		"no blank after colon":        "data:" + text("ab") + "\n\ndata:" + fin + "\n\ndata:[DONE]\n\n",
		"one event of two data":       "data: " + text("a") + "\ndata: " + text("b") + "\n\ndata: " + fin + "\n",
		"JSON over two lines":         "data: {\"choices\":[{\"delta\":\ndata: {\"content\":\"ab\"}}]}\n\ndata: " + fin + "\n\n",
		"other fields":                "\ufeffid: 1\nevent: message\nretry: 5\nfoo: bar\ndata: " + text("ab") + "\n\n: x\n\ndata: " + fin + "\n\n",
		"empty data":                  "data:\n\ndata: \n\ndata: " + text("ab") + "\n\ndata: " + fin + "\n\n",
		"[done] in small":             "data: " + text("ab") + "\n\ndata: " + fin + "\n\ndata: [done]",
		"empty choices":               `data: {"choices":[]}` + "\n\ndata: " + text("ab") + "\n\ndata: " + fin + "\n\n" + `data: {"choices":[],"usage":null}` + "\n\n",
		"nulls":                       `data: {"error":null,"choices":[{"delta":{"role":"assistant","content":null,"reasoning":null},"logprobs":null,"finish_reason":""}]}` + "\n\ndata: " + text("ab") + "\n\ndata: " + fin + "\n\n",
		"error event's type is reset": "event: error\n\ndata: " + text("ab") + "\n\ndata: " + fin + "\n\n",
	} {
		tr := llmtest.Collect(t, cannedClient(t, "openai", &canned{body: []byte(body)}), context.Background(), request(false, 0))
		if tr.End.Finish != llm.FinishEOS || tr.Text[0] != "ab" {
			t.Errorf("%s: text %q, End %+v", name, tr.Text[0], tr.End)
		}
	}
	both := `data: {"choices":[{"delta":{"reasoning":"hm","reasoning_content":"hm","content":"ab"},"finish_reason":"stop"}]}` + "\n\n"
	if tr := llmtest.Collect(t, cannedClient(t, "vllm", &canned{body: []byte(both)}), context.Background(), request(false, 0)); tr.Text != [2]string{"ab", "hm"} {
		t.Errorf("reasoning under both of its names: %q", tr.Text)
	}
	for name, c := range map[string]struct {
		body string
		kind llm.ErrorKind
	}{
		"not JSON":          {"data: oops\n\n", llm.MalformedEvent},
		"a JSON string":     {"data: \"oops\"\n\n", llm.MalformedEvent},
		"half an event":     {"data: {\"choices\":\n\ndata: x\n\n", llm.MalformedEvent},
		"finish error":      {`data: {"choices":[{"delta":{},"finish_reason":"error"}]}` + "\n\n", llm.StreamError},
		"finish abort":      {`data: {"choices":[{"delta":{},"finish_reason":"abort"}]}` + "\n\n", llm.StreamError},
		"content filter":    {`data: {"choices":[{"delta":{},"finish_reason":"content_filter"}]}` + "\n\n", llm.StreamError},
		"old llama.cpp":     {"error: {\"code\":500,\"message\":\"slot gone\"}\n\n", llm.StreamError},
		"words":             {"upstream connect error\n", llm.NotStreaming},
		"words, no end":     {"upstream connect error", llm.NotStreaming},
		"nothing":           {"", llm.StreamTruncated},
		"comments only":     {": ping\n\n: ping\n\n", llm.StreamTruncated},
		"error with a code": {`data: {"error":{"message":"maximum context length is 5","code":400}}` + "\n\n", llm.ContextOverflow},
	} {
		tr := llmtest.Collect(t, cannedClient(t, "openai", &canned{body: []byte(c.body)}), context.Background(), request(false, 0))
		if kindOf(tr.End) != c.kind {
			t.Errorf("%s: End %+v; want %s", name, tr.End, c.kind)
		}
	}
}

// An overload told in the stream, before the first token, is tried again.
func TestRetryOfEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &llmtest.Fake{Dialect: "vllm", Rules: []llmtest.Rule{
			{Times: 1, Reply: llmtest.Reply{Fault: llmtest.Fault{Body: `data: {"error":{"message":"busy","code":503}}` + "\n\n"}}},
			{Reply: llmtest.Play(llmtest.Say(2, "x"))},
		}}
		if tr := llmtest.Collect(t, dialTo(t, f), t.Context(), request(false, 2)); tr.End.Finish != llm.FinishEOS || tr.End.Retries != 1 {
			t.Errorf("End %+v", tr.End)
		}
	})
}

// A trace that ended by itself leaves its connection for the next. On the fake
// clock, because the client waits for the last bytes of a reply for 50 ms, in
// which a busy machine may not send them.
func TestConnectionsAreReused(t *testing.T) {
	for _, dialect := range names {
		for _, raw := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				c := playing(t, dialect, func(uint64) llmtest.Script { return llmtest.Random(1, llmtest.Shape{K: 2}) })
				reused := 0
				ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
					if i.Reused {
						reused++
					}
				}})
				for range 4 {
					llmtest.Collect(t, c, ctx, request(raw, 2))
				}
				if reused != 3 {
					t.Errorf("%s, raw %v: %d of 3 later traces reuse a connection", dialect, raw, reused)
				}
			})
		}
	}
}

// A thousand streams at once, each paced at ten tokens a second on the fake
// clock: all end, none disturbs another.
func TestThousandStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &llmtest.Fake{Dialect: "vllm", Rules: []llmtest.Rule{{Make: func(c *llmtest.Call) llmtest.Reply {
			return llmtest.Reply{Script: llmtest.Words(2, fmt.Sprintf("trace %d says so", c.Seed)), Wire: llmtest.Wire{Delay: 100 * time.Millisecond, FirstDelay: time.Second}}
		}}}}
		g := dialTo(t, f, func(c *Config) { c.MaxParallel = 1000 })
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				r := request(false, 2)
				r.Seed = uint64(i)
				tr := llmtest.Collect(t, g, t.Context(), r)
				if want := fmt.Sprintf("trace %d says so", i); tr.Text[0] != want || tr.End.Finish != llm.FinishEOS {
					t.Errorf("trace %d: %q, End %+v", i, tr.Text[0], tr.End)
				}
			})
		}
		wg.Wait()
		if took := time.Since(start); took != 1300*time.Millisecond || f.Peak() != 1000 {
			t.Errorf("it took %v with %d at once; want 1.3 s with 1000", took, f.Peak())
		}
	})
}
