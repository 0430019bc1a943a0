// Command hf-ids writes a vocabulary and texts with their ids, for check.mjs
// to compare with Hugging Face's own tokenizers library; run.sh does both.
package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"orrery/learn/token"
	"orrery/task"
)

type example struct {
	Text string `json:"text"`
	IDs  []int  `json:"ids"`
}

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(dir string) error {
	tangled := []string{"ab", "abc", "abcde", "bc", "aa", "aaaa", " a", "  ", "é", "éa", "日本", ".*", "(a|b)", "[^", "a$", "x-y", "&&", "#/", "\t\t", "𝄞x"}
	plain := func(words []string) (*token.Vocab, error) { return token.New(words) }
	lines := func(words []string) (*token.Vocab, error) { return token.NewWords(words) }
	for name, c := range map[string]struct {
		build func([]string) (*token.Vocab, error)
		words []string
	}{
		"tasks": {plain, token.Pieces(task.Vocabulary())}, "tangled": {plain, tangled}, "bytes": {plain, nil},
		"words": {lines, append(task.Vocabulary(), "###", "日本")},
	} {
		v, err := c.build(c.words)
		if err != nil {
			return err
		}
		folder := filepath.Join(dir, name)
		if err := os.MkdirAll(folder, 0o777); err != nil {
			return err
		}
		if err := v.Save(folder); err != nil {
			return err
		}
		data, err := json.Marshal(examples(v))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, "examples.json"), data, 0o666); err != nil {
			return err
		}
	}
	return nil
}

// examples are every ASCII character, and random texts: half made of pieces
// and broken pieces, half of any Unicode.
func examples(v *token.Vocab) []example {
	var list []example
	add := func(s string) {
		for _, name := range v.Specials() {
			if strings.Contains(s, name) {
				return // deliberately different, see token.Vocab.MarshalJSON
			}
		}
		list = append(list, example{s, v.Encode(s)})
	}
	for c := range 128 {
		add(string(rune(c)))
	}
	r := rand.New(rand.NewPCG(7, 8))
	for i := range 4000 {
		var b []byte
		for range 1 + r.IntN(30) {
			p := v.Bytes(token.FirstByte + r.IntN(v.Size()-token.FirstByte))
			switch {
			case i%2 == 0 && r.IntN(3) == 0:
				b = append(b, p[:1+r.IntN(len(p))]...)
			case i%2 == 0:
				b = append(b, p...)
			default:
				b = utf8.AppendRune(b, rune(r.IntN(utf8.MaxRune)>>r.IntN(15)))
			}
		}
		add(strings.ToValidUTF8(string(b), ""))
	}
	return list
}
