package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"orrery/record"
)

// folder is a run's folder as it is read.
type folder interface {
	fs.FS
	io.Closer
}

// openFolder opens a folder of this machine. Links out of it are not followed.
func openFolder(dir string) (folder, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return rooted{root.FS(), root}, nil
}

type rooted struct {
	fs.FS
	io.Closer
}

// follow is the topic of one run: what the record says of it, and the curves in its
// folder as they grow. Both may take any time, a folder of a network for ever, so
// they are read without a lock, and frames are made of what was read last.
type follow struct {
	p  *Page
	id string

	// Of poll. While reading is not nil, a goroutine has curves.
	dir, report string
	reading     chan found
	curves      *curves
	late        bool // the folder did not answer within a look
	note        string

	mu    sync.Mutex
	known bool // there has been a look
	run   *pastRun
	err   string
	rev   int
	files found
}

// found is what a look into a run's folder found.
type found struct {
	curves curves
	report time.Time // when it was written last; zero: there is none
	epochs []int     // of which there are weights
	grew   bool
	note   string // what is wrong
}

func newFollow(p *Page, id string) *follow {
	return &follow{p: p, id: id, curves: &curves{byName: map[string]*curve{}}}
}

// poll implements [polled].
func (f *follow) poll(ctx context.Context) bool {
	run, note := f.look(ctx)
	files := f.readFiles(ctx)
	if note == "" {
		note = f.note
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	news := !f.known
	f.known = true
	if files != nil {
		news = news || files.grew || !files.report.Equal(f.files.report) || !slices.Equal(files.epochs, f.files.epochs)
		f.files = *files
	}
	if run != nil && !same(f.run, run) {
		f.run, news = run, true
		f.rev++
	}
	if f.err != note {
		f.err, news = note, true
		f.rev++
	}
	return news
}

func same(a, b *pastRun) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

// look reads what the record says, or what is wrong with it.
func (f *follow) look(ctx context.Context) (*pastRun, string) {
	s := f.p.store.Load()
	if s == nil {
		return nil, noStore
	}
	run, err := s.Run(ctx, f.id)
	if err != nil {
		return nil, err.Error()
	}
	f.dir, f.report = run.Dir, run.Report
	if f.dir != "" && f.report == "" && run.State == record.Running {
		f.report = filepath.Join(f.dir, "report.html") // it may be there from before an interruption
	}
	now := f.p.pastRun(run)
	if now.State == record.Running {
		now.Seconds = 0
	}
	return &now, ""
}

// readFiles is what the run's files say now; nil: nothing new, or they have not
// answered by the end of ctx. There is one reader of a run, also of one that is
// watched again while its folder still hangs.
func (f *follow) readFiles(ctx context.Context) *found {
	if f.dir == "" && f.report == "" {
		return nil
	}
	if f.reading == nil {
		if !f.p.startReading(f.id) {
			f.note = f.silent()
			return nil
		}
		f.reading, f.late = make(chan found, 1), false
		go func(done chan<- found, dir, report string) {
			got := f.read(dir, report)
			f.p.endReading(f.id) // before the next look can begin
			done <- got
		}(f.reading, f.dir, f.report)
	}
	if f.late { // a look was waited for already
		select {
		case got := <-f.reading:
			return f.took(got)
		default:
			return nil
		}
	}
	select {
	case got := <-f.reading:
		return f.took(got)
	case <-ctx.Done():
		f.late, f.note = true, f.silent()
		return nil
	}
}

func (f *follow) took(got found) *found {
	f.reading, f.note = nil, got.note
	return &got
}

func (f *follow) silent() string {
	return fmt.Sprintf("its folder %s does not answer: what is shown of it may be old; look at the disk or the network that it is on", cmp.Or(f.dir, filepath.Dir(f.report)))
}

// read looks into the run's folder, and at its report, which may be elsewhere.
func (f *follow) read(dir, report string) (out found) {
	if dir != "" {
		in, err := f.p.openFolder(dir)
		if err != nil {
			out.note = "its folder " + dir + " is not on this machine, or not any more"
		} else {
			defer in.Close()
			if out.grew, err = f.curves.read(in); err != nil && !errors.Is(err, fs.ErrNotExist) {
				out.note = "its metrics cannot be read: " + err.Error()
			}
			out.epochs = weightEpochs(in)
		}
	}
	out.curves = f.curves.copied()
	if filepath.IsAbs(report) {
		if in, err := f.p.openFolder(filepath.Dir(report)); err == nil {
			defer in.Close()
			if st, err := fs.Stat(in, filepath.Base(report)); err == nil {
				out.report = st.ModTime()
			}
		}
	}
	return out
}

// startReading reports whether nobody else reads a run's folder.
func (p *Page) startReading(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reading[id] {
		return false
	}
	p.reading[id] = true
	return true
}

func (p *Page) endReading(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.reading, id)
}

// followFrame is a frame of a run.
type followFrame struct {
	Run    *pastRun             `json:"run,omitempty"`
	Error  string               `json:"error"`
	Axis   string               `json:"axis"`
	Curves map[string]curvePart `json:"curves,omitempty"`
	Report int64                `json:"report,omitempty"` // when it was written, ms since 1970; 0: there is none
	Epochs []int                `json:"epochs,omitempty"`
	Gone   bool                 `json:"gone,omitempty"`
}

// curvePart is a curve's points from the At-th on.
type curvePart struct {
	At int       `json:"at"`
	X  []float64 `json:"x"`
	Y  []float64 `json:"y"`
}

type followMark struct {
	rev    int
	report time.Time
	epochs int
	curves map[string][2]int // gen and points
}

// frame implements [source].
func (f *follow) frame(since any) ([]byte, any) {
	was, told := since.(followMark)
	f.mu.Lock()
	known, run, err, rev, files := f.known, f.run, f.err, f.rev, f.files
	f.mu.Unlock()
	if !known {
		return nil, nil
	}
	out := followFrame{Error: err, Axis: files.curves.axis, Epochs: files.epochs}
	now := followMark{rev: rev, report: files.report, epochs: len(files.epochs), curves: map[string][2]int{}}
	changed := !told || was.rev != now.rev || was.report != now.report || was.epochs != now.epochs
	if !told || was.rev != now.rev {
		out.Run = run
	}
	if !files.report.IsZero() {
		out.Report = files.report.UnixMilli()
	}
	for _, name := range files.curves.order {
		c := files.curves.byName[name]
		now.curves[name] = [2]int{c.gen, len(c.x)}
		last, known := was.curves[name]
		if known && last == now.curves[name] {
			continue
		}
		at := 0
		if known && last[0] == c.gen {
			at = last[1]
		}
		if out.Curves == nil {
			out.Curves = map[string]curvePart{}
		}
		out.Curves[name] = curvePart{at, c.x[at:], c.y[at:]}
		changed = true
	}
	if !changed {
		return nil, since
	}
	body, fault := json.Marshal(out)
	if fault != nil {
		panic(fault) // numbers came from JSON
	}
	return body, now
}
