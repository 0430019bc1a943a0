package browsertest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"orrery/learn/checkpoint"
	"orrery/learn/tensor"
	"orrery/record"
)

// grokking writes the folder of a training that groks, up to an epoch.
func grokking(t *testing.T, dir string, upto int) {
	t.Helper()
	var b strings.Builder
	for e := 1; e <= upto; e = max(e+1, int(float64(e)*1.06)) {
		x := math.Log10(float64(e))
		train, test := 1/(1+math.Exp(-4*(x-1))), 1/(1+math.Exp(-6*(x-2.6)))
		fmt.Fprintf(&b, `{"epoch":%d,"train":{"loss":%g,"accuracy":%g},"test":{"loss":%g,"accuracy":%g},"seconds":%d}`+"\n", e, 4.2*math.Exp(-2*x), train, 4.2*math.Exp(-1.4*max(0, x-1.8))+0.1, test, e)
	}
	write(t, filepath.Join(dir, "metrics.jsonl"), b.String())
	os.MkdirAll(filepath.Join(dir, "checkpoints"), 0o755)
	for e := 1; e <= upto; e *= 4 {
		clear := math.Log(float64(e)) / math.Log(4096)
		w := tensor.New(59, 160)
		for i := range 59 {
			for j := range 160 {
				noise := math.Sin(float64(i*7919+j*104729)*12.9898) * 43758.5453
				noise -= math.Floor(noise)
				w.Data[i*160+j] = float32(clear*math.Cos(2*math.Pi*float64(i*(1+j%5*3))/59+float64(j)) + (1-clear)*(2*noise-1))
			}
		}
		if err := checkpoint.Write(filepath.Join(dir, "checkpoints", fmt.Sprintf("epoch-%d.safetensors", e)), []checkpoint.Entry{{Name: "W_a", Tensor: w}}, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// write puts a file there at once, as programs do: the page looks at any moment.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.WriteFile(path+".new", []byte(text), 0o644), os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
}

func (tb *tab) begin(r record.Run) *record.Run {
	tb.t.Helper()
	if err := tb.site.store.Begin(tb.ctx, &r); err != nil {
		tb.t.Fatal(err)
	}
	return &r
}

// evaluation is a recorded one.
func (tb *tab) evaluation(task, model string, accuracy ...float64) *record.Run {
	tb.t.Helper()
	var results []map[string]any
	for i, a := range accuracy {
		results = append(results, map[string]any{"task": task, "method": []string{"single", "majority", "deepconf-high", "deepconf-low"}[i], "accuracy": a, "accuracy_low": max(0, a-0.06), "accuracy_high": min(1, a+0.05),
			"tokens_mean": []float64{310, 9800, 7150, 3020}[i], "seconds_mean": []float64{0.4, 3.9, 3.1, 1.7}[i], "answered": 196, "n": 200})
	}
	b, err := json.Marshal(map[string]any{"version": 1, "task": task, "n": 200, "model": model, "results": results})
	if err != nil {
		tb.t.Fatal(err)
	}
	r := tb.begin(record.Run{Kind: "eval", Name: task, Model: model})
	r.Result, r.State = b, record.Done
	if err := tb.site.store.End(tb.ctx, r); err != nil {
		tb.t.Fatal(err)
	}
	return r
}

// A training is followed as it goes: its curves grow, its weights take shape, and its
// report appears when it is written, where it can reach nothing.
func TestRuns(t *testing.T) {
	tb := open(t, thinker(60, 0))
	dir := t.TempDir()
	grokking(t, dir, 40)
	run := tb.begin(record.Run{Kind: "train", Name: "grok <b>bold</b>", Dir: dir})
	tb.js(`location.hash = "#/runs"`)
	tb.until(`document.querySelector(".list tbody a")?.textContent == "grok <b>bold</b>"`)
	tb.click(".list tbody a")
	tb.until(`document.querySelectorAll(".charts .uplot").length == 2 && document.querySelectorAll(".map").length == 1`)
	tb.until(`document.querySelector(".slide output").textContent == "16"`)
	grokking(t, dir, 5000)
	tb.until(`document.querySelector(".slide output").textContent == "4,096"`)
	if eval[bool](tb, `!document.querySelector(".report").hidden`) {
		t.Error("a report is shown before there is one")
	}
	tb.js(`window.said = []; addEventListener("message", (e) => window.said.push(e.data))`)
	tb.expect("connect-src") // the frame's attempt, which has to fail
	tb.expect("default-src")
	tb.expect("violates the following Content Security Policy")
	tb.expect("Refused to connect")
	tb.expect("Blocked a frame with origin")
	write(t, filepath.Join(dir, "report.html"), `<!doctype html><title>r</title><h1>Report of a test</h1><script>
		try { parent.document.title = "reached"; } catch {}
		try { sessionStorage.length; parent.postMessage("has storage", "*") } catch {}
		fetch("/api/about").then(() => parent.postMessage("reached the server", "*"), () => parent.postMessage("kept in", "*"))</script>`)
	tb.until(`document.querySelector(".report-frame")`)
	tb.until(`window.said.length > 0`)
	if said := eval[[]string](tb, `window.said`); len(said) != 1 || said[0] != "kept in" {
		t.Errorf("a hostile report says %q", said)
	}
	if title := eval[string](tb, `document.title`); strings.Contains(title, "reached") {
		t.Error("a report changes the page")
	}
	run.State = record.Done
	if err := tb.site.store.End(tb.ctx, run); err != nil {
		t.Fatal(err)
	}
	tb.until(`document.querySelector(".run-head .chip").textContent == "done"`)
}

func TestCompare(t *testing.T) {
	tb := open(t, thinker(60, 0))
	tb.evaluation("arithmetic", "builtin", 0.62, 0.81, 0.84)
	tb.evaluation("arithmetic", "builtin-rl", 0.71, 0.88, 0.9)
	tb.evaluation("prosqa", "coconut", 0.97)
	tb.do(chromedp.KeyEvent("g"))
	tb.js(`location.hash = "#/compare"`)
	tb.until(`document.querySelectorAll(".picks tbody tr").length == 3 && document.querySelectorAll(".results tbody tr").length == 4`)
	tb.js(`document.querySelectorAll(".picks input")[2].click()`)
	tb.until(`document.querySelectorAll(".results tbody tr").length == 7`)
	if n := eval[int](tb, `document.querySelectorAll(".results").length`); n != 2 {
		t.Errorf("%d tables for two tasks", n)
	}
	tb.do(chromedp.Reload())
	tb.until(`document.querySelectorAll(".results tbody tr").length == 7`)
}
