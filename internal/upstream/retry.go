package upstream

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"orrery/think/llm"
)

const (
	retryBase = 500 * time.Millisecond
	retryCap  = 8 * time.Second
)

// backoff is the wait before attempt try+1: exponential, of which the second
// half is jitter, so that traces refused together do not come back together.
// Jitter comes from the trace's own seed: a run can be repeated.
func backoff(seed uint64, try int) time.Duration {
	d := min(retryBase<<try, retryCap)
	rng := rand.New(rand.NewPCG(seed, uint64(try)))
	return d/2 + time.Duration(rng.Int64N(int64(d/2)+1))
}

// run makes the trace: a place at the backend, attempts until one brings a
// token or none is left, and one End.
func (s *stream) run() {
	s.stops = [2]*llm.Stops{llm.NewStops(s.req.Stop...), llm.NewStops(s.req.Stop...)}
	release := func() {}
	defer func() { release() }() // also when the consumer panics
	s.generate(&release)
	release()
	release = func() {}
	for _, channel := range []llm.Channel{llm.Reasoning, llm.Answer} {
		if rest := s.stops[channel].Close(); len(rest) > 0 {
			s.send(llm.Event{Kind: llm.KindText, Channel: channel, Text: rest})
		}
	}
	if s.broken {
		return
	}
	s.account()
	s.send(llm.Event{Kind: llm.KindEnd, End: s.end})
}

func (s *stream) generate(release *func()) {
	if e := s.check(); e != nil {
		s.end = llm.End{Finish: llm.FinishError, Err: e}
		return
	}
	for try := 0; ; try++ {
		f := s.prepare(release)
		if f == nil {
			if s.end.Finish != "" {
				return
			}
			f = s.try()
			if f != nil && f.err.Kind == llm.TopLogprobsTooLarge && f.asked > s.req.TopLogprobs {
				// Only our extra one was too many: once more without it.
				s.t.refuse(f.asked)
				f = s.try()
			}
		}
		if f == nil || s.broken {
			return
		}
		if s.ctx.Err() != nil {
			s.end.Finish = llm.FinishCancelled
			return
		}
		if !f.retry || try >= s.c.cfg.Retries {
			s.end.Finish, s.end.Err = llm.FinishError, s.dress(f.err)
			return
		}
		wait := backoff(s.req.Seed, try)
		if f.after > 0 {
			wait = min(f.after, s.c.cfg.MaxRetryAfter)
		}
		if !sleep(s.ctx, wait) {
			s.end.Finish = llm.FinishCancelled
			return
		}
		s.end.Retries++
	}
}

// refuse remembers the smallest k that the server would not serve.
func (t *target) refuse(k int) {
	for {
		old := t.refusedK.Load()
		if old != 0 && old <= int64(k) || t.refusedK.CompareAndSwap(old, int64(k)) {
			return
		}
	}
}

// prepare finds out what the backend is and waits for a place at it, both
// once. If ctx ends meanwhile that is the reason.
func (s *stream) prepare(release *func()) *fault {
	if s.t != nil {
		return nil
	}
	t, f := s.c.resolve(s.ctx)
	if s.ctx.Err() != nil {
		s.end.Finish = llm.FinishCancelled
		return nil
	}
	if f != nil {
		return f
	}
	asked := time.Now()
	select {
	case t.places <- struct{}{}:
	case <-s.ctx.Done():
		s.end.Finish = llm.FinishCancelled
		s.end.QueueSeconds = time.Since(asked).Seconds()
		return nil
	}
	s.end.QueueSeconds = time.Since(asked).Seconds()
	*release = func() { <-t.places }
	s.t = t
	return nil
}

// check says what is wrong with a request before it costs anything.
func (s *stream) check() *llm.Error {
	bad := func(param, words, remedy string) *llm.Error {
		e := s.error(llm.BadRequest, words, nil)
		e.Param, e.Remedy = param, remedy
		return e
	}
	switch r := s.req; {
	case (len(r.Messages) > 0) == (r.Prompt != ""):
		return bad("messages", "a request has either messages or a raw prompt", "set exactly one of the two")
	case r.MaxTokens <= 0:
		return bad("max_tokens", "a request needs a limit on its tokens", "set max_tokens above 0")
	case !finite(r.Temperature) || r.Temperature < 0:
		return bad("temperature", "a temperature is a number from 0 up", "set temperature to 0 or more")
	case !finite(r.TopP) || r.TopP < 0 || r.TopP > 1:
		return bad("top_p", "top_p is a share", "set top_p between 0 and 1")
	case r.Thoughts != nil && *r.Thoughts != 0:
		return bad("thoughts", "servers' models think in text, not in hidden states", "leave the number of thoughts out")
	case r.TopK < 0 || r.TopLogprobs < 0:
		return bad("top_k", "top_k and top_logprobs count tokens", "set them to 0 or more")
	}
	return nil
}

// account fills in what the stream measured, and withdraws a good end that
// lacks the log-probabilities it was asked for.
func (s *stream) account() {
	e := &s.end
	asked := s.req.TopLogprobs > 0
	switch e.Finish {
	case llm.FinishEOS, llm.FinishLength, llm.FinishStop:
		if asked && s.listed == 0 && s.bytes+s.entries > 0 {
			e.Finish, e.Matched, e.Err = llm.FinishError, "", s.error(llm.NoTopLogprobs, "", errors.New("the stream brought no top log-probabilities"))
		}
	}
	switch {
	case s.usage.Completion > 0:
		e.Tokens, e.Counted = s.usage.Completion, llm.CountUsage
	case s.entries > 0:
		e.Tokens, e.Counted = s.entries, llm.CountEntries
	default:
		e.Tokens, e.Counted = (s.bytes+2)/3, llm.CountEstimate
	}
	if s.t == nil {
		return
	}
	wait, spread := s.first.Sub(s.sent), s.last.Sub(s.first)
	if !s.first.IsZero() {
		e.FirstTokenSeconds = wait.Seconds()
	}
	warn := func(w llm.Warning, on bool) {
		if on {
			e.Warnings = append(e.Warnings, w)
		}
	}
	warn(llm.WarnBasisAfterTemperature, asked && s.t.after.Load() == 2)
	warn(llm.WarnKReduced, s.reduced)
	warn(llm.WarnSerialised, s.t.parallel == 1)
	warn(llm.WarnLateAbort, s.t.late.Load())
	warn(llm.WarnBufferedUpstream, !s.first.IsZero() && e.Tokens >= 16 && wait >= 100*time.Millisecond &&
		spread.Seconds()*maxDecodeRate < float64(e.Tokens))
}

// sleep waits, and reports false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
