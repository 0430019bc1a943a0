package delta

import (
	"fmt"
	"math"
	"math/bits"
)

// Counter counts what the update of one tensor takes, while the positions of
// its changed elements stream by in ascending order. The zero value has seen
// nothing. It holds three numbers, whatever the tensor's size.
type Counter struct {
	changed  int64
	gapBytes int64
	next     int64 // the least position that may still come
}

// Change counts the changed element at pos, which must be above all before.
func (c *Counter) Change(pos int64) {
	if pos < c.next {
		panic(fmt.Sprintf("delta: position %d counted after %d", pos, c.next-1))
	}
	c.changed++
	c.gapBytes += gapSize(uint64(pos - c.next))
	c.next = pos + 1
}

// Mask counts the changed ones among the 64 elements from pos on: bit i of mask
// is the element pos+i. It is Change for each set bit, in a few instructions,
// because any gap within 64 elements takes one byte.
func (c *Counter) Mask(pos int64, mask uint64) {
	if mask == 0 {
		return
	}
	c.Change(pos + int64(bits.TrailingZeros64(mask)))
	more := int64(bits.OnesCount64(mask)) - 1
	c.changed += more
	c.gapBytes += more
	c.next = pos + int64(bits.Len64(mask))
}

// Changed is c, the elements counted.
func (c *Counter) Changed() int64 { return c.changed }

// GapBytes is the bytes of all LEB128 gaps.
func (c *Counter) GapBytes() int64 { return c.gapBytes }

// Cheapest is the encoding that takes least for a tensor of n elements of b
// bytes with the changes counted, and its exact bytes: positions and values, as
// they are before any entropy coding. Of equals it is the first in the order
// none, dense, bitmap, gap.
func (c *Counter) Cheapest(n int64, b int) (Encoding, int64) {
	if c.changed == 0 {
		return None, 0
	}
	best, size := Dense, n*int64(b)
	values := c.changed * int64(b)
	if s := bitmapSize(n) + values; s < size {
		best, size = Bitmap, s
	}
	if s := c.gapBytes + values; s < size {
		best, size = Gap, s
	}
	return best, size
}

// IIDBound is the bytes that no code of the positions beats on average when
// each of n elements changes independently with probability p = c/n, with the
// values as they are: n·H₂(p)/8 + c·b.
func IIDBound(n, c int64, b int) float64 {
	values := float64(c) * float64(b)
	if c <= 0 || c >= n {
		return values
	}
	p := float64(c) / float64(n)
	h := -(p*math.Log2(p) + (1-p)*math.Log1p(-p)/math.Ln2)
	return float64(n)*h/8 + values
}

// gapSize is the bytes of gap in LEB128: seven bits each.
func gapSize(gap uint64) int64 { return int64(bits.Len64(gap|1)+6) / 7 }

func bitmapSize(n int64) int64 { return n/8 + min(n%8, 1) }
