package upstream

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"orrery/think/llm"
	"orrery/think/llm/llmtest"
)

func rules(r ...llmtest.Reply) []llmtest.Rule {
	var out []llmtest.Rule
	for _, reply := range r {
		out = append(out, llmtest.Rule{Reply: reply})
	}
	return out
}

func kindOf(e llm.End) llm.ErrorKind {
	var typed *llm.Error
	errors.As(e.Err, &typed)
	if typed == nil {
		return ""
	}
	return typed.Kind
}

// Timeouts on the fake clock, to the second.
func TestTimeouts(t *testing.T) {
	words := llmtest.Words(2, "one two three four")
	for _, c := range []struct {
		name  string
		wire  llmtest.Wire
		fault llmtest.Fault
		kind  llm.ErrorKind
		after time.Duration
		count int
	}{
		{"no first token", llmtest.Wire{}, llmtest.Fault{HangAfter: -1}, llm.FirstTokenTimeout, 600 * time.Second, 0},
		{"comments are no token", llmtest.Wire{}, llmtest.Fault{HangAfter: -1, Beat: 10 * time.Second}, llm.FirstTokenTimeout, 600 * time.Second, 0},
		{"silence", llmtest.Wire{}, llmtest.Fault{HangAfter: 2}, llm.IdleTimeout, 120 * time.Second, 2},
		{"slow but alive", llmtest.Wire{FirstDelay: 599 * time.Second, Delay: 119 * time.Second}, llmtest.Fault{}, "", (599 + 3*119) * time.Second, 4},
		{"late first token", llmtest.Wire{FirstDelay: 601 * time.Second}, llmtest.Fault{}, llm.FirstTokenTimeout, 600 * time.Second, 0},
		{"a gap", llmtest.Wire{Delay: 121 * time.Second}, llmtest.Fault{}, llm.IdleTimeout, 120 * time.Second, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &llmtest.Fake{Dialect: "vllm", Rules: rules(llmtest.Reply{Script: words, Wire: c.wire, Fault: c.fault})}
				g := dialTo(t, f)
				start := time.Now()
				tr := llmtest.Collect(t, g, t.Context(), request(false, 2))
				if took := time.Since(start); took != c.after {
					t.Errorf("it took %v; want %v", took, c.after)
				}
				if kindOf(tr.End) != c.kind || len(tr.Tokens) != c.count {
					t.Errorf("%d tokens, End %+v; want %d and %q", len(tr.Tokens), tr.End, c.count, c.kind)
				}
				if first := c.wire.FirstDelay.Seconds(); c.kind == "" && tr.End.FirstTokenSeconds != first {
					t.Errorf("the first token took %v s; want %v", tr.End.FirstTokenSeconds, first)
				}
				if n := len(f.Calls()); n != 1 {
					t.Errorf("%d requests: a timeout is not tried again", n)
				}
			})
		})
	}
}

// Comments reset silence, although they are no tokens.
func TestCommentsResetSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &llmtest.Fake{Dialect: "vllm", Rules: rules(llmtest.Reply{
			Script: llmtest.Words(2, "one two"), Fault: llmtest.Fault{HangAfter: 1, Beat: 100 * time.Second},
		})}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if tr := llmtest.Collect(t, dialTo(t, f), ctx, request(false, 2)); tr.End.Finish != llm.FinishCancelled {
			t.Errorf("with a comment every 100 s, End is %+v; want it alive until the caller's deadline", tr.End)
		}
	})
}

// A consumer that takes an hour for an event is not a silent server.
func TestSlowConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &llmtest.Fake{Dialect: "openai", Rules: rules(llmtest.Play(llmtest.Words(2, "one two three")))}
		for e := range dialTo(t, f).Generate(t.Context(), request(false, 2)) {
			time.Sleep(time.Hour)
			if e.Kind == llm.KindEnd && e.End.Finish != llm.FinishEOS {
				t.Errorf("End is %+v", e.End)
			}
		}
	})
}

// A server that says why it finished and then hangs is not waited for.
func TestHangAfterFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := record(t, "vllm", llmtest.Play(llmtest.Words(2, "one two")), request(false, 2))
		body = body[:len(body)-len("data: [DONE]\n\n")]
		block := make(chan struct{})
		defer close(block)
		g := dialTo(t, &llmtest.Fake{Dialect: "vllm"}, func(c *Config) {
			c.Transport = llmtest.Serve(t, handler(func(send func([]byte), gone <-chan struct{}) {
				send(body)
				<-gone
			}))
		})
		start := time.Now()
		tr := llmtest.Collect(t, g, t.Context(), request(false, 2))
		if tr.End.Finish != llm.FinishEOS || time.Since(start) != graceAfterFinish || tr.Usage.Completion != 2 {
			t.Errorf("after %v, End %+v, usage %+v", time.Since(start), tr.End, tr.Usage)
		}
	})
}

// Retries: which, how many, how far apart, and never after a token.
func TestRetry(t *testing.T) {
	words := llmtest.Words(2, "one two three")
	status := func(code int, after string) llmtest.Reply {
		return llmtest.Reply{Fault: llmtest.Fault{Status: code, RetryAfter: after}}
	}
	for _, c := range []struct {
		name     string
		replies  []llmtest.Reply // the last for ever
		requests int
		kind     llm.ErrorKind
		least    time.Duration
		most     time.Duration
	}{
		{"429 once", []llmtest.Reply{status(429, ""), llmtest.Play(words)}, 2, "", retryBase / 2, retryBase},
		{"each kind once", []llmtest.Reply{status(408, ""), status(500, ""), status(504, ""), llmtest.Play(words)}, 4, "", 7 * retryBase / 2, 7 * retryBase},
		{"502 for ever", []llmtest.Reply{status(502, "")}, 4, llm.Overloaded, 7 * retryBase / 2, 7 * retryBase},
		{"503 for ever", []llmtest.Reply{status(503, "")}, 4, llm.Overloaded, 7 * retryBase / 2, 7 * retryBase},
		{"Retry-After", []llmtest.Reply{status(429, "7"), llmtest.Play(words)}, 2, "", 7 * time.Second, 7 * time.Second},
		{"Retry-After is capped", []llmtest.Reply{status(503, "86400"), llmtest.Play(words)}, 2, "", 30 * time.Second, 30 * time.Second},
		{"400 never", []llmtest.Reply{status(400, "")}, 1, llm.BadRequest, 0, 0},
		{"401 never", []llmtest.Reply{status(401, "")}, 1, llm.Auth, 0, 0},
		{"cut before a token", []llmtest.Reply{{Script: words, Fault: llmtest.Fault{CutAfter: 40}}, llmtest.Play(words)}, 2, "", retryBase / 2, retryBase},
		{"cut after a token", []llmtest.Reply{{Script: words, Fault: llmtest.Fault{CutAfter: 700}}, llmtest.Play(words)}, 1, llm.StreamTruncated, 0, 0},
		{"error after a token", []llmtest.Reply{{Script: words, Fault: llmtest.Fault{Error: llmtest.ErrorData, ErrorAfter: 1}}}, 1, llm.StreamError, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &llmtest.Fake{Dialect: "vllm"}
				for i, reply := range c.replies {
					rule := llmtest.Rule{Reply: reply, Times: 1}
					if i == len(c.replies)-1 {
						rule.Times = 0
					}
					f.Rules = append(f.Rules, rule)
				}
				start := time.Now()
				tr := llmtest.Collect(t, dialTo(t, f), t.Context(), request(true, 2))
				calls := f.Calls()
				if len(calls) != c.requests || kindOf(tr.End) != c.kind || tr.End.Retries != c.requests-1 {
					t.Errorf("%d requests, End %+v; want %d and %q", len(calls), tr.End, c.requests, c.kind)
				}
				if took := time.Since(start); took < c.least || took > c.most {
					t.Errorf("it took %v; want %v to %v", took, c.least, c.most)
				}
				for i := 1; i < len(calls); i++ {
					if string(calls[i].Body) != string(calls[0].Body) {
						t.Error("a retry sends other bytes")
					}
				}
			})
		})
	}
}

func TestBackoff(t *testing.T) {
	var waits []time.Duration
	for seed := range uint64(100) {
		for try := range 8 {
			full := min(retryBase<<try, retryCap)
			if d := backoff(seed, try); d < full/2 || d > full || d != backoff(seed, try) {
				t.Fatalf("seed %d, try %d: %v is not within %v and %v, or not repeatable", seed, try, d, full/2, full)
			}
		}
		waits = append(waits, backoff(seed, 3))
	}
	slices.Sort(waits)
	if distinct := len(slices.Compact(waits)); distinct < 90 {
		t.Errorf("100 seeds wait %d different times: they would come back together", distinct)
	}
}

// A cancel while waiting to try again ends at once.
func TestCancelDuringBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &llmtest.Fake{Dialect: "vllm", Rules: rules(llmtest.Reply{Fault: llmtest.Fault{Status: 429, RetryAfter: "20"}})}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		tr := llmtest.Collect(t, dialTo(t, f), ctx, request(true, 0))
		if tr.End.Finish != llm.FinishCancelled || time.Since(start) != 5*time.Second {
			t.Errorf("after %v, End %+v", time.Since(start), tr.End)
		}
	})
}

// The semaphore: never more at once than allowed, and the wait is told apart
// from generation. Twelve traces of 10 s, four at a time.
func TestParallelLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &llmtest.Fake{Dialect: "llamacpp", Slots: 4, Rules: rules(llmtest.Reply{
			Script: llmtest.Words(2, "a b c d e"), Wire: llmtest.Wire{FirstDelay: 2 * time.Second, Delay: 2 * time.Second},
		})}
		g := dialTo(t, f, func(c *Config) { c.MaxParallel = 0 })
		var waits []float64
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() {
				tr := llmtest.Collect(t, g, t.Context(), request(true, 2))
				mu.Lock()
				defer mu.Unlock()
				waits = append(waits, tr.End.QueueSeconds)
				if tr.End.FirstTokenSeconds != 2 {
					t.Errorf("the first token took %v s of the trace's own time; want 2", tr.End.FirstTokenSeconds)
				}
			})
		}
		wg.Wait()
		slices.Sort(waits)
		for i, w := range waits {
			if want := float64(i / 4 * 10); w != want {
				t.Errorf("trace %d waited %v s for its place; want %v", i, w, want)
			}
		}
		if g.Info().MaxParallel != 4 || f.Peak() != 4 || f.Requests("/props") != 1 {
			t.Errorf("limit %d from /props (asked %d times), peak %d; want 4, once, 4", g.Info().MaxParallel, f.Requests("/props"), f.Peak())
		}
		// A cancel while queued frees nothing that it did not hold.
		for range 4 {
			wg.Go(func() { llmtest.Collect(t, g, t.Context(), request(true, 2)) })
		}
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if tr := llmtest.Collect(t, g, ctx, request(true, 2)); tr.End.Finish != llm.FinishCancelled || tr.End.QueueSeconds != 1 {
			t.Errorf("cancelled in the queue: End %+v", tr.End)
		}
		wg.Wait()
		if f.Peak() != 4 {
			t.Errorf("peak %d", f.Peak())
		}
	})
}

// A cancel reaches the server, which stops; what had arrived is delivered; the
// server is not waited for; its slot is free again.
func TestCancelReachesTheServer(t *testing.T) {
	for _, dialect := range names {
		for _, how := range []string{"cancel", "break", "stop string"} {
			t.Run(dialect+" "+how, func(t *testing.T) {
				defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
				synctest.Test(t, func(t *testing.T) {
					f := &llmtest.Fake{Dialect: dialect, Slots: 1, Rules: rules(llmtest.Reply{
						Script: llmtest.Random(1, llmtest.Shape{Tokens: 1000, K: 2}),
						Wire:   llmtest.Wire{Delay: time.Second},
						Fault:  llmtest.Fault{IgnoreStop: true},
					})}
					g := dialTo(t, f)
					r := request(false, 2)
					r.MaxTokens = 1000
					if how == "stop string" {
						r.Stop = []string{"then"}
					}
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					tokens := 0
					for e := range g.Generate(ctx, r) {
						if e.Kind == llm.KindToken {
							tokens++
						}
						if tokens == 5 && how == "cancel" {
							cancel()
						}
						if tokens == 5 && how == "break" {
							break
						}
						if e.Kind == llm.KindEnd {
							want := map[string]llm.Finish{"cancel": llm.FinishCancelled, "stop string": llm.FinishStop}[how]
							if e.End.Finish != want {
								t.Errorf("End %+v; want %s", e.End, want)
							}
						}
					}
					at := time.Now()
					synctest.Wait()
					c := f.Calls()[0]
					if !c.Left || c.LeftAt.Sub(at) > time.Second || c.Sent > tokens+1 {
						t.Errorf("the server sees the client leave: %v, %v after, with %d of %d tokens sent", c.Left, c.LeftAt.Sub(at), c.Sent, tokens)
					}
					if f.Active() != 0 {
						t.Error("its slot is still taken")
					}
				})
			})
		}
	}
}

// Tokens that had arrived with the one that decided are delivered, so that a
// method can count them; a late server changes nothing.
func TestTokensAfterCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &llmtest.Fake{Dialect: "vllm", Rules: rules(llmtest.Reply{
			Script: llmtest.Random(1, llmtest.Shape{Tokens: 40, K: 2}),
			Wire:   llmtest.Wire{PerEvent: 8, Delay: time.Second},
			Fault:  llmtest.Fault{After: 20},
		})}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		tokens := 0
		start := time.Now()
		for e := range dialTo(t, f).Generate(ctx, request(false, 2)) {
			if e.Kind == llm.KindToken {
				if tokens++; tokens == 10 {
					cancel()
				}
			}
			if e.Kind == llm.KindEnd && (e.End.Finish != llm.FinishCancelled || e.End.Tokens != 16) {
				t.Errorf("End %+v; want cancelled with the 16 tokens of two events", e.End)
			}
		}
		if tokens != 16 || time.Since(start) != time.Second {
			t.Errorf("%d tokens after %v; want 16 after 1 s", tokens, time.Since(start))
		}
		time.Sleep(time.Minute)
		if c := f.Calls()[0]; c.SentAfter != 20 {
			t.Errorf("the late server made %d tokens after the client left; the script says 20", c.SentAfter)
		}
	})
}

// The reason is written once however cancel, deadline and end race. The fake's
// clock makes them coincide; the race detector watches.
func TestRacingEnds(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			f := &llmtest.Fake{Dialect: names[seed%5], Rules: rules(llmtest.Reply{
				Script: llmtest.Random(seed, llmtest.Shape{Tokens: 5, K: 2}),
				Wire:   llmtest.Wire{Delay: time.Second, SplitSeed: seed + 1},
				Fault:  llmtest.Fault{HangAfter: int(seed % 3 * 3)},
			})}
			g := dialTo(t, f, func(c *Config) { c.IdleTimeout, c.FirstTokenTimeout = 2*time.Second, 2*time.Second })
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
			defer cancel()
			go func() { time.Sleep(4 * time.Second); cancel() }()
			tr := llmtest.Collect(t, g, ctx, request(false, 2)) // checks for exactly one End
			switch {
			case tr.End.Finish == llm.FinishEOS && len(tr.Tokens) == 5:
			case tr.End.Finish == llm.FinishCancelled:
			case kindOf(tr.End) == llm.IdleTimeout:
			default:
				t.Errorf("seed %d: %d tokens, End %+v", seed, len(tr.Tokens), tr.End)
			}
		})
	}
}

// All tokens at once after a wait means that something held them back.
func TestBufferedUpstream(t *testing.T) {
	for _, c := range []struct {
		wire llmtest.Wire
		want bool
	}{
		{llmtest.Wire{FirstDelay: 3 * time.Second}, true},
		{llmtest.Wire{FirstDelay: 3 * time.Second, Delay: time.Millisecond}, false},
		{llmtest.Wire{}, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &llmtest.Fake{Dialect: "vllm", Rules: rules(llmtest.Reply{Script: llmtest.Random(1, llmtest.Shape{}), Wire: c.wire})}
			tr := llmtest.Collect(t, dialTo(t, f), t.Context(), request(true, 5))
			if got := slices.Contains(tr.End.Warnings, llm.WarnBufferedUpstream); got != c.want {
				t.Errorf("%+v: warnings %v", c.wire, tr.End.Warnings)
			}
		})
	}
}
