package token

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// ChatTemplate is a Jinja template for engines that serve chats: the last
// user message and a newline, after <bos>, which is what the models are
// trained on.
const ChatTemplate = `{%- set ns = namespace(question='') -%}` +
	`{%- for message in messages -%}` +
	`{%- if message['role'] == 'user' -%}{%- set ns.question = message['content'] -%}{%- endif -%}` +
	`{%- endfor -%}` +
	`{{- bos_token + ns.question + '\n' -}}`

// fileName is the tokenizer's place in a model's folder.
const fileName = "tokenizer.json"

// jsonFile is the part of a tokenizer.json that decides about ids, and what
// else Hugging Face's library wants to see.
type jsonFile struct {
	Version       string      `json:"version"`
	Truncation    any         `json:"truncation"`
	Padding       any         `json:"padding"`
	AddedTokens   []jsonAdded `json:"added_tokens"`
	Normalizer    any         `json:"normalizer"`
	PreTokenizer  any         `json:"pre_tokenizer"`
	PostProcessor any         `json:"post_processor"`
	Decoder       any         `json:"decoder"`
	Model         jsonModel   `json:"model"`
}

type jsonAdded struct {
	ID         int    `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

type jsonModel struct {
	Type         string    `json:"type"`
	Dropout      any       `json:"dropout"`
	UnkToken     any       `json:"unk_token"`
	Prefix       any       `json:"continuing_subword_prefix"`
	Suffix       any       `json:"end_of_word_suffix"`
	FuseUnk      bool      `json:"fuse_unk"`
	ByteFallback bool      `json:"byte_fallback"`
	IgnoreMerges bool      `json:"ignore_merges"`
	Vocab        jsonVocab `json:"vocab"`
	Merges       []any     `json:"merges"`
}

// jsonVocab maps a token's text to its id, and is written in order of ids.
type jsonVocab map[string]int

func (v jsonVocab) MarshalJSON() ([]byte, error) {
	texts := make([]string, len(v))
	for s, id := range v {
		texts[id] = s
	}
	b := []byte{'{'}
	for id, s := range texts {
		if id > 0 {
			b = append(b, ',')
		}
		var key bytes.Buffer
		e := json.NewEncoder(&key)
		e.SetEscapeHTML(false) // json.Marshal would write <eos> with \u003c
		if err := e.Encode(s); err != nil {
			return nil, err
		}
		b = fmt.Appendf(b, "%s:%d", bytes.TrimSpace(key.Bytes()), id)
	}
	return append(b, '}'), nil
}

// printable is the byte-to-character table that came with GPT-2: printable
// Latin-1 stands for itself, the other bytes, in order, for U+0100 and up.
var printable = func() (table [256]rune) {
	next := rune(256)
	for b := range table {
		switch {
		case b >= '!' && b <= '~', b >= 0xa1 && b <= 0xac, b >= 0xae:
			table[b] = rune(b)
		default:
			table[b] = next
			next++
		}
	}
	return table
}()

func toPrintable(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(printable[s[i]])
	}
	return b.String()
}

// fromPrintable undoes toPrintable; false if a character is none of its own.
func fromPrintable(s string) (string, bool) {
	var b []byte
	for _, r := range s {
		i := slices.Index(printable[:], r)
		if i < 0 {
			return "", false
		}
		b = append(b, byte(i))
	}
	return string(b), true
}

// file describes the vocabulary in Hugging Face's terms; see MarshalJSON.
func (v *Vocab) file() jsonFile {
	type object = map[string]any
	f := jsonFile{
		Version:    "1.0",
		Normalizer: v.normalizer(),
		Decoder:    v.decoder(),
		Model:      jsonModel{Type: "BPE", IgnoreMerges: true, Vocab: jsonVocab{}, Merges: []any{}},
	}
	for id, name := range v.names {
		f.AddedTokens = append(f.AddedTokens, jsonAdded{ID: id, Content: name, Special: true})
		f.Model.Vocab[name] = id
	}
	for id := FirstByte; id < len(v.pieces); id++ {
		f.Model.Vocab[toPrintable(v.pieces[id])] = id
	}
	steps := []any{object{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}}
	if words := v.Words(); len(words) > 0 {
		slices.SortFunc(words, func(a, b string) int {
			return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
		})
		for i, w := range words {
			words[i] = regexp.QuoteMeta(w)
		}
		split := object{"type": "Split", "pattern": object{"Regex": strings.Join(words, "|")}, "behavior": "Isolated", "invert": false}
		steps = slices.Insert(steps, 0, any(split))
	}
	f.PreTokenizer = object{"type": "Sequence", "pretokenizers": steps}
	bos := v.names[BOS]
	special := func(id int) any { return object{"SpecialToken": object{"id": bos, "type_id": id}} }
	sequence := func(name string, id int) any { return object{"Sequence": object{"id": name, "type_id": id}} }
	f.PostProcessor = object{
		"type":           "TemplateProcessing",
		"single":         []any{special(0), sequence("A", 0)},
		"pair":           []any{special(0), sequence("A", 0), special(1), sequence("B", 1)},
		"special_tokens": object{bos: object{"id": bos, "ids": []int{BOS}, "tokens": []string{bos}}},
	}
	return f
}

// MarshalJSON writes a tokenizer.json for Hugging Face's tokenizers library.
//
// That library has no longest-match model, but its parts make one. A Split
// pre-tokenizer, by a regular expression of all words, longest first, cuts
// each leftmost word out: where several fit, the first alternative is the
// longest. A ByteLevel pre-tokenizer then writes each byte as one printable
// character, and a BPE model with ignore_merges and without merges gives a
// cut-out word its own id, and everything between, which is no word, the ids
// of its bytes.
//
// The ids are those of Encode for every valid UTF-8 text without a special
// token's name in it: words are whole characters, so none begins inside one,
// and both sides go from left to right. A special token's name in a text
// becomes that token there, as it does in llama.cpp; here it stays bytes,
// since texts come from strangers. Invalid UTF-8 can't be given to that
// library. It puts <bos> first unless told not to add special tokens.
func (v *Vocab) MarshalJSON() ([]byte, error) { return indented(v.file()) }

// ConfigJSON is the tokenizer_config.json that goes with tokenizer.json: names
// of the special tokens and ChatTemplate.
func (v *Vocab) ConfigJSON() ([]byte, error) {
	return indented(struct {
		Class    string `json:"tokenizer_class"`
		BOS      string `json:"bos_token"`
		EOS      string `json:"eos_token"`
		Pad      string `json:"pad_token"`
		Unk      any    `json:"unk_token"`
		CleanUp  bool   `json:"clean_up_tokenization_spaces"`
		Template string `json:"chat_template"`
	}{"PreTrainedTokenizerFast", v.names[BOS], v.names[EOS], v.names[Pad], nil, false, ChatTemplate})
}

func indented(x any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(x)
	return b.Bytes(), err
}

// Parse reads a tokenizer.json of the kind that MarshalJSON writes, and no
// other: a file whose pre-tokenizer, model or special tokens would give other
// ids than Encode is refused. The name is for errors.
func Parse(name string, data []byte) (*Vocab, error) {
	fail := func(format string, args ...any) (*Vocab, error) {
		return nil, fmt.Errorf("token: read %s: %w", name, fmt.Errorf(format, args...))
	}
	var f jsonFile
	if err := json.Unmarshal(data, &f); err != nil {
		return fail("%w", err)
	}
	const other = "; only vocabularies written by this program can be read"
	texts := make([]string, len(f.Model.Vocab))
	if len(texts) < FirstWord || len(f.AddedTokens) != FirstByte {
		return fail("%d tokens, %d of them special, where at least %d and exactly %d belong"+other, len(texts), len(f.AddedTokens), FirstWord, FirstByte)
	}
	for s, id := range f.Model.Vocab {
		if id < 0 || id >= len(texts) || texts[id] != "" {
			return fail("the id %d of %q is taken or beyond the %d tokens"+other, id, s, len(texts))
		}
		texts[id] = s
	}
	words := texts[FirstWord:]
	for i, s := range words {
		w, ok := fromPrintable(s)
		if !ok {
			return fail("the token %q isn't in the byte-level alphabet"+other, s)
		}
		words[i] = w
	}
	build := New
	if f.Normalizer != nil {
		build = NewWords
		for i, w := range words {
			words[i] = strings.TrimPrefix(w, " ") // a word without its blank gets one, and the pieces below differ
		}
	}
	v, err := build(words, texts[firstFree:FirstByte]...)
	if err != nil {
		return fail("%w", err)
	}
	written, err := v.MarshalJSON()
	if err != nil {
		return fail("%w", err)
	}
	var want jsonFile
	if err := json.Unmarshal(written, &want); err != nil {
		return fail("%w", err)
	}
	for _, part := range []struct {
		name      string
		got, want any
	}{
		{"added_tokens", f.AddedTokens, want.AddedTokens},
		{"normalizer", f.Normalizer, want.Normalizer},
		{"pre_tokenizer", f.PreTokenizer, want.PreTokenizer},
		{"model", f.Model, want.Model},
	} {
		if !reflect.DeepEqual(part.got, part.want) {
			return fail("%s isn't that of a longest-match vocabulary"+other, part.name)
		}
	}
	return v, nil
}

// Load reads a tokenizer.json, given itself or its folder; see Parse.
func Load(path string) (*Vocab, error) {
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		path = filepath.Join(path, fileName)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	return Parse(path, data)
}

// Save writes tokenizer.json and tokenizer_config.json into a folder, which
// must exist.
func (v *Vocab) Save(dir string) error {
	for name, marshal := range map[string]func() ([]byte, error){fileName: v.MarshalJSON, "tokenizer_config.json": v.ConfigJSON} {
		data, err := marshal()
		if err != nil {
			return fmt.Errorf("token: write %s: %w", name, err)
		}
		if err := replace(dir, name, data); err != nil {
			return fmt.Errorf("token: %w", err)
		}
	}
	return nil
}

// replace writes a file under another name first, so that a reader or a full
// disk never meets half of it.
func replace(dir, name string, data []byte) error {
	temp := filepath.Join(dir, "."+name+".tmp")
	err := os.WriteFile(temp, data, 0o666)
	if err == nil {
		err = os.Rename(temp, filepath.Join(dir, name))
	}
	if err != nil {
		os.Remove(temp)
	}
	return err
}
