// Package coconut says how well models that think in hidden states answer, and
// whether the thoughts do any work (arXiv 2412.06769): accuracy at each number of
// thoughts, what is written there, the controls at inference, shortcut rules
// on the same problems, and the table beside the published one with a verdict.
//
// It trains nothing. A model's folder says by its latent.json how it thinks; see
// package latent.
package coconut

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"

	"orrery/learn/latent"
	"orrery/learn/nn"
	"orrery/learn/token"
	"orrery/task"
)

// Model is a trained model and how it thinks.
type Model struct {
	Dir   string
	Info  latent.Info
	Net   *nn.Model
	Vocab *token.Vocab
}

// Open reads a model's folder.
func Open(dir string) (*Model, error) {
	info, net, err := load(dir, latent.Read)
	if err != nil {
		return nil, err
	}
	v, err := token.Load(dir)
	if err == nil && v.Size() != net.Config.VocabSize {
		err = fmt.Errorf("opening the model %s: its weights are for %d tokens, its tokenizer has %d: restore the files that training wrote", dir, net.Config.VocabSize, v.Size())
	}
	return &Model{dir, info, net, v}, err
}

// load reads a folder's weights and, by read, the file that says how its model answers.
func load[Info any](dir string, read func(fs.FS) (Info, error)) (info Info, net *nn.Model, err error) {
	files := os.DirFS(dir)
	if _, err = fs.Stat(files, "."); err == nil {
		info, err = read(files)
	}
	if errors.Is(err, fs.ErrNotExist) {
		is := "it does not think in hidden states: give folders that the coconut or superposition recipes made, such as runs/NAME/final"
		if _, err := latent.Read(files); err == nil {
			is = "it answers in words: compare it with others that the coconut recipes made"
		} else if _, err := latent.ReadSymbols(files); err == nil {
			is = "it answers graph questions in symbols: compare it with others that the superposition recipes made"
		}
		err = fmt.Errorf("opening the model %s: %w: %s", dir, err, is)
	}
	if err == nil {
		net, err = nn.Load(dir)
	}
	return info, net, err
}

// testStream keeps the problems of these tables apart from all that training
// draws.
const testStream = 0x74657374 << 32 // "test"

// Problems generates n problems of a task and level for a seed.
func Problems(name string, level task.Level, n int, seed uint64) ([]task.Problem, error) {
	t, err := task.Lookup(name)
	if err != nil {
		return nil, err
	}
	ps := make([]task.Problem, n)
	for i := range ps {
		ps[i] = t.Generate(rand.New(rand.NewPCG(seed, testStream+uint64(i))), level)
	}
	return ps, nil
}

// together is how many problems are answered side by side. Batch means are over
// as many.
const together = 100

// maxWritten bounds a reply: a path through the largest graphs is some fifty
// tokens.
const maxWritten = 160

// answer answers all problems with k thoughts; feed, if not nil, makes what is
// fed of a batch's own thoughts.
func (m *Model) answer(ctx context.Context, ps []task.Problem, k int, feed func(own [][][]float32) [][][]float32) ([]latent.Reply, error) {
	think := latent.Thinker{Layout: latent.Layout{Vocab: m.Vocab, Method: m.Info.Method}, Decoder: nn.NewDecoder(m.Net)}
	var all []latent.Reply
	for lo := 0; lo < len(ps); lo += together {
		part := ps[lo:min(lo+together, len(ps))]
		think.MaxTokens = m.room(think.Layout, part, k)
		replies, err := think.Answer(ctx, part, k, nil)
		if err == nil && feed != nil {
			own := make([][][]float32, len(part))
			for i, r := range replies {
				own[i] = r.Thoughts
			}
			replies, err = think.Answer(ctx, part, k, feed(own))
		}
		if err != nil {
			return nil, fmt.Errorf("asking %s: %w", m.Dir, err)
		}
		all = append(all, replies...)
	}
	return all, nil
}

// room is how many tokens may be written after the longest of the prompts, k
// thoughts and <eot>: a model that never ends is cut off where its positions do.
func (m *Model) room(l latent.Layout, ps []task.Problem, k int) int {
	longest := 0
	for _, p := range ps {
		longest = max(longest, len(l.Prompt(p)))
	}
	return min(maxWritten, max(1, m.Net.Config.MaxPositions-longest-k-1))
}
