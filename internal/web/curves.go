package web

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"sync"
	"time"

	"orrery/record"
)

const (
	metricsFile = "metrics.jsonl"
	mostPoints  = 4000    // of a curve that are kept; then every second one goes
	mostCurves  = 120     // of a run
	mostRead    = 8 << 20 // bytes of metrics in one look: a long run is read in several
	longestLine = 1 << 20
)

// curve is one number of a run's metrics, over its steps.
type curve struct {
	x, y   []float64
	gen    int // how often it was thinned
	n      int // points so far
	stride int // each how manieth is kept; 0: 1
}

// add appends a point, and thins the curve when it has become too long: what is drawn
// is a screen wide.
func (c *curve) add(x, y float64) {
	c.stride = max(1, c.stride)
	if c.n++; (c.n-1)%c.stride != 0 {
		return
	}
	c.x, c.y = append(c.x, x), append(c.y, y)
	if len(c.x) < mostPoints {
		return
	}
	// New slices, because frames are made of the old ones outside the lock.
	half := func(v []float64) []float64 {
		out := make([]float64, 0, mostPoints)
		for i := 0; i < len(v); i += 2 {
			out = append(out, v[i])
		}
		return out
	}
	c.x, c.y, c.gen, c.stride = half(c.x), half(c.y), c.gen+1, 2*c.stride
}

// follow is the topic of one run: what the record says of it, and the curves in its
// folder as they grow.
type follow struct {
	p  *Page
	id string

	mu     sync.Mutex
	run    *pastRun
	dir    string
	where  string // the run's report
	err    string
	rev    int
	offset int64
	rest   []byte // of a line that is not whole yet
	curves map[string]*curve
	order  []string
	axis   string    // "step", "epoch", …
	report time.Time // when it was written last
	epochs []int     // of which there are weights
}

func newFollow(p *Page, id string) *follow {
	f := &follow{p: p, id: id, curves: map[string]*curve{}}
	ctx, cancel := context.WithTimeout(p.ctx, lookLimit)
	defer cancel()
	f.poll(ctx)
	return f
}

// poll implements [polled].
func (f *follow) poll(ctx context.Context) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	news := f.look(ctx)
	if f.dir == "" {
		return news
	}
	root, err := os.OpenRoot(f.dir)
	if err != nil {
		return f.say("its folder "+f.dir+" is not on this machine, or not any more") || news
	}
	defer root.Close()
	grew, err := f.read(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		news = f.say("its metrics cannot be read: "+err.Error()) || news
	}
	if epochs := weightEpochs(root); !slices.Equal(epochs, f.epochs) {
		f.epochs, grew = epochs, true
	}
	return grew || news
}

// look reads what the record says.
func (f *follow) look(ctx context.Context) bool {
	s := f.p.store.Load()
	if s == nil {
		return f.say(noStore)
	}
	run, err := s.Run(ctx, f.id)
	if err != nil {
		return f.say(err.Error())
	}
	was, now := f.run, f.p.pastRun(run)
	f.dir, f.where = run.Dir, run.Report
	if f.dir != "" && f.where == "" && run.State == record.Running {
		f.where = f.dir + "/report.html" // it may be there from before an interruption
	}
	if now.State == record.Running {
		now.Seconds = 0
	}
	f.run = &now
	changed := f.say("")
	if st, err := os.Stat(f.where); f.where != "" && err == nil && !st.ModTime().Equal(f.report) {
		f.report, changed = st.ModTime(), true
	}
	a, _ := json.Marshal(was)
	b, _ := json.Marshal(now)
	if string(a) != string(b) {
		f.rev++
		changed = true
	}
	return changed
}

// say notes what is wrong, and reports whether that is news.
func (f *follow) say(err string) bool {
	if f.err == err {
		return false
	}
	f.err = err
	f.rev++
	return true
}

// read takes in what was appended to the metrics. A file that has become shorter was
// cut by a run that resumed from a checkpoint: it is read anew.
func (f *follow) read(root *os.Root) (grew bool, err error) {
	file, err := root.Open(metricsFile)
	if err != nil {
		return false, err
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return false, err
	}
	if st.Size() < f.offset {
		f.offset, f.rest = 0, nil
		for _, c := range f.curves {
			*c = curve{gen: c.gen + 1}
		}
	}
	if st.Size() == f.offset {
		return false, nil
	}
	if _, err := file.Seek(f.offset, io.SeekStart); err != nil {
		return false, err
	}
	in := bufio.NewReader(io.LimitReader(file, mostRead))
	for {
		part, err := in.ReadSlice('\n')
		f.offset += int64(len(part))
		f.rest = append(f.rest, part...)
		switch {
		case err == bufio.ErrBufferFull && len(f.rest) <= longestLine:
			continue
		case err == bufio.ErrBufferFull: // no line of ours
			f.rest = f.rest[:0]
			continue
		case err != nil:
			return grew, nil // what is left is the beginning of a line
		}
		f.line(bytes.TrimSpace(f.rest))
		f.rest = f.rest[:0]
		grew = true
	}
}

// axes are the names that metrics give their steps, best first.
var axes = []string{"step", "epoch", "trial", "steps", "tokens"}

// line takes a line of metrics in: an object of numbers, which may be nested.
func (f *follow) line(b []byte) {
	var m map[string]any
	if json.Unmarshal(b, &m) != nil {
		return
	}
	x, axis := math.NaN(), ""
	for _, name := range axes {
		if v, ok := m[name].(float64); ok {
			x, axis = v, name
			break
		}
	}
	if axis == "" {
		return
	}
	f.axis = axis
	delete(m, axis)
	for _, name := range []string{"seconds", "kind"} {
		delete(m, name)
	}
	f.take("", m, x)
}

func (f *follow) take(prefix string, m map[string]any, x float64) {
	for name, v := range m {
		switch v := v.(type) {
		case float64:
			c := f.curves[prefix+name]
			if c == nil {
				if len(f.curves) == mostCurves {
					continue
				}
				c = &curve{}
				f.curves[prefix+name] = c
				f.order = append(f.order, prefix+name)
				slices.Sort(f.order)
			}
			c.add(x, v)
		case map[string]any:
			f.take(prefix+name+".", v, x)
		}
	}
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
	out := followFrame{Error: f.err, Axis: f.axis, Epochs: f.epochs}
	now := followMark{rev: f.rev, report: f.report, epochs: len(f.epochs), curves: map[string][2]int{}}
	changed := !told || was.rev != now.rev || was.report != now.report || was.epochs != now.epochs
	if !told || was.rev != now.rev {
		out.Run = f.run
	}
	if !f.report.IsZero() {
		out.Report = f.report.UnixMilli()
	}
	for _, name := range f.order {
		c := f.curves[name]
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
	f.mu.Unlock()
	if !changed {
		return nil, since
	}
	body, err := json.Marshal(out)
	if err != nil {
		panic(err) // numbers came from JSON
	}
	return body, now
}
