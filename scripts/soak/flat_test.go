package soak

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"
)

// A sample is what the process holds at a time: the server, its store, the model
// server and the clients, which all live in it.
type sample struct {
	at                           float64 // seconds
	heap, rss, goroutines, files float64 // bytes, bytes, counts
}

func measure(at time.Duration) sample {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s := sample{at: at.Seconds(), heap: float64(m.HeapAlloc), rss: math.NaN(), goroutines: float64(runtime.NumGoroutine()), files: math.NaN()}
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		if pages, err := strconv.ParseFloat(string(bytes.Fields(b)[1]), 64); err == nil {
			s.rss = pages * float64(os.Getpagesize())
		}
	}
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		s.files = float64(len(fds))
	}
	return s
}

// trend is a line through values, by least squares, with the 95 % interval of
// its slope. Values are means over spans, so that one sample's chance and its
// neighbours' likeness do not make the interval too small.
type trend struct{ mean, slope, low, high float64 }

func fit(x, y []float64) trend {
	n := float64(len(x))
	var mx, my, sxx, sxy, sse float64
	for i := range x {
		mx, my = mx+x[i]/n, my+y[i]/n
	}
	for i := range x {
		sxx += (x[i] - mx) * (x[i] - mx)
		sxy += (x[i] - mx) * (y[i] - my)
	}
	t := trend{mean: my, slope: sxy / sxx}
	for i := range x {
		e := y[i] - my - t.slope*(x[i]-mx)
		sse += e * e
	}
	// Student's t for 10 degrees of freedom or more is below 2.23.
	half := 2.23 * math.Sqrt(sse/(n-2)/sxx)
	t.low, t.high = t.slope-half, t.slope+half
	return t
}

// spans is how many means the second half is cut into: 10 degrees of freedom.
const spans = 12

// most is how much of its mean a quantity may surely grow by in the second half.
// A leak of 1 KB a request comes, at 15 requests a second over five minutes, to
// 4.5 MB, over a tenth of the heap; a chance drift stays within the interval.
const most = 0.05

// flat judges the second half of the samples and prints it. Growth counts if it
// is sure (the interval's low end) and large (over most of the mean).
func flat(w io.Writer, samples []sample) (bad []string) {
	second := samples[len(samples)/2:]
	if len(second) < 2*spans {
		fmt.Fprintf(w, "too short to say whether memory is flat: %d samples\n", len(samples))
		return nil
	}
	judged := second[len(second)-1].at-second[0].at >= 60
	if !judged {
		defer fmt.Fprintln(w, "not judged: less than a minute, in which pools and caches still fill")
	}
	fmt.Fprintf(w, "%-12s %12s %12s %12s %14s %30s\n", "second half", "least", "mean", "most", "slope an hour", "95 % interval of growth in it")
	for _, q := range []struct {
		name, unit string
		scale      float64
		of         func(sample) float64
	}{
		{"heap", "MB", 1e6, func(s sample) float64 { return s.heap }},
		{"RSS", "MB", 1e6, func(s sample) float64 { return s.rss }},
		{"goroutines", "", 1, func(s sample) float64 { return s.goroutines }},
		{"files", "", 1, func(s sample) float64 { return s.files }},
	} {
		var x, y, all []float64
		for i := range spans {
			part := second[i*len(second)/spans : (i+1)*len(second)/spans]
			var at, sum float64
			for _, s := range part {
				at, sum = at+s.at, sum+q.of(s)
				all = append(all, q.of(s)/q.scale)
			}
			x, y = append(x, at/float64(len(part))), append(y, sum/float64(len(part))/q.scale)
		}
		t := fit(x, y)
		took := second[len(second)-1].at - second[0].at
		low, high := t.low*took/t.mean, t.high*took/t.mean
		fmt.Fprintf(w, "%-12s %9.1f %2s %9.1f %2s %9.1f %2s %11.2f %2s %14.1f %% to %9.1f %%\n", q.name,
			slices.Min(all), q.unit, t.mean, q.unit, slices.Max(all), q.unit, t.slope*3600, q.unit, 100*low, 100*high)
		if judged && !(low <= most) {
			bad = append(bad, fmt.Sprintf("%s grows by %.1f %% or more in the second half", q.name, 100*low))
		}
	}
	return bad
}
