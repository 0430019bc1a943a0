package audit

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"orrery/learn/checkpoint"
)

// Source is one side of a comparison: *checkpoint.File is one, and so is an
// adapter laid over its base.
type Source interface {
	Names() []string
	Info(name string) (checkpoint.Info, bool)
	Section(name string) (*io.SectionReader, checkpoint.Info, error)
}

// Rename is one rule for the tuned names.
type Rename struct {
	re *regexp.Regexp
	to string
}

var sedGroup = regexp.MustCompile(`\\([0-9])`)

// ParseRename reads 's/re/to/', with any delimiter; \1 or $1 is a group.
func ParseRename(s string) (Rename, error) {
	bad := func(why string) (Rename, error) {
		return Rename{}, fmt.Errorf("rename %q: %s: write it as 's/regular expression/replacement/'", s, why)
	}
	if len(s) < 4 || s[0] != 's' {
		return bad("it doesn't begin with s/")
	}
	part := strings.Split(s[2:], s[1:2])
	switch {
	case len(part) != 3:
		return bad(fmt.Sprintf("it has %d delimiters %q, not 3", len(part), s[1:2]))
	case part[2] != "" && part[2] != "g":
		return bad(fmt.Sprintf("%q follows the last delimiter", part[2]))
	case part[0] == "":
		return bad("the regular expression is empty")
	}
	re, err := regexp.Compile(part[0])
	if err != nil {
		return bad(err.Error())
	}
	return Rename{re, sedGroup.ReplaceAllString(part[1], "$${$1}")}, nil
}

// match is a pair found.
type match struct {
	name, tuned string // in the base, in the tuned
	base, other checkpoint.Info
}

// pairUp finds for every tensor of the base its partner and lists what has none.
func pairUp(base, tuned Source, rules []Rename, c0, c1 *modelConfig) ([]match, *Pairing, error) {
	p := &Pairing{Renamed: []Renamed{}, Tied: []Tied{}, Missing: []Single{}, Extra: []Single{}, ShapeMismatch: []Mismatch{}, DTypeMismatch: []Mismatch{}}
	names := sortedNames(base.Names())
	partner, err := renamed(tuned.Names(), rules)
	if err != nil {
		return nil, nil, err
	}
	partner, p.Prefix = stripPrefix(names, partner)
	tied, err := tiedIn(base, tuned, partner, c0, c1)
	if err != nil {
		return nil, nil, err
	}
	p.Tied = append(p.Tied, tied...)
	skip := map[string]bool{}
	for _, t := range tied {
		skip[t.Name] = true
	}
	var found []match
	used := map[string]bool{}
	for _, name := range names {
		other, ok := partner[name]
		used[name] = true
		if skip[name] {
			continue
		}
		info, _ := base.Info(name)
		if !ok {
			p.Missing = append(p.Missing, single(name, info))
			continue
		}
		info1, _ := tuned.Info(other)
		if other != name {
			p.Renamed = append(p.Renamed, Renamed{name, other})
		}
		if !slices.Equal(info.Shape, info1.Shape) {
			p.ShapeMismatch = append(p.ShapeMismatch, Mismatch{name, fmt.Sprint(info.Shape), fmt.Sprint(info1.Shape)})
			continue
		}
		if info.DType != info1.DType {
			p.DTypeMismatch = append(p.DTypeMismatch, Mismatch{name, string(info.DType), string(info1.DType)})
			if !info.DType.Float() || !info1.DType.Float() {
				continue
			}
		}
		p.Matched++
		found = append(found, match{name, other, info, info1})
	}
	for name, other := range partner {
		if !used[name] && !skip[name] {
			info, _ := tuned.Info(other)
			p.Extra = append(p.Extra, single(other, info))
		}
	}
	slices.SortFunc(p.Extra, func(a, b Single) int { return natural(a.Name, b.Name) })
	return found, p, nil
}

func single(name string, i checkpoint.Info) Single {
	s := Single{Name: name, DType: string(i.DType), Shape: i.Shape, N: elementsOf(i.Shape)}
	if s.Shape == nil {
		s.Shape = []int{}
	}
	return s
}

func elementsOf(shape []int) int64 {
	n := int64(1)
	for _, d := range shape {
		n *= int64(d)
	}
	return n
}

// renamed maps the names that rules make of the tuned names to those.
func renamed(names []string, rules []Rename) (map[string]string, error) {
	partner := map[string]string{}
	for _, name := range sortedNames(names) {
		to := name
		for _, r := range rules {
			to = r.re.ReplaceAllString(to, r.to)
		}
		if other, ok := partner[to]; ok {
			return nil, fmt.Errorf("audit: the rename rules give both %q and %q of the tuned checkpoint the name %q: make them more precise", other, name, to)
		}
		partner[to] = name
	}
	return partner, nil
}

// stripPrefix takes one prefix from all tuned names that have it, or gives it
// to all, where that pairs more tensors: of all prefixes the one that pairs
// most, of equals the shortest, then the first by name.
func stripPrefix(base []string, partner map[string]string) (map[string]string, *string) {
	inBase := map[string]bool{}
	for _, n := range base {
		inBase[n] = true
	}
	gain := map[string]int{} // of "-prefix." and "+prefix."
	for name := range partner {
		if inBase[name] {
			gain[""]++
			continue
		}
		for i := range len(name) - 1 {
			if name[i] == '.' && inBase[name[i+1:]] {
				if _, taken := partner[name[i+1:]]; !taken {
					gain["-"+name[:i+1]]++
				}
			}
		}
	}
	for _, name := range base {
		if _, ok := partner[name]; ok {
			continue
		}
		for i := range len(name) - 1 {
			if rest := name[i+1:]; name[i] == '.' && !inBase[rest] {
				if _, ok := partner[rest]; ok {
					gain["+"+name[:i+1]]++
				}
			}
		}
	}
	delete(gain, "")
	best := ""
	for p, n := range gain {
		if best == "" || n > gain[best] || n == gain[best] && (len(p) < len(best) || len(p) == len(best) && p < best) {
			best = p
		}
	}
	if best == "" {
		return partner, nil
	}
	out := map[string]string{}
	for name, own := range partner {
		to := name
		if !inBase[name] {
			if best[0] == '-' {
				to = strings.TrimPrefix(name, best[1:])
			} else if inBase[best[1:]+name] {
				to = best[1:] + name
			}
		}
		if _, taken := partner[to]; taken && to != name {
			to = name
		}
		out[to] = own
	}
	return out, &best
}

// heads and embeddings that may share their weights.
var (
	embeddings = []string{"embed_tokens.weight", "wte.weight", "embed_in.weight", "word_embeddings.weight", "tok_embeddings.weight"}
	outputs    = []string{"lm_head.weight", "embed_out.weight", "output.weight"}
)

func endsWith(names []string, ends []string) string {
	for _, n := range sortedNames(names) {
		for _, e := range ends {
			if n == e || strings.HasSuffix(n, "."+e) {
				return n
			}
		}
	}
	return ""
}

// tiedIn finds an output matrix that is the embedding under a second name in
// both checkpoints, so that it must count once: absent in one or both by config,
// or equal in bytes.
func tiedIn(base, tuned Source, partner map[string]string, c0, c1 *modelConfig) ([]Tied, error) {
	var aligned []string // the tuned names as the base would have them
	for name := range partner {
		aligned = append(aligned, name)
	}
	embed := endsWith(base.Names(), embeddings)
	if embed == "" || partner[embed] == "" {
		return nil, nil
	}
	head0, head1 := endsWith(base.Names(), outputs), endsWith(aligned, outputs)
	says := func(c *modelConfig) bool { return c != nil && c.Tied != nil && *c.Tied }
	tied0, why0, err := tiedSide(base, head0, embed, says(c0))
	if err != nil {
		return nil, err
	}
	own := ""
	if head1 != "" {
		own = partner[head1]
	}
	tied1, why1, err := tiedSide(tuned, own, partner[embed], says(c1))
	if err != nil || !tied0 || !tied1 {
		return nil, err
	}
	if head0 == "" && head1 == "" && !says(c0) && !says(c1) {
		return nil, nil // nothing speaks of a second name
	}
	name := head0
	if name == "" {
		name = head1
	}
	if name == "" {
		name = "lm_head.weight"
	}
	return []Tied{{name, embed, fmt.Sprintf("base: %s; tuned: %s", why0, why1)}}, nil
}

// tiedSide reports whether one checkpoint's output matrix is its embedding.
func tiedSide(s Source, head, embed string, config bool) (bool, string, error) {
	if head == "" {
		if config {
			return true, "tie_word_embeddings", nil
		}
		return true, "it has no output matrix", nil
	}
	if head == embed {
		return false, "", nil
	}
	a, i0, err := s.Section(head)
	if err != nil {
		return false, "", err
	}
	b, i1, err := s.Section(embed)
	if err != nil {
		return false, "", err
	}
	if i0.DType != i1.DType || !slices.Equal(i0.Shape, i1.Shape) {
		return false, "", nil
	}
	equal, err := sameBytes(a, b)
	return equal, "equal bytes", err
}

// sameBytes compares two streams of one length, up to the first difference.
func sameBytes(a, b *io.SectionReader) (bool, error) {
	x, y := make([]byte, 1<<18), make([]byte, 1<<18)
	for {
		n, err := io.ReadFull(a, x)
		m, err2 := io.ReadFull(b, y)
		if n != m || string(x[:n]) != string(y[:m]) {
			return false, nil
		}
		if err != nil || err2 != nil {
			if err == io.EOF || err == io.ErrUnexpectedEOF {
				return true, nil
			}
			return false, err
		}
	}
}
