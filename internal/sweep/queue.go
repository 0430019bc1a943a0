package sweep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/riverqueue/river"
)

// run is Run on an open database, which it closes.
func run[Tx any](ctx context.Context, b *backend[Tx], s Sweep, o Options) (*Summary, error) {
	defer b.close()
	m, err := b.begin(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := b.claim(ctx, m.build, o.MixBuilds); err != nil {
		return nil, err
	}
	if err := m.enqueue(ctx, s.Trials); err != nil {
		return nil, fmt.Errorf("queueing the trials of %s: %w", s.Name, err)
	}
	wanted := map[string]bool{}
	for _, t := range s.Trials {
		wanted[t.Key] = true
	}
	ours := func(all map[string]bool) map[string]bool {
		all = maps.Clone(all)
		maps.DeleteFunc(all, func(key string, _ bool) bool { return !wanted[key] })
		return all
	}
	lost := map[string]bool{} // given up
	err = m.during(ctx, func(ctx context.Context) error {
		return m.watch(ctx, func(live, done map[string]bool) (bool, error) {
			live, done = ours(live), ours(done)
			clear(lost)
			left := 0
			for key, alive := range live {
				if _, there := done[key]; there {
					continue
				}
				if alive {
					left++
				} else {
					lost[key] = true
				}
			}
			m.tell(len(s.Trials), done)
			return left == 0, nil
		})
	})
	if err != nil && ctx.Err() == nil {
		return nil, err
	}
	sum, serr := m.summary(context.WithoutCancel(ctx), s, lost)
	if serr != nil {
		return nil, errors.Join(err, serr)
	}
	if err != nil {
		return sum, fmt.Errorf("sweep %s stopped with %d of %d trials done: the same command goes on: %w", s.Name, len(s.Trials)-sum.Missing, len(s.Trials), ctx.Err())
	}
	if sum.Missing > 0 {
		return sum, fmt.Errorf("sweep %s: %d trials have neither a result nor a job, so somebody has changed the database %s: start with another one", s.Name, sum.Missing, b.name)
	}
	return sum, nil
}

// enqueue adds the trials that have no result and no job.
func (m *machine[Tx]) enqueue(ctx context.Context, trials []Trial) error {
	done, err := m.done(ctx)
	if err != nil {
		return err
	}
	m.before = 0
	var jobs []river.InsertManyParams
	for _, t := range trials {
		if _, there := done[t.Key]; there {
			m.before++
		} else {
			jobs = append(jobs, river.InsertManyParams{Args: trialArgs(t)})
		}
	}
	for part := range slices.Chunk(jobs, 500) {
		// River leaves those out whose key has a job that is not given up.
		if _, err := m.client.InsertMany(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// summary collects the results of a sweep.
func (m *machine[Tx]) summary(ctx context.Context, s Sweep, lost map[string]bool) (*Summary, error) {
	all, err := m.results(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the results in %s: %w", m.name, err)
	}
	sum := &Summary{Name: s.Name, DB: m.name, Before: m.before, Workers: m.o.Workers, Seconds: time.Since(m.started).Seconds()}
	builds, hosts := map[string]bool{}, map[string]bool{}
	for _, t := range s.Trials {
		r, ok := all[t.Key]
		if !ok && lost[t.Key] {
			r = Result{Trial: t, State: Failed, Result: json.RawMessage("null"),
				Error: fmt.Sprintf("given up after %d attempts that lost their worker or the database; the same command tries it again", mostAttempts)}
		} else if !ok {
			sum.Missing++
			continue
		} else {
			builds[r.Build], hosts[r.Worker] = true, true
		}
		if r.State == Failed {
			sum.Failed++
		}
		sum.Results = append(sum.Results, r)
	}
	sum.Builds, sum.Hosts = slices.Sorted(maps.Keys(builds)), slices.Sorted(maps.Keys(hosts))
	sum.PerHour = m.perHour(len(s.Trials) - sum.Missing - len(lost))
	return sum, nil
}
