package local

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strings"

	"orrery/learn/latent"
	"orrery/learn/nn"
	"orrery/learn/tensor"
	"orrery/learn/token"
	"orrery/task"
	"orrery/think/llm"
)

// Why the traces of one question have the same confidence, see [llm.Latent].
const (
	alikeAfterThoughts = "thoughts are computed and not sampled, so traces first differ in the token that answers, and a token's confidence is that of its alternatives and not of the one that is drawn"
	alikeAtOnce        = "nothing is written before the answer, so traces first differ in the token that answers, and a token's confidence is that of its alternatives and not of the one that is drawn"
)

// openLatent makes a Generator over a folder's model with a latent.json.
func openLatent(files fs.FS, info latent.Info, o Options) (*Generator, error) {
	m, v, err := Load(files)
	if err != nil {
		return nil, err
	}
	if err := sameSize(m, v.Size(), o.Name); err != nil {
		return nil, err
	}
	l := &llm.Latent{Method: string(info.Method), Thoughts: info.Thoughts, Trained: info.Thoughts, Mark: info.Mark}
	switch {
	case info.Fill != latent.Nothing:
		l.Alike = alikeAfterThoughts
	case info.Method != latent.CoT:
		l.Alike = alikeAtOnce
	}
	w := words{newPlain(v, m.Config.MaxPositions), info}
	return newGenerator(m, func() []string { return vocabulary(v) }, w, l, o), nil
}

// words is the language of Coconut and its baselines: question, thoughts or
// pauses between <bot> and <eot>, then text.
type words struct {
	*plain
	info latent.Info
}

func (w words) script(text string, thoughts *int) (script, error) {
	k := w.info.Thoughts
	if thoughts != nil {
		if k = *thoughts; k > 0 && w.info.Fill == latent.Nothing {
			return script{}, noThoughts
		}
	}
	s, err := w.plain.script(text, nil)
	if err != nil || w.info.Fill == latent.Nothing {
		return s, err
	}
	if n := len(s.prompt) + k; n >= w.limit {
		return s, tooLong{n}
	}
	s.prompt = append(s.prompt, token.Bot)
	fill := latent.Layout{Vocab: w.vocab, Method: w.info.Method}.Filled(k)
	if w.info.Fill == latent.Thoughts {
		s.think(k, fill[k:], w.reading)
	} else {
		s.prompt = append(s.prompt, fill...)
	}
	return s, nil
}

// openSymbols makes a Generator over a folder's model with a symbols.json.
func openSymbols(files fs.FS, info latent.SymbolsInfo, o Options) (*Generator, error) {
	m, err := nn.LoadFS(files)
	if err != nil {
		return nil, err
	}
	if err := sameSize(m, task.SymbolCount, o.Name); err != nil {
		return nil, err
	}
	l := &llm.Latent{Method: string(info.Method), Thoughts: info.Thoughts, Trained: info.Thoughts}
	switch info.Method {
	case latent.ReachCoT:
		l.Mark = symbolName(task.SymbolAnswer)
	case latent.ReachNoCoT:
		l.Alike = alikeAtOnce
	default:
		l.Alike = alikeAfterThoughts
	}
	return newGenerator(m, func() []string { return []string{latent.SymbolsFile} }, symbols{info, m.Config.MaxPositions}, l, o), nil
}

// candidatesMass is the probability of the two candidates together.
func candidatesMass(c [2]int) func(logits []float32) float64 {
	return func(logits []float32) float64 {
		all := float64(tensor.LogSumExp(logits))
		return math.Exp(float64(logits[c[0]])-all) + math.Exp(float64(logits[c[1]])-all)
	}
}

// longestPath bounds what a model that writes paths may write, [A] and answer
// included.
const longestPath = 14

// symbols is the language of graph questions (arXiv 2505.12514). Questions in
// ProsQA's sentences are put into it, and their names come back.
//
// A graph question whose number of hops nobody has said gets as many thoughts as the
// model was trained with, and is answered after as many of them as give the two
// candidates the largest probability: a model that was trained to answer after as many
// thoughts as hops walks on past a nearer target. docs/latent.md has what that
// costs against being told the hops.
type symbols struct {
	info  latent.SymbolsInfo
	limit int
}

func (y symbols) script(text string, thoughts *int) (script, error) {
	q, nodes, err := task.ReadSymbols(strings.TrimSpace(text))
	if err != nil {
		if errors.Is(err, task.ErrUndecided) {
			return script{}, unreadable{err.Error(), "ask about one that can be reached and one that cannot"}
		}
		return script{}, unreadable{err.Error(), `ask "3 7 | 7 9 | 4 2 [Q] 9 2 [R] 3", or in words "Alex is a x. Every x is a y. … Is Alex a y or z?"`}
	}
	k := y.info.Thoughts
	if thoughts != nil {
		k = *thoughts
	}
	if k > 0 && len(y.info.Method.Fill(1)) == 0 {
		return script{}, noThoughts
	}
	s := script{opening: opening{prompt: q.Prompt()}, names: make([]string, task.SymbolCount), most: 1,
		ends: func(id int) (last, unsaid bool) { return true, id == task.SymbolEOS }}
	if n := len(s.prompt) + k; n >= y.limit {
		return s, tooLong{n}
	}
	for id := range s.names {
		if s.names[id] = symbolName(id); id < task.SymbolNodes {
			s.names[id] = "id " + s.names[id] // no node of the question in words
		}
	}
	copy(s.names, nodes)
	switch y.info.Method {
	case latent.ReachThoughts:
		s.think(k, []int{task.SymbolAnswer}, func(id int) string {
			if id >= task.SymbolNodes {
				return "" // markers are read in no thought
			}
			return s.names[id]
		})
		if thoughts == nil {
			s.score = candidatesMass(q.Candidates)
		}
	case latent.ReachCoT:
		s.most = longestPath
		said := false // [A]
		s.ends = func(id int) (last, unsaid bool) {
			last, said = said || id == task.SymbolEOS, said || id == task.SymbolAnswer
			return last, id == task.SymbolEOS
		}
		names := s.names
		s.spaced = true
		s.names = make([]string, len(names))
		for id, name := range names {
			s.names[id] = " " + name
		}
	default:
		s.prompt = append(append(s.prompt, y.info.Method.Fill(k)...), task.SymbolAnswer)
	}
	return s, nil
}

// symbolName is a symbol's text; a node's is its id.
func symbolName(id int) string {
	switch id {
	case task.SymbolStartLatent:
		return "<start-latent>"
	case task.SymbolEndLatent:
		return "<end-latent>"
	case task.SymbolThought:
		return "<thought>"
	case task.SymbolBar:
		return "|"
	case task.SymbolQuery:
		return "[Q]"
	case task.SymbolRoot:
		return "[R]"
	case task.SymbolAnswer:
		return "[A]"
	case task.SymbolEOS:
		return "<eos>"
	case task.SymbolNoAnswer:
		return "<no-answer>"
	}
	return fmt.Sprint(id)
}
