package main

import (
	"fmt"

	"github.com/hybridgroup/yzma/pkg/llama"
)

// engine is a model in llama.cpp, computing in float32 as far as its weights
// allow: no flash attention, a float32 cache.
type engine struct {
	model llama.Model
	vocab llama.Vocab
	ctx   llama.Context
	size  int
	max   int
}

func open(path string, length int) (*engine, error) {
	params := llama.ModelDefaultParams()
	params.UseExtraBufts = 0 // no repacked weights, which would compute otherwise
	model, err := llama.ModelLoadFromFile(path, params)
	if err != nil || model == 0 {
		return nil, fmt.Errorf("llama.cpp doesn't load %s: %v", path, err)
	}
	e := &engine{model: model, vocab: llama.ModelGetVocab(model), max: length}
	e.size = int(llama.VocabNTokens(e.vocab))
	c := llama.ContextDefaultParams()
	c.NCtx, c.NBatch, c.NUbatch = uint32(length), uint32(length), uint32(length)
	c.NThreads, c.NThreadsBatch = 2, 2
	c.TypeK, c.TypeV = llama.GGMLTypeF32, llama.GGMLTypeF32
	c.FlashAttentionType = llama.FlashAttentionTypeDisabled
	e.ctx, err = llama.InitFromModel(model, c)
	if err != nil || e.ctx == 0 {
		return nil, fmt.Errorf("llama.cpp makes no context for %s: %v", path, err)
	}
	return e, nil
}

func (e *engine) close() {
	llama.Free(e.ctx)
	llama.ModelFree(e.model)
}

// logits feeds one sequence and returns the logits at each of its positions.
func (e *engine) logits(ids []int) ([][]float32, error) {
	memory, err := llama.GetMemory(e.ctx)
	if err != nil {
		return nil, err
	}
	if err := llama.MemoryClear(memory, true); err != nil {
		return nil, err
	}
	batch := llama.BatchInit(int32(len(ids)), 0, 1)
	defer llama.BatchFree(batch)
	for i, id := range ids {
		if err := batch.Add(llama.Token(id), llama.Pos(i), []llama.SeqId{0}, true); err != nil {
			return nil, err
		}
	}
	if rc, err := llama.Decode(e.ctx, batch); rc != 0 || err != nil {
		return nil, fmt.Errorf("llama_decode returns %d: %v", rc, err)
	}
	rows := make([][]float32, len(ids))
	for i := range rows {
		row, err := llama.GetLogitsIth(e.ctx, int32(i), e.size)
		if err != nil {
			return nil, err
		}
		rows[i] = append([]float32(nil), row...)
	}
	return rows, nil
}

// tokenize gives a text's ids. The text must have no zero byte, at which the
// binding's C string would end.
func (e *engine) tokenize(text string, special bool) []int {
	var ids []int
	for _, id := range llama.Tokenize(e.vocab, text, false, special) {
		ids = append(ids, int(id))
	}
	return ids
}

// piece is a token's bytes.
func (e *engine) piece(id int, special bool) string {
	buf := make([]byte, 256)
	n := llama.TokenToPiece(e.vocab, llama.Token(id), buf, 0, special)
	return string(buf[:max(n, 0)])
}
