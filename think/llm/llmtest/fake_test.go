package llmtest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"math"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"orrery/think/llm"
)

// post sends a request to a fake and returns its reply.
func post(t *testing.T, ctx context.Context, rt http.RoundTripper, path, body string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, "POST", "http://fake"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

const chatBody = `{"model":"fake","messages":[{"role":"user","content":"hello"}],"max_tokens":50,"stream":true}`

// Gates: a test decides how many tokens are out.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &Fake{Dialect: "vllm", Rules: []Rule{{Reply: Reply{Script: Words(0, "a b c d"), Wire: Wire{Gate: true}}}}}
		resp := post(t, t.Context(), f.Transport(t), "/v1/chat/completions", chatBody)
		seen := 0
		go func() {
			lines := bufio.NewScanner(resp.Body)
			for lines.Scan() {
				if strings.Contains(lines.Text(), `"content":" `) || strings.Contains(lines.Text(), `"content":"a`) {
					seen++
				}
			}
		}()
		for want, m := 0, 0; m < 3; m++ {
			synctest.Wait()
			if seen != want || f.Calls()[0].Sent != want {
				t.Fatalf("%d tokens are seen, %d sent; %d were released", seen, f.Calls()[0].Sent, want)
			}
			f.Release(0, m)
			want += m
		}
		f.Release(0, 1)
		synctest.Wait()
		if c := f.Calls()[0]; seen != 4 || !c.Ended || c.Left {
			t.Fatalf("%d tokens seen, call %+v", seen, c)
		}
	})
}

// Slots: at most so many at once, in any dialect; who leaves in the queue is
// noted; the common prefix with earlier prompts is counted.
func TestSlotsAndPrefixes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &Fake{Dialect: "llamacpp", Slots: 2, Rules: []Rule{{Reply: Reply{Script: Words(0, "a b"), Wire: Wire{FirstDelay: time.Second}}}}}
		rt := f.Transport(t)
		done := make(chan time.Duration, 5)
		start := time.Now()
		for i := range 4 {
			go func() {
				resp := post(t, t.Context(), rt, "/completion", fmt.Sprintf(`{"prompt":"same %d","n_predict":2}`, i))
				io.Copy(io.Discard, resp.Body)
				done <- time.Since(start)
			}()
			synctest.Wait()
		}
		var took []time.Duration
		for range 4 {
			took = append(took, <-done)
		}
		if want := []time.Duration{1e9, 1e9, 2e9, 2e9}; !reflect.DeepEqual(took, want) || f.Peak() != 2 {
			t.Errorf("four of 1 s in two slots took %v, peak %d", took, f.Peak())
		}
		for i, c := range f.Calls() {
			if want := min(i, 1) * len("same "); c.Prefix != want {
				t.Errorf("call %d shares %d bytes; want %d", i, c.Prefix, want)
			}
		}
	})
}

// Splits change flushes, never bytes; a cut ends the body where it says.
func TestWireKeepsTheBytes(t *testing.T) {
	read := func(w Wire, fault Fault) ([]byte, error) {
		f := &Fake{Dialect: "sglang", Rules: []Rule{{Reply: Reply{Script: Random(1, Shape{Tokens: 5, Fragments: true}), Wire: w, Fault: fault}}}}
		resp := post(t, context.Background(), f.Transport(t), "/v1/chat/completions", chatBody)
		return io.ReadAll(resp.Body)
	}
	whole, err := read(Wire{}, Fault{})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []Wire{{SplitSeed: 1}, {SplitSeed: 2}, {SplitAt: []int{1, 2, 77}}} {
		if got, err := read(w, Fault{}); err != nil || !bytes.Equal(got, whole) {
			t.Errorf("%+v: other bytes, %v", w, err)
		}
	}
	crlf, _ := read(Wire{CRLF: true}, Fault{})
	if !bytes.Equal(bytes.ReplaceAll(crlf, []byte("\r\n"), []byte("\n")), whole) {
		t.Error("CRLF changes more than line ends")
	}
	for _, cut := range []int{1, 100, len(whole) - 1} {
		if got, err := read(Wire{}, Fault{CutAfter: cut}); err != io.ErrUnexpectedEOF || !bytes.Equal(got, whole[:cut]) {
			t.Errorf("cut after %d: %d bytes and %v", cut, len(got), err)
		}
	}
	f := &Fake{Dialect: "openai", Rules: []Rule{{Reply: Reply{Recorded: []byte("data: as recorded\n\n")}}}}
	resp := post(t, context.Background(), f.Transport(t), "/v1/chat/completions", chatBody)
	if b, _ := io.ReadAll(resp.Body); string(b) != "data: as recorded\n\n" {
		t.Errorf("a recorded body comes as %q", b)
	}
}

// Rules: the first that fits and is not used up.
func TestRules(t *testing.T) {
	f := &Fake{Dialect: "openai", Rules: []Rule{
		{When: Nth(0), Reply: Reply{Fault: Fault{Body: "nth"}}},
		{When: PromptEnds("lo"), Times: 1, Reply: Reply{Fault: Fault{Body: "prompt"}}},
		{When: Seed(3), Make: func(c *Call) Reply { return Reply{Fault: Fault{Body: fmt.Sprint("seed ", c.MaxTokens)}} }},
	}}
	rt := f.Transport(t)
	for i, want := range []string{"nth", "prompt", "seed 50", "seed 50"} {
		resp := post(t, context.Background(), rt, "/v1/chat/completions", strings.Replace(chatBody, "{", `{"seed":3,`, 1))
		if b, _ := io.ReadAll(resp.Body); string(b) != want {
			t.Errorf("request %d gets %q; want %q", i, b, want)
		}
	}
	if resp := post(t, context.Background(), rt, "/v1/chat/completions", chatBody); resp.StatusCode != 400 {
		t.Errorf("without a rule: status %d", resp.StatusCode)
	}
}

// Random scripts: repeatable, sorted, proper, and of whole characters in sum.
func TestRandom(t *testing.T) {
	for seed := range uint64(50) {
		shape := Shape{Tokens: 40, K: 7, Reasoning: 5, Fragments: true, Rare: true}
		s := Random(seed, shape)
		if !reflect.DeepEqual(s, Random(seed, shape)) {
			t.Fatal("equal seeds give different scripts")
		}
		if !utf8.ValidString(s.Text(llm.Answer)) || !utf8.ValidString(s.Text(llm.Reasoning)) {
			t.Errorf("seed %d: the text is no UTF-8", seed)
		}
		for _, tok := range s.Tokens {
			sum, texts := 0.0, map[string]bool{}
			for i, alt := range tok.Top {
				sum += math.Exp(alt.Logprob)
				texts[alt.Text] = true
				if i > 0 && alt.Logprob > tok.Top[i-1].Logprob {
					t.Errorf("seed %d: alternatives are not sorted", seed)
				}
			}
			if len(tok.Top) != 7 || len(texts) != 7 || sum >= 1 {
				t.Errorf("seed %d: %d alternatives, %d texts, total probability %v", seed, len(tok.Top), len(texts), sum)
			}
		}
	}
}

// complaints is a testing.TB that collects what is wrong.
type complaints struct {
	testing.TB
	lines []string
}

func (c *complaints) Helper()                           {}
func (c *complaints) Error(args ...any)                 { c.lines = append(c.lines, fmt.Sprint(args...)) }
func (c *complaints) Errorf(format string, args ...any) { c.Error(fmt.Sprintf(format, args...)) }

// events is a generator of given events.
type events []llm.Event

func (e events) Info() llm.Info { return llm.Info{} }
func (e events) Generate(context.Context, llm.Request) iter.Seq[llm.Event] {
	return func(yield func(llm.Event) bool) {
		for _, x := range e {
			if !yield(x) {
				return
			}
		}
	}
}

// Collect finds each breach of the contract.
func TestCollectComplains(t *testing.T) {
	end := llm.Event{Kind: llm.KindEnd, End: llm.End{Finish: llm.FinishEOS}}
	text := func(s string) llm.Event { return llm.Event{Kind: llm.KindText, Text: []byte(s)} }
	for _, c := range []struct {
		name string
		in   events
		want string // "": no complaint
	}{
		{"good", events{text("é"), end}, ""},
		{"no end", events{text("a")}, "has no End"},
		{"two ends", events{end, end}, "came after End"},
		{"text after end", events{end, text("a")}, "came after End"},
		{"half a character", events{text("\xc3"), text("\xa9"), end}, "part of a character"},
		{"empty text", events{text(""), end}, "is empty"},
		{"probability above 1", events{{Kind: llm.KindToken, Token: llm.Token{Logprob: 0.5}}, end}, "above 0"},
		{"texts missing", events{{Kind: llm.KindToken, Token: llm.Token{Top: []float64{-1, -2}, TopText: []string{"a"}}}, end}, "1 texts"},
		{"unknown kind", events{{Kind: 9}, end}, "unknown kind"},
		{"unknown finish", events{{Kind: llm.KindEnd}}, "is unknown"},
		{"stop of its own", events{{Kind: llm.KindEnd, End: llm.End{Finish: llm.FinishStop, Matched: "x"}}}, "none of the stop strings"},
		{"untyped error", events{{Kind: llm.KindEnd, End: llm.End{Finish: llm.FinishError, Err: io.EOF}}}, "no *llm.Error"},
		{"nameless error", events{{Kind: llm.KindEnd, End: llm.End{Finish: llm.FinishError, Err: &llm.Error{}}}}, "does not name its trace"},
		{"match without stop", events{{Kind: llm.KindEnd, End: llm.End{Finish: llm.FinishEOS, Matched: "x"}}}, "do not belong"},
	} {
		var got complaints
		Collect(&got, c.in, context.Background(), llm.Request{Label: "l"})
		all := strings.Join(got.lines, "; ")
		if (c.want == "") != (all == "") || !strings.Contains(all, c.want) {
			t.Errorf("%s: complaints %q; want %q", c.name, all, c.want)
		}
	}
}
