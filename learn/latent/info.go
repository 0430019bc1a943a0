package latent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"orrery/learn/token"
)

// FileName is the place of an Info in a model's folder, beside config.json and
// tokenizer.json.
const FileName = "latent.json"

// Info says how a model thinks: what inference needs besides weights and
// vocabulary.
type Info struct {
	Version  int    `json:"version"` // 1
	Method   Method `json:"method"`
	Fill     Fill   `json:"fill"`     // what stands between <bot> and <eot>; "": neither of them does
	Thoughts int    `json:"thoughts"` // K, as many thoughts or pauses as the last stage had: 0…K may be asked for; 0 where nothing fills
	Tokens   IDs    `json:"tokens"`
	Mark     string `json:"mark"` // the answer is what follows the last one
	Task     string `json:"task"` // what the model was trained on
}

// IDs are the special tokens that frame thoughts.
type IDs struct {
	BOS     int `json:"bos"`
	EOS     int `json:"eos"`
	Bot     int `json:"bot"`
	Eot     int `json:"eot"`
	Thought int `json:"thought"` // holds a thought's place in listings; never an input
	Pause   int `json:"pause"`
}

// ids of every vocabulary of package token.
var ids = IDs{token.BOS, token.EOS, token.Bot, token.Eot, token.Thought, token.Pause}

// NewInfo describes a model of a method that was trained with up to k thoughts on
// a task.
func NewInfo(m Method, k int, task string) Info {
	if m.Fill() == Nothing {
		k = 0
	}
	return Info{Version: 1, Method: m, Fill: m.Fill(), Thoughts: k, Tokens: ids, Mark: Mark, Task: task}
}

// check finds what contradicts the method or the vocabularies here.
func (i Info) check() error {
	if _, err := ParseMethod(string(i.Method)); err != nil {
		return err
	}
	switch {
	case i.Version != 1:
		return fmt.Errorf("version is %d, this program reads version 1", i.Version)
	case i.Fill != i.Method.Fill():
		return fmt.Errorf("fill is %q, method %s has %q", i.Fill, i.Method, i.Method.Fill())
	case i.Thoughts < 0 || i.Fill == Nothing && i.Thoughts != 0 || i.Fill != Nothing && i.Thoughts == 0:
		return fmt.Errorf("thoughts is %d for a model that fills with %q", i.Thoughts, i.Fill)
	case i.Tokens != ids:
		return fmt.Errorf("tokens are %+v, vocabularies of this program have %+v", i.Tokens, ids)
	case i.Mark != Mark:
		return fmt.Errorf("mark is %q, want %q", i.Mark, Mark)
	case i.Task == "":
		return errors.New("task is missing")
	}
	return nil
}

// Bytes is the file's content.
func (i Info) Bytes() []byte {
	b, err := json.MarshalIndent(i, "", "  ")
	if err != nil {
		panic(err) // plain data always marshals
	}
	return append(b, '\n')
}

// Read reads the Info of a model's folder. Where there is none, which is so for
// models that do not think in hidden states, the error is fs.ErrNotExist. Unknown fields,
// other token ids than package token's and contradictions are errors.
func Read(folder fs.FS) (Info, error) {
	var i Info
	b, err := fs.ReadFile(folder, FileName)
	if err != nil {
		return i, fmt.Errorf("reading how a model thinks: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err = d.Decode(&i); err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the object")
		}
	}
	if err == nil {
		err = i.check()
	}
	if err != nil {
		return i, fmt.Errorf("reading how a model thinks: %s: %w: restore the file that training wrote", FileName, err)
	}
	return i, nil
}
