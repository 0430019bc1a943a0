package reason

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"orrery/think/answer"
	"orrery/think/llm"
	"orrery/think/vote"
)

// ProgressInterval is the least time between two TraceProgress events of one
// trace, except for the last.
const ProgressInterval = 100 * time.Millisecond

// plan is what a method asks of the engine: parameters with defaults filled in,
// and the rule to decide by.
type plan struct {
	method   string
	p        Params
	policy   vote.Policy
	k        int    // alternatives a token to ask for; 0 is none
	needK    bool   // without them there is no result
	stream   bool   // report text as it comes
	window   Window // as set
	warnings []Warning
}

// engine runs a plan. All of it belongs to the goroutine that called run; the
// goroutines of the traces only read their streams and hand events over.
type engine struct {
	plan
	g     llm.Generator
	q     Question
	info  llm.Info
	m     *vote.Machine
	emit  func(Event)
	start time.Time

	traces      []*stream
	messages    chan message
	inflight    int // streams that have not ended, stopped ones included
	concurrency int
	halted      bool
	warned      map[string]bool
	warnings    []Warning
	failed      int
	failure     error // the first error of a generator
}

// message hands one event of a stream over. The reader waits for ack, because
// an event's slices are valid only until the next is asked for, and because a
// decision to stop must reach the generator before it goes on.
type message struct {
	trace int
	event llm.Event
	ack   chan struct{} // nil: the stream has ended
}

func run(ctx context.Context, g llm.Generator, q Question, pl plan, emit func(Event)) (*Result, error) {
	if err := q.validate(); err != nil {
		return nil, err
	}
	if emit == nil {
		emit = func(Event) {}
	}
	e := &engine{plan: pl, g: g, q: q, info: g.Info(), emit: emit, start: time.Now(),
		messages: make(chan message), warned: map[string]bool{}, warnings: []Warning{}}
	e.prepare()
	e.m = vote.New(e.policy)
	e.emit(e.started())
	for _, w := range e.plan.warnings {
		e.warn(w.Code, w.Message)
	}
	e.loop(ctx)
	e.m.Settle()
	if err := e.error(); err != nil {
		e.emit(Failed{Error: err.Error()})
		return nil, err
	}
	r := e.result()
	e.emit(Answer{r})
	return r, nil
}

// prepare fits the plan to what the generator can do.
func (e *engine) prepare() {
	if most := e.info.TopLogprobs; e.k > 0 && most > 0 && most < e.k {
		e.plan.warnings = append(e.plan.warnings, Warning{"k_reduced",
			fmt.Sprintf("confidence: the server gives at most %d alternatives a token instead of %d, so confidences are not those of k = %d; raise its limit if it has one", most, e.k, e.k)})
		e.k = most
	}
	e.policy.Confidence.K = e.k
	e.concurrency = e.p.Concurrency
	if most := e.info.MaxParallel; most > 0 && (e.concurrency == 0 || most < e.concurrency) {
		e.concurrency = most
	}
	if e.concurrency == 0 {
		e.concurrency = DefaultConcurrency
	}
	if e.info.MaxParallel == 1 && e.p.Budget > 1 {
		e.plan.warnings = append(e.plan.warnings, Warning{string(llm.WarnSerialised),
			"the server runs one trace at a time, so traces wait for each other; give it more slots"})
	}
	if e.needK && e.info.Basis == llm.BasisAfter {
		e.plan.warnings = append(e.plan.warnings, Warning{string(llm.WarnBasisAfterTemperature),
			"confidence: the server takes log-probabilities after the temperature, so thresholds do not compare with those of other servers or temperatures"})
	}
}

func (e *engine) started() RunStarted {
	return RunStarted{Method: e.method, Model: e.info.Model, Backend: e.info.Backend, Budget: e.p.Budget,
		TokenBudget: e.p.TokenBudget, Warmup: e.policy.Warmup, Eta: positive(e.policy.Eta), Threshold: e.policy.Threshold,
		Window: e.window, K: e.k, Concurrency: e.concurrency, Seed: e.p.Seed}
}

// loop launches, waits and hands on until every stream has ended and nothing
// may be launched any more.
func (e *engine) loop(ctx context.Context) {
	var alarm <-chan time.Time
	var deadline time.Time
	if s := e.p.DeadlineSeconds; s > 0 {
		d := time.Duration(s * float64(time.Second))
		deadline = e.start.Add(d)
		timer := time.NewTimer(d)
		defer timer.Stop()
		alarm = timer.C
	}
	gone := ctx.Done()
	// Whoever asked, and the clock, come before whatever else is ready.
	outside := func() {
		switch {
		case e.halted:
		case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
			e.halt(vote.ClientCancelled)
		case ctx.Err() != nil, !deadline.IsZero() && !time.Now().Before(deadline):
			e.halt(vote.Deadline)
		}
		if e.halted {
			gone, alarm = nil, nil
		}
	}
	for {
		outside()
		e.effects()
		for e.inflight < e.concurrency {
			r, ok := e.m.Next()
			if !ok {
				break
			}
			e.launch(ctx, r)
		}
		if e.inflight == 0 {
			return
		}
		select {
		case msg := <-e.messages:
			outside()
			e.effects() // cancels, if that was the end
			e.handle(msg)
		case <-alarm:
		case <-gone:
		}
	}
}

func (e *engine) halt(reason vote.StopReason) {
	e.halted = true
	e.m.Halt(reason)
}

// launch starts a trace. Its context outlives the caller's: only effects
// cancels it, after the reason has been written down.
func (e *engine) launch(ctx context.Context, r *vote.Record) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &stream{rec: r, cancel: cancel, seed: TraceSeed(e.p.Seed, r.ID), started: time.Now()}
	s.shown = s.started
	e.traces = append(e.traces, s)
	e.inflight++
	e.emit(TraceStarted{Trace: r.ID, Phase: r.Phase, Seed: s.seed, MaxTokens: r.Cap, RetryOf: retryOf(r)})
	req := llm.Request{Messages: e.q.Messages, Prompt: e.q.Prompt, Stop: e.q.Stop,
		MaxTokens: r.Cap, Temperature: *e.p.Temperature, TopP: e.p.TopP, TopK: e.p.TopK, Thoughts: e.p.Thoughts,
		Seed: s.seed, TopLogprobs: e.k, Label: fmt.Sprintf("trace %d", r.ID)}
	events := e.g.Generate(ctx, req) // called in launch order, see Recorder
	go func() {
		ack := make(chan struct{})
		for ev := range events {
			e.messages <- message{r.ID, ev, ack}
			<-ack
		}
		e.messages <- message{trace: r.ID}
	}()
}

// handle takes one event of one stream, or its end.
func (e *engine) handle(msg message) {
	s := e.traces[msg.trace]
	if msg.ack == nil {
		s.cancel()
		s.finished = time.Now()
		e.inflight--
		if s.rec.Reason == vote.Running { // no End: the generator broke its promise
			e.fail(s, &llm.Error{Kind: llm.StreamTruncated, Backend: e.info.Backend, Label: fmt.Sprintf("trace %d", msg.trace),
				Tokens: s.rec.Tokens, Remedy: "the generator ended without saying why; this is a fault in it"})
		}
		return
	}
	switch ev := msg.event; ev.Kind {
	case llm.KindText:
		if s.rec.Reason == vote.Running {
			s.add(ev.Channel, ev.Text)
			e.progress(s, e.stream)
		}
	case llm.KindToken:
		s.entries++
		if e.k > 0 {
			e.m.Token(msg.trace, ev.Token.Top)
			s.measure()
		} else {
			e.m.Counted(msg.trace, max(s.entries, s.usage))
		}
		e.progress(s, false)
	case llm.KindThought:
		s.entries++
		if e.k > 0 {
			e.m.Token(msg.trace, nil) // generated, but nothing that confidence is defined on
		} else {
			e.m.Counted(msg.trace, max(s.entries, s.usage))
		}
		if s.rec.Reason == vote.Running {
			h := ev.Thought.Clone()
			s.thoughts = append(s.thoughts, h)
			e.emit(Thought{msg.trace, h})
		}
	case llm.KindUsage:
		s.usage = max(s.usage, ev.Usage.Completion)
		if e.k == 0 {
			e.m.Counted(msg.trace, max(s.entries, s.usage))
		}
	case llm.KindEnd:
		e.ended(s, ev.End)
	}
	if e.m.Overrun(msg.trace) || s.rec.Reason == vote.Running && s.oversized() {
		s.cancel() // the generator ignores its limit: this is the end that it should have made
		e.ended(s, llm.End{Finish: llm.FinishLength})
	}
	e.effects()
	msg.ack <- struct{}{}
}

// ended takes the end of a stream. If the trace was stopped before, its reason
// stands, and only the measurements count.
func (e *engine) ended(s *stream, end llm.End) {
	s.end = end
	for _, w := range end.Warnings {
		e.warn(string(w), warningText(w))
	}
	if s.rec.Reason != vote.Running {
		return
	}
	reason := vote.StopReason("")
	switch end.Finish {
	case llm.FinishEOS:
		reason = vote.EOS
	case llm.FinishStop:
		reason = vote.StopString
	case llm.FinishLength:
		reason = vote.Length
	default:
		err := end.Err
		if err == nil {
			err = fmt.Errorf("trace %d: the generator ended with %q although nobody cancelled it", s.rec.ID, end.Finish)
		}
		e.fail(s, err)
		return
	}
	tokens := 0
	if e.k == 0 {
		tokens = s.count()
	}
	ans := extract(e.info, s.text(), s.reasoning(), reason == vote.Length)
	e.flush(s)
	e.m.End(s.rec.ID, reason, ans, tokens)
	e.report(s)
}

// extract takes the answer out of a reply: "" if there is none. A latent model has
// its own way to write it, in which an answer that was cut off is none.
func extract(info llm.Info, text, reasoning string, cut bool) (ans string) {
	switch l := info.Latent; {
	case l != nil && cut:
	case l != nil:
		mark := strings.TrimSpace(l.Mark)
		if at := strings.LastIndex(text, mark); mark != "" && at >= 0 {
			text = text[at+len(mark):]
		} else if mark != "" {
			text = ""
		}
		ans = strings.TrimSpace(text)
	case cut:
		ans, _ = answer.ExtractTruncated(text, reasoning)
	default:
		ans, _ = answer.ExtractChannels(text, reasoning)
	}
	return ans
}

// fail takes the failure of a stream.
func (e *engine) fail(s *stream, err error) {
	s.err = err
	e.failed++
	if e.failure == nil {
		e.failure = err
	}
	again, fatal := true, false
	if le, ok := errors.AsType[*llm.Error](err); ok {
		fatal = hopeless(le.Kind)
		again = !fatal
	}
	e.partial(s)
	e.flush(s)
	e.m.Fail(s.rec.ID, again)
	e.report(s)
	if fatal && !e.halted {
		e.failure = err
		e.halt(vote.UpstreamError)
	}
}

// hopeless says whether every other trace of the run would fail alike.
func hopeless(k llm.ErrorKind) bool {
	switch k {
	case llm.TLS, llm.Auth, llm.ModelNotFound, llm.BadRequest, llm.ContextOverflow, llm.TopLogprobsTooLarge,
		llm.LogprobsUnsupported, llm.NoTopLogprobs, llm.NotStreaming:
		return true
	}
	return false
}

// partial reads the last complete box, if there is one, out of a trace that was
// cut: where a text breaks off, no other form of an answer can be trusted.
func (e *engine) partial(s *stream) {
	ans, ok := answer.Boxed(s.text())
	if !ok {
		ans, _ = answer.Boxed(s.reasoning())
	}
	e.m.SetAnswer(s.rec.ID, ans)
}

// effects carries out and reports what the state machine has decided.
func (e *engine) effects() {
	for _, f := range e.m.Effects() {
		switch f.Kind {
		case vote.DidStop:
			s := e.traces[f.Trace]
			s.cancel()
			if e.k == 0 {
				e.m.Estimated(f.Trace, s.count())
			}
			e.partial(s)
			e.flush(s)
			e.report(s)
		case vote.DidCalibrate:
			s, _ := e.m.Threshold()
			e.emit(Calibrated{S: s, Eta: e.policy.Eta, Window: e.m.Config().Window, N: e.calibrators()})
		case vote.DidVote:
			e.emit(e.vote())
		case vote.DidWarn:
			e.warn(f.Code, f.Message)
		}
	}
}

// calibrators counts the traces that s was made from.
func (e *engine) calibrators() (n int) {
	for _, r := range e.m.Records() {
		if r.Phase == vote.Warmup && r.Reason.Completed() && r.Measures.Scored > 0 {
			n++
		}
	}
	return n
}

// warn reports and keeps a warning, once a run for each code.
func (e *engine) warn(code, message string) {
	if e.warned[code] {
		return
	}
	e.warned[code] = true
	w := Warning{code, message}
	e.warnings = append(e.warnings, w)
	e.emit(w)
}

func warningText(w llm.Warning) string {
	switch w {
	case llm.WarnBasisAfterTemperature:
		return "confidence: the server takes log-probabilities after the temperature, so thresholds do not compare with those of other servers or temperatures"
	case llm.WarnKReduced:
		return "confidence: fewer alternatives a token than asked for are exact, so confidences are approximate"
	case llm.WarnSerialised:
		return "the server runs one trace at a time, so traces wait for each other; give it more slots"
	case llm.WarnLateAbort:
		return "the server goes on generating after a trace was stopped, so fewer tokens are saved than reported"
	case llm.WarnThoughtsUntrained:
		return "the model has more hidden thoughts here than it ever had in training"
	case llm.WarnBufferedUpstream:
		return "all tokens of a trace arrived at once, so nothing can be stopped in time; turn off buffering between here and the server"
	}
	return string(w)
}

// error is why there is no result, or nil.
func (e *engine) error() error {
	if e.failure == nil {
		return nil
	}
	le, ok := errors.AsType[*llm.Error](e.failure)
	if e.needK && ok && (le.Kind == llm.NoTopLogprobs || le.Kind == llm.LogprobsUnsupported) {
		return fmt.Errorf("method %s needs the log-probabilities of each token's alternatives: %w; or use method majority or single, which need none", e.method, e.failure)
	}
	if e.outcome().Kind == vote.ByNone {
		return fmt.Errorf("method %s: no trace could be completed and %d failed, first: %w", e.method, e.failed, e.failure)
	}
	return nil
}
