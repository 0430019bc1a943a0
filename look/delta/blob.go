package delta

import (
	"bufio"
	"encoding/binary"
	"io"
)

// Coding is how a blob's bytes are stored.
type Coding string

// The codings. A blob is stored in the smaller of its two.
const (
	Plain Coding = "plain" // as the encoding defines them
	FSE   Coding = "fse"   // in entropy-coded blocks; docs/delta.md
	Zstd  Coding = "zstd"  // a zstd frame (RFC 8878); of carried files
)

// positions writes an .idx blob.
type positions struct {
	w    io.Writer
	pack *packer // nil: plain
	buf  []byte
	out  []byte
	raw  int64 // bytes before coding
}

func newPositions(w io.Writer, pack *packer) *positions {
	return &positions{w: w, pack: pack}
}

// gap writes one LEB128 number, mask n bytes of a bitmap.
func (p *positions) gap(g uint64) error {
	p.buf = binary.AppendUvarint(p.buf, g)
	return p.spill()
}

func (p *positions) mask(mask uint64, n int) error {
	for range n {
		p.buf = append(p.buf, byte(mask))
		mask >>= 8
	}
	return p.spill()
}

// spill writes the whole blocks of the buffer.
func (p *positions) spill() error {
	if len(p.buf) < blockSize {
		return nil
	}
	err := p.write(p.buf[:blockSize])
	p.buf = p.buf[:copy(p.buf, p.buf[blockSize:])]
	return err
}

func (p *positions) write(block []byte) error {
	p.raw += int64(len(block))
	if p.pack != nil {
		p.out = p.pack.append(p.out[:0], block)
		block = p.out
	}
	_, err := p.w.Write(block)
	return err
}

func (p *positions) flush() error {
	if len(p.buf) == 0 {
		return nil
	}
	err := p.write(p.buf)
	p.buf = p.buf[:0]
	return err
}

// groupSize is the elements of an entropy-coded .val blob that are coded
// together: byte k of each is one block.
const groupSize = blockSize

// How a group stores its elements.
const (
	groupValues      = 0 // the tuned elements
	groupDifferences = 1 // zigzag of tuned − base, modulo 2^(8b)
)

// values writes a .val blob.
type values struct {
	w       io.Writer
	pack    *packer // nil: plain
	width   int
	related bool // there is a base element for each tuned one
	tuned   []byte
	diff    []uint64
	n       int // elements in the group
	planes  []byte
	out     []byte
	raw     int64
}

// newValues is a writer of n elements.
func newValues(w io.Writer, pack *packer, n int64, width int, related bool) *values {
	n = min(n, groupSize)
	v := &values{w: w, pack: pack, width: width, related: related && pack != nil, tuned: make([]byte, int(n)*width)}
	if v.related {
		v.diff = make([]uint64, n)
	}
	return v
}

// add writes one element; base is ignored unless the blob is related.
func (v *values) add(tuned, base uint64) error {
	store(v.tuned, v.n, v.width, tuned)
	if v.related {
		v.diff[v.n] = zigzag(tuned-base, v.width)
	}
	if v.n++; v.n == groupSize {
		return v.flush()
	}
	return nil
}

// flush writes the group: what tells values from differences, then a block for
// each of the elements' bytes, the least significant first. The smaller by its
// entropy is taken.
func (v *values) flush() error {
	if v.n == 0 {
		return nil
	}
	elements := v.tuned[:v.n*v.width]
	v.raw += int64(len(elements))
	if v.pack == nil {
		v.n = 0
		_, err := v.w.Write(elements)
		return err
	}
	n, kind := v.n, byte(groupValues)
	v.planes = v.planes[:0]
	for k := range v.width {
		for i := range n {
			v.planes = append(v.planes, elements[i*v.width+k])
		}
	}
	if v.related {
		for k := range v.width {
			for _, d := range v.diff[:n] {
				v.planes = append(v.planes, byte(d>>(8*k)))
			}
		}
		if v.bits(v.width, 2*v.width) <= v.bits(0, v.width) {
			kind = groupDifferences
			v.planes = v.planes[n*v.width:]
		}
	}
	v.out = append(v.out[:0], kind)
	for k := range v.width {
		v.out = v.pack.append(v.out, v.planes[k*n:(k+1)*n])
	}
	v.n = 0
	_, err := v.w.Write(v.out)
	return err
}

// bits is the entropy of planes lo to hi.
func (v *values) bits(lo, hi int) (sum float64) {
	for k := lo; k < hi; k++ {
		sum += bitsOf(v.planes[k*v.n : (k+1)*v.n])
	}
	return sum
}

// positionReader reads what positions wrote, of raw bytes before coding.
type positionReader struct {
	r      *bufio.Reader
	unpack *unpacker // nil: plain
	left   int64     // raw bytes not yet in buf
	buf    []byte    // raw bytes not yet taken
	block  []byte
}

func newPositionReader(r io.Reader, b *blob, u *unpacker) *positionReader {
	p := &positionReader{r: buffered(r, b), left: b.Raw, block: make([]byte, min(b.Raw, blockSize))}
	if b.Coding == FSE {
		p.unpack = u
	}
	return p
}

// buffered reads a blob in pieces that suit its size.
func buffered(r io.Reader, b *blob) *bufio.Reader {
	return bufio.NewReaderSize(r, int(min(b.Bytes, blockSize)))
}

func (p *positionReader) fill() error {
	if p.left == 0 {
		return damaged("positions end early")
	}
	p.buf = p.block[:min(p.left, blockSize)]
	p.left -= int64(len(p.buf))
	if p.unpack != nil {
		return p.unpack.read(p.r, p.buf)
	}
	_, err := io.ReadFull(p.r, p.buf)
	return short(err)
}

func (p *positionReader) byte() (byte, error) {
	if len(p.buf) == 0 {
		if err := p.fill(); err != nil {
			return 0, err
		}
	}
	b := p.buf[0]
	p.buf = p.buf[1:]
	return b, nil
}

// gap reads one LEB128 number in its shortest form, below 2^63.
func (p *positionReader) gap() (int64, error) {
	var g uint64
	for shift := 0; ; shift += 7 {
		b, err := p.byte()
		if err != nil {
			return 0, err
		}
		if shift > 56 || b == 0 && shift > 0 {
			return 0, damaged("a gap is too long or not in its shortest form")
		}
		if g |= uint64(b&0x7f) << shift; b < 0x80 {
			return int64(g), nil
		}
	}
}

// mask reads n bytes of a bitmap.
func (p *positionReader) mask(n int) (mask uint64, err error) {
	for i := range n {
		b, err := p.byte()
		if err != nil {
			return 0, err
		}
		mask |= uint64(b) << (8 * i)
	}
	return mask, nil
}

// end checks that nothing is left.
func (p *positionReader) end() error {
	if p.left > 0 || len(p.buf) > 0 {
		return damaged("%d bytes of positions are left over", p.left+int64(len(p.buf)))
	}
	return atEnd(p.r)
}

// atEnd checks that a blob was read whole.
func atEnd(r *bufio.Reader) error {
	_, err := r.ReadByte()
	switch err {
	case io.EOF:
		return nil
	case nil:
		return damaged("a blob is longer than what it holds")
	}
	return err
}

// valueReader reads what values wrote.
type valueReader struct {
	r       *bufio.Reader
	unpack  *unpacker // nil: plain
	width   int
	related bool
	left    int64 // elements not yet in the group
	group   []byte
	planes  []byte
	kind    byte
	n, next int // elements in the group, the next of them
}

func newValueReader(r io.Reader, b *blob, u *unpacker, width int, related bool) *valueReader {
	v := &valueReader{r: buffered(r, b), width: width, related: related, left: b.Raw / int64(width)}
	size := int(min(v.left, groupSize)) * width
	v.group = make([]byte, size)
	if b.Coding == FSE {
		v.unpack, v.planes = u, make([]byte, size)
	}
	return v
}

func (v *valueReader) fill() error {
	if v.left == 0 {
		return damaged("values end early")
	}
	v.n, v.next = int(min(v.left, groupSize)), 0
	v.left -= int64(v.n)
	elements := v.group[:v.n*v.width]
	if v.unpack == nil {
		_, err := io.ReadFull(v.r, elements)
		return short(err)
	}
	kind, err := v.r.ReadByte()
	if err != nil {
		return short(err)
	}
	if kind > groupDifferences || kind == groupDifferences && !v.related {
		return damaged("a group of the unknown kind %d", kind)
	}
	v.kind = kind
	for k := range v.width {
		plane := v.planes[k*v.n : (k+1)*v.n]
		if err := v.unpack.read(v.r, plane); err != nil {
			return err
		}
		for i, b := range plane {
			elements[i*v.width+k] = b
		}
	}
	return nil
}

// take is the next tuned element, whose base element is base.
func (v *valueReader) take(base uint64) (uint64, error) {
	if v.next == v.n {
		if err := v.fill(); err != nil {
			return 0, err
		}
	}
	e := load(v.group, v.next, v.width)
	v.next++
	if v.kind == groupDifferences {
		e = base + unzigzag(e) // store cuts the carry off
	}
	return e, nil
}

func (v *valueReader) end() error {
	if v.left > 0 || v.next < v.n {
		return damaged("%d values are left over", v.left+int64(v.n-v.next))
	}
	return atEnd(v.r)
}
