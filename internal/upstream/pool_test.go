package upstream

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"orrery/think/llm"
	"orrery/think/llm/llmtest"
)

// puppet is a server that a test plays: it can fail at once or after some tokens.
type puppet struct {
	*llmtest.Scripted
	mu    sync.Mutex
	fail  llm.ErrorKind // "": it works
	after int           // tokens before it fails
	asked int

	blind  bool // no check is made of it
	lively bool // it answers checks whatever it does
}

func newPuppet(tokens int, delay time.Duration) *puppet {
	return &puppet{Scripted: &llmtest.Scripted{Model: "m", Delay: delay, Pick: func(llm.Request) llmtest.Script {
		return llmtest.Words(20, strings.TrimSpace(strings.Repeat("w ", tokens)))
	}}}
}

func (p *puppet) become(kind llm.ErrorKind, after int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail, p.after = kind, after
}

func (p *puppet) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

func (p *puppet) Generate(ctx context.Context, r llm.Request) iter.Seq[llm.Event] {
	return func(yield func(llm.Event) bool) {
		p.mu.Lock()
		kind, after := p.fail, p.after
		p.asked++
		p.mu.Unlock()
		tokens := 0
		for ev := range p.Scripted.Generate(ctx, r) {
			if kind != "" && tokens == after && ev.Kind != llm.KindEnd {
				yield(llm.Event{Kind: llm.KindEnd, End: llm.End{Finish: llm.FinishError, Err: &llm.Error{Kind: kind}, Tokens: tokens}})
				return
			}
			if !yield(ev) {
				return
			}
			if ev.Kind == llm.KindToken {
				tokens++
			}
		}
	}
}

func (p *puppet) check(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != "" && p.after == 0 && !p.lively {
		return &llm.Error{Kind: p.fail}
	}
	return nil
}

// troupe is a pool of puppets, called a, b, c …
func troupe(t *testing.T, cfg PoolConfig, weights []float64, puppets ...*puppet) *Pool {
	t.Helper()
	cfg.Seed = or(cfg.Seed, 1)
	var members []Member
	for i, p := range puppets {
		m := Member{Name: string(rune('a' + i)), Generator: p, Check: p.check}
		if p.blind {
			m.Check = nil
		}
		if weights != nil {
			m.Weight = weights[i]
		}
		members = append(members, m)
	}
	p, err := NewPool(cfg, members...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		for _, s := range p.Status() {
			if s.Running != 0 {
				t.Errorf("%s has %d traces in flight after the last", s.Name, s.Running)
			}
		}
	})
	return p
}

var question = llm.Request{Messages: []llm.Message{{Role: "user", Content: "?"}}, MaxTokens: 100, TopLogprobs: 20, Temperature: 1}

// trace makes one trace and returns its text and end.
func trace(ctx context.Context, g llm.Generator, seed uint64) (text string, end llm.End) {
	r := question
	r.Seed = seed
	for ev := range g.Generate(ctx, r) {
		switch ev.Kind {
		case llm.KindText:
			text += string(ev.Text)
		case llm.KindEnd:
			end = ev.End
		}
	}
	return text, end
}

func TestPoolConforms(t *testing.T) {
	llmtest.Conform(t, llmtest.Subject{K: 20, Seeded: true, New: func(t *testing.T) llm.Generator {
		pick := func(r llm.Request) llmtest.Script { return llmtest.Random(r.Seed, llmtest.Shape{Tokens: 60}) }
		p, err := NewPool(PoolConfig{}, Member{Name: "a", Generator: &llmtest.Scripted{Pick: pick}}, Member{Name: "b", Generator: &llmtest.Scripted{Pick: pick}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		return p.Group()
	}})
}

// With any weights, the next trace goes where the load is least: at no time was
// the fullest server fuller than another before its last trace. On idle servers
// the traces are shared by weight.
func TestPoolBalances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(1, 2))
		for range 20 {
			var puppets []*puppet
			var weights []float64
			for range 2 + rng.IntN(4) {
				puppets, weights = append(puppets, newPuppet(10, time.Second)), append(weights, 1+float64(rng.IntN(4)))
			}
			p := troupe(t, PoolConfig{}, weights, puppets...)
			for range 40 {
				go trace(t.Context(), p, 1)
				synctest.Wait()
				st := p.Status()
				for _, full := range st {
					for _, other := range st {
						if float64(full.Running-1)/full.Weight > float64(other.Running)/other.Weight+1e-9 {
							t.Fatalf("%s has %d for weight %v while %s has %d for %v", full.Name, full.Running, full.Weight, other.Name, other.Running, other.Weight)
						}
					}
				}
			}
			time.Sleep(time.Minute)
			before, sum := p.Status(), 0.0
			for i, s := range before {
				sum += s.Weight
				p.members[i].started = 0 // nothing runs that could read it
			}
			for range 10 * int(sum) {
				trace(t.Context(), p, 1)
			}
			for _, s := range p.Status() {
				if got, want := float64(s.Traces), 10*s.Weight; got < want-1 || got > want+1 {
					t.Errorf("%s with weight %v of %v got %v of %v traces one after the other", s.Name, s.Weight, sum, got, 10*sum)
				}
			}
		}
	})
}

// The traces of a group stay together, and groups spread.
func TestPoolGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := troupe(t, PoolConfig{}, nil, newPuppet(5, time.Second), newPuppet(5, time.Second), newPuppet(5, time.Second))
		used := map[string]int{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 9 {
			g := p.Group()
			wg.Go(func() {
				where := map[string]bool{}
				var inner sync.WaitGroup
				for i := range 8 {
					inner.Go(func() {
						_, end := trace(t.Context(), g, uint64(i))
						mu.Lock()
						defer mu.Unlock()
						where[end.Upstream] = true
					})
				}
				inner.Wait()
				if len(where) != 1 {
					t.Errorf("the traces of one request were made by %v", where)
				}
				mu.Lock()
				defer mu.Unlock()
				for name := range where {
					used[name]++
				}
			})
			synctest.Wait() // requests come one after the other
		}
		wg.Wait()
		if used["a"] != 3 || used["b"] != 3 || used["c"] != 3 {
			t.Errorf("nine requests went to %v", used)
		}
	})
}

// A trace that has not begun moves to another server, and its request with it;
// one that has begun ends with its error, and no text is said twice.
func TestPoolFailover(t *testing.T) {
	for _, kind := range []llm.ErrorKind{llm.Unreachable, llm.RateLimited, llm.Overloaded, llm.StreamTruncated, llm.MalformedEvent, llm.NotStreaming, llm.Auth, llm.FirstTokenTimeout} {
		synctest.Test(t, func(t *testing.T) {
			a, b := newPuppet(5, time.Second), newPuppet(5, time.Second)
			p := troupe(t, PoolConfig{}, nil, a, b)
			g := p.Group()
			if _, end := trace(t.Context(), g, 1); end.Upstream != "a" || end.Retries != 0 {
				t.Fatalf("%+v", end)
			}
			a.become(kind, 0)
			text, end := trace(t.Context(), g, 2)
			if end.Finish != llm.FinishEOS || end.Upstream != "b" || end.Retries != 1 || text != "w w w w w" {
				t.Errorf("%s: %q %+v", kind, text, end)
			}
			a.become("", 0)
			if _, end := trace(t.Context(), g, 3); end.Upstream != "b" {
				t.Errorf("%s: the request went back to %s, where its prompt is cold", kind, end.Upstream)
			}
			b.become(kind, 2)
			text, end = trace(t.Context(), g, 4)
			if end.Finish != llm.FinishError || end.Upstream != "b" || text == "" || !strings.HasPrefix("w w", strings.TrimSpace(text)) {
				t.Errorf("%s in the middle of a trace: %q %+v", kind, text, end)
			}
		})
	}
	// What another server would refuse as well is not tried there.
	for _, kind := range []llm.ErrorKind{llm.BadRequest, llm.ContextOverflow, llm.TopLogprobsTooLarge, llm.NoTopLogprobs} {
		a, b := newPuppet(5, 0), newPuppet(5, 0)
		p := troupe(t, PoolConfig{}, nil, a, b)
		a.become(kind, 0)
		for range 10 {
			trace(t.Context(), p.Group(), 1)
		}
		if st := p.Status(); !st[0].Healthy || a.count()+b.count() != 10 {
			t.Errorf("%s: %+v after %d and %d", kind, st, a.count(), b.count())
		}
	}
}

// A server that fails is left alone, then probed once at a time, for longer each
// time that this fails, and is back with the first good trace.
func TestPoolCircuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPuppet(5, time.Second), newPuppet(5, time.Second)
		a.blind = true // traces alone decide
		p := troupe(t, PoolConfig{}, nil, a, b)
		a.become(llm.StreamTruncated, 0)
		// At most a minute of requests, one a second.
		var asked []time.Duration
		began := time.Now()
		for range 120 {
			before := a.count()
			if _, end := trace(t.Context(), p.Group(), 1); end.Finish != llm.FinishEOS {
				t.Fatalf("%+v", end)
			}
			if a.count() > before {
				asked = append(asked, time.Since(began))
			}
		}
		// Ten minutes of five-second traces; waits of up to 1, 2, 4 … 30 s after the third failure.
		if len(asked) < 15 || len(asked) > 45 {
			t.Errorf("a server that is down was asked %d times in ten minutes: %v", len(asked), asked)
		}
		for i := 10; i+1 < len(asked); i++ {
			if gap := asked[i+1] - asked[i]; gap < circuitCap/2 || gap > circuitCap+10*time.Second {
				t.Errorf("the wait after many failures is %v", gap)
			}
		}
		a.become("", 0)
		time.Sleep(circuitCap)
		var wg sync.WaitGroup
		before := a.count()
		for i := range 4 {
			wg.Go(func() { trace(t.Context(), p.Group(), uint64(i)) })
		}
		synctest.Wait()
		if n := a.count() - before; n != 1 {
			t.Errorf("%d traces probe at once", n)
		}
		wg.Wait()
		if st := p.Status()[0]; !st.Healthy || st.Circuit != "closed" || p.members[0].circuit != (circuit{}) {
			t.Errorf("it is back: %+v", st)
		}
	})
}

// Checks notice that a server has gone before a trace does, and that it is back.
func TestPoolHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPuppet(5, 0), newPuppet(5, 0)
		var told []string
		p := troupe(t, PoolConfig{Changed: func(name string, healthy bool, why string) {
			told = append(told, fmt.Sprint(name, " ", healthy, " ", why))
		}}, nil, a, b)
		a.become(llm.Unreachable, 0)
		time.Sleep(time.Minute)
		if st := p.Status(); st[0].Healthy || st[0].Error == "" || !st[1].Healthy || p.Ready() != nil {
			t.Errorf("after a minute: %+v, %v", st, p.Ready())
		}
		for range 10 {
			trace(t.Context(), p.Group(), 1)
		}
		if a.count() != 0 {
			t.Errorf("a server that is known to be down was asked for %d traces", a.count())
		}
		b.become(llm.Unreachable, 0)
		time.Sleep(time.Minute)
		if err := p.Ready(); err == nil {
			t.Errorf("both are down and it says %v", err)
		}
		// They are tried all the same, in rounds, and the error is theirs.
		began := time.Now()
		_, end := trace(t.Context(), p.Group(), 1)
		if kind(end.Err) != llm.Unreachable || a.count() != 4 || b.count() != 10+4 || end.Retries != 7 || time.Since(began) < time.Second {
			t.Errorf("%+v after %v, %d and %d attempts", end, time.Since(began), a.count(), b.count())
		}
		a.become("", 0)
		time.Sleep(time.Minute)
		if st := p.Status(); !st[0].Healthy || p.Ready() != nil {
			t.Errorf("a is back: %+v", st)
		}
		p.mu.Lock()
		if got := strings.Join(told, "; "); got != "a false : unreachable; b false : unreachable; a true " {
			t.Errorf("told: %s", got)
		}
		p.mu.Unlock()
		if _, end := trace(t.Context(), p.Group(), 1); end.Upstream != "a" {
			t.Errorf("%+v", end)
		}
	})
}

// A server that answers checks and fails traces is not asked again and again.
func TestPoolHealthIsNotAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPuppet(5, time.Second), newPuppet(5, time.Second)
		a.lively = true
		p := troupe(t, PoolConfig{}, nil, a, b)
		a.become(llm.MalformedEvent, 0)
		for range 120 {
			trace(t.Context(), p.Group(), 1)
		}
		if n := a.count(); n < 15 || n > 45 {
			t.Errorf("it was asked for %d traces in ten minutes", n)
		}
	})
}

func TestPoolDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := troupe(t, PoolConfig{}, nil, newPuppet(5, time.Second), newPuppet(5, time.Second))
		g := p.Group()
		trace(t.Context(), g, 1)
		if err := p.SetDrained("a", "z"); err == nil {
			t.Error("a server that there is not was drained")
		}
		if err := p.SetDrained("a"); err != nil {
			t.Fatal(err)
		}
		if _, end := trace(t.Context(), g, 2); end.Upstream != "a" {
			t.Errorf("a request that had begun at a drained server was moved to %s", end.Upstream)
		}
		for i := range 6 {
			if _, end := trace(t.Context(), p.Group(), uint64(i)); end.Upstream != "b" {
				t.Errorf("a new request went to %s", end.Upstream)
			}
		}
		if err := p.SetDrained("a", "b"); err != nil || p.Ready() == nil {
			t.Errorf("all are drained and it is ready: %v", err)
		}
		if _, end := trace(t.Context(), p.Group(), 1); kind(end.Err) != llm.Unreachable || end.Retries != 0 {
			t.Errorf("%+v", end)
		}
		if err := p.SetDrained(); err != nil || p.Ready() != nil {
			t.Error("they cannot be brought back")
		}
	})
}

// Jitter comes from the seed: the same faults give the same waits.
func TestPoolIsSeeded(t *testing.T) {
	waits := func(seed uint64) (out []time.Duration) {
		rng := rand.New(rand.NewPCG(seed, 0))
		var c circuit
		now := time.Unix(0, 0)
		for range 8 {
			for c.bad(now, rng); !c.open; {
				c.bad(now, rng)
			}
			out = append(out, c.until.Sub(now))
			now = c.until
			if ok, probe := c.allows(now); !ok || !probe || c.state(now) != "half_open" {
				t.Errorf("no probe when the wait is over")
			}
			c.probing = true
		}
		return out
	}
	a, b := waits(1), waits(2)
	if fmt.Sprint(a) != fmt.Sprint(waits(1)) || fmt.Sprint(a) == fmt.Sprint(b) {
		t.Errorf("%v, %v", a, b)
	}
	for i, d := range a {
		if full := min(circuitBase<<i, circuitCap); d < full/2 || d > full {
			t.Errorf("wait %d is %v, of %v", i, d, full)
		}
	}
}

// Whatever servers do, each trace has one End, what it says is a prefix of what
// one server would have said, and all of it if it ends well.
func TestPoolChaos(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const want = "w w w w w w"
		puppets := []*puppet{newPuppet(6, time.Second), newPuppet(6, time.Second), newPuppet(6, 3*time.Second)}
		p := troupe(t, PoolConfig{}, []float64{1, 2, 1}, puppets...)
		stop := make(chan struct{})
		go func() {
			rng := rand.New(rand.NewPCG(3, 4))
			kinds := []llm.ErrorKind{"", "", llm.Unreachable, llm.MalformedEvent, llm.FirstTokenTimeout, llm.RateLimited}
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Duration(1+rng.IntN(20)) * time.Second):
				}
				puppets[rng.IntN(3)].become(kinds[rng.IntN(len(kinds))], rng.IntN(4))
			}
		}()
		var mu sync.Mutex
		good, bad := 0, 0
		var wg sync.WaitGroup
		for i := range 60 {
			time.Sleep(2 * time.Second)
			g := p.Group()
			for j := range 4 {
				wg.Go(func() {
					var text strings.Builder
					ends := 0
					var end llm.End
					r := question
					r.Seed = uint64(4*i + j)
					for ev := range g.Generate(t.Context(), r) {
						switch ev.Kind {
						case llm.KindText:
							text.Write(ev.Text)
						case llm.KindEnd:
							ends++
							end = ev.End
						}
					}
					mu.Lock()
					defer mu.Unlock()
					switch {
					case ends != 1 || !strings.HasPrefix(want, strings.TrimSpace(text.String())):
						t.Errorf("%d ends, %q", ends, text.String())
					case end.Finish == llm.FinishEOS && text.String() == want:
						good++
					case end.Finish == llm.FinishError && end.Err != nil:
						bad++
					default:
						t.Errorf("%q %+v", text.String(), end)
					}
				})
			}
		}
		wg.Wait()
		close(stop)
		if good < 120 || bad == 0 {
			t.Errorf("%d good and %d bad: either the faults do nothing or fail-over does not", good, bad)
		}
	})
}

func TestNewPoolRefuses(t *testing.T) {
	g := newPuppet(1, 0)
	for words, members := range map[string][]Member{
		"there are none": {}, "a is named twice": {{Name: "a", Generator: g}, {Name: "a", Generator: g}},
		"no name": {{Generator: g}}, "weight of a is -1": {{Name: "a", Generator: g, Weight: -1}},
	} {
		if _, err := NewPool(PoolConfig{}, members...); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%v, want %q", err, words)
		}
	}
}

// Servers of other models or kinds are found at the start; one that is away
// joins when it is there, unless it turns out to be another.
func TestOpenPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := func(dialect, model string) Server {
			f := &llmtest.Fake{Dialect: dialect, Model: model, Rules: []llmtest.Rule{{Reply: llmtest.Play(llmtest.Words(20, "hello"))}}}
			return Server{Config: Config{URL: "http://" + dialect + "-" + model, Transport: f.Transport(t), Dialect: dialect}}
		}
		for words, servers := range map[string][]Server{
			"vllm-y serves y":        {fake("vllm", "x"), fake("vllm", "y")},
			"sglang-x is sglang":     {fake("vllm", "x"), fake("sglang", "x")},
			"vllm-x is named twice":  {fake("vllm", "x"), fake("vllm", "x")},
			"there is no dialect":    {fake("vllm", "x"), {Config: Config{URL: "http://x", Dialect: "best"}}},
			"none can be reached: u": {{Config: Config{URL: "http://away", Transport: away{}}}},
		} {
			if p, _, _, err := OpenPool(t.Context(), PoolConfig{}, servers...); err == nil || !strings.Contains(err.Error(), words) {
				t.Errorf("%v, want %q", err, words)
				p.Close()
			}
		}
		there, late, other := fake("vllm", "x"), fake("vllm", "x"), fake("vllm", "y")
		late.URL, other.URL = "http://late", "http://other"
		lateDoor, otherDoor := &door{inner: late.Transport}, &door{inner: other.Transport}
		late.Transport, other.Transport = lateDoor, otherDoor
		p, _, unreached, err := OpenPool(t.Context(), PoolConfig{Seed: 1}, there, late, other)
		if err != nil || len(unreached) != 2 {
			t.Fatalf("%v, %v", err, unreached)
		}
		defer p.Close()
		if st := p.Status(); !st[0].Healthy || st[1].Healthy || st[2].Healthy || p.Ready() != nil {
			t.Errorf("%+v", st)
		}
		lateDoor.open.Store(true)
		otherDoor.open.Store(true)
		time.Sleep(2 * time.Minute)
		if st := p.Status(); !st[1].Healthy || st[2].Healthy || !strings.Contains(st[2].Error, "other serves y") {
			t.Errorf("%+v", st)
		}
		if _, end := trace(t.Context(), p, 1); end.Finish == llm.FinishError {
			t.Errorf("%+v", end)
		}
	})
}

var errAway = errors.New("connect: connection refused")
