package server

import (
	"context"
	"crypto/rand"
	"time"

	"orrery/think/llm"
	"orrery/think/reason"
)

// Observer is told of requests as they think: a record of them, a page that shows
// them, measurements. Its methods are called from many requests at once.
type Observer interface {
	// Asked is called when a request has been read and its run begins, after it
	// waited for its place. Nil: this request is not watched.
	Asked(Asked) Watch
}

// Watch follows one request. Its methods are called one after the other, but for
// the generator's that Tap returns; none may block for long, because the model waits.
type Watch interface {
	// Tap is called once, first. It returns g, or a generator that sees what g makes.
	Tap(g llm.Generator) llm.Generator
	// Event is told each event of the run, in order. Its content is not changed later.
	Event(reason.Event)
	// Ended is called once, last, also of runs that panicked.
	Ended(Ended)
}

// WithID is a context whose request gets this id in place of a random one: a caller
// in the same process, such as the page, knows its request before it runs. It must
// not repeat.
func WithID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, idKey{}, id)
}

type idKey struct{}

// requestID is what WithID says, or a random id.
func requestID(ctx context.Context) string {
	if id, ok := ctx.Value(idKey{}).(string); ok {
		return id
	}
	return rand.Text()
}

// Accountant is an Observer that is told of all requests under /v1/, also of
// those that never ran.
type Accountant interface {
	// Finished is called once a request, last. Its context has what
	// Config.Middleware put there.
	Finished(context.Context, Finished)
}

// Finished says how a request came out, its reply included.
type Finished struct {
	ID           string
	Client       string // name of the API key; "" if none was needed, or the one sent is not known
	Remote       string // the client's address; "" for requests of this process
	Route        string // the pattern, such as "/v1/models/{id...}"
	Model        string // as it is called in the reply; "" if it is not known
	Method       string // "" if it is not known
	Reason       Reason
	Status       int    // HTTP status; 499 if the client left
	Code         string // of the error; "" if there was none
	Traces       int
	Tokens       int
	QueueSeconds float64 // waited for a place
	Ran          bool    // it got one
	Seconds      float64
}

// Asked is a request whose run begins.
type Asked struct {
	ID       string // as X-Request-Id says
	Time     time.Time
	Client   string // name of the API key; "" if none was needed
	Route    string // "/v1/chat/completions" or "/v1/completions"
	Model    string // plain name
	Method   string
	Question reason.Question
	Params   reason.Params
	Stream   bool
}

// Ended says how a request's run came out. The client may still be reading the reply.
type Ended struct {
	Time   time.Time
	Reason Reason         // the request's; Completed if a reply is ready to be sent
	Result *reason.Result // nil if there is none
	Error  string         // as the client is told; "" if there is a reply
}

// watch opens the watches of a run.
func (x *exchange) watch(a *asked) watches {
	var all watches
	asked := Asked{ID: x.id, Time: time.Now(), Client: x.client.called(), Route: x.r.URL.Path, Model: x.s.cfg.Generator.Info().Model, Method: a.method.Name(),
		Question: a.question, Params: a.params, Stream: a.stream}
	for _, o := range x.s.cfg.Observers {
		if w := o.Asked(asked); w != nil {
			all = append(all, w)
		}
	}
	return all
}

// watches are those of one run.
type watches []Watch

func (ws watches) tap(g llm.Generator) llm.Generator {
	for _, w := range ws {
		g = w.Tap(g)
	}
	return g
}

// events is f with the watches told first.
func (ws watches) events(f func(reason.Event)) func(reason.Event) {
	if len(ws) == 0 {
		return f
	}
	return func(e reason.Event) {
		for _, w := range ws {
			w.Event(e)
		}
		f(e)
	}
}

func (ws watches) ended(e Ended) {
	for _, w := range ws {
		w.Ended(e)
	}
}

// soFar is how a run came out that is about to return bad, or to panic.
func (x *exchange) soFar(res *reason.Result, bad *apiError) Ended {
	e := Ended{Time: time.Now(), Reason: x.reason, Result: res}
	switch {
	case bad != nil:
		e.Error = bad.Message
		if e.Reason == "" {
			e.Reason = bad.Reason
		}
	case e.Reason == "" && res == nil:
		e.Reason = ServerError
	case e.Reason == "":
		e.Reason = Completed
	}
	return e
}
