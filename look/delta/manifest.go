package delta

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"orrery/learn/checkpoint"
)

// Keys of a delta's __metadata__.
const (
	keyFormat   = "format" // formatName
	keyVersion  = "version"
	keyManifest = "manifest"
	keySHA256   = "sha256"  // of everything else here
	keyHeader   = "header:" // + a weight file's path: its JSON header, padding included
	formatName  = "orrery-delta"
)

// Suffixes of a delta's tensors, added to a tensor's name or a carried file's
// path. No two names and suffixes give the same.
const (
	suffixIdx  = ".idx"
	suffixVal  = ".val"
	suffixFile = ".file"
)

// manifest is what a delta says about itself, in JSON.
type manifest struct {
	Folder  bool      `json:"folder"`  // the tuned checkpoint is a folder, not a file
	Weights []weights `json:"weights"` // safetensors files
	Tensors []tensor  `json:"tensors"`
	Removed []removed `json:"removed"`
	Carried []carried `json:"carried"` // other files
}

// weights is a safetensors file to write: a header and the tensors it places.
type weights struct {
	Path  string `json:"path"` // slash-separated, inside the folder
	Bytes int64  `json:"bytes"`
}

// tensor is one tensor of the tuned checkpoint.
type tensor struct {
	Name     string           `json:"name"`
	DType    checkpoint.DType `json:"dtype"`
	Shape    []int            `json:"shape"`
	Encoding Encoding         `json:"encoding"`
	Changed  int64            `json:"changed"` // elements; all of them where the base has no such tensor
	Idx      *blob            `json:"idx,omitempty"`
	Val      *blob            `json:"val,omitempty"`
	Base     string           `json:"base,omitempty"` // sha256 of the base's bytes; "": the base has none of this name, type and shape
	Tuned    string           `json:"tuned"`          // sha256 of the tuned bytes
}

// blob is a stored tensor of the delta.
type blob struct {
	Raw    int64  `json:"raw"` // bytes before coding
	Coding Coding `json:"coding"`
	Bytes  int64  `json:"bytes"` // as stored
}

// removed is a tensor that only the base has.
type removed struct {
	Name  string           `json:"name"`
	DType checkpoint.DType `json:"dtype"`
	Shape []int            `json:"shape"`
}

// carried is a file beside the weights.
type carried struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
	Stored *blob  `json:"stored,omitempty"` // nil: the base folder has it
}

// bytes is the size of the tensor, elements its elements as its width counts.
func (t *tensor) bytes() int64 {
	bits := int64(t.DType.Bits())
	for _, d := range t.Shape {
		bits *= int64(d)
	}
	return bits / 8
}

func (t *tensor) elements() int64 { return t.bytes() / int64(width(t.DType)) }

// valType is the type of a plain .val blob: the tensor's own, unless its
// elements are counted in bytes.
func (t *tensor) valType() checkpoint.DType {
	if t.Encoding != Dense && width(t.DType) != t.DType.Size() {
		return checkpoint.U8
	}
	return t.DType
}

// metadata is the manifest as a delta's __metadata__; headers are the weight
// files' by path.
func (m *manifest) metadata(headers map[string]string) (map[string]string, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(m); err != nil {
		return nil, err
	}
	md := map[string]string{keyFormat: formatName, keyVersion: strconv.Itoa(Version), keyManifest: strings.TrimSpace(text.String())}
	for p, h := range headers {
		md[keyHeader+p] = h
	}
	md[keySHA256] = digest(md)
	return md, nil
}

// digest is the sha256 of all keys but its own and their values, sorted, each
// after its length in eight bytes, least significant first.
func digest(md map[string]string) string {
	h := sha256.New()
	for _, k := range slices.Sorted(maps.Keys(md)) {
		if k == keySHA256 {
			continue
		}
		for _, s := range []string{k, md[k]} {
			h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(s))))
			h.Write([]byte(s))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// parseManifest reads and checks __metadata__: afterwards every size is one
// that the others allow, and every path stays inside its folder.
func parseManifest(md map[string]string) (*manifest, error) {
	if md[keyFormat] != formatName {
		return nil, fmt.Errorf("%w: its metadata doesn't say %q", ErrNotDelta, formatName)
	}
	if v := md[keyVersion]; v != strconv.Itoa(Version) {
		return nil, fmt.Errorf("%w: format version %q, known is %d", ErrNotDelta, v, Version)
	}
	if digest(md) != md[keySHA256] {
		return nil, damaged("its metadata doesn't have the checksum it states")
	}
	d := json.NewDecoder(strings.NewReader(md[keyManifest]))
	d.DisallowUnknownFields()
	var m manifest
	if err := d.Decode(&m); err != nil {
		return nil, damaged("its manifest doesn't parse: %v", err)
	}
	if err := m.check(md); err != nil {
		return nil, damaged("%v", err)
	}
	return &m, nil
}

func (m *manifest) check(md map[string]string) error {
	if !m.Folder && (len(m.Weights) != 1 || len(m.Carried) > 0) {
		return errors.New("it rebuilds a single file but lists others")
	}
	paths := map[string]bool{}
	path := func(p string) error {
		if !localPath(p) || paths[p] {
			return fmt.Errorf("the path %q leads outside the folder or is there twice", p)
		}
		paths[p] = true
		return nil
	}
	for _, w := range m.Weights {
		if err := path(w.Path); err != nil {
			return err
		}
		if h, ok := md[keyHeader+w.Path]; !ok || w.Bytes < int64(8+len(h)) {
			return fmt.Errorf("the header of %q is missing or longer than the file", w.Path)
		}
	}
	for i := range m.Carried {
		c := &m.Carried[i]
		if err := path(c.Path); err != nil {
			return err
		}
		if s := c.Stored; c.Bytes < 0 || s != nil && (s.Raw != c.Bytes || s.Coding != Zstd && s.Coding != Plain) {
			return fmt.Errorf("the sizes of file %q contradict each other", c.Path)
		}
	}
	names := map[string]bool{}
	for i := range m.Tensors {
		t := &m.Tensors[i]
		if names[t.Name] {
			return fmt.Errorf("tensor %q is listed twice", t.Name)
		}
		names[t.Name] = true
		if err := t.check(); err != nil {
			return fmt.Errorf("tensor %q: %v", t.Name, err)
		}
	}
	return nil
}

// check holds a tensor's blobs to its encoding.
func (t *tensor) check() error {
	bits := int64(t.DType.Bits())
	for _, d := range t.Shape {
		if d < 0 || d > 0 && bits > math.MaxInt64/int64(d) {
			return fmt.Errorf("shape %v is impossible", t.Shape)
		}
		bits *= int64(d)
	}
	if t.DType.Bits() == 0 || bits%8 != 0 {
		return fmt.Errorf("shape %v of %q is impossible", t.Shape, string(t.DType))
	}
	n, b, c := t.elements(), int64(width(t.DType)), t.Changed
	if c < 0 || c > n {
		return fmt.Errorf("%d of %d elements changed", c, n)
	}
	idx, val := int64(-1), c*b
	switch t.Encoding {
	case None:
		val = -1
		if c != 0 || t.Base != t.Tuned {
			return errors.New("it both changed and didn't")
		}
	case Dense:
		val = n * b
	case Bitmap:
		idx = bitmapSize(n)
	case Gap:
		idx = c
		if t.Idx != nil {
			idx = max(c, t.Idx.Raw)
		}
	default:
		return fmt.Errorf("the encoding %q is unknown", string(t.Encoding))
	}
	if t.Base == "" && t.Encoding != Dense {
		return errors.New("it changes a tensor that the base doesn't have")
	}
	if !t.Idx.holds(idx) || !t.Val.holds(val) {
		return fmt.Errorf("its blobs don't fit the encoding %s of %d elements, %d of them changed", t.Encoding, n, c)
	}
	return nil
}

// holds reports whether a blob is of raw bytes; -1 means that there is none.
func (b *blob) holds(raw int64) bool {
	if b == nil || raw < 0 {
		return b == nil && raw < 0
	}
	return b.Raw == raw && b.Bytes >= 0 && (b.Coding == FSE || b.Coding == Plain && b.Bytes == raw)
}

// localPath reports whether p names something inside a folder, on any system.
func localPath(p string) bool {
	if !fs.ValidPath(p) || p == "." || strings.ContainsAny(p, `\:`) || strings.ContainsFunc(p, func(r rune) bool { return r < ' ' }) {
		return false
	}
	return path.Clean(p) == p
}
