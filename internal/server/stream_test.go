package server

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"orrery/think/llm"
	"orrery/think/llm/llmtest"
	"orrery/think/reason"
)

func single(t testing.TB) reason.Method {
	m, err := reason.Lookup(plainMethod)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Every character below 0x3000, alone and between others: what encoding/json
// reads back is what it would have read of its own writing.
func TestAppendString(t *testing.T) {
	for r := rune(0); r < 0x3000; r++ {
		for _, text := range []string{string(r), "a" + string(r) + string(r) + "é"} {
			checkString(t, text)
		}
	}
	for b := range 256 { // bytes that are no characters
		checkString(t, string([]byte{byte(b)}))
		checkString(t, string([]byte{'a', byte(b), 0xe4, 0xbd, byte(b)}))
	}
}

func checkString(t *testing.T, text string) {
	t.Helper()
	raw := appendString(nil, text)
	var got, want string
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatalf("%q becomes %s: %v", text, raw, err)
	}
	std, _ := json.Marshal(text)
	json.Unmarshal(std, &want)
	if got != want {
		t.Fatalf("%q is read back as %q, and encoding/json gives %q", text, got, want)
	}
	if !utf8.Valid(raw) || strings.ContainsAny(string(raw), "\n\r\u2028\u2029") {
		t.Fatalf("%q becomes %q, which does not fit on one line of a stream", text, raw)
	}
}

func FuzzAppendString(f *testing.F) {
	f.Add("a\"b\\c\n\xff\u2028é🪐")
	f.Fuzz(func(t *testing.T, text string) { checkString(t, text) })
}

// The shape of a stream, event by event.
func TestStreamShape(t *testing.T) {
	sv := serve(t, Config{Generator: boxes("4")})
	got := sv.stream(`{"model": "m", "stream": true, "stream_options": {"include_usage": true}, ` + user + `}`)
	n := len(got.events)
	if n != 1+5+1+1 { // the role, five words, the end, the usage
		t.Fatalf("%d events: %+v", n, got)
	}
	first, last, usage := got.events[0], got.events[n-2], got.events[n-1]
	if d := first.Choices[0].Delta; d.Role != "assistant" || *d.Content != "" {
		t.Errorf("the first event is %+v", first)
	}
	for i, ev := range got.events {
		if ev.ID != first.ID || !strings.HasPrefix(ev.ID, "chatcmpl-") || ev.Object != "chat.completion.chunk" || ev.Created != first.Created || ev.Model != "m" {
			t.Errorf("event %d is of another reply: %+v", i, ev)
		}
		if ended := i >= n-2; !ended && (ev.Choices[0].FinishReason != nil || ev.Orrery != nil || ev.Usage != nil) {
			t.Errorf("event %d says more than its text: %+v", i, ev)
		}
	}
	if *last.Choices[0].FinishReason != "stop" || last.Orrery == nil || last.Choices[0].Delta.Content != nil {
		t.Errorf("the last choice is %+v", last)
	}
	if len(usage.Choices) != 0 || usage.Usage == nil || usage.Usage.Completion != 5 {
		t.Errorf("the usage is %+v", usage)
	}
	var o map[string]any
	json.Unmarshal(got.orrery, &o)
	if _, has := o["text"]; has || o["answer"] != "4" || o["version"] != 1.0 {
		t.Errorf("the orrery object is %s", got.orrery)
	}

	got = sv.stream(`{"model": "m", "stream": true, "prompt": "2+2="}`)
	if n := len(got.events); n != 5+1 || got.text != `so it is \boxed{4} .` || got.finish != "stop" || got.usage != nil || !got.done {
		t.Errorf("a completion streams as %+v", got)
	}
	for _, ev := range got.events {
		if !strings.HasPrefix(ev.ID, "cmpl-") || ev.Object != "text_completion" || ev.Choices[0].Delta != nil || ev.Choices[0].Text == nil {
			t.Errorf("an event of a completion is %+v", ev)
		}
	}
}

// Hidden reasoning of a single trace goes through in its own field; votes keep
// theirs to themselves.
func TestReasoning(t *testing.T) {
	script := llmtest.Words(1, `so \boxed{4}`)
	for i, text := range []string{"hm", " hm"} {
		script.Tokens = append(script.Tokens[:i:i], append([]llmtest.Token{{Text: text, Channel: llm.Reasoning}}, script.Tokens[i:]...)...)
	}
	sv := serve(t, Config{Generator: &llmtest.Scripted{Model: "m", Pick: func(llm.Request) llmtest.Script { return script }}})
	if got := sv.stream(`{"stream": true, ` + user + `}`); got.reasoning != "hm hm" || got.text != `so \boxed{4}` {
		t.Errorf("the stream says %+v", got)
	}
	if got := sv.stream(`{"stream": true, "orrery": {"budget": 2}, ` + vote + `}`); got.reasoning != "" || got.text != `so \boxed{4}` {
		t.Errorf("the streamed vote says %+v", got)
	}
	for body, want := range map[string]string{`{` + user + `}`: "hm hm", `{"orrery": {"budget": 2}, ` + vote + `}`: ""} {
		_, text, _ := sv.get("/v1/chat/completions", body)
		var r reply
		json.Unmarshal(text, &r)
		m := r.Choices[0].Message
		if got := m.ReasoningContent; m.Role != "assistant" || m.Content != `so \boxed{4}` || (got == nil) != (want == "") || got != nil && *got != want {
			t.Errorf("the reply is %s", text)
		}
	}
}

// What a long answer is cut into fits together again, between characters.
func TestLongAnswer(t *testing.T) {
	text := strings.Repeat("größer 三 🪐 ", 4000) + `\boxed{4}`
	sv := serve(t, Config{Generator: &llmtest.Scripted{Model: "m", Pick: func(llm.Request) llmtest.Script { return llmtest.Say(1, text) }}})
	got := sv.stream(`{"stream": true, "orrery": {"budget": 2}, ` + vote + `}`)
	if got.text != text || len(got.events) < len(text)/textPiece {
		t.Errorf("%d bytes in %d events came of %d", len(got.text), len(got.events), len(text))
	}
	_, body, _ := sv.get("/v1/chat/completions", `{"orrery": {"budget": 2}, `+vote+`}`)
	var r reply
	if json.Unmarshal(body, &r); r.Choices[0].Message.Content != text {
		t.Errorf("%d bytes came whole of %d", len(r.Choices[0].Message.Content), len(text))
	}
}

// Progress comes as lines of reasoning before the answer; without it, a long
// silence has comments in it.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &llmtest.Scripted{Model: "m", Delay: time.Second, Pick: func(r llm.Request) llmtest.Script {
			return llmtest.Words(20, strings.Repeat("hm ", 40)+`\boxed{4}`)
		}}
		sv := serve(t, Config{Generator: g})
		ask := `"stream": true, "model": "m@deepconf-high", ` + user
		got := sv.stream(`{"orrery": {"budget": 3, "warmup": 2, "consensus": false, "progress": true}, ` + ask + `}`)
		for _, words := range []string{
			"deepconf-high: at most 3 traces of m, 32 at once, 2 to calibrate on\n",
			"calibrated on 2 traces: confidence below ",
			"trace 2 finished after 41 tokens: 4\n",
			"4 leads with 100 % of 3 votes\n",
			"3 tokens in 2 traces\n",
		} {
			if !strings.Contains(got.reasoning, words) {
				t.Errorf("progress lacks %q:\n%s", words, got.reasoning)
			}
		}
		if got.text != strings.Repeat("hm ", 40)+`\boxed{4}` || got.comments != 0 {
			t.Errorf("with progress, the stream says %q, and %d comments", got.text, got.comments)
		}
		answered := false // and the answer after it
		for _, ev := range got.events[1:] {
			d := ev.Choices[0].Delta
			answered = answered || d.Content != nil
			if answered && d.ReasoningContent != nil {
				t.Errorf("progress after the answer: %+v", ev)
			}
		}
		got = sv.stream(`{"orrery": {"budget": 3, "warmup": 2, "consensus": false}, ` + ask + `}`)
		if got.comments != 5 || got.reasoning != "" { // every 15 s of 82
			t.Errorf("without progress, %d comments and %q", got.comments, got.reasoning)
		}
	})
}

// Lines are lines whatever a model puts into its answer.
func TestNarratorIsHarmless(t *testing.T) {
	n := &narrator{}
	n.line(reason.RunStarted{})
	evil := "4\n\x1b[2Jtrace 9 finished\x9b\x7f" + strings.Repeat("x", 500)
	for _, ev := range []reason.Event{
		reason.TraceFinished{Answer: &evil}, reason.Vote{Leader: &evil, Beta: new(float64)}, reason.Warning{Message: evil},
		reason.TraceFinished{Error: evil}, reason.TraceFinished{}, reason.TraceStopped{}, reason.Calibrated{},
	} {
		line := n.line(ev)
		if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") || strings.ContainsAny(line, "\x1b\x7f\u009b") || len(line) > 300 {
			t.Errorf("%T: %q", ev, line)
		}
	}
	for _, ev := range []reason.Event{reason.Vote{}, reason.Answer{}, reason.Failed{}, reason.TraceStarted{}} {
		if line := n.line(ev); line != "" {
			t.Errorf("%T: %q", ev, line)
		}
	}
}
