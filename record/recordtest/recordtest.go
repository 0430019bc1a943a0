// Package recordtest is what every database behind package record must do: one suite,
// run against SQLite and against PostgreSQL.
package recordtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"orrery/record"
)

// Clock is a clock that stands still until it is moved.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock starts at a time that is exact to microseconds, as stores are.
func NewClock() *Clock { return &Clock{now: time.UnixMicro(1764104400_000000)} }

// Now is for [record.WithClock].
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Move lets time pass.
func (c *Clock) Move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Suite runs the conformance tests. fresh makes an empty database and is its URL.
func Suite(t *testing.T, fresh func(t *testing.T) string) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *bench)
	}{
		{"Run", testRun}, {"Unusual", testUnusual}, {"Again", testAgain}, {"Traces", testTraces}, {"List", testList}, {"Prefix", testPrefix},
		{"Delete", testDelete}, {"PruneAge", testPruneAge}, {"PruneBytes", testPruneBytes}, {"Left", testLeft}, {"MigrateAtOnce", testMigrateAtOnce},
		{"Together", testTogether}, {"Limit", testLimit}, {"LimitShared", testLimitShared}, {"LimitBound", testLimitBound},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := &bench{t: t, url: fresh(t), clock: NewClock()}
			test.run(t, b)
		})
	}
}

type bench struct {
	t     *testing.T
	url   string
	clock *Clock
}

// open is a store over the test's database; another process's, for what it knows.
func (b *bench) open() *record.Store {
	b.t.Helper()
	s, err := record.Open(b.t.Context(), b.url, record.WithClock(b.clock.Now))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { s.Close() })
	return s
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// begin starts a run a second later than the last.
func (b *bench) begin(s *record.Store, r record.Run) *record.Run {
	b.t.Helper()
	b.clock.Move(time.Second)
	if r.Kind == "" {
		r.Kind = "ask"
	}
	b.must(s.Begin(b.t.Context(), &r))
	return &r
}

func ptr[T any](v T) *T { return &v }

// same compares through JSON, in which NaN has no place and a nil pointer is null.
func same(t *testing.T, what string, got, want any) {
	t.Helper()
	g, err1 := json.Marshal(got)
	w, err2 := json.Marshal(want)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(g, w) {
		t.Errorf("%s:\n got %s\nwant %s", what, g, w)
	}
}

func testRun(t *testing.T, b *bench) {
	s := b.open()
	r := b.begin(s, record.Run{Kind: "serve", Name: "builtin", Method: "deepconf-low", Model: "builtin", Client: "alice", Request: "ABC", Keep: "text",
		Question: ptr("How many?"), Config: json.RawMessage(`{"eta": 10}`)})
	got, err := s.Run(t.Context(), r.ID)
	b.must(err)
	same(t, "a run that has begun", got, r)
	if got.State != record.Running || !got.Started.Equal(b.clock.Now()) || !got.Ended.IsZero() {
		t.Errorf("begun: %+v", got)
	}
	b.clock.Move(1500 * time.Millisecond)
	r.Answer, r.Tokens, r.Saved, r.Traces = ptr("4"), 1234, ptr(0.1+0.2), 7
	r.Metrics, r.Result, r.Dir, r.Report = json.RawMessage(`{"loss":0.5}`), json.RawMessage(`{"answer":"4"}`), "/runs/x", "/runs/x/report.html"
	b.must(s.Update(t.Context(), r))
	got, err = s.Run(t.Context(), r.ID)
	b.must(err)
	same(t, "a run that goes on", got, r)
	b.must(s.End(t.Context(), r))
	got, err = s.Run(t.Context(), r.ID)
	b.must(err)
	same(t, "a run that has ended", got, r)
	if got.State != record.Done || got.Seconds(time.Time{}) != 1.5 || *got.Saved != 0.1+0.2 {
		t.Errorf("ended: %+v, %v s", got, got.Seconds(time.Time{}))
	}
	for _, f := range []func() error{
		func() error { _, err := s.Run(t.Context(), "nobody"); return err },
		func() error { _, err := s.Run(t.Context(), ""); return err },
		func() error { return s.End(t.Context(), &record.Run{ID: "nobody"}) },
		func() error { return s.Put(t.Context(), &record.Trace{Run: "nobody"}) },
		func() error { return s.Delete(t.Context(), "nobody") },
		func() error { _, err := s.Trace(t.Context(), r.ID, 3, 0); return err },
	} {
		if err := f(); !errors.Is(err, record.ErrNotFound) {
			t.Errorf("what is not there: %v", err)
		}
	}
}

// testUnusual: texts that are no texts for one of the databases.
func testUnusual(t *testing.T, b *bench) {
	s := b.open()
	r := b.begin(s, record.Run{Question: ptr("a\x00b\xff%_\\'\";--"), Error: "\x00", Name: "$1 ? ?", Client: "\xc3\x28"})
	wild := "\x00\xff ? <script>\u2028"
	b.must(s.Put(t.Context(), &record.Trace{Run: r.ID, Seed: math.MaxUint64, Text: wild, Reasoning: wild, Answer: ptr("\x00")}))
	got, err := s.Run(t.Context(), r.ID)
	b.must(err)
	if *got.Question != "a\uFFFDb\uFFFD%_\\'\";--" || got.Error != "\uFFFD" || got.Name != "$1 ? ?" || got.Client != "\uFFFD(" {
		t.Errorf("%+v, question %q", got, *got.Question)
	}
	traces, err := s.Traces(t.Context(), r.ID, record.KeepAll)
	b.must(err)
	if tr := traces[0]; tr.Text != wild || tr.Reasoning != wild || tr.Seed != math.MaxUint64 || *tr.Answer != "\uFFFD" {
		t.Errorf("%+v", tr)
	}
}

// testAgain: a write whose commit was not heard of is done again, and changes nothing.
func testAgain(t *testing.T, b *bench) {
	s, other := b.open(), b.open()
	r := b.begin(s, record.Run{})
	b.must(s.Begin(t.Context(), r))
	tr := record.Trace{Run: r.ID, Number: 0, Tokens: 5}
	b.must(s.Put(t.Context(), &tr))
	b.must(s.Put(t.Context(), &tr))
	if err := other.Begin(t.Context(), r); !errors.Is(err, record.ErrExists) {
		t.Errorf("a run that another process has begun: %v", err)
	}
	got, err := s.Run(t.Context(), r.ID)
	b.must(err)
	if got.Traces != 1 || got.Tokens != 5 {
		t.Errorf("%d traces, %d tokens", got.Traces, got.Tokens)
	}
}

// floats differ in all their bits: a confidence that is a mean of logarithms has no
// short form.
func floats(n int, seed float64) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = 5 + 4*math.Sin(seed+float64(i)*1.7)
	}
	return out
}

func testTraces(t *testing.T, b *bench) {
	s := b.open()
	r := b.begin(s, record.Run{})
	conf := floats(700, 1)
	conf[0], conf[3], conf[699] = math.NaN(), 0, math.MaxFloat64
	full := record.Trace{Run: r.ID, Number: 1, Phase: "final", Seed: 1 << 63, Answer: ptr("x"), StopReason: "low_confidence", Excluded: "low_confidence",
		Votes: ptr(false), Weight: ptr(0.1), Tokens: 700, Mean: ptr(1.5), Lowest: ptr(1 / 3.0), Bottom10: ptr(math.Pi), Tail: ptr(5e-324), Seconds: 2.25,
		Detail: json.RawMessage(`{"group": 1}`), Text: "the answer", Reasoning: "hmm", Confidences: conf,
		Logprobs: floats(700, 2), Top: [][]float64{{-0.5, math.Inf(-1), math.NaN()}, {}}, TopTexts: [][]string{{"a", "", "é\x00"}, nil}}
	b.must(s.Put(t.Context(), &full))
	b.must(s.Put(t.Context(), &record.Trace{Run: r.ID, Number: 0, Confidences: []float64{}}))
	got, err := s.Traces(t.Context(), r.ID, record.KeepAll)
	b.must(err)
	if len(got) != 2 || got[0].Number != 0 || got[1].Number != 1 {
		t.Fatalf("%d traces", len(got))
	}
	equal(t, "confidences", got[1].Confidences, conf)
	equal(t, "log-probabilities", got[1].Logprobs, full.Logprobs)
	if len(got[1].Top) != 2 || len(got[1].Top[1]) != 0 {
		t.Fatalf("alternatives %v", got[1].Top)
	}
	equal(t, "alternatives", got[1].Top[0], full.Top[0])
	same(t, "their texts", got[1].TopTexts, full.TopTexts)
	plain := func(tr record.Trace) record.Trace {
		tr.Confidences, tr.Logprobs, tr.Top, tr.TopTexts = nil, nil, nil, nil
		return tr
	}
	same(t, "a trace", plain(got[1]), plain(full))
	if e := got[0]; e.Answer != nil || e.Votes != nil || e.Weight != nil || e.Mean != nil || e.Top != nil || e.Logprobs != nil || e.Confidences == nil || len(e.Confidences) != 0 {
		t.Errorf("an empty trace: %+v", e)
	}
	one, err := s.Trace(t.Context(), r.ID, 1, record.KeepText)
	b.must(err)
	if one.Text != "the answer" || one.Confidences != nil || one.Top != nil {
		t.Errorf("text alone: %+v", one)
	}
	r1, err := s.Run(t.Context(), r.ID)
	b.must(err)
	if r1.Traces != 2 || r1.Tokens != 700 {
		t.Errorf("while it runs: %d traces, %d tokens", r1.Traces, r1.Tokens)
	}
	full.Votes, full.Excluded, full.Detail = ptr(true), "", json.RawMessage(`{}`)
	b.must(s.Decide(t.Context(), []record.Trace{full, {Run: r.ID, Number: 99}}))
	one, err = s.Trace(t.Context(), r.ID, 1, record.KeepText)
	b.must(err)
	if !*one.Votes || one.Excluded != "" || one.Text != "the answer" || string(one.Detail) != "{}" {
		t.Errorf("decided: %+v", one)
	}
}

// equal compares to the bit, but for what a NaN carries.
func equal(t *testing.T, what string, got, want []float64) {
	t.Helper()
	if !slices.EqualFunc(got, want, func(x, y float64) bool {
		return math.Float64bits(x) == math.Float64bits(y) || x != x && y != y
	}) {
		t.Errorf("%s: %d of them, not the bits that were put", what, len(got))
	}
}

func testList(t *testing.T, b *bench) {
	s := b.open()
	var ids []string
	for i := range 10 {
		r := b.begin(s, record.Run{Kind: []string{"serve", "train"}[i%2], Name: fmt.Sprintf("n %d", i), Method: []string{"single", "deepconf-low"}[i/5], Model: "M", Client: fmt.Sprint("c", i%3),
			Question: ptr(fmt.Sprintf("What is 100%% of %d_%d? ÄÖ", i, i)), Result: json.RawMessage(`{}`), Request: fmt.Sprint("q", i)})
		if i%2 == 0 {
			b.must(s.End(t.Context(), r))
		}
		ids = append(ids, r.ID)
	}
	slices.Reverse(ids)
	list := func(f record.Filter) (out []int) {
		t.Helper()
		runs, err := s.List(t.Context(), f)
		b.must(err)
		for _, r := range runs {
			if r.Result != nil {
				t.Error("a list has results")
			}
			out = append(out, 9-slices.Index(ids, r.ID))
		}
		return out
	}
	start := b.clock.Now().Add(-9 * time.Second)
	for _, c := range []struct {
		f    record.Filter
		want []int
	}{
		{record.Filter{}, []int{9, 8, 7, 6, 5, 4, 3, 2, 1, 0}},
		{record.Filter{Limit: 3}, []int{9, 8, 7}},
		{record.Filter{Limit: 3, Before: ids[2]}, []int{6, 5, 4}},
		{record.Filter{Before: ids[9]}, nil},
		{record.Filter{Kinds: []string{"train"}}, []int{9, 7, 5, 3, 1}},
		{record.Filter{Kinds: []string{"train", "serve"}, Method: "single"}, []int{4, 3, 2, 1, 0}},
		{record.Filter{State: record.Done}, []int{8, 6, 4, 2, 0}},
		{record.Filter{State: record.Running, Client: "c0"}, []int{9, 3}},
		{record.Filter{Name: "n 4"}, []int{4}},
		{record.Filter{Request: "q4"}, []int{4}},
		{record.Filter{Model: "m"}, nil},
		{record.Filter{Since: start.Add(7 * time.Second)}, []int{9, 8, 7}},
		{record.Filter{Since: start, Until: start.Add(time.Second)}, []int{0}},
		{record.Filter{Find: "WHAT IS 100% OF 7_7"}, []int{7}},
		// What is looked for has a character that no id has: ids are drawn, and are searched as well.
		{record.Filter{Find: "100%7"}, nil}, // % is no wildcard
		{record.Filter{Find: "f_7"}, nil},   // nor is _
		{record.Filter{Find: "7?7"}, nil},   // nor a mark a parameter
		{record.Filter{Find: "äö"}, nil},    // only ASCII letters match in either case
		{record.Filter{Find: "N 3"}, []int{3}},
		{record.Filter{Find: ids[0]}, []int{9}},
	} {
		if got := list(c.f); !slices.Equal(got, c.want) {
			t.Errorf("%+v: got %v, want %v", c.f, got, c.want)
		}
	}
	if got := len(list(record.Filter{Find: "ÄÖ"})); got != 10 {
		t.Errorf("umlauts find %d", got)
	}
}

func testPrefix(t *testing.T, b *bench) {
	s := b.open()
	for _, id := range []string{"20260101-000000000-aaaaaa", "20260101-000000000-abbbbb", "20260102-000000000-cccccc"} {
		b.begin(s, record.Run{ID: id})
	}
	for _, c := range []struct {
		id, want string
		err      error
	}{
		{"20260102", "20260102-000000000-cccccc", nil},
		{"20260101-000000000-aa", "20260101-000000000-aaaaaa", nil},
		{"ab", "20260101-000000000-abbbbb", nil},
		{"20260101", "", record.ErrAmbiguous},
		{"a", "", record.ErrAmbiguous},
		{"%", "", record.ErrNotFound},
		{"_0260102", "", record.ErrNotFound},
		{"bbbbb", "", record.ErrNotFound},
	} {
		r, err := s.Run(t.Context(), c.id)
		if !errors.Is(err, c.err) || err == nil && r.ID != c.want {
			t.Errorf("%s: %+v, %v", c.id, r, err)
		}
	}
}

func testDelete(t *testing.T, b *bench) {
	s := b.open()
	r, other := b.begin(s, record.Run{}), b.begin(s, record.Run{})
	for _, id := range []string{r.ID, other.ID} {
		b.must(s.Put(t.Context(), &record.Trace{Run: id}))
	}
	b.must(s.Delete(t.Context(), r.ID))
	if _, err := s.Run(t.Context(), r.ID); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("a deleted run: %v", err)
	}
	for id, want := range map[string]int{r.ID: 0, other.ID: 1} {
		traces, err := s.Traces(t.Context(), id, 0)
		b.must(err)
		if len(traces) != want {
			t.Errorf("%d traces, want %d", len(traces), want)
		}
	}
	if err := s.Put(t.Context(), &record.Trace{Run: r.ID, Number: 1}); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("a trace of a deleted run: %v", err)
	}
}

// fill makes ended runs of about a megabyte each, oldest first.
func (b *bench) fill(s *record.Store, n int) (ids []string) {
	b.t.Helper()
	for i := range n {
		r := b.begin(s, record.Run{})
		b.must(s.Put(b.t.Context(), &record.Trace{Run: r.ID, Confidences: floats(150_000, float64(i))}))
		r.Traces = 1
		b.must(s.End(b.t.Context(), r))
		ids = append(ids, r.ID)
	}
	return ids
}

func (b *bench) left(s *record.Store) (ids []string) {
	b.t.Helper()
	runs, err := s.List(b.t.Context(), record.Filter{Limit: 1000})
	b.must(err)
	for _, r := range runs {
		ids = append(ids, r.ID)
	}
	slices.Reverse(ids)
	return ids
}

func testPruneAge(t *testing.T, b *bench) {
	s := b.open()
	running := b.begin(s, record.Run{})
	old := b.begin(s, record.Run{})
	b.must(s.End(t.Context(), old))
	b.clock.Move(time.Hour)
	young := b.begin(s, record.Run{})
	b.must(s.End(t.Context(), young))
	if p, err := s.Prune(t.Context(), time.Hour-time.Minute, 0, "train", "eval"); err != nil || p.Runs != 0 {
		t.Errorf("of other kinds %d go, %v", p.Runs, err)
	}
	p, err := s.Prune(t.Context(), time.Hour-time.Minute, 0, "train", "ask")
	b.must(err)
	if got, want := b.left(s), []string{running.ID, young.ID}; !slices.Equal(got, want) || p.Runs != 1 {
		t.Errorf("pruned %d, left %v, want %v", p.Runs, got, want)
	}
	if p, err = s.Prune(t.Context(), 0, 0); err != nil || p.Runs != 0 {
		t.Errorf("without limits %d go, %v", p.Runs, err)
	}
}

func testPruneBytes(t *testing.T, b *bench) {
	s := b.open()
	running := b.begin(s, record.Run{})
	ids := b.fill(s, 8)
	before, err := s.Totals(t.Context())
	b.must(err)
	limit := before.Bytes * 5 / 16
	p, err := s.Prune(t.Context(), 0, limit)
	b.must(err)
	after, err := s.Totals(t.Context())
	b.must(err)
	// Five sixteenths of eight runs are two and a half.
	if got, want := b.left(s), append([]string{running.ID}, ids[6:]...); !slices.Equal(got, want) || p.Runs != 6 {
		t.Errorf("pruned %d, left %v, want %v", p.Runs, got, want)
	}
	if after.Bytes > limit || after.Bytes != before.Bytes-p.Bytes || after.Runs != 3 || after.Traces != 2 {
		t.Errorf("before %+v, after %+v, pruned %+v", before, after, p)
	}
}

// testLeft: what a process leaves running when it goes is lost.
func testLeft(t *testing.T, b *bench) {
	s, other := b.open(), b.open()
	mine, theirs := b.begin(s, record.Run{}), b.begin(other, record.Run{})
	b.clock.Move(time.Second)
	b.must(other.Close())
	for id, want := range map[string]record.State{mine.ID: record.Running, theirs.ID: record.Lost} {
		r, err := s.Run(t.Context(), id)
		b.must(err)
		if r.State != want {
			t.Errorf("state %s, want %s", r.State, want)
		}
	}
	// A process that lives is not taken for dead.
	b.must(s.Heartbeat(t.Context()))
	if n, err := b.open().Reap(t.Context()); n != 0 || err != nil {
		t.Errorf("%d lost, %v", n, err)
	}
	// Who was taken for lost and comes back, ends as it ends.
	b.must(s.End(t.Context(), theirs))
	if r, err := s.Run(t.Context(), theirs.ID); err != nil || r.State != record.Done {
		t.Errorf("%+v, %v", r, err)
	}
}

func testMigrateAtOnce(t *testing.T, b *bench) {
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			s, err := record.Open(context.Background(), b.url)
			if err != nil {
				t.Error(err)
				return
			}
			if err := errors.Join(s.Begin(context.Background(), &record.Run{}), s.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// testTogether: several stores write at once, and each sees all.
func testTogether(t *testing.T, b *bench) {
	var all sync.WaitGroup
	const stores, runs = 3, 10
	for range stores {
		s := b.open()
		all.Go(func() {
			for range runs {
				r := record.Run{Kind: "ask"}
				err := s.Begin(context.Background(), &r)
				for i := range 3 {
					err = errors.Join(err, s.Put(context.Background(), &record.Trace{Run: r.ID, Number: i, Tokens: 1}))
				}
				if err = errors.Join(err, s.End(context.Background(), &r)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	s := b.open()
	if got := b.left(s); len(got) != stores*runs {
		t.Errorf("%d runs, want %d", len(got), stores*runs)
	}
	for _, id := range b.left(s) {
		if traces, err := s.Traces(t.Context(), id, 0); err != nil || len(traces) != 3 {
			t.Errorf("%d traces, %v", len(traces), err)
		}
	}
}
