package server

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Every key is compared, wherever the one that matches stands and whether any does.
func TestPositionComparesAll(t *testing.T) {
	for n := range 6 {
		hashes := make([][sha256.Size]byte, n)
		for match := -1; match < n; match++ {
			compared := 0
			at := position(hashes, func(h *[sha256.Size]byte) int {
				compared++
				if match >= 0 && h == &hashes[match] {
					return 1
				}
				return 0
			})
			if at != match || compared != n {
				t.Errorf("of %d keys number %d was found as %d after %d comparisons", n, match, at, compared)
			}
		}
	}
}

// spent is GCRA's naive twin: what is not back yet, folded anew from all that
// was ever used.
type spent []struct {
	at   time.Time
	cost time.Duration
}

func (s spent) level(now time.Time) time.Duration {
	var level time.Duration
	var last time.Time
	for _, use := range s {
		level = max(0, level-use.at.Sub(last)) + use.cost
		last = use.at
	}
	if len(s) == 0 {
		return 0
	}
	return max(0, level-now.Sub(last))
}

func TestMemoryIsGCRA(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(1, 2))
		refused := 0
		for range 50 {
			m, naive, r := newMemory(), spent(nil), Rate{Count: 1 + rng.IntN(20), Per: time.Minute}
			for range 200 {
				time.Sleep(time.Duration(rng.Int64N(int64(2 * r.each()))))
				cost := rng.IntN(r.Count + 3)
				if rng.IntN(8) == 0 {
					cost = -cost
				}
				use := r.each() * time.Duration(max(cost, -cost))
				after := naive.level(time.Now()) + use
				fits := cost < 0 || after <= r.each()*time.Duration(r.Count)
				want := after
				if fits {
					naive = append(naive, struct {
						at   time.Time
						cost time.Duration
					}{time.Now(), use})
				} else {
					want -= r.each() * time.Duration(r.Count)
					refused++
				}
				ok, wait, _ := m.Take(t.Context(), "k", cost, r)
				if ok != fits || wait != want {
					t.Fatalf("cost %d at %v: %v after %v, want %v after %v", cost, r, ok, wait, fits, want)
				}
			}
		}
		if refused < 1000 {
			t.Errorf("only %d of 10,000 uses were refused: the limit was not tried", refused)
		}
	})
}

// What a refusal says is true: at that time, and not before, the cost fits.
func TestMemoryWaitIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), Rate{Count: 7, Per: time.Minute}
		for range 7 {
			if ok, _, _ := m.Take(t.Context(), "k", 1, r); !ok {
				t.Fatal("the burst is refused")
			}
		}
		_, wait, _ := m.Take(t.Context(), "k", 3, r)
		time.Sleep(wait - 1)
		if ok, left, _ := m.Take(t.Context(), "k", 3, r); ok || left != 1 {
			t.Errorf("a nanosecond early: %v, %v", ok, left)
		}
		time.Sleep(time.Nanosecond)
		if ok, _, _ := m.Take(t.Context(), "k", 3, r); !ok {
			t.Error("refused at the time that was told")
		}
		if ok, wait, _ := m.Take(t.Context(), "huge", -1<<60, r); !ok || wait < 24*time.Hour {
			t.Errorf("a debt beyond all time: %v %v", ok, wait)
		}
	})
}

func TestRequestsAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sv := serve(t, Config{Generator: boxes("4"), Keys: []Key{
			{Name: "a", Hash: sha256.Sum256([]byte("a")), Limits: Limits{Requests: 2}}, NewKey("b", "b")}})
		ask := func(key string) (int, string, map[string]string) {
			status, body, h := sv.get("/v1/chat/completions", `{`+user+`}`, "Authorization", "Bearer "+key)
			rates := map[string]string{"retry": h.Get("Retry-After")}
			for name := range h {
				if rest, ok := strings.CutPrefix(name, "X-Ratelimit-"); ok {
					rates[rest] = h.Get(name)
				}
			}
			return status, string(body), rates
		}
		for _, want := range []struct{ status, remaining, reset string }{{"200", "1", "30s"}, {"200", "0", "1m0s"}, {"429", "0", "1m0s"}} {
			status, body, h := ask("a")
			if (status == 200) != (want.status == "200") || h["Limit-Requests"] != "2" || h["Remaining-Requests"] != want.remaining || h["Reset-Requests"] != want.reset {
				t.Errorf("%d %v, want %+v", status, h, want)
			}
			if status == 429 && (h["retry"] != "30" || !strings.Contains(body, `"rate_limit_exceeded"`)) {
				t.Errorf("%v %s", h, body)
			}
		}
		if status, _, h := ask("b"); status != 200 || len(h) != 1 {
			t.Errorf("another key's limit was applied: %d %v", status, h)
		}
		time.Sleep(30 * time.Second)
		if status, _, _ := ask("a"); status != 200 {
			t.Errorf("after the time that it was told: %d", status)
		}
	})
}

// Tokens are known when they have been made: a request is let in while there is
// any left, and what is used beyond is waited for.
func TestTokensAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Ten tokens a trace, six a minute.
		sv := serve(t, Config{Generator: paced("a b c d e f g h i j"), Limits: Limits{Tokens: 6}})
		status, _, h := sv.get("/v1/chat/completions", `{`+user+`}`)
		if status != 200 || h.Get("X-Ratelimit-Remaining-Tokens") != "6" || h.Get("X-Ratelimit-Limit-Tokens") != "6" {
			t.Errorf("%d %v", status, h)
		}
		status, body, h := sv.get("/v1/chat/completions", `{`+user+`}`)
		// Ten tokens used at one time are 100 s of work, of which 60 may be due.
		if status != 429 || h.Get("Retry-After") != "40" || !strings.Contains(string(body), "6 tokens a minute") {
			t.Errorf("%d %v %s", status, h, body)
		}
		time.Sleep(40 * time.Second)
		if status, _, _ := sv.get("/v1/chat/completions", `{`+user+`}`); status != 429 {
			t.Errorf("nothing is left, no more is owed: %d", status)
		}
		time.Sleep(10 * time.Second)
		ctx, leave := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer leave()
		<-sv.background(ctx, `{`+user+`}`) // leaves after three tokens
		synctest.Wait()
		// 50 s were due and three tokens are 30 more; 3.5 have gone by, and 60 may be due.
		if ok, wait, _ := sv.limiter.own.Take(t.Context(), "tokens/", 0, Rate{6, time.Minute}); ok || wait != 16500*time.Millisecond {
			t.Errorf("after one that was left early: %v %v", ok, wait)
		}
	})
}

func TestConcurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sv := serve(t, Config{Generator: paced("a b c d e f g h i j"), Limits: Limits{Concurrent: 2}})
		first, second := sv.background(t.Context(), `{`+user+`}`), sv.background(t.Context(), `{`+user+`}`)
		synctest.Wait()
		if status, body, _ := sv.get("/v1/chat/completions", `{`+user+`}`); status != 429 || !strings.Contains(string(body), `"concurrency_limit"`) {
			t.Errorf("%d %s", status, body)
		}
		if <-first != 200 || <-second != 200 {
			t.Error("those that were let in were not answered")
		}
		if status := <-sv.background(t.Context(), `{`+user+`}`); status != 200 {
			t.Errorf("afterwards: %d", status)
		}
		if len(sv.present.n) != 0 {
			t.Errorf("still present: %v", sv.present.n)
		}
	})
}

func TestBudgetAndMethods(t *testing.T) {
	sv := serve(t, Config{Generator: boxes("4"), Limits: Limits{Budget: 8}, Keys: []Key{
		{Name: "voter", Hash: sha256.Sum256([]byte("voter")), Methods: []string{"majority"}},
		{Name: "big", Hash: sha256.Sum256([]byte("big")), Limits: Limits{Budget: -1}}}})
	for _, tt := range []struct {
		key, body string
		status    int
		words     string
	}{
		{"voter", `{` + user + `, "model": "m@majority", "orrery": {"budget": 8}}`, 200, `"launched":8`},
		{"voter", `{` + user + `, "model": "m@majority"}`, 200, `"launched":8`},
		{"voter", `{` + user + `, "model": "m@majority", "orrery": {"budget": 9}}`, 400, "at most 8"},
		{"voter", `{` + user + `}`, 403, "may not use method single; it may use majority"},
		{"big", `{` + user + `, "model": "m@majority", "orrery": {"budget": 9}}`, 200, `"launched":9`},
		{"big", `{` + user + `}`, 200, "4"},
	} {
		status, body, _ := sv.get("/v1/chat/completions", tt.body, "Authorization", "Bearer "+tt.key)
		if status != tt.status || !strings.Contains(string(body), tt.words) {
			t.Errorf("%s, %s: %d %s", tt.key, tt.body, status, body)
		}
	}
	_, body, _ := sv.get("/v1/models", "", "Authorization", "Bearer voter")
	var list struct{ Data []struct{ ID string } }
	if json.Unmarshal(body, &list); len(list.Data) != 1 || list.Data[0].ID != "m@majority" {
		t.Errorf("a key that may use one method is shown %s", body)
	}
}

// Keys change while requests run: they go on; what was used stays used.
func TestSetKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limited := func(name, secret string) Key {
			k := NewKey(name, secret)
			k.Limits.Requests = 1
			return k
		}
		n := &notes{}
		sv := serve(t, Config{Generator: paced("a b c"), Keys: []Key{limited("a", "old")}, Observers: []Observer{n}})
		ask := func(key string) int {
			status, _, _ := sv.get("/v1/chat/completions", `{`+user+`}`, "Authorization", "Bearer "+key)
			return status
		}
		running := make(chan int, 1)
		go func() { running <- ask("old") }()
		synctest.Wait()
		if err := sv.SetKeys([]Key{limited("a", "new"), NewKey("b", "b")}); err != nil {
			t.Fatal(err)
		}
		if got := []int{ask("old"), ask("new"), ask("b")}; !slices.Equal(got, []int{401, 429, 200}) {
			t.Errorf("the old key, the new one of the same name, and another: %v", got)
		}
		if got := <-running; got != 200 {
			t.Errorf("the request that ran got %d", got)
		}
		if err := sv.SetKeys(nil); err == nil || ask("x") != 401 {
			t.Errorf("without keys everyone would be let in: %v", err)
		}
		if err := sv.SetKeys([]Key{NewKey("b", "")}); err == nil || ask("b") != 200 {
			t.Errorf("keys that are wrong change nothing: %v", err)
		}
		if n.asked[0].Client != "a" || n.asked[1].Client != "b" {
			t.Errorf("observers are told of %+v", n.asked)
		}
	})
}

// broken is a shared limiter that can fail and hang.
type broken struct {
	Limiter
	mu    sync.Mutex
	err   error
	hang  bool
	calls int
}

func (b *broken) Take(ctx context.Context, key string, cost int, r Rate) (bool, time.Duration, error) {
	b.mu.Lock()
	b.calls++
	err, hang := b.err, b.hang
	b.mu.Unlock()
	if hang {
		<-ctx.Done()
		return false, 0, ctx.Err()
	}
	if err != nil {
		return false, 0, err
	}
	return b.Limiter.Take(ctx, key, cost, r)
}

func (b *broken) become(err error, hang bool) (calls int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err, b.hang = err, hang
	return b.calls
}

// A shared limiter that fails or hangs is replaced by this process's own, and
// asked again after a while.
func TestLimiterFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broken{Limiter: newMemory()}
		var log strings.Builder
		sv := serve(t, Config{Generator: boxes("4"), Limits: Limits{Requests: 2}, Limiter: b, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		ask := func() int {
			status, _, _ := sv.get("/v1/chat/completions", `{`+user+`}`)
			return status
		}
		got := []int{ask(), ask(), ask()}
		b.become(errors.New("gone"), false)
		got = append(got, ask(), ask(), ask())
		if calls := b.become(nil, true); !slices.Equal(got, []int{200, 200, 429, 200, 200, 429}) || calls != 4 {
			t.Errorf("%v after %d calls", got, calls)
		}
		time.Sleep(limiterRest)
		began := time.Now()
		if ask() != 429 || time.Since(began) != limiterTimeout {
			t.Errorf("one that hangs is waited for %v", time.Since(began))
		}
		b.become(nil, false)
		time.Sleep(time.Minute)
		got = []int{ask()}
		calls := b.become(nil, false)
		synctest.Wait() // until the last line is logged
		if got[0] != 200 || calls != 6 || strings.Count(log.String(), "the shared limiter failed") != 2 || sv.Stats().LimiterErrors != 2 {
			t.Errorf("%v after %d calls; %s", got, calls, log.String())
		}
	})
}
