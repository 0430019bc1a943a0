package web

import (
	"bytes"
	"crypto/rand"
	"io"
	"io/fs"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"orrery/learn/checkpoint"
)

const (
	ticketTime  = 15 * time.Minute
	mostTickets = 256
	mostReport  = 128 << 20 // bytes of a report that is shown
	mostCells   = 1 << 19   // of a weight matrix
)

// ticket opens one report for a while. A frame cannot send a key, so its address has
// to be one that nobody can guess.
type ticket struct {
	path string
	made time.Time
}

// openReport answers POST /api/runs/{id}/report with an address for a frame.
func (p *Page) openReport(w http.ResponseWriter, r *http.Request) {
	run := p.findRun(w, r)
	if run == nil {
		return
	}
	path := run.Report
	if path == "" && run.Dir != "" {
		path = filepath.Join(run.Dir, "report.html")
	}
	f, err := openRegular(path)
	if err != nil {
		fail(w, http.StatusNotFound, "the run has no report on this machine; it writes one when it ends")
		return
	}
	f.Close()
	name := rand.Text()
	p.mu.Lock()
	defer p.mu.Unlock()
	for old, t := range p.tickets {
		if time.Since(t.made) > ticketTime || len(p.tickets) >= mostTickets {
			delete(p.tickets, old)
		}
	}
	p.tickets[name] = ticket{path, time.Now()}
	reply(w, http.StatusOK, map[string]string{"url": "/report/" + name})
}

// report answers GET /report/{ticket}. Whoever wrote the file may not be trusted: it
// runs in an origin of its own, which has no access to the page, to its key or to its
// server, and loads nothing from anywhere. A report's own policy, in its head, allows
// nothing but its one script.
func (p *Page) report(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	t, ok := p.tickets[r.PathValue("ticket")]
	p.mu.Unlock()
	if !ok || time.Since(t.made) > ticketTime {
		fail(w, http.StatusNotFound, "this address of a report has expired; open the report again")
		return
	}
	f, err := openRegular(t.path)
	if err != nil {
		fail(w, http.StatusNotFound, "the report is gone")
		return
	}
	defer f.Close()
	h := w.Header()
	h.Set("Content-Security-Policy", "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "+
		"base-uri 'none'; form-action 'none'; frame-ancestors 'self'")
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	io.Copy(w, io.LimitReader(f, mostReport))
}

// openRegular opens a report: an .html that is a file, and not by a link out of its
// folder.
func openRegular(path string) (*os.File, error) {
	if filepath.Ext(path) != ".html" || !filepath.IsAbs(path) {
		return nil, os.ErrNotExist
	}
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.Open(filepath.Base(path))
	if err != nil {
		return nil, err
	}
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		f.Close()
		return nil, os.ErrNotExist
	}
	return f, nil
}

// weightEpochs are the epochs of which a run's folder has weights, ascending.
func weightEpochs(in fs.FS) (epochs []int) {
	d, err := in.Open("checkpoints")
	if err != nil {
		return nil
	}
	defer d.Close()
	list, ok := d.(fs.ReadDirFile)
	if !ok {
		return nil
	}
	entries, err := list.ReadDir(10_000)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		n, isEpoch := strings.CutPrefix(e.Name(), "epoch-")
		n, isTensors := strings.CutSuffix(n, ".safetensors")
		if e, err := strconv.Atoi(n); err == nil && isEpoch && isTensors && e >= 0 {
			epochs = append(epochs, e)
		}
	}
	slices.Sort(epochs)
	return epochs
}

// matrix is weights as the page draws them: each is its byte, as an int8, times
// Scale/127.
type matrix struct {
	Name  string  `json:"name"`
	Rows  int     `json:"rows"`
	Cols  int     `json:"cols"`
	Scale float64 `json:"scale"`
	Data  []byte  `json:"data"`
}

// weights answers GET /api/runs/{id}/weights/{epoch}: the matrices of a kept epoch.
func (p *Page) weights(w http.ResponseWriter, r *http.Request) {
	run := p.findRun(w, r)
	if run == nil {
		return
	}
	epoch, err := strconv.Atoi(r.PathValue("epoch"))
	if err != nil || epoch < 0 {
		fail(w, http.StatusBadRequest, "weights are named by the number of their epoch")
		return
	}
	if run.Dir == "" {
		fail(w, http.StatusNotFound, "the run has no folder")
		return
	}
	all, err := readWeights(run.Dir, epoch)
	if err != nil {
		fail(w, http.StatusNotFound, "the weights of epoch "+strconv.Itoa(epoch)+" cannot be read: "+err.Error())
		return
	}
	reply(w, http.StatusOK, map[string]any{"epoch": epoch, "matrices": all})
}

func readWeights(dir string, epoch int) ([]matrix, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := checkpoint.OpenFS(root.FS(), "checkpoints/epoch-"+strconv.Itoa(epoch)+".safetensors")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	out := []matrix{}
	for _, name := range f.Names() {
		info, _ := f.Info(name)
		if len(info.Shape) != 2 || info.Shape[0]*info.Shape[1] > mostCells || info.Shape[0]*info.Shape[1] == 0 {
			continue
		}
		t, err := f.Tensor(name)
		if err != nil {
			return nil, err
		}
		out = append(out, quantised(name, t.Shape[0], t.Shape[1], t.Data))
	}
	return out, nil
}

// quantised is a matrix in 255 shades, of which 0 is exactly one.
func quantised(name string, rows, cols int, data []float32) matrix {
	m := matrix{Name: name, Rows: rows, Cols: cols}
	for _, v := range data {
		if a := math.Abs(float64(v)); a > m.Scale && !math.IsInf(a, 0) {
			m.Scale = a
		}
	}
	var b bytes.Buffer
	for _, v := range data {
		q := 0.0
		if m.Scale > 0 && v == v {
			q = math.Round(127 * max(-1, min(1, float64(v)/m.Scale)))
		}
		b.WriteByte(byte(int8(q)))
	}
	m.Data = b.Bytes()
	return m
}
