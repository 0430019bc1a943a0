package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"orrery/internal/local"
	"orrery/internal/upstream"
	"orrery/think/llm"
	"orrery/think/reason"
)

// source is where tokens come from: a server, a model folder, or, if neither
// is named, the built-in model.
type source struct {
	upstream, model, name string
	dialect, keyFile      string
	parallel              int
}

// keyVariable is the environment variable with the upstream's API key.
const keyVariable = "ORRERY_UPSTREAM_KEY"

func (s *source) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&s.upstream, "upstream", "", "URL of an OpenAI-compatible server (vLLM, SGLang, llama.cpp, Ollama, OpenAI)")
	f.StringVar(&s.model, "model", "", "folder of a model made by 'orrery train' (default: the built-in model)")
	f.StringVar(&s.name, "upstream-model", "", "the model's name at the server (default: the only one it lists)")
	f.StringVar(&s.dialect, "dialect", "auto", "what the server is: auto, "+strings.Join(upstream.Dialects(), ", "))
	f.StringVar(&s.keyFile, "upstream-key-file", "", "file with the server's API key (or the variable "+keyVariable+")")
	f.IntVar(&s.parallel, "parallel", 0, "traces at once (default: what the model or server takes)")
}

// check reports flags that contradict each other.
func (s *source) check() error {
	if s.upstream != "" && s.model != "" {
		return usagef("--upstream and --model contradict each other: the traces come from one of them; drop one")
	}
	if s.parallel < 0 {
		return usagef("--parallel %d: give at least 1, or 0 for the default", s.parallel)
	}
	if s.upstream == "" {
		for name, set := range map[string]bool{"--upstream-model": s.name != "", "--upstream-key-file": s.keyFile != "", "--dialect": s.dialect != "auto"} {
			if set {
				return usagef("%s is about a server: give its URL with --upstream, or drop it", name)
			}
		}
	}
	return nil
}

// config is the upstream's configuration with the key read.
func (s *source) config() (upstream.Config, error) {
	key := os.Getenv(keyVariable)
	if s.keyFile != "" {
		b, err := os.ReadFile(s.keyFile)
		if err != nil {
			return upstream.Config{}, fmt.Errorf("read the server's API key: %w", err)
		}
		key = strings.TrimSpace(string(b))
	}
	return upstream.Config{URL: s.upstream, Model: s.name, APIKey: key, Dialect: s.dialect, MaxParallel: s.parallel}, nil
}

// open makes the generator. The server is contacted, so that a wrong URL is
// known before any work is done.
func (s *source) open(ctx context.Context) (llm.Generator, io.Closer, error) {
	if err := s.check(); err != nil {
		return nil, nil, err
	}
	if s.upstream != "" {
		cfg, err := s.config()
		if err != nil {
			return nil, nil, err
		}
		c, err := upstream.Open(ctx, cfg)
		if err != nil {
			return nil, nil, err
		}
		return c, c, nil
	}
	var g llm.Generator
	var err error
	if s.model != "" {
		g, err = local.Open(s.model, local.Options{MaxParallel: s.parallel})
	} else {
		g, err = local.Builtin(local.Options{MaxParallel: s.parallel})
	}
	return g, io.NopCloser(nil), err
}

// isLocal says that the model is one of ours, which needs no instructions and
// was trained to be sampled at temperature 1.
func isLocal(g llm.Generator) bool { return g.Info().Backend == "builtin" }

// localDefaults fills in how our own models are sampled where nothing is said:
// from the distribution that they were trained to be.
func localDefaults(g llm.Generator, p reason.Params) reason.Params {
	if isLocal(g) {
		if p.Temperature == nil {
			one := 1.0
			p.Temperature = &one
		}
		if p.TopP == 0 {
			p.TopP = 1
		}
	}
	return p
}
