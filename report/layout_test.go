package report

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestTagsDoNotTouch: names in one row keep apart, and no mark's line runs through a name.
func TestTagsDoNotTouch(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		tags := make([]tag, 1+r.IntN(8))
		for i := range tags {
			tags[i] = tag{x: 500 * r.Float64(), name: "a name of a line"[:1+r.IntN(15)]}
		}
		arrange(tags, 0, 500)
		for i, a := range tags {
			for j, b := range tags {
				if i == j || a.row < 0 || b.row < 0 || b.x < a.x || b.x == a.x && b.row != a.row {
					continue
				}
				if b.x < a.x+textWidth(a.name) && b.row >= a.row {
					t.Fatalf("%+v and %+v touch", a, b)
				}
			}
		}
	}
}

// shrinkNaive is the mean over each point's cells, straight from the definition.
func shrinkNaive(values [][]float64, rows, columns, y, x int) float64 {
	h, w := min(rows, mostPixels), min(columns, mostPixels)
	sum, n := 0.0, 0.0
	for r := range rows {
		for c := range columns {
			inside := r >= y*rows/h && r < (y+1)*rows/h && c >= x*columns/w && c < (x+1)*columns/w
			if inside && r < len(values) && c < len(values[r]) && !math.IsNaN(values[r][c]) && !math.IsInf(values[r][c], 0) {
				sum, n = sum+values[r][c], n+1
			}
		}
	}
	return sum / n
}

func TestShrinkIsTheMeanOfWhatIsThere(t *testing.T) {
	values := grid(3, 1501, func(r, c float64) float64 {
		if int(c)%5 == 0 || c > 1400 && r == 1 {
			return math.NaN()
		}
		return r*1000 + c
	})
	small, byRow, byColumn := shrink(values, 4, 1501)
	if len(small) != 4 || len(small[0]) != mostPixels || byRow != 1 || byColumn != 1501.0/mostPixels {
		t.Fatalf("shrunk to %d × %d by %v, %v", len(small), len(small[0]), byRow, byColumn)
	}
	for y := range 4 {
		for _, x := range []int{0, 1, 333, 698, 699} {
			want := shrinkNaive(values, 4, 1501, y, x)
			if got := small[y][x]; got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
				t.Errorf("point %d, %d is %v, want %v", y, x, got, want)
			}
		}
	}
}

func TestCellIndexFindsCentres(t *testing.T) {
	for _, at := range [][]float64{{1, 2, 5, 10}, {10, 5, 2, 1}, {0.1, 1000}} {
		for _, log := range []bool{false, true} {
			for i, v := range at {
				if got := cellIndex(at, log, v); math.Abs(got-float64(i)) > 1e-12 {
					t.Errorf("%v, log %v: %v lies at %v, want %d", at, log, v, got, i)
				}
			}
		}
	}
	for _, c := range []struct {
		at   []float64
		log  bool
		v    float64
		want float64
	}{{[]float64{1, 3}, false, 2, 0.5}, {[]float64{1, 100}, true, 10, 0.5}, {[]float64{1, 2}, false, 4, 3}, {[]float64{1, 2}, false, -1, -2}, {nil, false, 7, 7}, {[]float64{5}, false, 6, 1}} {
		if got := cellIndex(c.at, c.log, c.v); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%v, log %v: %v lies at %v, want %v", c.at, c.log, c.v, got, c.want)
		}
	}
	if got := cellIndex([]float64{1, 2}, true, -1); !math.IsNaN(got) {
		t.Errorf("a value without logarithm lies at %v", got)
	}
}

func TestGradientEndsAndMiddle(t *testing.T) {
	g := newGradient(Axis{Log: true}, false, []float64{1e-6, 1e-2, 0})
	if g.at(1e-6) != viridis[0] || g.at(1e-2) != viridis[len(viridis)-1] || g.at(1) != viridis[len(viridis)-1] {
		t.Error("the ends of the range do not have the ends of the colours")
	}
	if g.at(0) != belowLog || g.at(-1) != belowLog {
		t.Error("what has no logarithm has a colour of the range")
	}
	if got := g.index(1e-4); got != shades/2 {
		t.Errorf("the middle decade has shade %d, want %d", got, shades/2)
	}
	d := newGradient(Axis{}, true, []float64{-1, 3})
	if got := d.at(0); got != redBlue[len(redBlue)/2] {
		t.Errorf("0 of a diverging gradient is %v, want the middle", got)
	}
	for i := 1; i < shades; i++ { // viridis grows lighter: it can be read without colour
		a, b := g.shade(i-1), g.shade(i)
		if light(a.R, a.G, a.B) > light(b.R, b.G, b.B)+1 { // 1: rounding to 8 bits
			t.Errorf("shade %d is darker than the one before", i)
		}
	}
}

func light(r, g, b uint8) float64 { return 0.299*float64(r) + 0.587*float64(g) + 0.114*float64(b) }

func TestTickLabelsTellNeighboursApart(t *testing.T) {
	for _, a := range []Axis{{Min: 1000.01, Max: 1000.02}, {Min: -1, Max: 1}, {Min: 0, Max: 3e-7}, {Min: 123456, Max: 123457}, {Min: 0.99990, Max: 0.99991, Percent: true}} {
		s := newScale(a, 0, 100)
		seen := map[string]bool{}
		for _, l := range s.tickLabels(s.ticks(6)) {
			if seen[l] {
				t.Errorf("%+v: label %s stands twice", a, l)
			}
			seen[l] = true
			if l == "-0" || l == "-0 %" {
				t.Errorf("%+v: a tick reads %s", a, l)
			}
		}
	}
}
