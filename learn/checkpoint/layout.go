package checkpoint

import "math"

// layout is a float format: one sign bit, then exponent and mantissa bits.
type layout struct {
	man  int    // mantissa bits
	bias int    // of the exponent
	sign uint16 // the sign bit
	max  uint16 // largest finite code
	inf  uint16 // what lies beyond: infinity, or NaN where there is none
	nan  uint16
	// fnuz: "finite numbers, unsigned zero" (arXiv 2206.02915): what would be
	// -0 is the only NaN.
	fnuz bool
}

var (
	layoutF16  = layout{man: 10, bias: 15, sign: 0x8000, max: 0x7bff, inf: 0x7c00, nan: 0x7e00}
	layoutBF16 = layout{man: 7, bias: 127, sign: 0x8000, max: 0x7f7f, inf: 0x7f80, nan: 0x7fc0}
)

// fp8 has the 8-bit floats with a sign: E4M3 and E5M2 as arXiv 2209.05433 has
// them (E4M3 without infinities, so that it reaches 448), and the FNUZ variants
// of arXiv 2206.02915.
var fp8 = map[DType]*struct {
	layout
	table [256]float32 // value of each code
}{
	F8E4M3:     {layout: layout{man: 3, bias: 7, sign: 0x80, max: 0x7e, inf: 0x7f, nan: 0x7f}},
	F8E5M2:     {layout: layout{man: 2, bias: 15, sign: 0x80, max: 0x7b, inf: 0x7c, nan: 0x7e}},
	F8E4M3FNUZ: {layout: layout{man: 3, bias: 8, sign: 0x80, max: 0x7f, inf: 0x80, nan: 0x80, fnuz: true}},
	F8E5M2FNUZ: {layout: layout{man: 2, bias: 16, sign: 0x80, max: 0x7f, inf: 0x80, nan: 0x80, fnuz: true}},
}

func init() {
	for _, f := range fp8 {
		for c := range f.table {
			f.table[c] = float32(f.value(uint16(c)))
		}
	}
}

// value is the value of a code.
func (l layout) value(code uint16) float64 {
	a, v := code&^l.sign, 0.0
	switch {
	case l.fnuz && code == l.sign:
		return math.NaN()
	case a > l.max && a == l.inf && l.inf != l.nan:
		v = math.Inf(1)
	case a > l.max:
		return math.NaN()
	default:
		e, m := int(a>>l.man), int(a&(1<<l.man-1))
		if e > 0 {
			e, m = e-1, m|1<<l.man
		}
		v = math.Ldexp(float64(m), e+1-l.bias-l.man)
	}
	if code&l.sign != 0 {
		v = -v
	}
	return v
}

// round is the code nearest to v, of two the even one. It is false where the
// format can't hold v: a finite value that rounds beyond the largest, or an
// infinity where there is none.
func (l layout) round(v float64) (uint16, bool) {
	var sign uint16
	if math.Signbit(v) && !l.fnuz {
		sign = l.sign
	}
	a := math.Abs(v)
	switch {
	case v != v:
		return l.nan | sign, true
	case a == 0:
		return sign, true
	case math.IsInf(a, 1):
		return l.inf | sign, l.inf != l.nan
	}
	// Count a in units of the last place: 2^(e-man) for a in [2^e, 2^(e+1)),
	// but of subnormals no finer than 2^(1-bias-man). The scaling is exact.
	_, e := math.Frexp(a)
	e = max(e-1, 1-l.bias)
	units := math.RoundToEven(math.Ldexp(a, l.man-e))
	// The hidden bit of a normal number adds the 1 that its exponent field is
	// above e+bias-1, and a carry moves on to the next exponent.
	code := float64((e+l.bias-1)<<l.man) + units
	if code > float64(l.max) {
		return l.inf | sign, false
	}
	c := uint16(code)
	if l.fnuz && c != 0 && v < 0 {
		c |= l.sign
	}
	return c | sign, true
}

// e8m0To is the value of an E8M0 code, a power of two: the scale of a block in
// the OCP microscaling formats (version 1.0, §5.4.1). 255 is NaN.
func e8m0To(code byte) float32 {
	switch code {
	case 0:
		return math.Float32frombits(1 << 22) // 2^-127, a subnormal
	case 255:
		return float32(math.NaN())
	}
	return math.Float32frombits(uint32(code) << 23)
}
