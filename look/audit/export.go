package audit

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"

	"orrery/learn/checkpoint"
	"orrery/look/spectrum"
)

// ExportMasks writes the masks of every matrix of a checkpoint as a safetensors
// file, for training with them: NAME.low and NAME.princ are U8, eight entries a
// byte, entry i in bit i mod 8 of byte ⌊i/8⌋ (NumPy's bitorder "little"), set where
// the mask holds the entry. Metadata has k, alpha, and "shape:NAME". It returns
// how many matrices there are. With SpectraNone only the low-magnitude masks are
// written.
func ExportMasks(ctx context.Context, base *Checkpoint, out string, o Options) (int, error) {
	if err := o.Validate(); err != nil {
		return 0, fmt.Errorf("audit: export masks: %w", err)
	}
	a := &auditor{Options: o.withDefaults()}
	meta := map[string]string{"format": "orrery masks", "version": strconv.Itoa(Version), "k": strconv.Itoa(a.MaskK), "alpha": strconv.FormatFloat(a.Alpha, 'g', -1, 64)}
	var entries []checkpoint.Entry
	var last maskFile
	var names []string
	for _, name := range sortedNames(base.source.Names()) {
		info, _ := base.source.Info(name)
		if info.DType.Float() && isMatrix(&Tensor{Name: name, Shape: info.Shape}) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return 0, fmt.Errorf("audit: export masks of %s: it has no floating-point matrix", base.path)
	}
	for i, name := range names {
		info, _ := base.source.Info(name)
		meta["shape:"+name] = fmt.Sprint(info.Shape)
		kinds := []string{"low", "princ"}
		if a.Spectra == SpectraNone {
			kinds = kinds[:1]
		}
		for _, kind := range kinds {
			entries = append(entries, checkpoint.Entry{Name: name + "." + kind, DType: checkpoint.U8, Shape: []int{int((elementsOf(info.Shape) + 7) / 8)},
				From: func(w io.Writer) error {
					if a.Progress != nil {
						a.Progress(Progress{i, len(names), name})
					}
					if err := last.make(ctx, a, base, name, info); err != nil {
						return fmt.Errorf("audit: masks of tensor %q of %s: %w", name, base.path, err)
					}
					return writeBits(w, last.of(kind), elementsOf(info.Shape))
				}})
		}
	}
	return len(names), checkpoint.Write(out, entries, meta)
}

// maskFile is the masks of the tensor that is being written.
type maskFile struct {
	name       string
	low, princ []uint64
}

func (f *maskFile) of(kind string) []uint64 {
	if kind == "low" {
		return f.low
	}
	return f.princ
}

// make computes the masks of one tensor, of each of its matrices if it is fused.
func (f *maskFile) make(ctx context.Context, a *auditor, base *Checkpoint, name string, info checkpoint.Info) error {
	if f.name == name {
		return nil
	}
	r, _, err := base.source.Section(name)
	if err != nil {
		return err
	}
	rows, cols := flat(info.Shape)
	_, kind := place(name)
	spans, _ := base.config.split(kind, info.Shape)
	*f = maskFile{name: name, low: make([]uint64, (rows*cols+63)/64), princ: make([]uint64, (rows*cols+63)/64)}
	if spans == nil {
		spans = []span{{}}
	}
	for _, s := range spans {
		m := newMatrix(r, info.DType, rows, cols, s)
		seed := name
		if s.name != "" {
			seed += "[" + s.name + "]"
		}
		set, err := a.maskOf(ctx, m, seed)
		if err != nil {
			f.name = ""
			return err
		}
		m.scatter(f.low, set.low)
		if set.princ != nil {
			m.scatter(f.princ, set.princ)
		}
	}
	return nil
}

// maskOf computes one matrix's masks, as an audit does.
func (a *auditor) maskOf(ctx context.Context, m matrix, seed string) (*maskSet, error) {
	src := &maskSource{rows: m.rows, cols: m.cols, codes: m.codes}
	if a.Spectra != SpectraNone {
		w, err := m.floats()
		if err != nil {
			return nil, err
		}
		o := spectrum.Options{K: a.MaskK, Mode: spectrum.Top, Seed: seed}
		if a.Spectra == SpectraExact {
			o.Mode = spectrum.Exact
		}
		b, err := spectrum.NewBase(ctx, spectrum.Matrix{Data: w, Rows: int(m.rows), Cols: int(m.cols)}, o)
		if err != nil {
			return nil, err
		}
		src.us, src.v, src.k = b.Approximation()
	}
	return src.masks(ctx, a.Workers, a.Alpha)
}

// scatter sets the tensor's bits where the matrix's are set: mask's converse.
func (m matrix) scatter(tensor, bits []uint64) {
	at := int64(0)
	m.runs(0, m.rows*m.cols, func(from, n int64) error {
		for i := range n {
			tensor[(from+i)/64] |= bits[(at+i)/64] >> ((at + i) % 64) & 1 << ((from + i) % 64)
		}
		at += n
		return nil
	})
}

func writeBits(w io.Writer, words []uint64, n int64) error {
	left := (n + 7) / 8
	var buf [1 << 13]byte
	for i := 0; left > 0; {
		k := 0
		for ; k < len(buf) && i < len(words); i++ {
			binary.LittleEndian.PutUint64(buf[k:], words[i])
			k += 8
		}
		part := min(left, int64(k))
		if _, err := w.Write(buf[:part]); err != nil {
			return err
		}
		left -= part
	}
	return nil
}
