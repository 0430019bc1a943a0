package cli

import (
	"os"
	"path/filepath"

	"orrery/learn/checkpoint"
	"orrery/learn/latent"
	"orrery/learn/nn"
	"orrery/task"
)

// mkLatent is "mklatent DIR METHOD": a folder with a latent model of random
// weights, of graph questions in symbols or, for Coconut's methods, in words.
func mkLatent() {
	dir, method := os.Args[1], os.Args[2]
	must(os.MkdirAll(dir, 0o755))
	write := func(name string, b []byte) { must(os.WriteFile(filepath.Join(dir, name), b, 0o644)) }
	c := nn.Config{VocabSize: task.SymbolCount, HiddenSize: 16, Layers: 2, Heads: 2, KVHeads: 2, HeadDim: 8, Intermediate: 32,
		MaxPositions: 200, Norm: "layer", BOS: task.SymbolEOS, EOS: task.SymbolEOS}
	if m, err := latent.ParseMethod(method); err == nil && method != "cot" {
		t, err := task.Lookup("prosqa-tiny")
		must(err)
		v, err := latent.Vocabulary(t, latent.Words)
		must(err)
		b, err := v.MarshalJSON()
		must(err)
		write("tokenizer.json", b)
		write(latent.FileName, latent.NewInfo(m, 3, t.Name()).Bytes())
		c.VocabSize, c.BOS, c.EOS = v.Size(), v.BOS(), v.EOS()
	} else {
		write(latent.SymbolsFile, latent.NewSymbolsInfo(latent.Reach(method), 4).Bytes())
	}
	m, err := nn.New(c, 1)
	must(err)
	must(m.Save(dir, checkpoint.F32))
}
