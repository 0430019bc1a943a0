package latent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"

	"orrery/learn/nn"
	"orrery/task"
)

// SymbolsFile is the place of a SymbolsInfo in a model's folder, beside
// config.json. The vocabulary is task's symbols, so there is no tokenizer.json.
const SymbolsFile = "symbols.json"

// SymbolsInfo says how a model of graph questions in symbols answers.
type SymbolsInfo struct {
	Version  int    `json:"version"` // 1
	Method   Reach  `json:"method"`
	Thoughts int    `json:"thoughts"` // most that it was trained with; 0 for methods without
	Task     string `json:"task"`     // "symbols"
}

// NewSymbolsInfo describes a model that was trained with up to k thoughts.
func NewSymbolsInfo(r Reach, k int) SymbolsInfo {
	if len(r.Fill(1)) == 0 {
		k = 0
	}
	return SymbolsInfo{Version: 1, Method: r, Thoughts: k, Task: task.SymbolTask{}.Name()}
}

// Bytes is the file's content.
func (i SymbolsInfo) Bytes() []byte {
	b, err := json.MarshalIndent(i, "", "  ")
	if err != nil {
		panic(err) // plain data always marshals
	}
	return append(b, '\n')
}

// ReadSymbols reads the SymbolsInfo of a model's folder; without the file the
// error is fs.ErrNotExist. Unknown fields and contradictions are errors.
func ReadSymbols(folder fs.FS) (i SymbolsInfo, err error) {
	b, err := fs.ReadFile(folder, SymbolsFile)
	if err != nil {
		return i, fmt.Errorf("reading how a model answers graph questions: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err = d.Decode(&i); err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the object")
		}
	}
	if err == nil && (i.Thoughts < 0 || !slices.Contains(Reaches, i.Method) || i != NewSymbolsInfo(i.Method, i.Thoughts)) {
		err = fmt.Errorf("%+v contradicts itself, or is of another version than 1", i)
	}
	if err != nil {
		return i, fmt.Errorf("reading how a model answers graph questions: %s: %w: restore the file that training wrote", SymbolsFile, err)
	}
	return i, nil
}

// Reach is how a model of graph questions in symbols (arXiv 2505.12514) comes
// from the prompt to its answer, in training sequences as in inference.
type Reach string

const (
	ReachThoughts Reach = "thoughts" // hidden states that are fed back, then [A]
	ReachPause    Reach = "pause"    // the pause token, as often, then [A]
	ReachCoT      Reach = "cot"      // the nodes of a shortest path are written, then [A]
	ReachNoCoT    Reach = "no-cot"   // [A] at once
)

// Reaches lists all of them.
var Reaches = []Reach{ReachThoughts, ReachPause, ReachCoT, ReachNoCoT}

// Fill is what stands in the place of n steps.
func (r Reach) Fill(n int) []int {
	switch r {
	case ReachThoughts:
		return slices.Repeat([]int{nn.Thought}, n)
	case ReachPause:
		return slices.Repeat([]int{task.SymbolThought}, n)
	}
	return nil
}

// ReachReply is the answer to one graph question.
type ReachReply struct {
	Thoughts [][]float32 // what was fed back (k of d), nil for methods without
	Written  []int       // what a CoT model wrote before [A]
	Logits   []float32   // (40) at [A]
	Answer   int         // its likeliest token, −1 where [A] never came
	Tokens   int         // thoughts and written tokens, the answer included; [A] and pauses are not, as in Layout.Generated
}

// Text is the answer as the task's verifier reads it, "" where it is no node.
func (r ReachReply) Text() string {
	if r.Answer < 0 || r.Answer >= task.SymbolNodes {
		return ""
	}
	return strconv.Itoa(r.Answer)
}

// Hops stands for as many thoughts as the question has hops. That is an oracle:
// published accuracies are given it.
const Hops = -1

// longestPath bounds a written path: twice the hops of the deepest graphs.
const longestPath = 12

// Answer answers a question with k thoughts or pauses, or Hops: the likeliest of
// all 40 tokens at [A]. feed, if not nil, is shown each thought, numbered from 0,
// and gives what is fed in its place.
func (r Reach) Answer(ctx context.Context, d *nn.Decoder, s task.Symbols, k int, feed func(n int, h []float32) []float32) (out ReachReply, err error) {
	if k == Hops {
		k = s.Graph().Hops()
	}
	if k < 0 || !slices.Contains(Reaches, r) {
		return out, fmt.Errorf("answering a graph question: %d thoughts by method %q, want 0 or more by one of %q", k, r, Reaches)
	}
	if err := ctx.Err(); err != nil {
		return out, err
	}
	defer func() {
		if errors.Is(err, nn.ErrFull) {
			err = fmt.Errorf("%w: ask for fewer thoughts", err)
		}
		if err != nil {
			err = fmt.Errorf("answering a graph question of %d edges: %w", len(s.Edges), err)
		}
	}()
	seq, logits, err := d.Prefill(s.Prompt())
	if err != nil {
		return out, err
	}
	defer d.Drop(seq)
	extend := func(ids ...int) error {
		rows, err := d.Extend([]*nn.Seq{seq}, [][]int{ids})
		if err == nil {
			logits = rows[0]
		}
		return err
	}
	out.Answer = -1
	switch r {
	case ReachThoughts:
		for n := range k {
			h := slices.Clone(seq.Hidden())
			if feed != nil {
				h = feed(n, h)
			}
			out.Thoughts = append(out.Thoughts, h)
			if _, err := d.StepEmbeds([]*nn.Seq{seq}, [][]float32{h}); err != nil {
				return out, err
			}
		}
		out.Tokens = k
	case ReachPause:
		if k > 0 {
			err = extend(r.Fill(k)...)
		}
	case ReachCoT:
		for next := argmax(logits); next != task.SymbolAnswer && err == nil; next = argmax(logits) {
			if len(out.Written) == longestPath {
				return out, nil
			}
			out.Written, out.Tokens = append(out.Written, next), out.Tokens+1
			err = extend(next)
		}
	}
	if err == nil {
		err = extend(task.SymbolAnswer)
	}
	if err != nil {
		return out, err
	}
	out.Logits, out.Answer = slices.Clone(logits), argmax(logits)
	out.Tokens++
	return out, nil
}
