package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"orrery/think/llm"
	"orrery/think/llm/llmtest"
)

// canned is a transport whose every reply has the same body, read in pieces.
type canned struct {
	body   []byte
	pieces func(body []byte) [][]byte
	err    error // after the last byte
	status int
}

func (c *canned) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		io.Copy(io.Discard, r.Body)
	}
	pieces := [][]byte{c.body}
	if c.pieces != nil {
		pieces = c.pieces(c.body)
	}
	return &http.Response{StatusCode: or(c.status, 200), Header: http.Header{}, Body: io.NopCloser(&pieceReader{pieces, c.err})}, nil
}

type pieceReader struct {
	pieces [][]byte
	err    error
}

func (p *pieceReader) Read(b []byte) (int, error) {
	if len(p.pieces) == 0 {
		return 0, or(p.err, io.EOF)
	}
	n := copy(b, p.pieces[0])
	if p.pieces[0] = p.pieces[0][n:]; len(p.pieces[0]) == 0 {
		p.pieces = p.pieces[1:]
	}
	return n, nil
}

// request is a small chat or raw prompt.
func request(raw bool, k int, stop ...string) llm.Request {
	r := llm.Request{MaxTokens: 100, Temperature: 1, Seed: 1, TopLogprobs: k, Stop: stop, Label: "t"}
	if raw {
		r.Prompt = "Mars?"
	} else {
		r.Messages = []llm.Message{{Role: "user", Content: "Mars?"}}
	}
	return r
}

// record is the body that a fake sends for a request.
func record(t testing.TB, dialect string, reply llmtest.Reply, r llm.Request) []byte {
	t.Helper()
	f := &llmtest.Fake{Dialect: dialect, Rules: []llmtest.Rule{{Reply: reply}}}
	call, bad := dialects[dialect].request(&target{model: "fake"}, &r)
	if bad != nil {
		t.Fatal(bad.words)
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, httptest.NewRequest("POST", call.route, bytes.NewReader(call.body)))
	if w.Code != 200 {
		t.Fatalf("the fake says %d: %s", w.Code, w.Body)
	}
	return w.Body.Bytes()
}

func cannedClient(t testing.TB, dialect string, rt http.RoundTripper) *Client {
	t.Helper()
	c, err := New(Config{URL: "http://fake", Transport: rt, Dialect: dialect, Model: "fake", MaxParallel: 4, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// normal is what of a trace does not depend on time or on how text was cut
// into events.
func normal(tr llmtest.Trace) string {
	tr.Events = 0
	tr.End.FirstTokenSeconds, tr.End.QueueSeconds, tr.End.Warnings = 0, 0, nil
	end := fmt.Sprint(tr.End.Finish, tr.End.Matched, tr.End.Err, tr.End.Tokens, tr.End.Counted)
	return fmt.Sprint(tr.Text, tr.Tokens, tr.Usage, end)
}

// The whole normal form is the same wherever the body is split: inside
// characters, inside "data:", inside stop strings, in escapes.
func TestEverySplitPoint(t *testing.T) {
	script := llmtest.Say(2, "né ", "\xe4", "\xbd\xa0", "\"\\\n", "</T", "hread> x")
	script.Tokens[0].Channel = llm.Reasoning
	for _, dialect := range names {
		for _, raw := range []bool{false, true} {
			for _, how := range []struct {
				wire llmtest.Wire
				stop string
			}{
				{llmtest.Wire{}, "</Thread>"},
				{llmtest.Wire{CRLF: true, Comments: true, PerEvent: 3, NoLastBlank: true}, "never"},
			} {
				stop, wire := how.stop, how.wire
				r := request(raw, 2, stop)
				body := record(t, dialect, llmtest.Reply{Script: script, Wire: wire}, r)
				rt := &canned{body: body}
				c := cannedClient(t, dialect, rt)
				whole := llmtest.Collect(t, c, context.Background(), r)
				want := llm.FinishEOS
				if stop != "never" {
					want = llm.FinishStop
				}
				if whole.End.Finish != want {
					t.Fatalf("%s: unsplit, End is %+v", dialect, whole.End)
				}
				try := func(name string, pieces func([]byte) [][]byte) {
					rt.pieces = pieces
					if got := llmtest.Collect(t, c, context.Background(), r); normal(got) != normal(whole) {
						t.Fatalf("%s, raw %v, stop %q, %s:\n%s\nunsplit:\n%s", dialect, raw, stop, name, normal(got), normal(whole))
					}
				}
				for i := range body {
					try(fmt.Sprintf("split at %d", i), func(b []byte) [][]byte {
						return [][]byte{b[:i:i], b[i:]}
					})
				}
				try("byte by byte", func(b []byte) (out [][]byte) {
					for i := range b {
						out = append(out, b[i:i+1])
					}
					return out
				})
			}
		}
	}
}

// Cut anywhere, a stream is truncated, never malformed or complete, unless its
// finish reason had come.
func TestEveryCutPoint(t *testing.T) {
	script := llmtest.Say(2, "né ", "\xe4", "\xbd\xa0", "\"\\\n", "end")
	for _, dialect := range names {
		for _, raw := range []bool{false, true} {
			for _, cause := range []error{io.EOF, io.ErrUnexpectedEOF} {
				r := request(raw, 2)
				body := record(t, dialect, llmtest.Play(script), r)
				complete := bytes.Index(body, []byte(`"stop_type":"eos"`))
				for _, mark := range []string{`"finish_reason":"stop"`, `"done":true`} {
					complete = max(complete, bytes.Index(body, []byte(mark)))
				}
				complete += bytes.IndexByte(body[complete:], '\n') // the event's end
				for cut := range body {
					c := cannedClient(t, dialect, &canned{body: body[:cut], err: cause})
					tr := llmtest.Collect(t, c, context.Background(), r)
					text := tr.Text[llm.Answer]
					if !strings.HasPrefix(script.Text(llm.Answer), strings.TrimSuffix(text, "\uFFFD")) {
						t.Fatalf("%s cut at %d: text %q is not a beginning of the script's", dialect, cut, text)
					}
					if cut >= complete {
						if tr.End.Finish != llm.FinishEOS {
							t.Fatalf("%s cut at %d of %d, after the finish reason: End is %+v", dialect, cut, len(body), tr.End)
						}
						continue
					}
					var e *llm.Error
					if !errors.As(tr.End.Err, &e) {
						t.Fatalf("%s cut at %d of %d: End is %+v", dialect, cut, len(body), tr.End)
					}
					want := llm.StreamTruncated
					if cause != io.EOF && len(tr.Tokens) == 0 && text == "" {
						want = llm.Unreachable // a broken connection before the first token: may be tried again
					}
					if e.Kind != want || e.Tokens != len(tr.Tokens) {
						t.Fatalf("%s cut at %d of %d: %v with %d tokens; want %s with %d", dialect, cut, len(body), e, e.Tokens, want, len(tr.Tokens))
					}
				}
			}
		}
	}
}

// Equal scripts give equal normal forms whatever the dialect, once lists are
// sorted and cut to k as deepconf does.
func TestDialectsAgree(t *testing.T) {
	for seed := range uint64(20) {
		script := llmtest.Random(seed, llmtest.Shape{Tokens: 20, K: 5})
		var first string
		for _, dialect := range names {
			for _, raw := range []bool{false, true} {
				tr := llmtest.Collect(t, playing(t, dialect, func(uint64) llmtest.Script { return script }), context.Background(), request(raw, 5))
				for i := range tr.Tokens {
					tr.Tokens[i].Top = descending(tr.Tokens[i].Top)[:5]
					tr.Tokens[i].TopText = nil
				}
				tr.Usage.Prompt = 0 // templates differ
				if got := normal(tr); first == "" {
					first = got
				} else if got != first {
					t.Fatalf("seed %d: %s, raw %v gives\n%s\nthe others\n%s", seed, dialect, raw, got, first)
				}
			}
		}
	}
}

// FuzzFrames: whatever the bytes and however they are split, the parser ends,
// without panic, and gives the same frames.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("data: {\"a\":1}\r\n\r\n: c\n\ndata:x\ndata: y\nerror: {}\n\nevent: error\ndata: z\n\ndata: [done]"), uint64(1), false)
	f.Add([]byte("{\"a\":1}\n\n{\"b\":2}"), uint64(2), true)
	f.Fuzz(func(t *testing.T, body []byte, seed uint64, lines bool) {
		run := func(rng *rand.Rand) (out []string) {
			rest := body
			fr := newFrames(func(p []byte) (int, error) {
				if len(rest) == 0 {
					return 0, io.EOF
				}
				n := min(len(p), len(rest))
				if rng != nil {
					n = 1 + rng.IntN(n)
				}
				copy(p, rest[:n])
				rest = rest[n:]
				return n, nil
			}, lines)
			defer fr.close()
			for range len(body) + 2 { // each frame takes at least a byte
				kind, data, err := fr.next()
				if err != nil {
					return append(out, err.Error())
				}
				out = append(out, fmt.Sprint(kind, string(data)))
				if kind == frameDone {
					return out
				}
			}
			t.Fatalf("more frames than bytes: %q", out)
			return nil
		}
		whole, split := run(nil), run(rand.New(rand.NewPCG(seed, 0)))
		if !reflect.DeepEqual(whole, split) {
			t.Fatalf("body %q: unsplit %q, split %q", body, whole, split)
		}
	})
}

// FuzzStream: no event, however strange, makes a client panic or end a stream
// other than once.
func FuzzStream(f *testing.F) {
	for i, dialect := range names {
		f.Add(i, record(f, dialect, llmtest.Play(llmtest.Say(2, "a", "b")), request(i%2 == 0, 2)))
	}
	f.Add(0, []byte(`data: {"choices":[{"delta":{"content":"x"},"logprobs":{"content":[{"top_logprobs":[null,{}]},{}]}}]}`+"\n"))
	f.Add(1, []byte(`data: {"choices":[{"text":"x","logprobs":{"token_logprobs":[1,2],"top_logprobs":[null]}}]}`+"\n"))
	f.Fuzz(func(t *testing.T, which int, body []byte) {
		dialect := names[uint(which)%uint(len(names))]
		c := cannedClient(t, dialect, &canned{body: body})
		ends := 0
		for e := range c.Generate(context.Background(), request(which%2 == 0, 2)) {
			if e.Kind == llm.KindEnd {
				ends++
			}
			for range e.Token.TopText { // in range of its backing array
			}
		}
		if ends != 1 {
			t.Fatalf("%s, body %q: %d Ends", dialect, body, ends)
		}
	})
}
