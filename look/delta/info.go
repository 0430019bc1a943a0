package delta

import "orrery/learn/checkpoint"

// Info describes an update, as docs/json.md has it.
type Info struct {
	Version int          `json:"version"`
	Folder  bool         `json:"folder"` // it rebuilds a folder, not a single file
	Tensors []TensorInfo `json:"tensors"`
	Removed []string     `json:"removed"` // tensors that only the base has
	Files   []FileInfo   `json:"files"`
	Totals  Totals       `json:"totals"`
}

// TensorInfo is one tensor of the tuned checkpoint.
type TensorInfo struct {
	Name      string           `json:"name"`
	DType     checkpoint.DType `json:"dtype"`
	Shape     []int            `json:"shape"`
	New       bool             `json:"new"` // the base has none of this name, type and shape
	Encoding  Encoding         `json:"encoding"`
	Elements  int64            `json:"elements"`
	Changed   int64            `json:"changed"`
	Dense     int64            `json:"dense_bytes"`     // of the whole tensor
	Predicted int64            `json:"predicted_bytes"` // of the encoding, as Counter counts
	Stored    int64            `json:"stored_bytes"`    // after entropy coding
	BaseSHA   *string          `json:"base_sha256"`
	TunedSHA  string           `json:"tuned_sha256"`
}

// FileInfo is one file that applying the update writes.
type FileInfo struct {
	Path   string `json:"path"`
	Kind   string `json:"kind"` // "weights", "carried" or "base": the base folder has the same
	Bytes  int64  `json:"bytes"`
	Stored int64  `json:"stored_bytes"` // in the update, of files other than weights
}

// Totals are sums over all tensors, and the update's own size.
type Totals struct {
	Tensors   int     `json:"tensors"`
	Unchanged int     `json:"unchanged_tensors"`
	New       int     `json:"new_tensors"`
	Elements  int64   `json:"elements"`
	Changed   int64   `json:"changed"`
	Dense     int64   `json:"dense_bytes"`
	Predicted int64   `json:"predicted_bytes"`
	IIDBound  float64 `json:"iid_bound_bytes"`
	Stored    int64   `json:"stored_bytes"`
	File      int64   `json:"file_bytes"` // the update with its header
}

// Info describes the update.
func (d *Delta) Info() *Info { return d.manifest.info(d.size) }

func (m *manifest) info(size int64) *Info {
	r := &Info{Version: Version, Folder: m.Folder, Tensors: []TensorInfo{}, Removed: []string{}, Files: []FileInfo{}}
	r.Totals.File = size
	for i := range m.Tensors {
		t := &m.Tensors[i]
		ti := TensorInfo{Name: t.Name, DType: t.DType, Shape: t.Shape, New: t.Base == "", Encoding: t.Encoding,
			Elements: t.elements(), Changed: t.Changed, Dense: t.bytes(), TunedSHA: t.Tuned}
		if t.Base != "" {
			ti.BaseSHA = &t.Base
		}
		for _, b := range []*blob{t.Idx, t.Val} {
			if b != nil {
				ti.Predicted += b.Raw
				ti.Stored += b.Bytes
			}
		}
		r.Totals.add(&ti)
		r.Tensors = append(r.Tensors, ti)
	}
	for _, t := range m.Removed {
		r.Removed = append(r.Removed, t.Name)
	}
	for _, w := range m.Weights {
		r.Files = append(r.Files, FileInfo{Path: w.Path, Kind: "weights", Bytes: w.Bytes})
	}
	for _, c := range m.Carried {
		f := FileInfo{Path: c.Path, Kind: "base", Bytes: c.Bytes}
		if c.Stored != nil {
			f.Kind, f.Stored = "carried", c.Stored.Bytes
		}
		r.Files = append(r.Files, f)
	}
	return r
}

func (t *Totals) add(ti *TensorInfo) {
	t.Tensors++
	if ti.Encoding == None {
		t.Unchanged++
	}
	if ti.New {
		t.New++
	}
	t.Elements += ti.Elements
	t.Changed += ti.Changed
	t.Dense += ti.Dense
	t.Predicted += ti.Predicted
	t.IIDBound += IIDBound(ti.Elements, ti.Changed, width(ti.DType))
	t.Stored += ti.Stored
}
