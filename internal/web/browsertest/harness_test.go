package browsertest

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"orrery/internal/journal"
	"orrery/internal/server"
	"orrery/internal/web"
	"orrery/record"
	"orrery/think/llm"
)

// browser is the one Chromium of all tests.
var browser context.Context

func TestMain(m *testing.M) {
	code := func() int {
		path := chromium()
		if path == "" {
			return m.Run() // each test skips and says why
		}
		opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
			chromedp.Flag("disable-dev-shm-usage", true))
		alloc, stop := chromedp.NewExecAllocator(context.Background(), opts...)
		defer stop()
		ctx, end := chromedp.NewContext(alloc)
		defer end()
		if err := chromedp.Do(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "start Chromium:", err)
			return 1
		}
		browser = ctx
		return m.Run()
	}()
	os.Exit(code)
}

func chromium() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// tab is a page in the browser, of a server of its own.
type tab struct {
	t   *testing.T
	ctx context.Context
	url string

	site *site

	mu       sync.Mutex
	expected []string // parts of console errors that the test means to cause
	errors   []string
}

// site is a server with the page and a store.
type site struct {
	*httptest.Server
	page    *web.Page
	store   *record.Store
	journal *journal.Journal
}

func serve(t *testing.T, cfg server.Config) *site {
	t.Helper()
	store, err := record.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "r.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	j := journal.New(store, journal.Options{Keep: record.KeepAll, Warn: func(s string) { t.Log(s) }})
	// What is asked without a seed draws the same traces in every run of a test:
	// with random ones a warm-up agrees now and then, and nothing is left to stop.
	cfg.Defaults.Seed = 3
	p := web.New(web.Config{Model: cfg.Generator, Defaults: cfg.Defaults})
	p.Records(store)
	cfg.Page, cfg.Observers = p, []server.Observer{p, j}
	s, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p.Use(s)
	h := httptest.NewServer(s)
	t.Cleanup(func() {
		p.Close()
		h.CloseClientConnections()
		h.Close()
		p.Wait()
		j.Close(context.Background())
		store.Close()
	})
	return &site{h, p, store, j}
}

// open starts a server around a model and a tab on it. Console errors, exceptions and
// violations of the content security policy fail the test when it ends.
func open(t *testing.T, g llm.Generator, keys ...string) *tab {
	t.Helper()
	if browser == nil {
		t.Skip("no chromium is installed; apt-get install chromium un-skips this")
	}
	cfg := server.Config{Generator: g}
	for _, k := range keys {
		cfg.Keys = append(cfg.Keys, server.NewKey("", k))
	}
	return openAt(t, serve(t, cfg))
}

func openAt(t *testing.T, h *site) *tab {
	t.Helper()
	tb := visit(t, h.URL)
	tb.site = h
	return tb
}

// patience is how long a test waits for what has to come. It bounds tests that fail and
// none that passes: it is far more than any of these takes on a busy machine.
const patience = 2 * time.Minute

// visit opens a tab on a server, after steps in the empty tab.
func visit(t *testing.T, url string, steps ...chromedp.Action[chromedp.Void]) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	ctx, timeout := context.WithTimeout(ctx, 3*patience)
	tb := &tab{t: t, ctx: ctx, url: url}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	err := chromedp.Listen(ctx, func(ev any) {
		switch ev := ev.(type) {
		case *runtime.EventExceptionThrown:
			text := ev.ExceptionDetails.Text
			if x := ev.ExceptionDetails.Exception; x != nil {
				text += " " + x.Description
			}
			tb.saw("exception: " + text)
		case *runtime.EventConsoleAPICalled:
			if ev.Type == runtime.ConsoleAPICalledTypeError || ev.Type == runtime.ConsoleAPICalledTypeAssert {
				var parts []string
				for _, a := range ev.Args {
					parts = append(parts, string(a.Value)+a.Description)
				}
				tb.saw("console: " + strings.Join(parts, " "))
			}
		case *cdplog.EventEntryAdded:
			if ev.Entry.Level == cdplog.EntryLevelError || ev.Entry.Source == cdplog.EntrySourceSecurity {
				tb.saw("log: " + ev.Entry.Text + " " + ev.Entry.URL)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		timeout()
		cancel()
		tb.mu.Lock()
		defer tb.mu.Unlock()
		for _, e := range tb.errors {
			t.Error(e)
		}
	})
	tb.size(1280, 800)
	tb.do(steps...)
	tb.do(chromedp.Navigate(url + "/"))
	return tb
}

func (tb *tab) saw(e string) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	for _, x := range tb.expected {
		if strings.Contains(e, x) {
			return
		}
	}
	tb.errors = append(tb.errors, e)
}

func (tb *tab) expect(part string) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.expected = append(tb.expected, part)
}

// do runs steps in the tab.
func (tb *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	tb.t.Helper()
	if err := chromedp.Do(tb.ctx, steps...); err != nil {
		tb.t.Fatal(err)
	}
}

func call[P, R any](tb *tab, cmd cdp.Command[P, R], params P) {
	tb.t.Helper()
	if _, err := chromedp.Call(tb.ctx, cmd, params); err != nil {
		tb.t.Fatal(err)
	}
}

func (tb *tab) size(w, h int64) {
	tb.t.Helper()
	call(tb, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: w, Height: h, DeviceScaleFactor: 1, Mobile: w < 600})
}

// media sets media features, for instance prefers-color-scheme and dark.
func (tb *tab) media(pairs ...string) {
	tb.t.Helper()
	var p emulation.SetEmulatedMediaParams
	for i := 0; i < len(pairs); i += 2 {
		p.Features = append(p.Features, &emulation.MediaFeature{Name: pairs[i], Value: pairs[i+1]})
	}
	call(tb, emulation.SetEmulatedMedia, p)
}

func (tb *tab) scheme(name string) { tb.t.Helper(); tb.media("prefers-color-scheme", name) }

// eval is the value of a JavaScript expression, awaited if it is a promise.
func eval[T any](tb *tab, js string) T {
	tb.t.Helper()
	v, err := chromedp.Run(tb.ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
	if err != nil {
		tb.t.Fatalf("%s: %v", js, err)
	}
	return v
}

// js runs statements for their effect.
func (tb *tab) js(statements string) {
	tb.t.Helper()
	eval[bool](tb, "(() => {"+statements+"; return true})()")
}

// click clicks what a selector finds first, once it is there and a pointer would hit it.
// Looking and clicking are one turn of the page's: a list that is drawn anew, or a button
// that moves, as it does when texts above it come, is not clicked where it was.
func (tb *tab) click(selector string) {
	tb.t.Helper()
	tb.until(fmt.Sprintf(`(() => {
		const e = document.querySelector(%q);
		if (!e || e.disabled) return false;
		e.scrollIntoView({ block: "center" });
		const box = e.getClientRects()[0], hit = box && document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
		if (!hit || !e.contains(hit)) return false;
		e.click();
		return true })()`, selector))
}

// until waits for an expression to be true.
func (tb *tab) until(js string) {
	tb.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(25 * time.Millisecond) {
		v, err := chromedp.Run(tb.ctx, chromedp.Evaluate[bool]("!!("+js+")"))
		if v && err == nil {
			return
		}
		if time.Now().After(end) {
			body, _ := chromedp.Run(tb.ctx, chromedp.Evaluate[string]("document.body.innerText.slice(0, 3000)"))
			tb.t.Fatalf("it never came true that %s (%v); the page says\n%s", js, err, body)
		}
	}
}

// ask fills the form in and sends it.
func (tb *tab) ask(question, method string, budget int) {
	tb.t.Helper()
	tb.until(`document.querySelector("#question") !== null`)
	tb.js(fmt.Sprintf(`document.querySelector("#question").value = %q; document.querySelector("#method").value = %q; document.querySelector("#method").dispatchEvent(new Event("change"))`, question, method))
	if budget > 0 {
		tb.js(fmt.Sprintf(`document.querySelector("#budget").value = %d`, budget))
	}
	before := eval[string](tb, `location.hash`)
	tb.click(".ask-form button[type=submit]")
	tb.until(fmt.Sprintf(`location.hash.startsWith("#/ask/") && location.hash != %q`, before))
	tb.until(`document.querySelector(".run")`)
}

func (tb *tab) shot(file string) {
	tb.t.Helper()
	b, err := chromedp.Run(tb.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		tb.t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o644); err != nil {
		tb.t.Fatal(err)
	}
}
