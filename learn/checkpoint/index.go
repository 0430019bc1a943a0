package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// openIndex reads an index file, {"metadata": {…}, "weight_map": {tensor:
// shard}}, opens the shards it names and checks that each tensor is in its own.
func (f *File) openIndex(fsys fs.FS, base string, show func(string) string) error {
	place := show(base)
	weights, err := f.readIndex(fsys, base, place)
	if err != nil {
		return err
	}
	f.index = place
	number := map[string]int{}
	for _, s := range slices.Sorted(maps.Values(weights)) {
		if _, ok := number[s]; ok {
			continue
		}
		number[s] = len(f.shards)
		if err := f.openShard(fsys, s, show(s)); err != nil {
			if e, ok := errors.AsType[*Error](err); ok && errors.Is(err, fs.ErrNotExist) {
				e.Tensor = firstIn(weights, s)
			}
			return err
		}
	}
	f.tensors = make(map[string]entry, len(weights))
	for s, i := range number {
		for _, t := range f.shards[i].Tensors {
			switch weights[t.Name] {
			case s:
				f.tensors[t.Name] = entry{t, i}
			case "":
				f.warn("tensor %q of %s is not in the index", t.Name, s)
			default:
				f.warn("tensor %q of %s is ignored, the index takes it from %s", t.Name, s, weights[t.Name])
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(weights)) {
		if _, ok := f.tensors[name]; !ok {
			return &Error{Op: "open", File: place, Tensor: name, Offset: -1,
				Err: fmt.Errorf("the index places it in %s, which doesn't hold it", weights[name]), Hint: "fetch the index and the shards again, from one revision"}
		}
	}
	list, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return &Error{Op: "open", File: place, Offset: -1, Err: cause(err)}
	}
	for _, e := range list {
		if _, used := number[e.Name()]; !used && !e.IsDir() && strings.HasSuffix(e.Name(), ".safetensors") {
			f.warn("%s is in the folder but not in the index", e.Name())
		}
	}
	slices.Sort(f.warnings)
	return nil
}

// readIndex reads an index's weight_map, and its metadata into f.
func (f *File) readIndex(fsys fs.FS, base, place string) (map[string]string, error) {
	fail := func(offset int64, format string, args ...any) (map[string]string, error) {
		return nil, &Error{Op: "read", File: place, Offset: offset, Err: fmt.Errorf(format, args...)}
	}
	file, err := fsys.Open(base)
	if err != nil {
		return fail(-1, "%w", cause(err))
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxHeader+1))
	switch {
	case err != nil:
		return fail(-1, "%w", cause(err))
	case len(raw) > maxHeader:
		return fail(-1, "an index above %d bytes is refused", maxHeader)
	case !utf8.Valid(raw):
		return fail(-1, "the index isn't UTF-8")
	}
	p := newParser(raw)
	var weights map[string]string
	err = p.object(func(key string) error {
		switch key {
		case "weight_map":
			weights = map[string]string{}
			return p.object(func(name string) error {
				s, err := p.str()
				if err == nil {
					err = checkShard(s)
				}
				weights[name] = s
				return err
			})
		case "metadata":
			f.metadata = map[string]string{}
			return p.object(func(k string) error {
				var v json.RawMessage
				err := p.d.Decode(&v)
				s := ""
				if json.Unmarshal(v, &s) != nil {
					s = string(v)
				}
				f.metadata[k] = s
				return err
			})
		}
		var skipped json.RawMessage
		return p.d.Decode(&skipped)
	})
	if err == nil && len(bytes.TrimSpace(raw[p.d.InputOffset():])) > 0 {
		err = errors.New("something follows the index's closing brace")
	}
	if err == nil && weights == nil {
		err = errors.New("the index has no weight_map")
	}
	if err != nil {
		return fail(p.d.InputOffset(), "%w", err)
	}
	return weights, nil
}

// firstIn is the first of the tensors that the index places in a shard.
func firstIn(weights map[string]string, shard string) string {
	for _, name := range slices.Sorted(maps.Keys(weights)) {
		if weights[name] == shard {
			return name
		}
	}
	return ""
}

// checkShard refuses shard names that lead anywhere but to a file beside the
// index.
func checkShard(s string) error {
	switch {
	case strings.ContainsAny(s, "/\\:\x00"):
		return fmt.Errorf("the shard name %q holds a path separator", s)
	case !strings.HasSuffix(s, ".safetensors") || strings.HasPrefix(s, "."):
		return fmt.Errorf("the shard name %q isn't that of a .safetensors file", s)
	}
	return nil
}
