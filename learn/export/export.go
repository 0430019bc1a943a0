// Package export writes a model and its vocabulary as files that other engines
// load: a folder in Hugging Face's form (transformers, vLLM, SGLang), or GGUF
// (llama.cpp and what is built on it). Only models of the Llama shape can leave; whatever
// another engine would compute differently is refused.
package export

import (
	"fmt"
	"os"
	"strings"

	"orrery/learn/checkpoint"
	"orrery/learn/nn"
	"orrery/learn/token"
)

// formats are the kinds of files, with the number types each may have.
var formats = []struct {
	name  string
	dtype checkpoint.DType
	write func(*nn.Model, *token.Vocab, string, checkpoint.DType) error
}{
	{"hf", checkpoint.F32, writeHF},
	{"hf-bf16", checkpoint.BF16, writeHF},
	{"hf-f16", checkpoint.F16, writeHF},
	{"gguf", checkpoint.F32, writeGGUF},
	{"gguf-bf16", checkpoint.BF16, writeGGUF},
	{"gguf-f16", checkpoint.F16, writeGGUF},
}

// Formats lists what Export can write: "hf" and "gguf" keep every bit, the
// others round weights to 16 bits.
func Formats() []string {
	var names []string
	for _, f := range formats {
		names = append(names, f.name)
	}
	return names
}

// Export writes a model into a folder, which it makes if need be: for "hf"
// formats config.json, model.safetensors, tokenizer.json and
// tokenizer_config.json, for "gguf" formats model.gguf. Each file appears
// whole or not at all.
func Export(format string, m *nn.Model, v *token.Vocab, dir string) error {
	for _, f := range formats {
		if f.name != format {
			continue
		}
		if err := check(m, v); err != nil {
			return err
		}
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return fmt.Errorf("export: %w", err)
		}
		return f.write(m, v, dir, f.dtype)
	}
	return fmt.Errorf("export: %q is no format; there are %s", format, strings.Join(Formats(), ", "))
}

// writeHF writes a folder in Hugging Face's form.
func writeHF(m *nn.Model, v *token.Vocab, dir string, dtype checkpoint.DType) error {
	if err := m.Save(dir, dtype); err != nil {
		return err
	}
	return v.Save(dir)
}
