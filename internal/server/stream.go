package server

import (
	"bytes"
	"encoding/json"
	"net/http"
	"time"
	"unicode/utf8"

	"orrery/think/reason"
)

// textPiece is how much text one event carries at most, where it did not come
// from the model in pieces.
const textPiece = 8 << 10

// stream replies with server-sent events. Nothing is sent before there is
// something to say, so that what fails before has an HTTP status of its own.
type stream struct {
	x   *exchange
	a   *asked
	tap *tap

	single   bool
	narrator *narrator // nil: no progress is shown
	head     []byte    // what each event begins with, up to the delta
	buf      []byte    // the event being made
	last     time.Time // of the last event
}

func newStream(x *exchange, a *asked, t *tap) *stream {
	s := &stream{x: x, a: a, tap: t, single: reason.OneTrace(a.method), last: x.start}
	if a.progress {
		s.narrator = &narrator{}
	}
	head, err := json.Marshal(x.envelope(a))
	if err != nil {
		panic(err) // strings and a number
	}
	s.head = append(append([]byte("data: "), head[:len(head)-1]...), `,"choices":[{"index":0,`...)
	return s
}

// open begins the reply, if it has not begun.
func (s *stream) open() {
	if s.x.status != 0 {
		return
	}
	h := s.x.w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	s.x.header(http.StatusOK, "text/event-stream", -1)
	if s.a.route == chat {
		s.buf = append(append(s.buf, s.head...), `"delta":{"role":"assistant","content":""},"finish_reason":null}]}`+"\n\n"...)
	}
}

// send hands what was made to the client.
func (s *stream) send() {
	s.x.write(s.buf)
	s.buf = s.buf[:0]
	s.last = time.Now()
}

// delta makes an event that carries text in a field of the delta. It is the
// path that every token of a single trace takes.
func (s *stream) delta(field, text string, logprobs any) {
	s.open()
	b := append(s.buf, s.head...)
	if s.a.route == chat {
		b = append(append(append(b, `"delta":{"`...), field...), `":`...)
		b = append(appendString(b, text), '}')
	} else {
		b = appendString(append(b, `"text":`...), text)
	}
	if logprobs != nil {
		if lp, err := json.Marshal(logprobs); err == nil {
			b = append(append(b, `,"logprobs":`...), lp...)
		}
	}
	s.buf = append(b, `,"finish_reason":null}]}`+"\n\n"...)
}

// thought makes an event of a hidden thought: an empty delta, which every client
// passes over, and the thought in the orrery object.
func (s *stream) thought(h reason.Thought) {
	held, err := json.Marshal(h.Thought)
	if err != nil {
		panic(err) // numbers and a string
	}
	s.delta("content", "", nil)
	s.buf = append(bytes.TrimSuffix(s.buf, []byte("}\n\n")), `,"orrery":{"thought":`...)
	s.buf = append(append(s.buf, held...), "}}\n\n"...)
}

// event implements replier.
func (s *stream) event(ev reason.Event) {
	if s.x.broken {
		return
	}
	if h, ok := ev.(reason.Thought); ok && s.single {
		s.thought(h)
	}
	p, progress := ev.(reason.TraceProgress)
	if progress && s.single {
		if p.Reasoning != "" && s.a.route == chat {
			s.delta("reasoning_content", p.Reasoning, nil)
		}
		if p.Text != "" {
			s.delta("content", p.Text, s.tap.logprobs(s.a, p.Text))
		}
	}
	if s.narrator != nil {
		if line := s.narrator.line(ev); line != "" {
			s.delta("reasoning_content", line, nil)
		}
	}
	if progress && len(s.buf) == 0 && time.Since(s.last) >= s.x.s.cfg.Heartbeat { // only while tokens come: an error keeps its status
		s.open()
		s.buf = append(s.buf, ": thinking\n\n"...)
	}
	if len(s.buf) > 0 {
		s.send()
	}
}

// finish implements replier: the answer, unless it has streamed already, the
// event that says why it ended, the usage, and the end.
func (s *stream) finish(o *outcome) {
	s.open()
	for text := o.text; !s.single && text != "" && !s.x.broken; {
		n := len(text)
		if n > textPiece {
			for n = textPiece; !utf8.RuneStart(text[n]); n-- {
			}
		}
		s.delta("content", text[:n], nil)
		s.send()
		text = text[n:]
	}
	type lastChoice struct {
		Index    int       `json:"index"`
		Delta    *struct{} `json:"delta,omitempty"`
		Text     *string   `json:"text,omitempty"`
		Logprobs any       `json:"logprobs"`
		Finish   string    `json:"finish_reason"`
	}
	c := lastChoice{Finish: o.finish, Logprobs: s.tap.logprobs(s.a, "")} // of tokens without text, such as the last
	if s.a.route == chat {
		c.Delta = &struct{}{}
	} else {
		c.Text = new(string)
	}
	type end struct {
		envelope
		Choices []lastChoice `json:"choices"`
		Usage   *usage       `json:"usage,omitempty"`
		Orrery  *orrery      `json:"orrery,omitempty"`
	}
	e := s.x.envelope(s.a)
	s.data(end{envelope: e, Choices: []lastChoice{c}, Orrery: &orrery{Result: o.result}})
	if s.a.usage {
		s.data(end{envelope: e, Choices: []lastChoice{}, Usage: &o.usage})
	}
	s.done()
}

// fail implements replier. Once the reply has begun, the error is an event.
func (s *stream) fail(e *apiError) {
	if s.x.status == 0 || e == errGone {
		s.x.fail(e)
		return
	}
	s.x.fail(e) // writes down why; the status has gone out
	s.data(e.body())
	s.done()
}

// data makes an event of a value.
func (s *stream) data(v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic("server: an event does not encode: " + err.Error())
	}
	s.buf = append(append(append(s.buf, "data: "...), body...), "\n\n"...)
}

// done ends the stream.
func (s *stream) done() {
	s.buf = append(s.buf, "data: [DONE]\n\n"...)
	s.send()
}

const hexDigits = "0123456789abcdef"

// appendString appends text as a JSON string. Bytes that are no character
// become U+FFFD, as encoding/json does it; unlike there, nothing is escaped
// that need not be. U+2028 and U+2029 are, since some clients split lines at
// them.
func appendString(b []byte, text string) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			b = append(b, text[from:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, `\n`...)
			default:
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			from = i
			continue
		}
		r, n := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && n == 1 || r == '\u2028' || r == '\u2029' {
			b = append(b, text[from:i]...)
			switch r {
			case '\u2028':
				b = append(b, `\u2028`...)
			case '\u2029':
				b = append(b, `\u2029`...)
			default:
				b = append(b, `\ufffd`...)
			}
			from = i + n
		}
		i += n
	}
	return append(append(b, text[from:]...), '"')
}
