package spectrum

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
)

// ErrOtherBase is what LoadBase's error wraps when the file is sound but of
// another tensor or made with other options: make the base anew.
var ErrOtherBase = errors.New("the file is of another base")

// baseMagic begins the file; it changes with the algorithms and the layout.
const baseMagic = "orrery spectrum base 1\n"

// baseHeader is the file's second line. All that identifies a base must be equal.
type baseHeader struct {
	Key  string `json:"key"` // sha256 of the tensor
	Rows int    `json:"rows"`
	Cols int    `json:"cols"`
	K    int    `json:"k"`
	Mode Mode   `json:"mode"`
	Seed string `json:"seed"`

	With     string `json:"with"`
	Complete bool   `json:"complete"`
	Sigma    int    `json:"sigma"` // how many singular values
}

func (o Options) header(key string, rows, cols int) baseHeader {
	return baseHeader{Key: key, Rows: rows, Cols: cols, K: o.clippedK(rows, cols), Mode: o.mode(), Seed: o.Seed}
}

// identity is h without what only the contents know.
func (h baseHeader) identity() baseHeader {
	h.With, h.Complete, h.Sigma = "", false, 0
	return h
}

// Save writes the base to a file, by way of a temporary one beside it. key
// identifies the tensor: its sha256.
//
// The file is a line of magic, a line of JSON, float64 numbers in little-endian
// order (‖W‖_F, residual, tail, τ, Gram error; ρ; σ; U; V), and the sha256 of
// all that.
func (b *Base) Save(path, key string) (err error) {
	f := &b.f
	h := b.o.header(key, f.u.rows, f.v.rows)
	h.With, h.Complete, h.Sigma = f.with, f.complete, len(f.sigma)
	line, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("saving the spectrum of a base: %w", err)
	}
	var out bytes.Buffer
	out.WriteString(baseMagic)
	out.Write(append(line, '\n'))
	for _, part := range [][]float64{{f.fro, f.residual, f.tail, f.tau, f.gramError}, f.rho, f.sigma, f.u.data, f.v.data} {
		for _, v := range part {
			out.Write(binary.LittleEndian.AppendUint64(nil, math.Float64bits(v)))
		}
	}
	digest := sha256.Sum256(out.Bytes())
	out.Write(digest[:])
	tmp, err := os.CreateTemp(filepath.Dir(path), ".base-*")
	if err != nil {
		return fmt.Errorf("saving the spectrum of a base: %w", err)
	}
	defer func() {
		if err != nil {
			os.Remove(tmp.Name())
		}
	}()
	_, err = tmp.Write(out.Bytes())
	if e := tmp.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("saving the spectrum of a base: %w", err)
	}
	return nil
}

// LoadBase reads what Save wrote for a (rows, cols) tensor of that key under
// the same options. The error wraps fs.ErrNotExist where there is no file and
// ErrOtherBase where it is of another base; a damaged file is an error too.
func LoadBase(path, key string, rows, cols int, o Options) (*Base, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("loading the spectrum of a base: %w", err)
	}
	damaged := func(what string) error {
		return fmt.Errorf("loading the spectrum of a base: %s %s; delete it and it is made anew", path, what)
	}
	body, ok := bytes.CutPrefix(raw, []byte(baseMagic))
	if !ok || len(raw) < len(baseMagic)+sha256.Size {
		return nil, damaged("is no such file, or of another version")
	}
	if digest := sha256.Sum256(raw[:len(raw)-sha256.Size]); !bytes.Equal(digest[:], raw[len(raw)-sha256.Size:]) {
		return nil, damaged("is damaged")
	}
	line, numbers, ok := bytes.Cut(body[:len(body)-sha256.Size], []byte("\n"))
	var h baseHeader
	if !ok || json.Unmarshal(line, &h) != nil {
		return nil, damaged("has no header")
	}
	if want := o.header(key, rows, cols); h.identity() != want {
		return nil, fmt.Errorf("loading the spectrum of a base: %s: %w: it is of %+v, wanted is %+v", path, ErrOtherBase, h.identity(), want)
	}
	k := h.K
	if h.Sigma < k || h.Sigma > min(rows, cols) || len(numbers) != 8*(5+k+h.Sigma+(rows+cols)*k) {
		return nil, damaged("has a size that its header does not explain")
	}
	take := func(n int) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = math.Float64frombits(binary.LittleEndian.Uint64(numbers[8*i:]))
		}
		numbers = numbers[8*n:]
		return out
	}
	s := take(5)
	f := factors{k: k, with: h.With, complete: h.Complete, fro: s[0], residual: s[1], tail: s[2], tau: s[3], gramError: s[4]}
	f.rho, f.sigma = take(k), take(h.Sigma)
	f.u, f.v = dense{rows, k, take(rows * k)}, dense{cols, k, take(cols * k)}
	return &Base{o: o, f: f}, nil
}
