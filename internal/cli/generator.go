package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"orrery/internal/local"
	"orrery/internal/upstream"
	"orrery/think/llm"
	"orrery/think/reason"
)

// source is where tokens come from: a server, a model folder, or, if neither
// is named, the built-in model.
type source struct {
	upstream, model, name string
	upstreams             []string          // of a command that takes several; upstream is then the first
	servers               []upstream.Server // from a configuration file, in the same order, with what it says of each
	many                  bool              // the command takes several
	dialect, keyFile      string
	parallel              int
	latent                bool // without a server or a folder: the shipped latent model
	set                   *pflag.FlagSet
}

// keyVariable is the environment variable with the upstream's API key.
const keyVariable = "ORRERY_UPSTREAM_KEY"

func (s *source) flags(c *cobra.Command) {
	f := c.Flags()
	if s.many {
		f.StringArrayVar(&s.upstreams, "upstream", nil, "URL of an OpenAI-compatible server (vLLM, SGLang, llama.cpp, Ollama, OpenAI); again for each more of the same model")
	} else {
		f.StringVar(&s.upstream, "upstream", "", "URL of an OpenAI-compatible server (vLLM, SGLang, llama.cpp, Ollama, OpenAI)")
	}
	f.StringVar(&s.model, "model", "", "folder of a model made by 'orrery train' (default: the built-in model)")
	f.IntVar(&s.parallel, "parallel", 0, "traces at once (default: what the model or server takes)")
	s.serverFlags(f)
}

// serverFlags are those about the server itself.
func (s *source) serverFlags(f *pflag.FlagSet) {
	s.set = f
	f.StringVar(&s.name, "upstream-model", "", "the model's name at the server (default: the only one it lists)")
	f.StringVar(&s.dialect, "dialect", "auto", "what the server is: auto, "+strings.Join(upstream.Dialects(), ", "))
	f.StringVar(&s.keyFile, "upstream-key-file", "", "file with the server's API key (or the variable "+keyVariable+")")
}

// check reports flags that are wrong or contradict each other.
func (s *source) check() error {
	if slices.Contains(s.upstreams, "") {
		return usagef("--upstream is empty: give a value, or leave it out for the built-in model")
	}
	if len(s.upstreams) > 0 {
		s.upstream = s.upstreams[0]
	}
	for _, name := range []string{"upstream", "model"} {
		// An empty variable of a shell must not be taken for the built-in model.
		if f := s.set.Lookup(name); f != nil && f.Changed && f.Value.String() == "" {
			return usagef("--%s is empty: give a value, or leave it out for the built-in model", name)
		}
	}
	if s.upstream != "" && s.model != "" {
		return usagef("--upstream and --model contradict each other: the traces come from one of them; drop one")
	}
	if s.parallel < 0 {
		return usagef("--parallel %d: give at least 1, or 0 for the default", s.parallel)
	}
	if s.upstream != "" {
		for _, url := range append(s.upstreams, s.upstream) {
			if _, err := upstream.New(upstream.Config{URL: url, Dialect: s.dialect}); err != nil {
				return usageError{err}
			}
		}
	} else {
		switch {
		case s.name != "":
			return aboutServers("--upstream-model")
		case s.keyFile != "":
			return aboutServers("--upstream-key-file")
		case s.dialect != "auto":
			return aboutServers("--dialect")
		}
	}
	return nil
}

func aboutServers(flag string) error {
	return usagef("%s is about a server: give its URL with --upstream, or drop it", flag)
}

// config is the upstream's configuration with the key read.
func (s *source) config() (upstream.Config, error) {
	key := os.Getenv(keyVariable)
	if s.keyFile != "" {
		b, err := os.ReadFile(s.keyFile)
		if err != nil {
			return upstream.Config{}, fmt.Errorf("read the server's API key: %w: give a readable file to --upstream-key-file", err)
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
	switch o := (local.Options{MaxParallel: s.parallel}); {
	case s.model != "":
		g, err = local.Open(s.model, o)
	case s.latent:
		g, err = local.Latent(o)
	default:
		g, err = local.Builtin(o)
	}
	return g, io.NopCloser(nil), err
}

// isLocal says that the model is one of ours, which needs no instructions and
// was trained to be sampled at temperature 1.
func isLocal(g llm.Generator) bool { return g.Info().Backend == "builtin" }

// localWindow is the confidence group of our own models, whose traces are a few
// dozen tokens: the automatic window's least, 32, would be most of a trace.
const localWindow = 8

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
		if p.Window == 0 {
			p.Window = localWindow
		}
	}
	return p
}

// openMeasured opens the generator and, for a server, measures first what it
// can do, so that requests know its k and basis. It reports whether chats have
// log-probabilities at all.
func (a *app) openMeasured(ctx context.Context, src *source) (g llm.Generator, closer io.Closer, logprobs bool, err error) {
	g, closer, err = src.open(ctx)
	if err != nil {
		return nil, nil, false, err
	}
	c, ok := g.(*upstream.Client)
	if !ok {
		return g, closer, true, nil
	}
	r, err := c.Check(ctx)
	if err != nil {
		e, ok := errors.AsType[*llm.Error](err)
		if !ok || e.Kind != llm.LogprobsUnsupported && e.Kind != llm.NoTopLogprobs {
			closer.Close()
			return nil, nil, false, err
		}
		// Single and majority still work; DeepConf says so itself.
	}
	if !a.quiet && r.DeepConf.Level != upstream.Exact {
		fmt.Fprintf(a.err, "DeepConf on this server: %s\n", oneLine(r.DeepConf.String()))
	}
	return g, closer, r.ChatK > 0, nil
}

// openFor opens the generator for one method, and measures a server only if the
// method depends on what it can do.
func (a *app) openFor(ctx context.Context, src *source, m reason.Method) (llm.Generator, io.Closer, error) {
	if !m.NeedsLogprobs() {
		return src.open(ctx)
	}
	g, closer, logprobs, err := a.openMeasured(ctx, src)
	if err == nil && !logprobs {
		closer.Close()
		return nil, nil, lacksLogprobs(m)
	}
	return g, closer, err
}

func lacksLogprobs(m reason.Method) error {
	return fmt.Errorf("method %s needs the log-probabilities of each token's alternatives, which this server does not give: use a method without them, such as majority or single, or another server", m.Name())
}
