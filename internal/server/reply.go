package server

import (
	"net/http"

	"orrery/think/reason"
)

// orrery is the reply's "orrery" object: ask's, without the text, which the
// reply has already. The empty field hides the embedded one.
type orrery struct {
	*reason.Result
	Text *struct{} `json:"text,omitempty"`
}

// choice is the one answer of a reply.
type choice struct {
	Index    int          `json:"index"`
	Message  *chatMessage `json:"message,omitempty"` // of a chat
	Text     *string      `json:"text,omitempty"`    // of a completion
	Logprobs any          `json:"logprobs"`
	Finish   string       `json:"finish_reason"`
}

type chatMessage struct {
	Role      string  `json:"role"`
	Content   string  `json:"content"`
	Refusal   *string `json:"refusal"` // always null; OpenAI's clients call it required
	Reasoning string  `json:"reasoning_content,omitempty"`
}

// envelope is what every object of one reply begins with.
type envelope struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	Model   string `json:"model"`
}

func (x *exchange) envelope(a *asked) envelope {
	e := envelope{ID: "cmpl-" + x.id, Object: "text_completion", Created: x.start.Unix(), Model: a.model}
	if a.route == chat {
		e.ID, e.Object = "chatcmpl-"+x.id, "chat.completion"
		if a.stream {
			e.Object = "chat.completion.chunk"
		}
	}
	return e
}

// whole replies in one piece.
type whole struct {
	x   *exchange
	a   *asked
	tap *tap
}

func (w *whole) event(reason.Event) {}

func (w *whole) fail(e *apiError) { w.x.fail(e) }

func (w *whole) finish(o *outcome) {
	c := choice{Finish: o.finish, Logprobs: w.tap.logprobs(w.a, o.text)}
	if w.a.route == chat {
		c.Message = &chatMessage{Role: "assistant", Content: o.text, Reasoning: o.reasoning}
	} else {
		c.Text = &o.text
	}
	w.x.json(http.StatusOK, struct {
		envelope
		Choices []choice `json:"choices"`
		Usage   usage    `json:"usage"`
		Orrery  orrery   `json:"orrery"`
	}{w.x.envelope(w.a), []choice{c}, o.usage, orrery{Result: o.result}})
}
