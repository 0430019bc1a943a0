// Package local is an llm.Generator over one of our own models: continuous
// batching over a KV cache, a prompt cache that many traces of one question
// share, and log-probabilities before temperature, of any k.
//
// A trace depends on its prompt, its settings and its seed alone, bit for bit,
// whatever else runs at the same time.
package local

import (
	"context"
	"sync"

	"orrery/learn/nn"
	"orrery/learn/sample"
	"orrery/learn/token"
)

// buffered is how many tokens a trace may run ahead of its reader. A trace
// whose reader is slower waits, and holds up nobody else.
const buffered = 64

// engine decodes all running traces together, one token each per step. Its
// loop runs only while there is work, so an idle engine owns no goroutine.
type engine struct {
	dec   *nn.Decoder
	vocab *token.Vocab
	limit int // positions that the model was trained for
	slots int // traces at once; the rest queue in order of arrival

	mu      sync.Mutex
	running bool
	waiting []*job
	wake    chan struct{} // capacity 1: a reader made room, or a job came or left

	prompts promptCache // only touched by the loop
}

// job is one trace.
type job struct {
	ctx     context.Context
	prompt  []int
	max     int // tokens to generate
	top     int
	sampler *sample.Sampler

	admitted chan struct{} // closed when the job leaves the queue
	out      chan item     // closed after the last item

	// The loop's own. out is nil once the loop has closed it; readers keep
	// their own copy of the channel.
	seq    *nn.Seq
	logits []float32 // (V) of the next token
	next   int       // the token drawn from them
	made   int
}

// item is one generated token, or the end of the trace.
type item struct {
	token sample.Candidate
	top   []sample.Candidate
	err   error
	last  bool // the token is end-of-text, or the limit is reached
	eos   bool
}

// submit queues a job and makes sure that the loop runs.
func (e *engine) submit(j *job) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waiting = append(e.waiting, j)
	if !e.running {
		e.running = true
		go e.loop()
	}
	e.poke()
}

func (e *engine) poke() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// admit moves waiting jobs into free places. It reports false, and marks the
// loop as ended, if nothing is running and nothing waits.
func (e *engine) admit(active []*job) ([]*job, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(active) < e.slots && len(e.waiting) > 0 {
		j := e.waiting[0]
		e.waiting = e.waiting[1:]
		close(j.admitted)
		active = append(active, j)
	}
	e.running = len(active) > 0
	return active, len(active) > 0
}

// loop steps all running jobs until none is left.
func (e *engine) loop() {
	var active []*job
	for {
		var more bool
		if active, more = e.admit(active); !more {
			return
		}
		active = e.prune(active)
		ready := e.sampleAll(active)
		if len(ready) == 0 && len(active) > 0 {
			e.await(active)
			continue
		}
		e.step(ready)
		active = e.prune(active)
	}
}

// prune drops jobs that have ended or been cancelled and frees their caches.
func (e *engine) prune(active []*job) []*job {
	kept := active[:0]
	for _, j := range active {
		if j.out != nil && j.ctx.Err() == nil {
			kept = append(kept, j)
			continue
		}
		if j.out != nil { // cancelled: the reader has left or is leaving
			close(j.out)
			j.out = nil
		}
		if j.seq != nil {
			e.dec.Drop(j.seq)
			j.seq = nil
		}
	}
	clear(active[len(kept):])
	return kept
}

// sampleAll prefills new jobs, draws a token for every job whose reader has
// room, and returns those that need another step.
func (e *engine) sampleAll(active []*job) []*job {
	var ready []*job
	for _, j := range active {
		if len(j.out) == cap(j.out) || j.ctx.Err() != nil {
			continue
		}
		if j.seq == nil {
			var err error
			if j.seq, j.logits, err = e.prompts.start(e.dec, j.prompt); err != nil {
				j.finish(item{err: err, last: true})
				continue
			}
		}
		if e.draw(j) {
			ready = append(ready, j)
		}
	}
	return ready
}

// draw samples from the job's logits and reports whether the trace goes on.
func (e *engine) draw(j *job) bool {
	c, err := j.sampler.Next(j.logits)
	if err != nil {
		j.finish(item{err: err, last: true})
		return false
	}
	it := item{token: c, eos: c.Token == e.vocab.EOS()}
	if j.top > 0 {
		it.top = sample.Top(nil, j.logits, j.top)
	}
	j.made++
	it.last = it.eos || j.made >= j.max || len(j.prompt)+j.made >= e.limit
	if it.last {
		j.finish(it)
		return false
	}
	j.next = c.Token
	j.out <- it
	return true
}

// step feeds each job's drawn token to the model.
func (e *engine) step(ready []*job) {
	if len(ready) == 0 {
		return
	}
	seqs, tokens := make([]*nn.Seq, len(ready)), make([]int, len(ready))
	for i, j := range ready {
		seqs[i], tokens[i] = j.seq, j.next
	}
	logits, err := e.dec.Step(seqs, tokens)
	for i, j := range ready {
		if err != nil {
			j.finish(item{err: err, last: true})
			continue
		}
		copy(j.logits, logits[i]) // the decoder reuses its own at the next step
	}
}

// await sleeps until a reader makes room or a job comes or is cancelled.
func (e *engine) await(active []*job) {
	for _, j := range active {
		if j.out == nil || j.ctx.Err() != nil || len(j.out) < cap(j.out) {
			return
		}
	}
	<-e.wake
}

func (j *job) finish(it item) {
	j.out <- it
	close(j.out)
	j.out = nil
}
