package server

import (
	"context"
	"errors"
	"net/http"

	"orrery/think/llm"
	"orrery/think/reason"
)

// Why a run's context ended, besides the client's leaving.
var (
	errCut  = errors.New("the server ended")
	errLost = errors.New("the client takes no more")
)

// runContext is a run's context. When the server cuts it short its Err is that
// of a deadline, which to the run it is: so the result says "deadline" and not
// that the client, who still waits, had cancelled.
type runContext struct{ context.Context }

func (c runContext) Err() error {
	err := c.Context.Err()
	if err != nil && context.Cause(c.Context) == errCut {
		return context.DeadlineExceeded
	}
	return err
}

// replier hands a run's outcome to the client. [whole] does so in one piece,
// [stream] bit by bit.
type replier interface {
	event(reason.Event) // as they happen
	finish(*outcome)    // the run has a result
	fail(*apiError)     // it has none
}

// ask serves a request that makes tokens.
func (x *exchange) ask(rt route) {
	var limited *apiError
	if x.allowance, limited = x.s.allow(x, x.client); limited != nil {
		x.fail(limited)
		return
	}
	defer x.allowance.end()
	if err := x.s.ticket(); err != nil {
		x.fail(err)
		return
	}
	defer func() { <-x.s.tickets }()
	a, bad := x.read(rt)
	if bad != nil {
		x.fail(bad)
		return
	}
	x.model, x.method = a.model, a.method.Name()
	g := x.s.cfg.Generator
	if several, ok := g.(llm.Grouper); ok {
		g = several.Group()
	}
	t := newTap(g, a.logprobs)
	var out replier = &whole{x: x, a: a, tap: t}
	if a.stream {
		out = newStream(x, a, t)
	}
	o, bad := x.run(a, t, out)
	if bad != nil {
		out.fail(bad)
		return
	}
	out.finish(o)
	x.end(Completed)
}

// run waits for a place and runs the method. The place is free again when run
// returns, before a slow client has taken the whole reply.
func (x *exchange) run(a *asked, t *tap, out replier) (o *outcome, bad *apiError) {
	release, bad := x.s.place(x)
	if bad != nil {
		return nil, bad
	}
	defer release()
	var res *reason.Result
	defer func() {
		x.allowance.charge(t.used())
		x.allowance.end()
	}()
	watched := x.watch(a)
	defer func() { watched.ended(x.soFar(res, bad)) }()
	ctx, cancel := context.WithCancelCause(x.r.Context())
	defer cancel(nil)
	defer context.AfterFunc(x.s.cut, func() { cancel(errCut) })()
	x.lost = func() { cancel(errLost) }
	res, err := a.method.Run(runContext{ctx}, watched.tap(t.generator()), a.question, a.params, watched.events(out.event))
	if res != nil {
		x.tokens, x.traces = res.Tokens.Used, res.Launched
	}
	switch cut := context.Cause(ctx) == errCut; {
	case x.broken:
		return nil, errGone // why is written down already
	case err != nil && cut:
		return nil, errCutShort()
	case err != nil && x.r.Context().Err() != nil, res != nil && res.StoppedBy == "client_cancelled":
		return nil, errGone
	case err != nil:
		return nil, fromRun(err)
	case reason.OneTrace(a.method) && len(res.Traces) == 1 && res.Traces[0].StopReason == "upstream_error":
		return nil, fromRun(t.failure()) // a text that breaks off is no answer, even if there is a box in it
	case res.StoppedBy == "deadline" && cut:
		x.end(Drained)
		return newOutcome(a, t, res, errCutShort())
	case res.StoppedBy == "deadline":
		x.end(Deadline)
		return newOutcome(a, t, res, &apiError{Status: http.StatusGatewayTimeout, Reason: Deadline, Type: typeServer, Code: "deadline_exceeded",
			Param: "deadline_seconds", Message: "the deadline passed before any trace had an answer; raise deadline_seconds or lower max_tokens"})
	case res.StoppedBy == "upstream_error":
		x.end(UpstreamError) // with what had completed before; the result's warnings say so
	}
	return newOutcome(a, t, res, nil)
}

func errCutShort() *apiError {
	e := errDraining()
	e.Reason, e.Message = Drained, "this server ended before there was an answer; ask another replica, or try again when it is back"
	return e
}

// outcome is a result as a reply tells it.
type outcome struct {
	result    *reason.Result
	text      string
	reasoning string // hidden reasoning of a single trace
	finish    string // OpenAI's word: "stop" or "length"
	usage     usage
}

// newOutcome makes a reply's content of a result. Where there is nothing to
// say, none is what went wrong; nil: an empty reply is a true one.
func newOutcome(a *asked, t *tap, res *reason.Result, none *apiError) (*outcome, *apiError) {
	o := &outcome{result: res, finish: "stop"}
	from := res.Winner
	if reason.OneTrace(a.method) && len(res.Traces) > 0 {
		from = &res.Traces[0].ID
		o.reasoning = res.Traces[0].Reasoning
	}
	ended := res.StoppedBy
	if from != nil {
		o.text, ended = res.Traces[*from].Text, string(res.Traces[*from].StopReason)
	}
	if o.text == "" && res.Answer != nil && !reason.OneTrace(a.method) {
		o.text = *res.Answer // it was found in the hidden reasoning
	}
	if o.text == "" && o.reasoning == "" && none != nil {
		return nil, none
	}
	switch ended {
	case "length", "token_budget", "deadline", "client_cancelled":
		o.finish = "length"
	}
	made := res.Tokens.Used + res.Tokens.AfterStop
	asked := t.promptTokens() * res.Launched
	o.usage = usage{Prompt: asked, Completion: made, Total: asked + made}
	return o, nil
}

// usage counts what the generator worked on, all traces together.
type usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
}
