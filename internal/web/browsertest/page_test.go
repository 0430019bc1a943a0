package browsertest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"orrery/think/llm"
	"orrery/think/llm/llmtest"
)

const done = `document.querySelector(".chip")?.textContent == "done"`

// A question is asked, its traces appear, the vote and the answer come.
func TestAsk(t *testing.T) {
	tb := open(t, thinker(120, time.Millisecond))
	tb.ask("How many?", "deepconf-high", 24)
	tb.until(done)
	if got := eval[string](tb, `document.querySelector(".m-answer dd").textContent`); got != "204" {
		t.Errorf("the answer shown is %q", got)
	}
	tb.until(`document.querySelectorAll(".bars li").length >= 1 && document.querySelectorAll(".tokens span").length > 20`)
	if got := eval[string](tb, `document.querySelector(".tokens").textContent`); !strings.HasSuffix(got, `\boxed{204}.`) {
		t.Errorf("the winning text ends in %q", got[max(0, len(got)-40):])
	}
	tb.until(colours + ` >= 10`) // what is on the canvas is coloured: strips were drawn
}

// colours counts the distinct colours of the strips' canvas.
const colours = `(() => { const c = document.querySelector(".strips canvas"), d = new Uint32Array(c.getContext("2d").getImageData(40, 20, c.width - 200, c.height - 20).data.buffer); return new Set(d).size })()`

func TestStop(t *testing.T) {
	tb := open(t, hold(thinker(400, time.Millisecond), 100))
	tb.ask("How many?", "deepconf-low", 24)
	tb.until(`document.querySelector("#stop") && !document.querySelector("#stop").hidden`)
	tb.until(colours + ` > 5`)
	tb.click("#stop")
	tb.until(`document.querySelector(".chip").textContent == "stopped" && document.querySelector("#stop").hidden`)
}

// A page that is reloaded in the middle finds its question still running, with all
// that had been shown before.
func TestReload(t *testing.T) {
	model := hold(thinker(400, time.Millisecond), 100) // of 240 tokens or more
	tb := open(t, model)
	tb.ask("How many?", "majority", 6)
	tokens := `Number(document.querySelector(".m-tokens dd").textContent.replaceAll(",", ""))`
	tb.until(`document.querySelector(".m-tokens") && ` + tokens + ` > 200`)
	before := eval[int](tb, tokens)
	tb.do(chromedp.Reload())
	tb.until(`document.querySelector(".chip")?.textContent == "running" && ` + tokens + fmt.Sprintf(" >= %d", before))
	model.free()
	tb.until(done)
	tb.until(colours + ` >= 5`)
}

// The stream is cut in the middle: the page says so, joins again, and shows all.
func TestCut(t *testing.T) {
	model := hold(thinker(300, time.Millisecond), 100) // of 180 tokens or more
	tb := open(t, model)
	tb.expect("net::ERR")
	tb.ask("How many?", "majority", 4)
	tb.until(colours + ` > 5`)
	tb.js(`window.cuts = 0; new MutationObserver(() => { if (document.getElementById("link").dataset.state == "lost") window.cuts++ }).observe(document.getElementById("link"), {attributes: true})`)
	tb.site.CloseClientConnections()
	tb.until(`window.cuts > 0`)
	model.free()
	tb.until(done)
	got := eval[string](tb, `document.querySelector(".m-traces dd").textContent`)
	if got != "4 of 4" {
		t.Errorf("after the cut the traces are %q", got)
	}
}

// Whatever a model says is text, in the winner, in the vote and in a trace; a line of a
// megabyte does not hold the page up.
func TestHostileModel(t *testing.T) {
	const evil = `<script>window.pwned=1</script><img src=x onerror="window.pwned=2"><style>*{display:none}</style>`
	line := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB
	tb := open(t, &llmtest.Scripted{Model: evil, Pick: func(r llm.Request) llmtest.Script {
		s := llmtest.Say(5, evil, line, " \\boxed{"+evil+"}")
		return s
	}})
	tb.ask(evil, "majority", 3)
	tb.until(done)
	tb.until(`document.querySelector(".bars li b").textContent.startsWith("<script>")`)
	tb.do(chromedp.Focus(".strips"), chromedp.KeyEvent("\r"))
	tb.until(`document.querySelector(".trace > .long-text pre.text").textContent.startsWith("<script>")`)
	tb.until(`!document.querySelector(".trace > .long-text .gap").hidden`) // not all of it is laid out
	if eval[bool](tb, `window.pwned !== undefined || document.querySelector("main script, main img, main style, .top script") !== null`) {
		t.Error("a model's text became markup")
	}
	call(tb, performance.Enable, performance.EnableParams{TimeDomain: performance.EnableTimeDomainThreadTicks})
	before := tb.spent()["LayoutDuration"]
	tb.js(`document.querySelector(".trace").offsetHeight; document.body.style.width = "99%"; document.body.offsetHeight; document.body.style.width = ""`)
	if ms := (tb.spent()["LayoutDuration"] - before) * 1000; ms <= 0 || ms > 500 { // of processor time; a second would be felt; 60,000 characters take about 30 ms
		t.Errorf("laying the page out takes %.0f ms", ms)
	}
}

func TestKeys(t *testing.T) {
	tb := open(t, thinker(60, time.Millisecond), "sesame")
	tb.expect("status of 401")
	tb.until(`!document.querySelector("#signin").hidden`)
	sign := func(key string) {
		tb.js(fmt.Sprintf(`document.querySelector("#key").value = %q`, key))
		tb.click("#signin button")
	}
	sign("wrong")
	tb.until(`document.querySelector("#signin-wrong").textContent.includes("not known")`)
	sign("sesame")
	tb.until(`document.querySelector("#signin").hidden`)
	tb.ask("How many?", "majority", 3)
	tb.until(done)
	tb.do(chromedp.Reload()) // the tab still has it
	tb.until(done)
	if eval[bool](tb, `JSON.stringify(localStorage).includes("sesame") || document.cookie.includes("sesame") || location.href.includes("sesame")`) {
		t.Error("the key outlives the tab")
	}
}

// Everything can be done without a pointer.
func TestKeyboard(t *testing.T) {
	tb := open(t, thinker(120, time.Millisecond))
	tb.until(`document.activeElement?.id == "question"`)
	tb.do(chromedp.KeyEvent("How many?"), chromedp.KeyEvent("\r", chromedp.KeyModifiers(chromedp.ModifierCtrl)))
	tb.until(done)
	tabTo := func(js string) {
		t.Helper()
		for range 60 {
			if eval[bool](tb, js) {
				if !eval[bool](tb, `document.activeElement.matches(":focus-visible") && getComputedStyle(document.activeElement).outlineStyle != "none"`) {
					t.Errorf("the focus on %s cannot be seen", js)
				}
				return
			}
			tb.do(chromedp.KeyEvent("\t"))
		}
		t.Fatalf("tab never reaches %s", js)
	}
	tb.until(`document.querySelector(".tokens:not([hidden])")`) // all that Tab reaches is there
	tb.js(`document.activeElement.blur()`)
	tabTo(`document.activeElement.classList.contains("strips")`)
	tb.do(chromedp.KeyEvent(kb.ArrowDown))
	tb.until(`/^trace [1-9]/.test(document.querySelector(".strip-cursor").textContent)`)
	tb.do(chromedp.KeyEvent("\r"))
	tb.until(`document.querySelector(".trace h2")`)
	tb.do(chromedp.KeyEvent(kb.Escape))
	tb.until(`!document.querySelector(".trace")`)
	tabTo(`document.activeElement.classList.contains("tokens")`)
	tb.until(`!document.querySelector("#token-alternatives").hidden && document.querySelectorAll("#token-alternatives tr").length >= 5`)
	tb.js(`document.activeElement.blur()`)
	tb.do(chromedp.KeyEvent("?"))
	tb.until(`document.querySelector("dialog[open]")`)
}

// The page fits a small phone: nothing is wider than the screen.
func TestPhone(t *testing.T) {
	tb := open(t, thinker(120, time.Millisecond))
	tb.size(360, 740)
	fits := func(where string) {
		t.Helper()
		if w := eval[int](tb, `document.documentElement.scrollWidth`); w > 360 {
			t.Errorf("%s is %d pixels wide", where, w)
		}
	}
	tb.ask("How many ways are there to go from one corner of a chessboard to the opposite one?", "deepconf-high", 24)
	tb.recorded()
	tb.do(chromedp.Focus(".strips"), chromedp.KeyEvent("\r"))
	tb.until(`document.querySelector(".trace h2")`)
	fits("a request")
	for _, view := range []struct{ hash, shown string }{
		{"#/", `document.title.startsWith("Ask") && document.querySelector(".list tbody a")`},
		{"#/history", `document.title.startsWith("History") && document.querySelector(".list tbody a")`},
		{"#/runs", `document.querySelector(".empty")?.textContent.startsWith("Nothing has been run yet")`},
		{"#/compare", `document.querySelector(".empty")?.textContent.startsWith("No evaluation has been run yet")`},
	} {
		tb.js(fmt.Sprintf(`location.hash = %q`, view.hash))
		tb.until(view.shown)
		fits(view.hash)
	}
}

// Who goes elsewhere before the server has said what it is sees where they went, whichever
// of the two answers comes last.
func TestSlowStart(t *testing.T) {
	tb := open(t, thinker(60, time.Millisecond))
	// What is asked of the server about itself is answered when the test says so, and then
	// within one turn of the page's.
	const late = `const real = window.fetch, about = real("/api/about").then((r) => r.json());
window.held = [];
window.fetch = (path, init) => path !== "/api/about" ? real(path, init) : new Promise((answer) => window.held.push(async () => { const body = await about; answer({ ok: true, status: 200, json: async () => body }) }))`
	slow := visit(t, tb.url, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: late})
		return err
	}))
	slow.until(`window.held.length == 1`)
	slow.js(`location.hash = "#/history"`)
	slow.until(`window.held.length == 2`)
	const answered = `window.held[%d]().then(() => new Promise((go) => setTimeout(() => go(document.title.split(" ")[0]), 0)))`
	for _, n := range []int{1, 0} {
		if got := eval[string](slow, fmt.Sprintf(answered, n)); got != "History" || !eval[bool](slow, `document.querySelector("main input[type=search]") !== null`) {
			t.Errorf("at #/history, with answer %d, the page is %s", n, got)
		}
	}
}

// Dark and light follow the system, and the switch overrules it.
func TestTheme(t *testing.T) {
	tb := open(t, thinker(60, time.Millisecond))
	tb.until(`document.querySelector("#question")`)
	dark := `getComputedStyle(document.body).backgroundColor == "rgb(20, 24, 29)"`
	tb.scheme("light")
	tb.until(`!(` + dark + `)`)
	tb.scheme("dark")
	tb.until(dark)
	tb.click("#theme")
	tb.until(`!(` + dark + `) && document.documentElement.dataset.theme == "light"`)
	tb.scheme("light")
	tb.click("#theme")
	tb.until(dark)
	tb.do(chromedp.Reload())
	tb.until(dark)
}

// A model's server that fails is told of in its own words.
func TestFailure(t *testing.T) {
	tb := open(t, &llmtest.Scripted{Pick: func(r llm.Request) llmtest.Script {
		return llmtest.Script{Err: &llm.Error{Kind: llm.Unreachable, Backend: "scripted", Words: "the engine died"}}
	}})
	tb.ask("How many?", "majority", 3)
	tb.until(`document.querySelector(".chip")?.textContent == "failed" && document.querySelector(".run > .wrong").textContent.includes("the engine died")`)
}

// Latent models show what their hidden thoughts hold.
func TestThoughts(t *testing.T) {
	tb := open(t, &llmtest.Scripted{Latent: &llm.Latent{Method: "coconut", Thoughts: 3, Trained: 3, Mark: "###"}, Pick: func(r llm.Request) llmtest.Script {
		s := llmtest.Say(5, "### wumpus")
		for i := 1; i <= 3; i++ {
			s.Thoughts = append(s.Thoughts, llm.Thought{Number: i, Answers: i == 2, Holds: []llm.Reading{{Text: "<b>gorpus", P: 0.6}, {Text: "lempus", P: 0.3}}})
		}
		return s
	}})
	tb.ask("Is Alex a wumpus?", "coconut", 0)
	tb.until(done)
	tb.until(`document.querySelectorAll(".main-column .thoughts li").length == 3 && document.querySelector(".main-column .thoughts").textContent.includes("<b>gorpus")`)
	if marked := eval[[]bool](tb, `[...document.querySelectorAll(".main-column .thoughts li")].map(li => li.textContent.includes("read off here"))`); !slices.Equal(marked, []bool{false, true, false}) {
		t.Errorf("thoughts that the answer is read off: %v, want the second", marked)
	}
}

// recorded waits until what was asked last is in the history.
func (tb *tab) recorded() {
	tb.t.Helper()
	tb.until(done)
	tb.site.page.Wait()
	if err := tb.site.journal.Flush(tb.ctx); err != nil {
		tb.t.Fatal(err)
	}
}

// What was asked is found again, opened, and replayed with other settings, side by side.
// keys are the answers whose shares of the vote are drawn.
const keys = `[...document.querySelectorAll(".shift .keys span")].map(s => s.textContent).join("|")`

func TestHistory(t *testing.T) {
	tb := open(t, thinker(150, 0))
	tb.until(`document.querySelector("#p-concurrency")`)
	tb.js(`document.querySelector("#p-concurrency").value = 1`) // so that which traces end before a vote is clear is the same in every run
	tb.ask("How many rooks?", "deepconf-high", 32)
	tb.recorded()
	tb.until(`document.querySelector(".shift canvas") && ` + keys + ` != ""`)
	live := eval[string](tb, keys)
	tb.ask("How many queens?", "majority", 3)
	tb.recorded()
	// At once, because the second key has to come soon, which a busy machine may not let it.
	tb.js(`for (const key of "gh") document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }))`)
	tb.until(`document.querySelectorAll(".list tbody tr").length == 2`)
	tb.do(chromedp.SendKeys("input[type=search]", "rooks"))
	tb.until(`document.querySelectorAll(".list tbody tr").length == 1`)
	tb.click(".list tbody a")
	tb.until(done + ` && document.querySelector(".question").textContent == "How many rooks?"`)
	tb.until(colours + ` > 10`)
	// The vote as it shifted, drawn as it was live.
	tb.until(`document.querySelector(".shift canvas") && document.querySelector(".shift").offsetHeight > 0`)
	if past := eval[string](tb, keys); past != live {
		t.Errorf("how the vote shifted is drawn for %q, live for %q", past, live)
	}
	tb.until(`new Set(new Uint32Array((c => c.getContext("2d").getImageData(0, 0, c.width, c.height).data.buffer)(document.querySelector(".shift canvas")))).size > 3`)
	tb.until(`document.querySelectorAll(".tokens span").length > 20`)
	tb.do(chromedp.Focus(".strips"), chromedp.KeyEvent("\r"))
	tb.until(`document.querySelector(".trace > .long-text pre.text").textContent.includes("boxed")`)
	tb.do(chromedp.SendKeys("#r-eta", "10"))
	tb.click(".replay button[type=submit]")
	tb.until(`document.querySelectorAll(".pair .strips").length == 2 && document.querySelector(".compare tbody tr")`)
	cells := eval[[]string](tb, `[...document.querySelectorAll(".compare tbody tr")].map(r => r.cells[[...document.querySelectorAll(".compare thead th")].findIndex(c => c.textContent == "tokens") + 1].textContent)`)
	if len(cells) != 2 || cells[0] == cells[1] {
		t.Errorf("tokens as it ran and replayed with another eta: %q", cells)
	}
	tb.js(`document.querySelector("#r-window").value = "wide"`)
	tb.expect("status of 400")
	tb.click(".replay button[type=submit]")
	tb.until(`document.querySelector(".replay .wrong").textContent.includes("window")`)
}
