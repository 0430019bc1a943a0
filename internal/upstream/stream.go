package upstream

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"time"

	"orrery/think/llm"
)

// What ends the wait for a server, as the cause of a stream's context.
var (
	errFirstToken = errors.New("no token in time")
	errIdle       = errors.New("silence")
	errGrace      = errors.New("no end after the finish reason")
)

const (
	// graceAfterFinish bounds the wait for usage and [DONE] once the server
	// has said why it finished: they are sent together in all five.
	graceAfterFinish = 5 * time.Second
	// graceForEnd bounds the wait for the last chunk of an ended body, which
	// lets the connection be used again.
	graceForEnd = 50 * time.Millisecond
	// silentTexts is how many pieces of answer text without any entry show
	// that the server gives none, so that a trace which no method can use is
	// not paid for to its end. Text runs ahead of entries by a few at most.
	silentTexts = 32
	// maxDecodeRate is a rate in tokens per second that no server decodes one
	// sequence at: what comes faster was held back somewhere.
	maxDecodeRate = 10_000
)

// stream is one trace: the attempts at it, and its reason for ending, which is
// written down once, when it is decided.
type stream struct {
	c      *Client
	t      *target
	ctx    context.Context // the caller's
	req    *llm.Request
	yield  func(llm.Event) bool
	broken bool // the consumer has left: never yield again

	route   string  // of the last attempt
	end     llm.End // the reason, once end.Finish is set
	stops   [2]*llm.Stops
	token   llm.Event // reused: its slices grow once
	entries int       // Token events
	listed  int       // alternatives in them
	bytes   int       // of text, held back ones included
	events  int       // of the server that carried content
	reduced bool      // fewer alternatives than asked for are exact
	silent  int       // pieces of answer text before any entry
	usage   llm.Usage

	sent, first, last time.Time // of the attempt: sent; first and last content
}

// attempt is one request and its reply.
type attempt struct {
	*stream
	call   *call
	ctx    context.Context // ends with the caller's, with a timeout, or when the attempt does
	cancel context.CancelCauseFunc
	timer  *time.Timer
	cause  error // what timer cancels with
	body   io.ReadCloser
	frames *frames
}

// once writes the reason down unless there is one. A context that has ended is
// the reason whatever else was about to be: so a cancel, a timeout and a
// server's end that race give the one that came first.
func (a *attempt) once(e llm.End) {
	if a.end.Finish != "" {
		return
	}
	if a.ctx.Err() != nil {
		e = a.ending()
	}
	a.end.Finish, a.end.Matched, a.end.Err = e.Finish, e.Matched, e.Err
}

// ending is the reason that an ended context gives.
func (a *attempt) ending() llm.End {
	switch context.Cause(a.ctx) {
	case errFirstToken:
		return llm.End{Finish: llm.FinishError, Err: a.error(llm.FirstTokenTimeout, "", errFirstToken)}
	case errIdle:
		return llm.End{Finish: llm.FinishError, Err: a.error(llm.IdleTimeout, "", errIdle)}
	}
	return llm.End{Finish: llm.FinishCancelled}
}

func (s *stream) error(kind llm.ErrorKind, words string, cause error) *llm.Error {
	return s.dress(s.c.fail(kind, "", words, cause))
}

// dress adds what the stream knows to an error.
func (s *stream) dress(e *llm.Error) *llm.Error {
	e.Label, e.Tokens = s.req.Label, s.entries
	if e.Route == "" && s.route != "" {
		e.Route = "POST " + s.route
	}
	return e
}

// try makes one attempt. It returns nil when the stream has its reason or its
// consumer has left.
func (s *stream) try() *fault {
	call, bad := s.t.dialect.request(s.t, s.req)
	if bad != nil {
		e := s.error(llm.BadRequest, bad.words, nil)
		e.Param, e.Remedy = bad.param, bad.remedy
		return &fault{err: e}
	}
	s.reduced = s.req.TopLogprobs > 0 && !call.exact
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	a := &attempt{stream: s, call: call, ctx: ctx, cancel: cancel}
	s.route = call.route
	route := "POST " + call.route
	req, err := s.c.newRequest(ctx, "POST", call.route, call.body)
	if err != nil {
		return &fault{err: s.c.fail(llm.BadRequest, route, "", err)}
	}
	if !call.lines {
		req.Header.Set("Accept", "text/event-stream")
	}
	s.sent, s.first, s.last = time.Now(), time.Time{}, time.Time{}
	a.cause = errFirstToken
	a.timer = time.AfterFunc(s.c.cfg.FirstTokenTimeout, func() { cancel(errFirstToken) })
	defer func() { a.timer.Stop() }()
	resp, err := s.c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			a.once(llm.End{})
			return nil
		}
		return s.c.connection(route, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		if ctx.Err() != nil {
			a.once(llm.End{})
			return nil
		}
		f := s.c.status(route, resp.StatusCode, resp.Header, body)
		f.asked = call.asked
		return f
	}
	a.body = resp.Body
	a.frames = newFrames(a.read, call.lines)
	defer a.frames.close()
	return a.consume()
}

// read reads the body with the clock running: the first-token timeout runs
// from sending, silence only while we wait, so that a slow consumer is not
// taken for a silent server.
func (a *attempt) read(p []byte) (int, error) {
	if a.ctx.Err() != nil {
		return 0, context.Cause(a.ctx)
	}
	if !a.first.IsZero() || a.end.Finish != "" {
		wait, cause := a.c.cfg.IdleTimeout, errIdle
		if a.end.Finish != "" {
			wait, cause = min(wait, graceAfterFinish), errGrace
		}
		if a.cause != cause {
			a.timer.Stop()
			a.cause = cause
			a.timer = time.AfterFunc(wait, func() { a.cancel(cause) })
		} else {
			a.timer.Reset(wait)
		}
		defer a.timer.Stop()
	}
	return a.body.Read(p)
}

// consume reads the reply to its end. A fault is returned only for what may be
// tried again; everything else becomes the reason.
func (a *attempt) consume() *fault {
	c := new(chunk)
	for {
		kind, data, err := a.frames.next()
		if err != nil {
			return a.ended(err)
		}
		switch kind {
		case frameDone:
			if a.end.Finish == "" {
				a.once(llm.End{Finish: llm.FinishError, Err: a.error(llm.StreamTruncated, "", errors.New("[DONE] without a finish reason"))})
			}
			a.drain()
			return nil
		case frameError:
			if f := a.reported(data); f != nil {
				return f
			}
			return nil
		}
		s := scanner{b: data}
		for !s.bad && s.peek() != 0 { // an event of several data lines may be several texts
			c.reset()
			if s.peek() != '{' {
				s.fail()
				break
			}
			a.call.decode(&s, c)
			if s.bad {
				break
			}
			if c.fault != nil {
				return a.reported(c.fault)
			}
			if !a.deliver(c) {
				return nil
			}
			if c.done {
				a.drain()
				return nil
			}
		}
		if s.bad {
			if a.frames.partial {
				return a.ended(a.frames.ended) // cut in the middle of an event
			}
			a.once(llm.End{Finish: llm.FinishError, Err: a.error(llm.MalformedEvent, string(data[:min(len(data), maxWords)]), nil)})
			return nil
		}
	}
}

// reported handles an error that the server sent as an event.
func (a *attempt) reported(body []byte) *fault {
	f := a.c.event("POST "+a.call.route, body)
	if f.retry && a.first.IsZero() && a.ctx.Err() == nil {
		return f
	}
	a.once(llm.End{Finish: llm.FinishError, Err: a.dress(f.err)})
	return nil
}

// ended handles the end of the body.
func (a *attempt) ended(err error) *fault {
	switch {
	case a.end.Finish != "":
		// The finish reason is written down already: what follows it changes nothing.
	case a.ctx.Err() != nil:
		a.once(llm.End{})
	case errors.Is(err, errNotSSE):
		return a.notStreaming(a.frames.rest(1 << 20))
	case errors.Is(err, errTooLong), errors.Is(err, errNoBytes):
		a.once(llm.End{Finish: llm.FinishError, Err: a.error(llm.MalformedEvent, "", err)})
	case !a.frames.known && len(a.frames.stray) > 0:
		return a.notStreaming(a.frames.stray)
	case !errors.Is(err, io.EOF) && a.first.IsZero():
		return a.c.connection("POST "+a.call.route, err)
	default:
		a.once(llm.End{Finish: llm.FinishError, Err: a.error(llm.StreamTruncated, "", err)})
	}
	return nil
}

// notStreaming handles a good status with a body that is no stream: an error
// in JSON, or something else altogether.
func (a *attempt) notStreaming(body []byte) *fault {
	if a.ctx.Err() != nil {
		a.once(llm.End{})
		return nil
	}
	s := scanner{b: body}
	if s.peek() == '{' {
		c := new(chunk)
		decodeOpenAI(&s, c)
		if !s.bad && c.fault != nil {
			return a.reported(c.fault)
		}
	}
	a.once(llm.End{Finish: llm.FinishError, Err: a.error(llm.NotStreaming, string(body[:min(len(body), maxWords)]), nil)})
	return nil
}

// drain reads the last bytes of an ended body, so that its connection can be
// used again. It waits for hardly anything.
func (a *attempt) drain() {
	a.timer.Stop()
	a.timer = time.AfterFunc(graceForEnd, func() { a.cancel(errGrace) })
	var rest [512]byte
	for range 8 {
		if _, err := a.body.Read(rest[:]); err != nil {
			return
		}
	}
}

// deliver hands one chunk on and reports whether to go on. Entries go before
// text, so that text which ends the stream does not lose the log-probabilities
// that came with it.
func (a *attempt) deliver(c *chunk) bool {
	if c.content() {
		now := time.Now()
		if a.first.IsZero() {
			a.first = now
			a.timer.Stop()
		}
		a.last = now
		a.events++
	}
	if !a.tokens(c) || !a.text(llm.Reasoning, c.reasoning) || !a.text(llm.Answer, c.text) {
		return false
	}
	if c.usage.Completion > 0 && c.usage != a.usage { // zero is Ollama's for "not yet"
		a.usage = c.usage
		if !a.send(llm.Event{Kind: llm.KindUsage, Usage: c.usage}) {
			return false
		}
	}
	if len(c.text) > 0 && a.entries == 0 && a.req.TopLogprobs > 0 {
		if a.silent++; a.silent >= silentTexts {
			a.once(llm.End{Finish: llm.FinishError, Err: a.error(llm.NoTopLogprobs, "", nil)})
			return false
		}
	}
	if c.finish != "" {
		finish, hit, ok := a.call.finish(c.finish, c.matched, a.req.Stop)
		if !ok {
			a.once(llm.End{Finish: llm.FinishError, Err: a.error(llm.StreamError, "the server ended the trace with \""+c.finish+"\"", nil)})
			return false
		}
		a.once(llm.End{Finish: finish, Matched: hit})
	}
	return true
}

func (a *attempt) tokens(c *chunk) bool {
	if len(c.entries) == 0 {
		return true
	}
	texts := c.topTexts(a.token.Token.TopText)
	a.token.Token.TopText = texts
	for _, e := range c.entries {
		a.entries++
		a.listed += e.hi - e.lo
		ev := llm.Event{Kind: llm.KindToken, Token: llm.Token{Logprob: e.logprob, Top: c.tops[e.lo:e.hi:e.hi]}}
		if len(texts) > 0 {
			ev.Token.TopText = texts[e.lo:e.hi:e.hi]
		}
		if !a.send(ev) {
			return false
		}
		if a.entries > a.req.MaxTokens { // a server that does not obey must not run for ever
			a.once(llm.End{Finish: llm.FinishLength})
			return false
		}
	}
	return true
}

// text passes text through its channel's matcher.
func (a *attempt) text(channel llm.Channel, text []byte) bool {
	if len(text) == 0 {
		return true
	}
	a.bytes += len(text)
	out, hit := a.stops[channel].Push(text)
	if len(out) > 0 && !a.send(llm.Event{Kind: llm.KindText, Channel: channel, Text: out}) {
		return false
	}
	if hit != "" {
		a.once(llm.End{Finish: llm.FinishStop, Matched: hit})
		return false
	}
	return true
}

// send yields an event; false if the consumer has left.
func (s *stream) send(e llm.Event) bool {
	if !s.broken && !s.yield(e) {
		s.broken = true
	}
	return !s.broken
}

// finite reports whether a float is a number that JSON can hold.
func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }
