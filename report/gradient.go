package report

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
)

// gradient maps values to colours. It is the same in light and dark, so that a
// picture and its legend agree; everybody can tell its ends apart.
type gradient struct {
	scale
	diverging bool
}

// shades is how many colours a gradient has; two more of a picture's palette
// stand for what is missing and for what a logarithm does not have.
const shades = 253

// viridis and redBlue are the stops of the two gradients: matplotlib's viridis,
// and ColorBrewer's RdBu from blue to red.
var (
	viridis = []color.NRGBA{{68, 1, 84, 255}, {72, 40, 120, 255}, {62, 73, 137, 255}, {49, 104, 142, 255}, {38, 130, 142, 255},
		{31, 158, 137, 255}, {53, 183, 121, 255}, {110, 206, 88, 255}, {181, 222, 43, 255}, {253, 231, 37, 255}}
	redBlue = []color.NRGBA{{33, 102, 172, 255}, {67, 147, 195, 255}, {146, 197, 222, 255}, {209, 229, 240, 255}, {247, 247, 247, 255},
		{253, 219, 199, 255}, {244, 165, 130, 255}, {214, 96, 77, 255}, {178, 24, 43, 255}}
	belowLog = color.NRGBA{128, 128, 128, 255} // zero or less on a logarithmic gradient
)

// newGradient fits the colours to the values; a diverging one is as wide below 0 as above.
func newGradient(a Axis, diverging bool, values ...[]float64) gradient {
	if diverging {
		a.Log = false
	}
	g := gradient{scale: tight(a, values...), diverging: diverging}
	if diverging {
		size := max(math.Abs(g.lo), math.Abs(g.hi))
		g.lo, g.hi = -size, size
	}
	return g
}

// missing reports a value that no colour stands for.
func (g gradient) missing(v float64) bool { return !(math.Abs(v) <= largest) }

// at is the colour of a value that is not missing; those outside the range take its ends.
func (g gradient) at(v float64) color.NRGBA {
	if g.axis.Log && v <= 0 {
		return belowLog
	}
	return g.shade(g.index(v))
}

// index is the shade of a value, 0 to shades-1.
func (g gradient) index(v float64) int {
	t := (g.transform(v) - g.lo) / (g.hi - g.lo)
	return int(math.Round(max(0, min(1, t)) * (shades - 1)))
}

func (g gradient) shade(i int) color.NRGBA {
	stops := viridis
	if g.diverging {
		stops = redBlue
	}
	at := float64(i) / (shades - 1) * float64(len(stops)-1)
	k := min(int(at), len(stops)-2)
	mix := func(a, b uint8) uint8 {
		return uint8(math.Round(float64(a) + (float64(b)-float64(a))*(at-float64(k))))
	}
	a, b := stops[k], stops[k+1]
	return color.NRGBA{mix(a.R, b.R), mix(a.G, b.G), mix(a.B, b.B), 255}
}

func hex(c color.NRGBA) string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

// ink is the class of a text that can be read on a colour.
func ink(c color.NRGBA) string {
	if 299*int(c.R)+587*int(c.G)+114*int(c.B) > 128*1000 {
		return "dark"
	}
	return "bright"
}

// legend draws the gradient with its ticks from (left, top); it takes legendHeight.
func (g gradient) legend(w *writer, left, top, width float64, missing, below bool) {
	const n = 48
	for i := range n {
		w.printf(`<rect x="%.1f" y="%.1f" width="%.1f" height="10" fill="%s"/>`,
			left+width*float64(i)/n, top, width/n+0.5, hex(g.shade(i*(shades-1)/(n-1))))
	}
	s := g.scale
	s.from, s.to = left, left+width
	ticks := s.ticks(5)
	end := math.Inf(-1)
	for i, l := range s.tickLabels(ticks) {
		px, half := s.px(ticks[i]), textWidth(l)/2
		w.printf(`<line class="tick" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, px, px, top+10, top+14)
		if px-half > end+6 {
			w.printf(`<text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, px, top+26, esc(l))
			end = px + half
		}
	}
	x := left + width + 18
	swatch := func(fill, name string) {
		w.printf(`<rect class="swatch" x="%.1f" y="%.1f" width="12" height="10" fill="%s"/><text x="%.1f" y="%.1f">%s</text>`, x, top, fill, x+17, top+9, esc(name))
		x += 17 + textWidth(name) + 14
	}
	if missing {
		swatch("url(#"+w.hatch()+")", "not measured")
	}
	if below {
		swatch(hex(belowLog), "0 or less")
	}
	if g.axis.Label != "" {
		w.printf(`<text x="%.1f" y="%.1f">%s</text>`, left, top-5, esc(g.axis.Label))
	}
}

const legendHeight = 56

// hatch defines the pattern of what is missing and returns its id.
func (w *writer) hatch() string {
	id := w.id()
	w.printf(`<pattern id="%s" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><line class="hatch" x1="0" y1="0" x2="0" y2="6"/></pattern>`, id)
	return id
}

// picture encodes values as a PNG of one pixel each; what is missing is transparent.
func (g gradient) picture(values [][]float64, columns int) string {
	palette := make(color.Palette, 0, shades+2)
	for i := range shades {
		palette = append(palette, g.shade(i))
	}
	palette = append(palette, belowLog, color.NRGBA{})
	img := image.NewPaletted(image.Rect(0, 0, columns, len(values)), palette)
	for r, row := range values {
		for c, v := range row {
			i := shades + 1
			switch {
			case g.missing(v):
			case g.axis.Log && v <= 0:
				i = shades
			default:
				i = g.index(v)
			}
			img.SetColorIndex(c, r, uint8(i))
		}
	}
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, img); err != nil {
		panic(err) // a buffer takes everything, and the size was checked
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes())
}
