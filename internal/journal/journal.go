// Package journal writes requests down as they think, and makes of what was written
// down what the rest of the house works with.
//
// A [Journal] is a server.Observer: it begins a record.Run for each request, puts
// each trace as it ends and ends the run, through a bounded queue behind which the
// store may be slow, full or gone. `orrery ask` goes the same way.
//
// Back again, [WriteTraces] gives the traces of a run in the format of
// `orrery replay`, [Replay] replays them under other settings, [Groups] gives the
// confidence of their groups for any window, and [TokenTexts] what their tokens said.
// All of it goes through package confidence and package reason: no number is defined
// a second time.
package journal

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"orrery/internal/server"
	"orrery/record"
)

// Options say what a journal keeps.
type Options struct {
	Keep  record.Keep   // parts of traces; what is not kept is never written anywhere
	Age   time.Duration // requests that ended longer ago are deleted; 0: none for their age
	Bytes int64         // the oldest requests are deleted beyond that; 0: none for their size
	Warn  func(string)  // told of what fails; nil: nobody
}

// Kinds are the runs that are requests, which Age and Bytes are about.
var Kinds = []string{"serve", "ask"}

// pruneEvery is how often the store is looked through.
const pruneEvery = 5 * time.Minute

// Journal is a [server.Observer] that records.
type Journal struct {
	o     Options
	store *record.Store
	queue *record.Queue
	quit  context.CancelFunc
	done  sync.WaitGroup
}

var _ server.Observer = (*Journal)(nil)

// New begins a journal in a store. Close it before the store.
func New(s *record.Store, o Options) *Journal {
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	ctx, quit := context.WithCancel(context.Background())
	j := &Journal{o: o, store: s, queue: record.NewQueue(s, record.QueueOptions{Warn: o.Warn}), quit: quit}
	if o.Age > 0 || o.Bytes > 0 {
		j.done.Go(func() { j.prune(ctx) })
	}
	return j
}

// prune keeps the store within its limits.
func (j *Journal) prune(ctx context.Context) {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	failed := false
	for {
		_, err := j.store.Prune(ctx, j.o.Age, j.o.Bytes, Kinds...)
		if err != nil && ctx.Err() == nil && !failed {
			j.o.Warn(fmt.Sprintf("old requests are not deleted: %v", err))
		}
		failed = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Stats says what was recorded and what was not.
func (j *Journal) Stats() record.Stats { return j.queue.Stats() }

// Flush waits until what was observed so far is written or given up.
func (j *Journal) Flush(ctx context.Context) error { return j.queue.Flush(ctx) }

// Close writes what waits, until ctx ends. Its error says what was never recorded.
func (j *Journal) Close(ctx context.Context) error {
	j.quit()
	j.done.Wait()
	return j.queue.Close(ctx)
}

// Asked implements [server.Observer].
func (j *Journal) Asked(a server.Asked) server.Watch { return j.Watch("serve", a, "") }

// Watch records one run of a method, of any kind in [Kinds]. question is what its
// user wrote, if that is not the last of a's messages.
func (j *Journal) Watch(kind string, a server.Asked, question string) server.Watch {
	e := &entry{j: j, asked: a, labels: labels{}}
	e.run = record.Run{ID: record.NewID(a.Time), Kind: kind, Name: a.Model, Method: a.Method, Model: a.Model, State: record.Running,
		Started: a.Time, Client: a.Client, Request: a.ID, Keep: j.o.Keep.String()}
	if j.keeps(record.KeepText) {
		if question == "" {
			question = lastOf(a.Question)
		}
		e.run.Question = &question
	}
	return e
}

func (j *Journal) keeps(k record.Keep) bool { return j.o.Keep&k != 0 }

// isRequest reports whether a run is one that traces belong to.
func isRequest(r *record.Run) bool { return slices.Contains(Kinds, r.Kind) }
