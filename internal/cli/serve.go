package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"

	"github.com/spf13/cobra"

	"orrery/internal/server"
	"orrery/think/reason"
)

func init() { register(serveCommand) }

func serveCommand(a *app) *cobra.Command {
	var src source
	var pf paramFlags
	var cfg server.Config
	var listen string
	var kf keyFlags
	var logRequests bool
	c := &cobra.Command{
		Use:   "serve",
		Short: "OpenAI-compatible API in front of the built-in model or any server",
		Long: `Serve answers on the OpenAI routes. The method is chosen by the model's name:
MODEL is a single trace, MODEL@deepconf-low many, weighed by confidence, the
hopeless ones stopped early. The other flags are the defaults of requests that
say nothing.

Methods:
` + methodList(),
		Example: `  orrery serve
  orrery serve --upstream http://localhost:8000 --listen :9000 --keys-file keys.txt
  curl localhost:8888/v1/chat/completions -d '{"model": "builtin@deepconf-high", "messages": [{"role": "user", "content": "Compute 3 * (4 + 5)."}]}'`,
		Args: exactArgs(0, "flags only"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if cfg.Defaults, err = pf.params(); err != nil {
				return err
			}
			if err := cfg.Defaults.Validate(); err != nil {
				return usageError{err}
			}
			if err := src.check(); err != nil {
				return err
			}
			if cfg.Keys, err = kf.keys(); err != nil {
				return err
			}
			if cfg.Limits, err = kf.defaults(); err != nil {
				return err
			}
			if logRequests {
				cfg.Logger = slog.New(slog.NewTextHandler(a.err, nil))
			}
			return a.serve(cmd.Context(), &src, &kf, cfg, listen)
		},
	}
	src.flags(c)
	pf.flags(c.Flags())
	pf.thoughtsFlag(c.Flags())
	f := c.Flags()
	f.StringVar(&listen, "listen", "127.0.0.1:8888", "address to listen on; \":8888\" is every interface")
	kf.flags(f)
	f.Int64Var(&cfg.MaxBody, "max-body", 0, "bytes of a request's body (default 1 MiB)")
	f.IntVar(&cfg.MaxRequests, "max-requests", 0, "requests at once (default 64)")
	f.IntVar(&cfg.MaxQueue, "max-queue", 0, "requests that wait for a place (default four times --max-requests)")
	f.IntVar(&cfg.MaxTokens, "max-request-tokens", 0, "tokens of one request, all its traces together (default 1048576)")
	f.IntVar(&cfg.MaxBudget, "max-budget", 0, "traces of one request (default 512)")
	f.DurationVar(&cfg.Drain, "drain", 0, "what running requests get to finish after SIGTERM (default 30s)")
	f.DurationVar(&cfg.Notice, "notice", 0, "how long to go on accepting after /readyz says no (default 0s)")
	f.StringSliceVar(&cfg.Hosts, "allow-host", nil, "names that requests may call this server by; matters where it needs no key and listens on this machine alone")
	f.BoolVar(&logRequests, "log", false, "log one line a request to stderr, without prompts, answers or keys")
	return c
}

func (a *app) serve(ctx context.Context, src *source, kf *keyFlags, cfg server.Config, listen string) error {
	g, closer, _, err := a.openMeasured(ctx, src)
	if err != nil {
		return err
	}
	defer closer.Close()
	cfg.Generator = g
	cfg.Defaults = localDefaults(g, cfg.Defaults)
	if single, err := reason.Lookup("single"); err != nil {
		return err
	} else if err := single.Suits(g.Info(), reason.Params{Thoughts: cfg.Defaults.Thoughts}); err != nil {
		return usageError{err}
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("serve: %w: choose another address with --listen", err)
	}
	address := l.Addr().(*net.TCPAddr)
	if len(cfg.Hosts) > 0 || address.IP.IsLoopback() && len(cfg.Keys) == 0 {
		cfg.Hosts = append(cfg.Hosts, "localhost") // nothing but names protects it from its user's browser
	}
	s, err := server.New(cfg)
	if err != nil {
		l.Close()
		return usageError{err}
	}
	host := address.IP.String()
	if address.IP.IsUnspecified() {
		host = "localhost"
	}
	info := g.Info()
	if a.json {
		if err := a.printJSON(map[string]any{"version": 1, "address": l.Addr().String(), "model": info.Model, "backend": info.Backend}); err != nil {
			return err
		}
	}
	if !a.quiet {
		url := "http://" + net.JoinHostPort(host, fmt.Sprint(address.Port))
		model := oneLine(info.Model) // as the server calls it
		fmt.Fprintf(a.err, "serving %s (%s) on %s/v1\n", model, info.Backend, url)
		fmt.Fprintf(a.err, "methods: %s@{%s}\n", model, strings.Join(s.Methods(), ", "))
		if !address.IP.IsLoopback() && len(cfg.Keys) == 0 {
			fmt.Fprintf(a.err, "warning: anyone who can reach %s may ask: set --keys-file or %s\n", listen, apiKeysVariable)
		}
	}
	if kf.file != "" {
		defer a.onHangup("API keys", func() error {
			keys, err := kf.keys()
			if err != nil {
				return err
			}
			return s.SetKeys(keys)
		})()
	}
	err = s.Serve(ctx, l)
	if !a.quiet {
		fmt.Fprintln(a.err, "stopped")
	}
	return err
}
