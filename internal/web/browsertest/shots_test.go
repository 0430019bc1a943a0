package browsertest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"orrery/record"
	"orrery/think/llm"
	"orrery/think/llm/llmtest"
)

// TestShots makes the pictures of the documentation, into the folder that
// ORRERY_SHOTS names.
func TestShots(t *testing.T) {
	dir := os.Getenv("ORRERY_SHOTS")
	if dir == "" {
		t.Skip("set ORRERY_SHOTS=DIR to have the pictures made")
	}
	tb := open(t, thinker(700, 9*time.Millisecond))
	shot := func(name string) { tb.shot(filepath.Join(dir, name+".png")) }
	tb.scheme("light")
	tb.size(1280, 800)
	tb.ask("Find the number of ways in which eight rooks that do not attack each other can stand on a chessboard of which the main diagonal is missing, modulo 1000.", "deepconf-high", 48)
	tb.until(`/[1-9][0-9]* stopped early/.test(document.querySelector(".m-traces dd").textContent)`)
	time.Sleep(1500 * time.Millisecond)
	shot("ask-running")
	tb.scheme("dark")
	time.Sleep(300 * time.Millisecond)
	shot("ask-running-dark")
	tb.scheme("light")
	tb.until(`document.querySelector(".chip").textContent == "done"`)
	time.Sleep(600 * time.Millisecond)
	shot("ask-done")
	tb.do(chromedp.Focus(".strips"), chromedp.KeyEvent("\r"))
	time.Sleep(500 * time.Millisecond)
	shot("ask-trace")
	tb.do(chromedp.Focus(".tokens"), chromedp.KeyEvent(kb.End))
	time.Sleep(300 * time.Millisecond)
	shot("ask-tokens")
	tb.size(390, 844)
	time.Sleep(500 * time.Millisecond)
	tb.js(`document.activeElement.blur(), scrollTo(0, 0)`)
	shot("ask-phone")
	tb.js(`document.querySelector(".metrics").scrollIntoView()`)
	time.Sleep(300 * time.Millisecond)
	shot("ask-phone-2")
	tb.js(`location.hash = "#/", 1`)
	time.Sleep(500 * time.Millisecond)
	shot("home-phone")
	tb.size(1280, 800)
	time.Sleep(300 * time.Millisecond)
	shot("home")
	tb.site.page.Wait()
	tb.site.journal.Flush(tb.ctx)
	tb.js(`location.hash = "#/history"`)
	tb.until(`document.querySelector(".list tbody a")`)
	shot("history")
	tb.do(chromedp.Click(".list tbody a"))
	tb.until(`document.querySelector("#r-eta")`)
	tb.do(chromedp.SendKeys("#r-eta", "30"), chromedp.SendKeys("#r-window", "120"), chromedp.Click(".replay button[type=submit]"))
	tb.until(`document.querySelector(".pair .strips")`)
	time.Sleep(400 * time.Millisecond)
	shot("replay")
	tb.scheme("dark")
	tb.js(`document.querySelector(".pair").scrollIntoView()`)
	time.Sleep(400 * time.Millisecond)
	shot("replay-dark")
	tb.scheme("light")
	folder := t.TempDir()
	grokking(t, folder, 5000)
	tb.begin(record.Run{Kind: "train", Name: "grok", Dir: folder})
	tb.evaluation("arithmetic", "builtin", 0.62, 0.81, 0.84, 0.82)
	tb.evaluation("arithmetic", "builtin-grpo", 0.71, 0.88, 0.9, 0.86)
	tb.js(`location.hash = "#/runs"`)
	tb.until(`document.querySelectorAll(".list tbody a").length == 3`)
	shot("runs")
	tb.js(`[...document.querySelectorAll(".list tbody a")].find((a) => a.textContent == "grok").click()`)
	tb.until(`document.querySelectorAll(".map").length == 1`)
	time.Sleep(400 * time.Millisecond)
	shot("run")
	tb.js(`location.hash = "#/compare"`)
	tb.until(`document.querySelectorAll(".results tbody tr").length == 8`)
	time.Sleep(300 * time.Millisecond)
	shot("compare")
	tb.size(390, 844)
	time.Sleep(300 * time.Millisecond)
	shot("compare-phone")
}

// TestShotsOfOne makes pictures of single traces, of a plain and of a latent model.
func TestShotsOfOne(t *testing.T) {
	dir := os.Getenv("ORRERY_SHOTS")
	if dir == "" {
		t.Skip("set ORRERY_SHOTS=DIR to have the pictures made")
	}
	tb := open(t, thinker(300, 4*time.Millisecond))
	tb.scheme("light")
	tb.size(1280, 800)
	tb.ask("How many ways are there?", "single", 0)
	tb.until(`document.querySelector(".trace > .long-text pre.text")?.textContent.length > 800`)
	tb.shot(filepath.Join(dir, "single.png"))
	latent := open(t, &llmtest.Scripted{Latent: &llm.Latent{Method: "coconut", Thoughts: 4, Trained: 6, Mark: "###"}, Pick: func(r llm.Request) llmtest.Script {
		s := llmtest.Say(5, "### Alex is a gorpus")
		for i, w := range []string{"lempus", "wumpus", "sterpus", "gorpus"} {
			s.Thoughts = append(s.Thoughts, llm.Thought{Number: i + 1, Holds: []llm.Reading{{Text: w, P: 0.41 + 0.12*float64(i)}, {Text: "rompus", P: 0.3 - 0.08*float64(i)}, {Text: "zumpus", P: 0.11 - 0.03*float64(i)}}})
		}
		return s
	}})
	latent.scheme("light")
	latent.ask("Every lempus is a wumpus. Every wumpus is a sterpus. Every sterpus is a gorpus. Alex is a lempus. Is Alex a gorpus or bompus?", "coconut", 0)
	latent.until(done)
	time.Sleep(300 * time.Millisecond)
	latent.shot(filepath.Join(dir, "latent.png"))
}

// TestShotsOfProgram makes pictures of the program with its built-in model, and of what
// it has trained and evaluated itself.
func TestShotsOfProgram(t *testing.T) {
	dir := os.Getenv("ORRERY_SHOTS")
	if dir == "" {
		t.Skip("set ORRERY_SHOTS=DIR to have the pictures made")
	}
	bin, room := built(t), t.TempDir()
	store := "sqlite:" + filepath.Join(room, "r.sqlite")
	for _, args := range [][]string{
		{"train", "li2-f5", "-o", filepath.Join(room, "li2-f5")},
		{"eval", "--task", "arithmetic", "--method", "single,majority,deepconf-high,deepconf-low", "--n", "30", "--html", filepath.Join(room, "eval.html")},
		{"eval", "--task", "arithmetic", "--seed", "2", "--method", "single,majority,deepconf-high,deepconf-low", "--n", "30", "--html", filepath.Join(room, "eval2.html")},
	} {
		if out, err := exec.Command(bin, append(args, "--store", store, "-q")...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	tb := visit(t, serveProgram(t, bin, store).url)
	shot := func(name string) {
		time.Sleep(600 * time.Millisecond)
		tb.shot(filepath.Join(dir, "page-"+name+".png"))
	}
	tb.scheme("light")
	tb.size(1280, 800)
	tb.ask("Ben has 7 baskets of 18 cards. He buys 3 baskets of 3 cards. He gives 60 cards to Ruth. Ruth has 7 times as many cards as Ben has now. How many cards does Ruth have?", "deepconf-high", 48)
	tb.until(done + ` && document.querySelectorAll(".tokens span").length > 10`)
	shot("ask")
	tb.scheme("dark")
	shot("ask-dark")
	tb.do(chromedp.Focus(".strips"), chromedp.KeyEvent(kb.PageDown), chromedp.KeyEvent("\r"))
	shot("trace-dark")
	tb.scheme("light")
	tb.js(`location.hash = "#/history"`)
	tb.until(`document.querySelector(".list tbody a")`)
	tb.do(chromedp.Click(".list tbody a"))
	tb.until(`document.querySelector("#r-eta")`)
	tb.do(chromedp.SendKeys("#r-eta", "10"), chromedp.SendKeys("#r-window", "4"), chromedp.Click(".replay button[type=submit]"))
	tb.until(`document.querySelector(".pair .strips")`)
	shot("replay")
	tb.js(`location.hash = "#/runs"`)
	tb.until(`document.querySelectorAll(".list tbody a").length == 3`)
	shot("runs")
	tb.js(`[...document.querySelectorAll(".list tbody a")].find((a) => a.textContent == "li2-f5").click()`)
	tb.until(`document.querySelectorAll(".map").length > 0 && document.querySelector(".report-frame")`)
	shot("run")
	tb.js(`location.hash = "#/compare"`)
	tb.until(`document.querySelectorAll(".results tbody tr").length == 8`)
	shot("compare")
	tb.size(390, 844)
	tb.js(`location.hash = "#/"`)
	tb.until(`document.querySelector(".list tbody a")`)
	tb.do(chromedp.Click(".list tbody a"))
	tb.until(done)
	shot("phone")
}
