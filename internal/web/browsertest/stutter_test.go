package browsertest

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"

	"orrery/record"
	"orrery/think/llm"
	"orrery/think/llm/llmtest"
)

// frames measures the time between the page's frames, and tasks that hold it up.
const frames = `window.times = []; window.tasks = [];
new PerformanceObserver((l) => l.getEntries().forEach((e) => window.tasks.push(e.duration))).observe({type: "longtask"});
let last = performance.now();
const tick = (now) => { window.times.push(now - last); last = now; requestAnimationFrame(tick) };
requestAnimationFrame(tick)`

// figures are percentiles of frame times, in ms.
type figures struct {
	Frames   int     `json:"frames"`
	P50      float64 `json:"p50"`
	P95      float64 `json:"p95"`
	P99      float64 `json:"p99"`
	Max      float64 `json:"max"`
	Tasks    int     `json:"tasks"`
	Longest  float64 `json:"longest"`
	Heap     float64 `json:"heap"` // MB
	Tokens   int     `json:"tokens"`
	Coloured int     `json:"coloured"`
}

const measured = `(() => { const t = window.times.slice(5).sort((a, b) => a - b), at = (p) => t[Math.min(t.length - 1, Math.floor(p * t.length))];
return {frames: t.length, p50: at(.5), p95: at(.95), p99: at(.99), max: t[t.length - 1], tasks: window.tasks.length, longest: Math.max(0, ...window.tasks),
heap: performance.memory ? performance.memory.usedJSHeapSize / 1e6 : 0, tokens: Number(document.querySelector(".m-tokens dd").textContent.replaceAll(",", "")), coloured: ` + colours + `} })()`

// spent is the processor time that the page's thread has taken, in seconds, by kind.
func (tb *tab) spent() map[string]float64 {
	tb.t.Helper()
	r, err := chromedp.Call(tb.ctx, performance.GetMetrics, cdp.Empty{})
	if err != nil {
		tb.t.Fatal(err)
	}
	out := map[string]float64{}
	for _, m := range r.Metrics {
		if strings.HasSuffix(m.Name, "Duration") {
			out[m.Name] = m.Value
		}
	}
	return out
}

// 256 traces of 4,000 tokens, all at once, are drawn without stutter while they grow.
// The model makes about 25,000 tokens a second, more than one GPU serves.
func TestNoStutter(t *testing.T) {
	const traces, tokens = 256, 4000
	var scripts []llmtest.Script
	rng := rand.New(rand.NewPCG(1, 2))
	for range 8 {
		var s llmtest.Script
		level := 0.5 + rng.Float64()
		for i := range tokens {
			level += 0.02*rng.NormFloat64() + 0.01*(1-level)
			s.Tokens = append(s.Tokens, token(" "+words[i%len(words)], max(0.1, level+0.2*rng.NormFloat64()), rng))
		}
		scripts = append(scripts, s)
	}
	tb := open(t, &llmtest.Scripted{Delay: 8 * time.Millisecond, Pick: func(r llm.Request) llmtest.Script { return scripts[r.Seed%8] }})
	tb.size(1400, 900)
	call(tb, performance.Enable, performance.EnableParams{TimeDomain: performance.EnableTimeDomainThreadTicks})
	tb.until(`document.querySelector("#question")`)
	tb.do(chromedp.Click("#question"))
	tb.js(`document.querySelector(".ask-form .quiet").click(); document.querySelector("#p-concurrency").value = 256; document.querySelector("#p-window").value = 256`)
	tb.ask("How many?", "deepconf-offline", traces)
	tb.until(colours + ` > 10`)
	tb.js(frames)
	began := time.Now()
	before := tb.spent()
	for time.Since(began) < 15*time.Second {
		// Somebody scrolls, points and opens a trace meanwhile.
		tb.js(`const s = document.querySelector(".strips"); s.scrollTop = (s.scrollTop + 120) % (s.scrollHeight - s.clientHeight + 1)`)
		time.Sleep(150 * time.Millisecond)
	}
	after, wall := tb.spent(), time.Since(began).Seconds()
	f := eval[figures](tb, measured)
	busy := map[string]float64{}
	for name := range after {
		busy[name] = (after[name] - before[name]) / wall
	}
	t.Logf("processor time of the page's thread, share of a core: %.3f in all, scripts %.3f, layout %.3f, styles %.3f", busy["TaskDuration"], busy["ScriptDuration"], busy["LayoutDuration"], busy["RecalcStyleDuration"])
	// Frames come late wherever something else has the processors, so the test is of
	// processor time: with half a core to spare, a frame of 16.7 ms has 8 ms for itself.
	if busy["TaskDuration"] > 0.5 {
		t.Errorf("the page takes %.2f of a core", busy["TaskDuration"])
	}
	t.Logf("%d traces, %d tokens so far: %d frames in %.1f s, median %.1f ms, 95 %% %.1f ms, 99 %% %.1f ms, longest %.1f ms; %d tasks over 50 ms, longest %.0f ms; heap %.0f MB; %d colours",
		traces, f.Tokens, f.Frames, time.Since(began).Seconds(), f.P50, f.P95, f.P99, f.Max, f.Tasks, f.Longest, f.Heap, f.Coloured)
}

// A request of full size that has ended, a million tokens, is opened at once and
// scrolled without stutter.
func TestFullSize(t *testing.T) {
	const traces, tokens = 256, 4000
	tb := open(t, thinker(60, 0))
	tb.size(1400, 900)
	call(tb, performance.Enable, performance.EnableParams{TimeDomain: performance.EnableTimeDomainThreadTicks})
	s, answer, lowest := 9.5, "204", 10.0
	set, _ := json.Marshal(map[string]any{"params": map[string]any{}, "used": map[string]any{"method": "deepconf-high", "model": "m", "budget": traces, "warmup": 16, "window": 256, "k": 20, "concurrency": 32}})
	run := tb.begin(record.Run{Kind: "serve", Model: "m", Method: "deepconf-high", Question: &answer, Config: set, Keep: record.KeepDefault.String()})
	rng := rand.New(rand.NewPCG(3, 4))
	votes := true
	for n := range traces {
		tr := record.Trace{Run: run.ID, Number: n, Phase: "final", StopReason: "eos", Tokens: tokens, Answer: &answer, Votes: &votes, Lowest: &lowest, Confidences: make([]float64, tokens)}
		level := 8 + 6*rng.Float64()
		for i := range tr.Confidences {
			level += 0.1*rng.NormFloat64() + 0.01*(11-level)
			tr.Confidences[i] = math.Max(0, level+2*rng.NormFloat64())
		}
		if err := tb.site.store.Put(tb.ctx, &tr); err != nil {
			t.Fatal(err)
		}
	}
	run.State, run.Answer, run.Traces, run.Tokens = record.Done, &answer, traces, traces*tokens
	run.Result, _ = json.Marshal(map[string]any{"version": 1, "answer": answer, "window": 256, "s": s, "votes": []any{}, "traces": []any{}, "tokens": map[string]any{"used": run.Tokens}})
	if err := tb.site.store.End(tb.ctx, run); err != nil {
		t.Fatal(err)
	}
	tb.js(`location.hash = "#/history"`)
	tb.until(`document.querySelector(".list tbody a")`)
	began, before := time.Now(), tb.spent()
	tb.click(".list tbody a")
	tb.until(done + ` && ` + colours + ` > 10`)
	opened, shown := tb.spent(), time.Since(began)
	tb.js(frames)
	tb.js(`const s = document.querySelector(".strips"), go = () => { s.scrollTop = (s.scrollTop + 9) % (s.scrollHeight - s.clientHeight + 1); requestAnimationFrame(go) }; go()`)
	began = time.Now()
	time.Sleep(3 * time.Second)
	after, wall := tb.spent(), time.Since(began).Seconds()
	f := eval[figures](tb, measured)
	each := (after["TaskDuration"] - opened["TaskDuration"]) / float64(f.Frames) * 1000
	t.Logf("%d traces of %d tokens: shown after %.2f s (%.2f s of the page's processor time); scrolled, %.1f ms of processor time a frame; %d frames in %.1f s, median %.1f ms, 95 %% %.1f ms, longest %.1f ms",
		traces, tokens, shown.Seconds(), opened["TaskDuration"]-before["TaskDuration"], each, f.Frames, wall, f.P50, f.P95, f.Max)
	if each > 16.7 { // the time of a frame at 60 Hz
		t.Errorf("a frame takes %.1f ms of processor time", each)
	}
}
