package soak

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"orrery/internal/server"
	"orrery/record"
)

// idHeader carries the client's name for its request, which becomes the request's id.
const idHeader = "X-Soak"

func requestID(n int) string { return fmt.Sprintf("soak-%06d", n) }

func number(id string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(id, "soak-"))
	if err != nil {
		return -1
	}
	return n
}

// entry is what is known of one request, from every side. All are made before the
// first is sent, so that the books do not grow.
type entry struct {
	kind, replica uint8
	seen          outcome // by the client
	logged        uint8   // lines
	finished      uint8   // calls of the accountant
	reason        server.Reason
	asked         bool // its run began, so that there should be a record
}

// books are those of one soak.
type books struct {
	mu      sync.Mutex
	entries []entry
	strange []string // what no entry explains
}

func (b *books) change(id string, f func(*entry)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := number(id)
	if n < 0 || n >= len(b.entries) {
		b.strange = append(b.strange, "a request called "+id)
		return
	}
	f(&b.entries[n])
}

// Asked implements [server.Observer].
func (b *books) Asked(a server.Asked) server.Watch {
	b.change(a.ID, func(e *entry) { e.asked = true })
	return nil
}

// Finished implements [server.Accountant].
func (b *books) Finished(_ context.Context, f server.Finished) {
	b.change(f.ID, func(e *entry) { e.finished++ })
}

// Handle and the next three implement [slog.Handler]: a line a request.
func (b *books) Handle(_ context.Context, r slog.Record) error {
	if r.Message != "request" {
		return nil
	}
	var id, reason string
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "request":
			id = a.Value.String()
		case "reason":
			reason = a.Value.String()
		}
		return true
	})
	b.change(id, func(e *entry) { e.logged++; e.reason = server.Reason(reason) })
	return nil
}

func (b *books) Enabled(context.Context, slog.Level) bool { return true }
func (b *books) WithAttrs([]slog.Attr) slog.Handler       { return b }
func (b *books) WithGroup(string) slog.Handler            { return b }

var requestsLine = regexp.MustCompile(`(?m)^orrery_requests_total\{.*?reason="([a-z_]+)".*?\} (\d+)$`)

// counted is what the metrics say of requests, by reason.
func counted(h http.Handler) map[server.Reason]int {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	out := map[server.Reason]int{}
	for _, m := range requestsLine.FindAllStringSubmatch(w.Body.String(), -1) {
		n, _ := strconv.Atoi(m[2])
		out[server.Reason(m[1])] += n
	}
	return out
}

// close compares the books of one replica, after its end.
func (b *books) close(which int, r *replica) (bad []string) {
	say := func(format string, args ...any) { bad = append(bad, r.place.name+": "+fmt.Sprintf(format, args...)) }
	sent, asked := 0, 0
	reasons := map[server.Reason]int{}
	for n, e := range b.entries {
		if int(e.replica) != which || e.seen == unseen || e.seen == unsent && e.logged+e.finished == 0 {
			continue
		}
		sent++
		if e.logged != 1 || e.finished != 1 {
			say("request %d (%s) has %d lines in the log and %d ends", n, kinds[e.kind].name, e.logged, e.finished)
		}
		reasons[e.reason]++
		if e.asked {
			asked++
		}
		if why := contradiction(&e); why != "" {
			say("request %d (%s): the client saw %s, the server says %s%s", n, kinds[e.kind].name, outcomeNames[e.seen], e.reason, why)
		}
	}
	stats := r.server.Stats()
	if stats.Open != 0 || stats.Received != sent || !maps.Equal(stats.Ended, reasons) {
		say("%d were sent and ended as %v; the server counts %+v", sent, reasons, stats)
	}
	if m := counted(r.metrics.Handler()); !maps.Equal(m, reasons) {
		say("the log says %v, the metrics %v", reasons, m)
	}
	kept := r.journal.Stats().Runs
	if kept.Recorded+kept.Dropped != asked {
		say("%d runs began, %d are counted as recorded and %d as lost", asked, kept.Recorded, kept.Dropped)
	}
	whole, cut, none := 0, 0, 0
	for n, e := range b.entries {
		if int(e.replica) != which || e.seen == unseen {
			continue
		}
		switch state, times := r.recorded[requestID(n)], r.times[requestID(n)]; {
		case times > 1:
			say("request %d is recorded %d times", n, times)
		case times == 1 && !e.asked:
			say("request %d never ran and is recorded", n)
		case !e.asked:
		case times == 0:
			none++
		case state == record.Running || state == record.Lost:
			cut++
		default:
			whole++
		}
	}
	if whole < kept.Recorded || none+cut > kept.Dropped {
		say("%d runs are in the store whole, %d without their end and %d not at all, of %d counted as recorded and %d as lost", whole, cut, none, kept.Recorded, kept.Dropped)
	}
	return bad
}

// contradiction says why a client's and the server's view of a request cannot
// both be true; "" if they can. A client that leaves may leave after the end.
func contradiction(e *entry) string {
	gone := []server.Reason{server.ClientCancelled, server.Completed, server.BadRequest, server.UpstreamError, server.Rejected, server.Deadline}
	could := map[outcome][]server.Reason{
		answered:   {server.Completed, server.Deadline, server.UpstreamError, server.Drained},
		errorEvent: {server.UpstreamError, server.Deadline},
		refused4xx: {server.BadRequest, server.Unauthorized, server.Rejected},
		failed5xx:  {server.UpstreamError, server.Deadline},
		unsent:     gone, // it was on its way after all
		left:       gone,
	}
	if !slices.Contains(could[e.seen], e.reason) {
		return ", which cannot both be"
	}
	return ""
}

// print prints a row a fault.
func (b *books) print(w io.Writer, rs []*replica) {
	fmt.Fprintf(w, "%-24s %5s  %-42s %-58s %8s %5s %5s\n", "fault", "sent", "what came back", "how the server says it ended", "recorded", "lost", "none")
	total := [4]int{}
	for k := range kinds {
		sent, recorded, lost, none := 0, 0, 0, 0
		seen, reasons := map[string]int{}, map[string]int{}
		for n, e := range b.entries {
			if int(e.kind) != k || e.seen == unseen {
				continue
			}
			sent++
			seen[outcomeNames[e.seen]]++
			if e.reason != "" {
				reasons[string(e.reason)]++
			}
			r := rs[e.replica]
			switch state := r.recorded[requestID(n)]; {
			case !e.asked:
				none++
			case r.times[requestID(n)] == 0, state == record.Running, state == record.Lost:
				lost++
			default:
				recorded++
			}
		}
		fmt.Fprintf(w, "%-24s %5d  %-42s %-58s %8d %5d %5d\n", kinds[k].name, sent, list(seen), list(reasons), recorded, lost, none)
		for i, v := range []int{sent, recorded, lost, none} {
			total[i] += v
		}
	}
	fmt.Fprintf(w, "%-24s %5d  %-42s %-58s %8d %5d %5d\n", "all", total[0], "", "", total[1], total[2], total[3])
	fmt.Fprintln(w, "lost: not in the record, or without its end, and counted; none: it never ran, so that there is nothing to record")
}

// list prints counts, the largest first.
func list(m map[string]int) string {
	names := slices.Sorted(maps.Keys(m))
	slices.SortStableFunc(names, func(a, b string) int { return m[b] - m[a] })
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%d %s", m[name], name))
	}
	return strings.Join(parts, ", ")
}
