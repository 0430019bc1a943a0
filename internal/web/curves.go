package web

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math"
	"slices"
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

// curves are the numbers of a run's metrics, read as they are written.
type curves struct {
	offset int64  // of the file, up to which it was read
	rest   []byte // of a line that is not whole yet
	byName map[string]*curve
	order  []string
	axis   string // "step", "epoch", …
}

// copied is what the curves are now. Points are shared: they are only appended to.
func (c *curves) copied() curves {
	out := curves{byName: make(map[string]*curve, len(c.byName)), order: slices.Clone(c.order), axis: c.axis}
	for name, own := range c.byName {
		now := *own
		out.byName[name] = &now
	}
	return out
}

// read takes in what was appended to the metrics. A file that has become shorter was
// cut by a run that resumed from a checkpoint: it is read anew.
func (c *curves) read(folder fs.FS) (grew bool, err error) {
	file, err := folder.Open(metricsFile)
	if err != nil {
		return false, err
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return false, err
	}
	if st.Size() < c.offset {
		c.offset, c.rest = 0, nil
		for _, v := range c.byName {
			*v = curve{gen: v.gen + 1}
		}
	}
	if st.Size() == c.offset {
		return false, nil
	}
	seeker, ok := file.(io.Seeker)
	if !ok {
		return false, errors.New("the file cannot be read from its middle")
	}
	if _, err := seeker.Seek(c.offset, io.SeekStart); err != nil {
		return false, err
	}
	in := bufio.NewReader(io.LimitReader(file, mostRead))
	for {
		part, err := in.ReadSlice('\n')
		c.offset += int64(len(part))
		c.rest = append(c.rest, part...)
		switch {
		case err == bufio.ErrBufferFull && len(c.rest) <= longestLine:
			continue
		case err == bufio.ErrBufferFull: // no line of ours
			c.rest = c.rest[:0]
			continue
		case err != nil:
			return grew, nil // what is left is the beginning of a line
		}
		c.line(bytes.TrimSpace(c.rest))
		c.rest = c.rest[:0]
		grew = true
	}
}

// axes are the names that metrics give their steps, best first.
var axes = []string{"step", "epoch", "trial", "steps", "tokens"}

// line takes a line of metrics in: an object of numbers, which may be nested.
func (c *curves) line(b []byte) {
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
	c.axis = axis
	delete(m, axis)
	for _, name := range []string{"seconds", "kind"} {
		delete(m, name)
	}
	c.take("", m, x)
}

func (c *curves) take(prefix string, m map[string]any, x float64) {
	for name, v := range m {
		switch v := v.(type) {
		case float64:
			own := c.byName[prefix+name]
			if own == nil {
				if len(c.byName) == mostCurves {
					continue
				}
				own = &curve{}
				c.byName[prefix+name] = own
				c.order = append(c.order, prefix+name)
				slices.Sort(c.order)
			}
			own.add(x, v)
		case map[string]any:
			c.take(prefix+name+".", v, x)
		}
	}
}
