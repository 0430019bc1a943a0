package llmtest

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"orrery/think/llm"
)

// generate serves a request that makes tokens.
func (f *Fake) generate(w http.ResponseWriter, r *http.Request, body []byte) {
	c, reply, err := f.observe(r, body)
	if err != nil {
		f.refuse(w, http.StatusBadRequest, "", err.Error())
		return
	}
	ctx := r.Context()
	defer f.note(c, func() { c.Ended = true })
	if reply == nil {
		f.refuse(w, http.StatusBadRequest, "", "no rule of the script fits this request")
		return
	}
	if fault := &reply.Fault; fault.Status != 0 || fault.Body != "" {
		if fault.RetryAfter != "" {
			w.Header().Set("Retry-After", fault.RetryAfter)
		}
		code := fault.Status
		if code == 0 {
			code = http.StatusOK
		}
		if fault.Body == "" {
			f.refuse(w, code, "", http.StatusText(code))
			return
		}
		w.WriteHeader(code)
		w.Write([]byte(fault.Body))
		return
	}
	if words := f.tooMany(c, reply); words != "" {
		f.refuse(w, http.StatusBadRequest, "top_logprobs", words)
		return
	}
	if f.slots != nil {
		select {
		case f.slots <- struct{}{}:
			defer func() { <-f.slots }()
		case <-ctx.Done():
			f.note(c, func() { c.Left, c.LeftAt = true, time.Now() })
			return
		}
	}
	f.mu.Lock()
	f.active++
	f.peak = max(f.peak, f.active)
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.active--
		f.mu.Unlock()
	}()
	p := newPlayer(f, c, reply, w)
	p.play(ctx)
}

// note changes what is observed of a call.
func (f *Fake) note(c *Call, change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// tooMany is the dialect's refusal of a large k, "" if it is served.
func (f *Fake) tooMany(c *Call, reply *Reply) string {
	limit := reply.Fault.MaxTop
	chat := c.Path == "/v1/chat/completions"
	if limit == 0 {
		switch f.Dialect {
		case "vllm", "ollama":
			limit = 20
		case "openai":
			limit = 20
			if !chat {
				limit = 5
			}
		}
	}
	if limit <= 0 || c.TopLogprobs <= limit {
		return ""
	}
	k, m := strconv.Itoa(c.TopLogprobs), strconv.Itoa(limit)
	switch f.Dialect {
	case "vllm":
		return "Requested sample logprobs of " + k + ", which is greater than max allowed: " + m
	case "ollama":
		return "top_logprobs must be between 0 and " + m
	}
	return "Invalid value for 'top_logprobs': must be less than or equal to " + m + "."
}

// player plays one reply to one call.
type player struct {
	f     *Fake
	call  *Call
	reply *Reply
	sink  *sink
	shape shape
	lists bool // log-probabilities were asked for and are sent

	event []byte // the event being made
	part  part   // what goes into it
	held  [2][]byte
	stops *llm.Stops // finds stop strings as the server would; nil: it does not look
	tail  []byte     // where a stop string that is to be kept may have begun
	lag   []byte     // text held back by Fault.Lag
}

// part is the content of one event.
type part struct {
	text    [2][]byte // by channel
	entries []*Token
}

func newPlayer(f *Fake, c *Call, reply *Reply, w http.ResponseWriter) *player {
	p := &player{f: f, call: c, reply: reply, shape: shapeOf(f, c)}
	p.lists = c.TopLogprobs > 0 && !reply.Fault.NoLogprobs
	p.sink = &sink{w: w, wire: &reply.Wire, cut: reply.Fault.CutAfter}
	if reply.Wire.SplitSeed != 0 {
		p.sink.rng = rand.New(rand.NewPCG(reply.Wire.SplitSeed, 1))
	}
	if p.sink.flush, _ = w.(http.Flusher); p.shape.lines() {
		w.Header().Set("Content-Type", "application/x-ndjson")
	} else {
		w.Header().Set("Content-Type", "text/event-stream")
	}
	if len(c.Stop) > 0 && !reply.Fault.IgnoreStop {
		p.stops = llm.NewStops(c.Stop...)
	}
	return p
}

// play sends the whole reply, or as much of it as its faults allow.
func (p *player) play(ctx context.Context) {
	wire, fault := &p.reply.Wire, &p.reply.Fault
	if p.reply.Recorded != nil {
		p.sink.write(p.reply.Recorded)
		return
	}
	p.sink.started()
	if p.shape == shapeChat {
		p.send(p.head()) // the role comes alone, first
	}
	tokens := p.reply.Script.Tokens
	finish := p.reply.Script.Finish
	if finish == "" {
		finish = llm.FinishEOS
	}
	if n := p.call.MaxTokens; !fault.IgnoreMax && n > 0 && len(tokens) > n {
		tokens, finish = tokens[:n], llm.FinishLength
	}
	matched, gone := "", 0
	for i := range tokens {
		if fault.Error != "" && i == fault.ErrorAfter {
			p.flushEvent(i)
			p.fail()
			return
		}
		if fault.HangAfter == i && i > 0 || fault.HangAfter < 0 && i == 0 {
			p.flushEvent(i)
			p.hang(ctx)
			return
		}
		if !p.wait(ctx, i) {
			if gone == 0 {
				p.f.note(p.call, func() { p.call.Left, p.call.LeftAt = true, time.Now() })
			}
			if gone++; gone > fault.After {
				return
			}
		}
		p.f.note(p.call, func() {
			p.call.Sent++
			if gone > 0 {
				p.call.SentAfter++
			}
		})
		matched = p.add(&tokens[i])
		if matched != "" {
			finish = llm.FinishStop
		}
		if matched != "" || (i+1)%max(wire.PerEvent, 1) == 0 {
			p.flushEvent(i + 1)
		}
		if matched != "" {
			break
		}
	}
	if fault.Error != "" && fault.ErrorAfter >= len(tokens) {
		p.flushEvent(len(tokens))
		p.fail()
		return
	}
	p.rest()
	p.flushEvent(len(tokens))
	if fault.HangAfter >= len(tokens) && fault.HangAfter > 0 {
		p.hang(ctx)
		return
	}
	p.finish(finish, matched)
}

// wait holds token i back as the wire says; false once the client has left.
func (p *player) wait(ctx context.Context, i int) bool {
	wire := &p.reply.Wire
	if wire.Gate && !p.f.pass(ctx, p.call.N) {
		return false
	}
	d := wire.Delay
	if i == 0 {
		d = wire.FirstDelay
	} else if i%max(wire.PerEvent, 1) != 0 {
		d = 0
	}
	if d > 0 {
		if ctx.Err() != nil {
			if p.reply.Fault.After > 0 { // it goes on alone, at its own pace
				time.Sleep(d)
			}
			return false
		}
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return false
		}
	}
	return ctx.Err() == nil
}

// hang says nothing more, but for comments, until the client leaves.
func (p *player) hang(ctx context.Context) {
	if beat := p.reply.Fault.Beat; beat > 0 {
		tick := time.NewTicker(beat)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p.sink.line(": still here")
				p.sink.line("")
				p.sink.sync()
				continue
			case <-ctx.Done():
			}
			break
		}
	}
	<-ctx.Done()
	p.f.note(p.call, func() { p.call.Left, p.call.LeftAt = true, time.Now() })
}

// add puts a token into the event being made, as far as the server has it
// ready: whole characters, and no text that may be part of a stop string it
// would trim. It returns the stop string that the token completes.
func (p *player) add(t *Token) (matched string) {
	channel := p.channel(t)
	text := t.Text
	if t.NoText || p.f.Dialect == "openai" && t.Channel == llm.Reasoning {
		text = ""
	}
	inside := false // the token ends inside a character
	if text != "" {
		held := append(p.held[channel], text...)
		cut := len(held)
		for n := 1; n < utf8.UTFMax && n <= len(held); n++ {
			if tail := held[len(held)-n:]; utf8.RuneStart(tail[0]) {
				if !utf8.FullRune(tail) {
					cut = len(held) - n
				}
				break
			}
		}
		inside = cut < len(held)
		out := slices.Clone(held[:cut])
		p.held[channel] = append(held[:0], held[cut:]...)
		if p.stops != nil && channel == llm.Answer {
			if p.call.KeepStop && !p.reply.Fault.TrimStop {
				out, matched = p.keepStop(out)
			} else {
				out, matched = p.stops.Push(out)
			}
		}
		p.part.text[channel] = append(p.part.text[channel], out...)
	}
	if p.lists && !p.noEntry(t, inside) {
		p.part.entries = append(p.part.entries, t)
	}
	return matched
}

// keepStop looks for the stop string that ends first in the text so far, and
// returns the new text up to its end.
func (p *player) keepStop(text []byte) (out []byte, matched string) {
	before := len(p.tail)
	seen := append(p.tail, text...)
	for end := before + 1; end <= len(seen); end++ {
		for _, s := range p.call.Stop {
			if s != "" && bytes.HasSuffix(seen[:end], []byte(s)) && len(s) > len(matched) {
				matched = s
			}
		}
		if matched != "" {
			return seen[before:end], matched
		}
	}
	longest := 0
	for _, s := range p.call.Stop {
		longest = max(longest, len(s))
	}
	p.tail = slices.Clone(seen[max(0, len(seen)-longest):])
	return text, ""
}

// channel is where this server shows a token's text.
func (p *player) channel(t *Token) llm.Channel {
	if p.f.Dialect == "sglang" && p.call.noSeparate || p.shape == shapeText || p.shape == shapeNative {
		return llm.Answer
	}
	return t.Channel
}

// noEntry reports whether this server leaves out a token's log-probabilities.
func (p *player) noEntry(t *Token, inside bool) bool {
	if t.NoEntry {
		return true
	}
	switch p.f.Dialect {
	case "llamacpp":
		return inside
	case "ollama":
		return t.NoText || t.Text == ""
	case "openai":
		return t.Channel == llm.Reasoning
	case "sglang":
		return p.channel(t) == llm.Reasoning
	}
	return false
}

// rest puts what was held back into the event being made.
func (p *player) rest() {
	for channel := range p.held {
		if len(p.held[channel]) > 0 {
			p.part.text[channel] = append(p.part.text[channel], "\uFFFD"...)
			p.held[channel] = nil
		}
	}
	if p.stops != nil && !p.call.KeepStop {
		p.part.text[llm.Answer] = append(p.part.text[llm.Answer], p.stops.Close()...)
	}
	p.reply.Fault.Lag = 0
}

// scaled is a token's list after a temperature: x/T, normalised over the list.
func scaled(top []Alt, temperature float64) []Alt {
	if temperature <= 0 {
		return top
	}
	out, sum := slices.Clone(top), 0.0
	for i := range out {
		out[i].Logprob /= temperature
		sum += math.Exp(out[i].Logprob)
	}
	for i := range out {
		out[i].Logprob -= math.Log(sum)
	}
	return out
}
