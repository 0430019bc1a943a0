package audit

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// place reads a tensor's block and kind off its name: the block is the first
// part that is a number and follows one of the words for lists of blocks; the
// kind is the last part that isn't "weight", "bias" and the like.
func place(name string) (layer *int, kind string) {
	parts := strings.Split(name, ".")
	for i := 1; i < len(parts) && layer == nil; i++ {
		switch parts[i-1] {
		case "layers", "layer", "h", "blocks", "block", "block_list":
			if n, err := strconv.Atoi(parts[i]); err == nil && n >= 0 {
				layer = &n
			}
		}
	}
	last := parts[len(parts)-1]
	kind = last
	if len(parts) > 1 && (last == "weight" || last == "bias" || last == "scale" || last == "weight_scale_inv") {
		kind = parts[len(parts)-2]
		if last != "weight" {
			kind += "." + last
		}
	}
	if _, err := strconv.Atoi(kind); err == nil && len(parts) > 2 { // experts.3.weight
		kind = parts[len(parts)-3]
	}
	return layer, kind
}

// natural orders names with numbers in them by the numbers' values.
func natural(a, b string) int {
	x, y := a, b
	for x != "" && y != "" {
		n, m := digits(x), digits(y)
		if n > 0 && m > 0 {
			p, q := strings.TrimLeft(x[:n], "0"), strings.TrimLeft(y[:m], "0")
			if c := cmp.Or(cmp.Compare(len(p), len(q)), cmp.Compare(p, q)); c != 0 {
				return c
			}
			x, y = x[n:], y[m:]
			continue
		}
		if x[0] != y[0] {
			return cmp.Compare(x[0], y[0])
		}
		x, y = x[1:], y[1:]
	}
	return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(a, b))
}

func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// modelConfig is what an audit reads of a config.json. A zero field is not known.
type modelConfig struct {
	Type    string `json:"model_type"`
	Hidden  int    `json:"hidden_size"`
	Heads   int    `json:"num_attention_heads"`
	KVHeads int    `json:"num_key_value_heads"`
	HeadDim int    `json:"head_dim"`
	Inner   int    `json:"intermediate_size"`
	Tied    *bool  `json:"tie_word_embeddings"`

	NEmbd int `json:"n_embd"` // GPT-2's names
	NHead int `json:"n_head"`

	Text *modelConfig `json:"text_config"` // of a multimodal model
}

// readConfig reads the config.json beside a checkpoint's files; nil if there is
// none.
func readConfig(path string) (*modelConfig, error) {
	dir := path
	if st, err := os.Stat(path); err == nil && !st.IsDir() {
		dir = filepath.Dir(path)
	}
	file := filepath.Join(dir, "config.json")
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	c := &modelConfig{}
	if err == nil {
		err = json.Unmarshal(b, c)
	}
	if err != nil {
		return nil, fmt.Errorf("audit: read %s: %w: heads, fused matrices and tied embeddings are taken from it; mend it or move it away", file, err)
	}
	if c.Text != nil && c.Hidden == 0 && c.NEmbd == 0 {
		if c.Text.Tied == nil {
			c.Text.Tied = c.Tied
		}
		c = c.Text
	}
	c.Hidden, c.Heads = cmp.Or(c.Hidden, c.NEmbd), cmp.Or(c.Heads, c.NHead)
	c.KVHeads = cmp.Or(c.KVHeads, c.Heads)
	if c.HeadDim == 0 && c.Heads > 0 && c.Hidden%c.Heads == 0 {
		c.HeadDim = c.Hidden / c.Heads
	}
	return c, nil
}

// heads is the rows and columns of one attention head in a tensor of this kind,
// 0 where there are none.
func (c *modelConfig) heads(kind string, rows, cols int64) (r, k int) {
	if c == nil || c.HeadDim <= 0 {
		return 0, 0
	}
	h := int64(c.HeadDim)
	switch kind {
	case "q_proj", "k_proj", "v_proj", "qkv_proj", "query", "key", "value", "Wqkv", "query_key_value":
		if rows%h == 0 {
			r = c.HeadDim
		}
	case "o_proj", "dense", "out_proj":
		if cols%h == 0 {
			k = c.HeadDim
		}
	}
	return r, k
}

// span is a matrix inside a fused one: some of its rows, or some of its columns.
type span struct {
	name   string
	rows   [][2]int64 // ranges, ascending; nil: all
	lo, hi int64      // columns; hi = 0: all
}

// split names the matrices of a fused tensor, nil if it is one matrix.
func (c *modelConfig) split(kind string, shape []int) ([]span, string) {
	if len(shape) == 3 {
		return experts(shape), ""
	}
	if len(shape) != 2 {
		return nil, ""
	}
	rows, cols := int64(shape[0]), int64(shape[1])
	block := func(name string, lo, hi int64) span { return span{name: name, rows: [][2]int64{{lo, hi}}} }
	switch kind {
	case "gate_up_proj", "gate_up":
		if rows%2 == 0 {
			return []span{block("gate_proj", 0, rows/2), block("up_proj", rows/2, rows)}, ""
		}
	case "qkv_proj", "Wqkv", "W_pack", "qkv":
		if c == nil || c.HeadDim == 0 || c.Heads == 0 {
			return nil, "a fused attention matrix is measured whole: no config.json says how many heads it has"
		}
		q, k := int64(c.Heads*c.HeadDim), int64(c.KVHeads*c.HeadDim)
		if q+2*k != rows {
			return nil, fmt.Sprintf("a fused attention matrix is measured whole: config.json speaks of %d+%d+%d rows, it has %d", q, k, k, rows)
		}
		return []span{block("q_proj", 0, q), block("k_proj", q, q+k), block("v_proj", q+k, rows)}, ""
	case "c_attn": // GPT-2's Conv1D is in × out; Qwen's first is out × in
		switch {
		case cols == 3*rows:
			w := cols / 3
			return []span{{name: "q_proj", lo: 0, hi: w}, {name: "k_proj", lo: w, hi: 2 * w}, {name: "v_proj", lo: 2 * w, hi: cols}}, ""
		case rows == 3*cols:
			w := rows / 3
			return []span{block("q_proj", 0, w), block("k_proj", w, 2*w), block("v_proj", 2*w, rows)}, ""
		}
	case "query_key_value": // GPT-NeoX: q, k, v of head 0, then of head 1 …
		if c == nil || c.Heads == 0 || c.KVHeads != c.Heads || rows != int64(3*c.Heads*c.HeadDim) || c.Type != "gpt_neox" {
			return nil, "a fused attention matrix is measured whole: its layout is known for gpt_neox with its config.json only"
		}
		h := int64(c.HeadDim)
		parts := []span{{name: "q_proj"}, {name: "k_proj"}, {name: "v_proj"}}
		for head := range int64(c.Heads) {
			for i := range parts {
				lo := (3*head + int64(i)) * h
				parts[i].rows = append(parts[i].rows, [2]int64{lo, lo + h})
			}
		}
		return parts, ""
	}
	return nil, ""
}

// experts takes a (experts, out, in) tensor apart.
func experts(shape []int) []span {
	var s []span
	for e := range shape[0] {
		lo := int64(e) * int64(shape[1])
		s = append(s, span{name: "expert." + strconv.Itoa(e), rows: [][2]int64{{lo, lo + int64(shape[1])}}})
	}
	return s
}

// size is the shape of the matrix that s takes out of a rows × cols one.
func (s span) size(rows, cols int64) (int64, int64) {
	if s.rows != nil {
		rows = 0
		for _, r := range s.rows {
			rows += r[1] - r[0]
		}
	}
	if s.hi > 0 {
		cols = s.hi - s.lo
	}
	return rows, cols
}

func sortedNames(names []string) []string {
	names = slices.Clone(names)
	slices.SortFunc(names, natural)
	return names
}
