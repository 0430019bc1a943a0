package delta

import (
	"encoding/binary"
	"errors"
	"io"
	"math"

	"github.com/klauspost/compress/fse"
)

// blockSize is the most bytes that are entropy-coded together: enough that a
// table of frequencies is small beside what it describes.
const blockSize = 1 << 16

// How a block is stored. The reader knows its length beforehand.
const (
	blockPlain = 0 // the bytes
	blockRun   = 1 // one byte, which all are
	blockFSE   = 2 // uint16 length, then Finite State Entropy (zstd's, without a frame)
)

// packer codes blocks; it holds scratch memory alone.
type packer struct{ scratch fse.Scratch }

// append appends block in the smallest of the three forms.
func (p *packer) append(dst, block []byte) []byte {
	coded, err := fse.Compress(block, &p.scratch)
	switch {
	case errors.Is(err, fse.ErrUseRLE):
		return append(dst, blockRun, block[0])
	case err == nil && len(coded)+2 < len(block):
		dst = binary.LittleEndian.AppendUint16(append(dst, blockFSE), uint16(len(coded)))
		return append(dst, coded...)
	}
	return append(append(dst, blockPlain), block...)
}

// unpacker reads what packer wrote; it holds scratch memory alone.
type unpacker struct {
	scratch fse.Scratch
	buf     [blockSize]byte
}

// read fills dst with the next block of r, which has exactly its length.
func (u *unpacker) read(r io.Reader, dst []byte) error {
	if _, err := io.ReadFull(r, u.buf[:1]); err != nil {
		return short(err)
	}
	switch u.buf[0] {
	case blockPlain:
		_, err := io.ReadFull(r, dst)
		return short(err)
	case blockRun:
		if _, err := io.ReadFull(r, u.buf[:1]); err != nil {
			return short(err)
		}
		for i := range dst {
			dst[i] = u.buf[0]
		}
		return nil
	case blockFSE:
		if _, err := io.ReadFull(r, u.buf[:2]); err != nil {
			return short(err)
		}
		coded := u.buf[:binary.LittleEndian.Uint16(u.buf[:])]
		if _, err := io.ReadFull(r, coded); err != nil {
			return short(err)
		}
		u.scratch.DecompressLimit = blockSize
		out, err := fse.Decompress(coded, &u.scratch)
		if err != nil {
			return damaged("an entropy-coded block doesn't decode: %v", err)
		}
		if len(out) != len(dst) {
			return damaged("an entropy-coded block holds %d bytes, not %d", len(out), len(dst))
		}
		copy(dst, out)
		return nil
	}
	return damaged("a block of the unknown kind %d", u.buf[0])
}

// short turns the end of a blob into damage; other errors are the reader's.
func short(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return damaged("a blob ends early")
	}
	return err
}

// bitsOf is the order-0 entropy of a block in bits: what coding it would take
// at least.
func bitsOf(block []byte) float64 {
	var count [256]int
	for _, c := range block {
		count[c]++
	}
	n, bits := float64(len(block)), 0.0
	for _, c := range count {
		if c > 0 {
			bits += float64(c) * math.Log2(n/float64(c))
		}
	}
	return bits
}

// zigzag maps a difference modulo 2^(8·width) to a number whose upper bytes are
// zero for small differences of either sign: 0, −1, 1, −2, … to 0, 1, 2, 3, …
func zigzag(d uint64, width int) uint64 {
	shift := 64 - 8*width
	s := int64(d<<shift) >> shift
	return uint64(s)<<1 ^ uint64(s>>63)
}

// unzigzag is its inverse, in the lower 8·width bits.
func unzigzag(z uint64) uint64 { return z>>1 ^ -(z & 1) }
