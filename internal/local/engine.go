// Package local is an llm.Generator over one of our own models: continuous
// batching over a KV cache, a prompt cache that many traces of one question
// share, and log-probabilities before temperature, of any k.
//
// A trace depends on its prompt, its settings and its seed alone, bit for bit,
// whatever else runs at the same time.
package local

import (
	"context"
	"runtime"
	"slices"
	"sync"

	"orrery/learn/nn"
	"orrery/learn/sample"
	"orrery/think/llm"
)

// engine decodes all running traces together, one token each per step. Its
// loop runs only while there is work, so an idle engine owns no goroutine. It
// never waits for a reader: a trace's channel has room for every token that the
// trace can have, so that a reader who stalls keeps no place and holds up
// nobody. A context is a few hundred tokens, which is what that costs.
type engine struct {
	dec   *nn.Decoder
	limit int // positions that the model was trained for
	slots int // traces at once; the rest queue in order of arrival

	mu      sync.Mutex
	running bool
	waiting []*job

	prompts promptCache // only touched by the loop
}

// job is one trace.
type job struct {
	ctx context.Context
	script
	max     int // tokens to generate, thoughts included, at least 1; they fit into the model
	top     int
	sampler *sample.Sampler

	admitted chan struct{} // closed when the job leaves the queue
	out      chan item     // capacity max+1; closed after the last item

	// The loop's own.
	done   bool // out is closed
	seq    *nn.Seq
	logits []float32 // (V) of the next token
	next   int       // the token drawn from them
	made   int
}

// item is one generated token, a thought, or the end of the trace.
type item struct {
	thought *llm.Thought // nil: a token
	token   sample.Candidate
	top     []sample.Candidate
	err     error
	last    bool // the text ends with the token, or the limit is reached
	eos     bool // the text ends with the token
	unsaid  bool // the token is no part of the text
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
		e.step(e.sampleAll(active))
		active = e.prune(active)
		runtime.Gosched() // a reader who would stop a trace should hear of its tokens before the next step
	}
}

// prune drops jobs that have ended or been cancelled and frees their caches.
func (e *engine) prune(active []*job) []*job {
	return slices.DeleteFunc(active, func(j *job) bool {
		if !j.done && j.ctx.Err() == nil {
			return false
		}
		j.end()
		if j.seq != nil {
			e.dec.Drop(j.seq)
			j.seq = nil
		}
		return true
	})
}

// sampleAll prefills new jobs, draws a token for each, and returns those that
// need another step.
func (e *engine) sampleAll(active []*job) []*job {
	var ready []*job
	for _, j := range active {
		if j.ctx.Err() != nil {
			continue
		}
		if j.seq == nil && !e.open(j) {
			continue
		}
		if e.draw(j) {
			ready = append(ready, j)
		}
	}
	return ready
}

// open brings a job to its first written token and reports whether it gets one.
func (e *engine) open(j *job) bool {
	seq, logits, had, err := e.prompts.start(e.dec, j.opening)
	if err != nil {
		j.fail(err)
		return false
	}
	j.seq, j.logits = seq, logits
	for i := range had {
		j.made++
		j.out <- item{thought: &had[i], last: j.made == j.max}
	}
	if j.made == j.max {
		j.end()
		return false
	}
	return true
}

// draw samples from the job's logits and reports whether the trace goes on.
func (e *engine) draw(j *job) bool {
	c, err := j.sampler.Next(j.logits)
	if err != nil {
		j.fail(err)
		return false
	}
	it := item{token: c}
	it.eos, it.unsaid = j.ends(c.Token)
	if j.top > 0 {
		it.top = sample.Top(nil, j.logits, j.top)
	}
	j.made++
	it.last = it.eos || j.made == j.max
	j.next = c.Token
	j.out <- it
	if it.last {
		j.end()
	}
	return !it.last
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
			j.fail(err)
			continue
		}
		copy(j.logits, logits[i]) // the decoder reuses its own at the next step
	}
}

// fail ends a trace with an error, for which its channel has the last place.
func (j *job) fail(err error) {
	j.out <- item{err: err, last: true}
	j.end()
}

func (j *job) end() {
	if !j.done {
		close(j.out)
		j.done = true
	}
}
