package checkpoint

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// DefaultShard is the largest shard that WriteSharded makes where nothing else
// is asked for, Hugging Face's own default.
const DefaultShard = 5_000_000_000

const indexName = "model.safetensors.index.json"

// WriteSharded writes a checkpoint in Hugging Face's form into a folder, which
// it makes if need be: model-00001-of-0000N.safetensors and an index, or a
// single model.safetensors if all fits. Shards are filled in the order of the
// entries; none holds more than maxShard bytes of tensors (0: DefaultShard)
// except where a single tensor does. The same entries in the same order give
// the same bytes, and no more than one tensor is in memory.
//
// A folder that holds a checkpoint already is refused. The index comes last,
// so that a run that is killed leaves shards without an index, which Open
// refuses and another run replaces. On an error what was written is removed.
func WriteSharded(dir string, entries []Entry, metadata map[string]string, maxShard int64) (err error) {
	plans, total, err := split(dir, entries, metadata, cmp.Or(maxShard, DefaultShard))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return &Error{Op: "write", File: dir, Offset: -1, Err: cause(err)}
	}
	if err := vacant(dir); err != nil {
		return err
	}
	var written []string
	defer func() {
		if err != nil {
			for _, name := range written {
				os.Remove(name)
			}
		}
	}()
	for _, p := range plans {
		if err := Atomic(p.file, p.writeTo); err != nil {
			return err
		}
		written = append(written, p.file)
	}
	if len(plans) == 1 {
		return nil
	}
	return Atomic(filepath.Join(dir, indexName), func(w io.Writer) error {
		_, err := w.Write(index(plans, total))
		return err
	})
}

// vacant refuses a folder with a checkpoint in it.
func vacant(dir string) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		return &Error{Op: "write", File: dir, Offset: -1, Err: cause(err)}
	}
	for _, e := range list {
		if n := e.Name(); n == "model.safetensors" || strings.HasSuffix(n, ".safetensors.index.json") {
			return &Error{Op: "write", File: filepath.Join(dir, n), Offset: -1, Err: fs.ErrExist,
				Hint: "a checkpoint of several files can't be replaced in one step: write to another folder"}
		}
	}
	return nil
}

// split lays out the shards and adds up the bytes of all tensors.
func split(dir string, entries []Entry, metadata map[string]string, maxShard int64) ([]*plan, int64, error) {
	fail := func(name string, err error) ([]*plan, int64, error) {
		return nil, 0, &Error{Op: "write", File: dir, Tensor: name, Offset: -1, Err: err}
	}
	if maxShard < 0 {
		return fail("", fmt.Errorf("a shard of at most %d bytes is impossible", maxShard))
	}
	var total, size int64
	var groups [][]Entry
	names := map[string]bool{}
	for _, e := range entries {
		n, err := e.size()
		switch {
		case err != nil:
			return fail(e.Name, err)
		case names[e.Name]:
			return fail(e.Name, errors.New("the name is given twice"))
		case n > math.MaxInt64-total:
			return fail(e.Name, errors.New("the tensors take more than 2^63 bytes"))
		}
		names[e.Name] = true
		if len(groups) == 0 || size > 0 && n > maxShard-size {
			groups, size = append(groups, nil), 0
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], e)
		size, total = size+n, total+n
	}
	if len(groups) == 0 {
		groups = [][]Entry{nil}
	}
	plans := make([]*plan, len(groups))
	for i, g := range groups {
		name := "model.safetensors"
		if len(groups) > 1 {
			name = fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(groups))
		}
		var err error
		if plans[i], err = layOut(filepath.Join(dir, name), g, metadata); err != nil {
			return nil, 0, err
		}
	}
	return plans, total, nil
}

// index is the index file of the shards, as the Transformers library writes
// it: two blanks a level, keys sorted.
func index(plans []*plan, total int64) []byte {
	shard := map[string]string{}
	for _, p := range plans {
		for _, e := range p.entries {
			shard[e.Name] = filepath.Base(p.file)
		}
	}
	b := strconv.AppendInt([]byte("{\n  \"metadata\": {\n    \"total_size\": "), total, 10)
	b = append(b, "\n  },\n  \"weight_map\": {"...)
	for i, name := range slices.Sorted(maps.Keys(shard)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendQuoted(append(b, "\n    "...), name), ": "...)
		b = appendQuoted(b, shard[name])
	}
	return append(b, "\n  }\n}\n"...)
}
