package llmtest

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"unicode/utf8"

	"orrery/think/llm"
)

// shape is the form of a route's events.
type shape uint8

const (
	shapeChat     shape = iota // /v1/chat/completions
	shapeText                  // /v1/completions
	shapeNative                // llama.cpp's /completion
	shapeGenerate              // Ollama's /api/generate
)

func shapeOf(f *Fake, c *Call) shape {
	switch c.Path {
	case "/v1/completions":
		return shapeText
	case "/completion":
		return shapeNative
	case "/api/generate":
		return shapeGenerate
	}
	return shapeChat
}

// lines reports whether events are lines of JSON instead of server-sent ones.
func (s shape) lines() bool { return s == shapeGenerate }

// sink writes a body as Wire and Fault.CutAfter say.
type sink struct {
	w     http.ResponseWriter
	flush http.Flusher
	wire  *Wire
	rng   *rand.Rand
	cut   int
	sent  int
	dirty bool
}

// started sends the header, so that a client knows it is being served.
func (s *sink) started() {
	s.w.WriteHeader(http.StatusOK)
	s.dirty = true
	s.sync()
}

func (s *sink) sync() {
	if s.flush != nil && s.dirty {
		s.flush.Flush()
		s.dirty = false
	}
}

// write sends bytes, flushing where the wire says. At CutAfter the connection
// is closed: net/http does that, without a word, for this panic.
func (s *sink) write(b []byte) {
	for len(b) > 0 {
		n := len(b)
		for _, at := range s.wire.SplitAt {
			if at > s.sent && at-s.sent < n {
				n = at - s.sent
			}
		}
		if s.rng != nil {
			n = 1 + s.rng.IntN(n)
		}
		if s.cut > 0 && s.sent+n >= s.cut {
			s.w.Write(b[:s.cut-s.sent])
			s.dirty = true
			s.sync()
			panic(http.ErrAbortHandler)
		}
		s.w.Write(b[:n])
		s.dirty = true
		s.sent += n
		b = b[n:]
		if len(b) > 0 {
			s.sync()
		}
	}
}

func (s *sink) line(text string) {
	end := "\n"
	if s.wire.CRLF {
		end = "\r\n"
	}
	s.write([]byte(text + end))
}

// send sends one event, and flushes.
func (p *player) send(data []byte) {
	if p.shape.lines() {
		p.sink.write(append(data, '\n'))
		p.sink.sync()
		return
	}
	p.field("data: ", data)
	p.sink.line("")
	p.sink.sync()
}

func (p *player) field(name string, data []byte) {
	if p.sink.wire.Comments {
		p.sink.line(": ping")
		p.sink.line("")
	}
	line := append([]byte(name), data...)
	p.sink.line(string(line))
}

// flushEvent sends what has gathered as one event; Ollama splits one with both
// reasoning and answer in two, with all entries on the first.
func (p *player) flushEvent(int) {
	part := &p.part
	if lag := p.reply.Fault.Lag; lag > 0 || len(p.lag) > 0 {
		text := append(p.lag, part.text[llm.Answer]...)
		cut := max(0, len(text)-lag)
		for cut > 0 && cut < len(text) && !utf8.RuneStart(text[cut]) {
			cut--
		}
		part.text[llm.Answer], p.lag = text[:cut:cut], slices.Clone(text[cut:])
	}
	if len(part.text[0])+len(part.text[1])+len(part.entries) == 0 {
		return
	}
	if p.f.Dialect == "ollama" && p.shape == shapeChat && len(part.text[0]) > 0 && len(part.text[1]) > 0 {
		first := *part
		first.text[llm.Answer] = nil
		p.send(p.render(&first))
		part.text[llm.Reasoning], part.entries = nil, nil
	}
	p.send(p.render(part))
	part.text[0], part.text[1], part.entries = part.text[0][:0], part.text[1][:0], part.entries[:0]
}

// head is the event that only names the role.
func (p *player) head() []byte {
	content := `""`
	if p.f.Dialect == "llamacpp" {
		content = "null"
	}
	b := p.open("chat.completion.chunk")
	return append(b, `"choices":[{"index":0,"delta":{"role":"assistant","content":`+content+`},"logprobs":null,"finish_reason":null}]}`...)
}

// open begins an event of OpenAI's shape.
func (p *player) open(object string) []byte {
	b := append(p.event[:0], `{"id":"cmpl-`...)
	b = strconv.AppendInt(b, int64(p.call.N), 10)
	b = append(b, `","object":"`+object+`","created":0,"model":`...)
	b = appendString(b, p.f.model())
	return append(b, ',')
}

// render writes an event.
func (p *player) render(part *part) []byte {
	text, reasoning := part.text[llm.Answer], part.text[llm.Reasoning]
	var b []byte
	switch p.shape {
	case shapeChat:
		b = append(p.open("chat.completion.chunk"), `"choices":[{"index":0,"delta":{`...)
		if len(reasoning) > 0 && p.f.Dialect != "openai" {
			name := `"reasoning_content":`
			if p.f.Dialect == "vllm" || p.f.Dialect == "ollama" {
				name = `"reasoning":`
			}
			b = appendString(append(b, name...), string(reasoning))
			b = append(b, ',')
		}
		b = appendString(append(b, `"content":`...), string(text))
		b = append(b, `},"logprobs":`...)
		b = p.chatLogprobs(b, part.entries)
		b = append(b, `,"finish_reason":null}]`...)
	case shapeText:
		b = append(p.open("text_completion"), `"choices":[{"index":0,"text":`...)
		b = appendString(b, string(text))
		b = append(b, `,"logprobs":`...)
		if p.f.Dialect == "llamacpp" || p.f.Dialect == "ollama" {
			b = p.chatLogprobs(b, part.entries)
		} else {
			b = p.textLogprobs(b, part.entries)
		}
		b = append(b, `,"finish_reason":null}]`...)
	case shapeNative:
		b = append(p.event[:0], `{"index":0,"content":`...)
		b = appendString(b, string(text))
		b = append(b, `,"tokens":[],"stop":false,"id_slot":-1,"tokens_predicted":1,"tokens_evaluated":1`...)
		if len(part.entries) > 0 {
			b = p.list(append(b, `,"completion_probabilities":`...), part.entries)
		}
	case shapeGenerate:
		b = appendString(append(p.event[:0], `{"model":`...), p.f.model())
		b = append(b, `,"created_at":"2026-01-01T00:00:00Z","response":`...)
		b = appendString(b, string(text))
		if len(reasoning) > 0 {
			b = appendString(append(b, `,"thinking":`...), string(reasoning))
		}
		b = append(b, `,"done":false`...)
		if len(part.entries) > 0 {
			b = p.list(append(b, `,"logprobs":`...), part.entries)
		}
	}
	if p.reply.Fault.ZeroUsage && (p.shape == shapeChat || p.shape == shapeText) {
		b = append(b, `,"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}`...)
	}
	p.event = append(b, '}')
	return p.event
}

func (p *player) chatLogprobs(b []byte, entries []*Token) []byte {
	if len(entries) == 0 {
		return append(b, "null"...)
	}
	b = p.list(append(b, `{"content":`...), entries)
	return append(b, '}')
}

// list writes entries in chat's form.
func (p *player) list(b []byte, entries []*Token) []byte {
	b = append(b, '[')
	for i, t := range entries {
		if i > 0 {
			b = append(b, ',')
		}
		b = p.entry(b, t.Text, t.Logprob)
		b = append(b, `,"top_logprobs":[`...)
		for j, alt := range p.top(t) {
			if j > 0 {
				b = append(b, ',')
			}
			b = append(p.entry(b, alt.Text, alt.Logprob), '}')
		}
		b = append(b, "]}"...)
	}
	return append(b, ']')
}

// entry opens {"token", "logprob", "bytes"}, with an id where the server has it.
func (p *player) entry(b []byte, text string, logprob float64) []byte {
	b = append(b, '{')
	if p.f.Dialect == "llamacpp" {
		b = append(strconv.AppendInt(append(b, `"id":`...), tokenID(text), 10), ',')
	}
	b = appendString(append(b, `"token":`...), text)
	b = appendNumber(append(b, `,"logprob":`...), logprob)
	b = append(b, `,"bytes":[`...)
	for i := range len(text) {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(text[i]), 10)
	}
	return append(b, ']')
}

// top is the list that this server sends for a token.
func (p *player) top(t *Token) []Alt {
	top, k := t.Top, p.call.TopLogprobs
	if p.reply.Fault.Scaled {
		top = scaled(top, p.call.Temperature)
	}
	if t.Verbatim {
		return top
	}
	if p.f.Dialect != "vllm" {
		return top[:min(k, len(top))]
	}
	// vLLM: the sampled token first, then the ranks, each once.
	out := []Alt{{t.Text, t.Logprob}}
	for i, alt := range top[:min(k, len(top))] {
		if alt.Text != t.Text || alt.Logprob != t.Logprob {
			out = append(out, top[i])
		} else {
			out[0] = alt
		}
	}
	if p.shape == shapeChat {
		out = out[:min(k, len(out))]
	}
	return out
}

// textLogprobs writes completions' parallel lists. Alternatives of equal text
// fall on one key unless ids were asked for.
func (p *player) textLogprobs(b []byte, entries []*Token) []byte {
	if len(entries) == 0 {
		return append(b, "null"...)
	}
	b = append(b, `{"tokens":[`...)
	for i, t := range entries {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, t.Text)
	}
	b = append(b, `],"token_logprobs":[`...)
	for i, t := range entries {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendNumber(b, t.Logprob)
	}
	b = append(b, `],"top_logprobs":[`...)
	for i, t := range entries {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		keys := map[string]bool{}
		for rank, alt := range p.top(t) {
			key := alt.Text
			if p.call.ids && p.f.Dialect == "vllm" {
				key = "token_id:" + strconv.Itoa(rank)
			}
			if keys[key] {
				continue
			}
			if len(keys) > 0 {
				b = append(b, ',')
			}
			keys[key] = true
			b = appendString(b, key)
			b = appendNumber(append(b, ':'), alt.Logprob)
		}
		b = append(b, '}')
	}
	return append(b, `],"text_offset":[]}`...)
}

// tokenID stands in for a vocabulary: FNV-1a over the text.
func tokenID(text string) int64 {
	h := uint32(2166136261)
	for i := range len(text) {
		h = (h ^ uint32(text[i])) * 16777619
	}
	return int64(h % 150_000)
}

// finish sends the end as the dialect tells it.
func (p *player) finish(finish llm.Finish, matched string) {
	fault := &p.reply.Fault
	n := p.call.Sent
	if fault.NoFinish {
		if p.shape != shapeGenerate && p.shape != shapeNative && !fault.NoDone {
			p.done()
		}
		return
	}
	word := "stop"
	if finish == llm.FinishLength {
		word = "length"
	}
	switch p.shape {
	case shapeChat, shapeText:
		delta, object := `"delta":{},`, "chat.completion.chunk"
		if p.shape == shapeText {
			delta, object = `"text":"",`, "text_completion"
		}
		b := append(p.open(object), `"choices":[{"index":0,`+delta+`"logprobs":null,"finish_reason":"`+word+`"`...)
		switch p.f.Dialect {
		case "vllm":
			b = appendMatch(append(b, `,"stop_reason":`...), matched, "null")
		case "sglang":
			b = appendMatch(append(b, `,"matched_stop":`...), matched, "151645")
		}
		p.send(append(b, "}]}"...))
		if !fault.NoUsage {
			b = append(p.open(object), `"choices":[],"usage":`...)
			p.send(append(p.usage(b, n), '}'))
		}
		if !fault.NoDone {
			p.done()
		}
	case shapeNative:
		kind := map[llm.Finish]string{llm.FinishEOS: "eos", llm.FinishLength: "limit", llm.FinishStop: "word"}[finish]
		b := append(p.event[:0], `{"index":0,"content":"","stop":true,"stop_type":"`+kind+`","stopping_word":`...)
		b = appendString(b, matched)
		b = append(b, `,"truncated":false`...)
		if !fault.NoUsage {
			b = strconv.AppendInt(append(b, `,"tokens_predicted":`...), int64(n), 10)
			b = strconv.AppendInt(append(b, `,"tokens_evaluated":`...), int64(len(p.call.Prompt)), 10)
		}
		p.last(append(b, '}'))
	case shapeGenerate:
		b := appendString(append(p.event[:0], `{"model":`...), p.f.model())
		b = append(b, `,"response":"","done":true,"done_reason":"`+word+`"`...)
		if !fault.NoUsage {
			b = strconv.AppendInt(append(b, `,"prompt_eval_count":`...), int64(len(p.call.Prompt)), 10)
			b = strconv.AppendInt(append(b, `,"eval_count":`...), int64(n), 10)
		}
		p.last(append(b, '}'))
	}
	p.sink.sync()
}

// last sends the last event of a route without [DONE].
func (p *player) last(data []byte) {
	if p.shape.lines() || !p.sink.wire.NoLastBlank {
		p.send(data)
		return
	}
	p.field("data: ", data)
}

// done sends [DONE].
func (p *player) done() {
	p.field("data: ", []byte("[DONE]"))
	if !p.sink.wire.NoLastBlank {
		p.sink.line("")
	}
}

func (p *player) usage(b []byte, n int) []byte {
	prompt := len(p.call.Prompt)
	if p.reply.Fault.ZeroUsage {
		prompt, n = 0, 0
	}
	b = strconv.AppendInt(append(b, `{"prompt_tokens":`...), int64(prompt), 10)
	b = strconv.AppendInt(append(b, `,"completion_tokens":`...), int64(n), 10)
	b = strconv.AppendInt(append(b, `,"total_tokens":`...), int64(prompt+n), 10)
	return append(b, '}')
}

// fail tells of an error in the form that the script wants.
func (p *player) fail() {
	fault := &p.reply.Fault
	words := fault.ErrorWords
	if words == "" {
		words = "the engine died"
	}
	quoted := string(appendString(nil, words))
	object := `{"message":` + quoted + `,"type":"InternalServerError"}`
	switch fault.Error {
	case ErrorData:
		p.send([]byte(`{"error":` + object + `}`))
		if !p.shape.lines() {
			p.done()
		}
	case ErrorText:
		p.send([]byte(`{"error":` + quoted + `}`))
	case ErrorField:
		p.field("error: ", []byte(object))
		p.sink.line("")
	case ErrorEvent:
		p.sink.line("event: error")
		p.field("data: ", []byte(object))
		p.sink.line("")
	}
	p.sink.sync()
}

// appendMatch writes a met stop string, or what the server says without one.
func appendMatch(b []byte, matched, otherwise string) []byte {
	if matched == "" {
		return append(b, otherwise...)
	}
	return appendString(b, matched)
}

// appendNumber writes a float; NaN is null.
func appendNumber(b []byte, v float64) []byte {
	if math.IsNaN(v) {
		return append(b, "null"...)
	}
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}

// appendString writes a JSON string.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			quoted, _ := json.Marshal(s) // cannot fail: it is a string
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}
