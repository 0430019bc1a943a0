package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os/signal"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"orrery/internal/server"
	"orrery/think/llm"
	"orrery/think/reason"
)

func init() { register(serveCommand) }

// part is something that serve has besides the API: its own flags, what it adds
// to the server's configuration, and what runs while the server does.
type part interface {
	flags(*pflag.FlagSet)
	// check reports flags that are wrong, before anything is opened.
	check() error
	// open adds to cfg, whose Generator is set.
	open(ctx context.Context, cfg *server.Config) error
	// start is called when there is a server, before it serves.
	start(*server.Server) error
	// close is called once, when the server has drained; also if open failed or
	// was never called.
	close()
}

// serveParts makes the parts, in the order in which they are opened; they are
// closed in the opposite one. Each part's file adds its own.
var serveParts []func(*app) part

func servePart(p func(*app) part) { serveParts = append(serveParts, p) }

// serving is one run of serve.
type serving struct {
	*app
	src    source
	params paramFlags
	cfg    server.Config
	listen string
	parts  []part
	logger atomic.Pointer[slog.Logger] // for what runs already when the log is opened

	config    string // path of a configuration file; "": none
	checkOnly bool
}

func serveCommand(a *app) *cobra.Command {
	sv := &serving{app: a}
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
  orrery serve --upstream http://gpu1:8000 --upstream http://gpu2:8000
  curl localhost:8888/v1/chat/completions -d '{"model": "builtin@deepconf-high", "messages": [{"role": "user", "content": "Compute 3 * (4 + 5)."}]}'`,
		Args: exactArgs(0, "flags only"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if done, err := sv.configure(cmd.Flags()); done || err != nil {
				return err
			}
			return sv.serve(cmd.Context())
		},
	}
	sv.src.many = true
	sv.src.flags(c)
	sv.params.flags(c.Flags())
	sv.params.thoughtsFlag(c.Flags())
	f, cfg := c.Flags(), &sv.cfg
	f.StringVar(&sv.listen, "listen", "127.0.0.1:8888", "address to listen on; \":8888\" is every interface")
	f.Int64Var(&cfg.MaxBody, "max-body", 0, "bytes of a request's body (default 1 MiB)")
	f.IntVar(&cfg.MaxRequests, "max-requests", 0, "requests at once (default 64)")
	f.IntVar(&cfg.MaxQueue, "max-queue", 0, "requests that wait for a place (default four times --max-requests)")
	f.IntVar(&cfg.MaxTokens, "max-request-tokens", 0, "tokens of one request, all its traces together (default 1048576)")
	f.IntVar(&cfg.MaxBudget, "max-budget", 0, "traces of one request (default 512)")
	f.DurationVar(&cfg.Drain, "drain", 0, "what running requests get to finish after SIGTERM (default 30s)")
	f.DurationVar(&cfg.Notice, "notice", 0, "how long to go on accepting after /readyz says no (default 0s)")
	f.StringVar(&sv.config, "config", "", "file with what these flags say, and more of upstreams and keys (docs/serving.md); flags override it")
	f.BoolVar(&sv.checkOnly, "check-config", false, "say what would be served, secrets hidden, and end")
	for _, p := range serveParts {
		sv.parts = append(sv.parts, p(a))
		sv.parts[len(sv.parts)-1].flags(f)
	}
	return c
}

// configure takes in the configuration file, if there is one, and checks all. It
// reports whether that was all that is wanted.
func (sv *serving) configure(f *pflag.FlagSet) (done bool, err error) {
	given := map[string]bool{}
	f.Visit(func(f *pflag.Flag) { given[f.Name] = true })
	if given["config"] {
		if sv.conf, err = readConfig(sv.config, f); err != nil {
			return false, err
		}
		if !given["upstream"] {
			sv.src.servers = sv.conf.servers
			for _, s := range sv.conf.servers {
				sv.src.upstreams = append(sv.src.upstreams, s.URL)
			}
		}
		if err := sv.conf.apply(f); err != nil {
			return false, err
		}
	}
	if err := sv.check(); err != nil {
		return false, sv.conf.located(err, func(name string) bool { return given[name] })
	}
	if !sv.checkOnly {
		return false, nil
	}
	for _, p := range sv.parts {
		if k, ok := p.(*keyFlags); ok {
			keys, err := k.keys()
			if err != nil {
				return false, err
			}
			return true, sv.printConfig(f, keys)
		}
	}
	return true, nil
}

// check reports flags that are wrong or contradict each other.
func (sv *serving) check() (err error) {
	if sv.cfg.Defaults, err = sv.params.params(); err != nil {
		return err
	}
	if err := sv.cfg.Defaults.Validate(); err != nil {
		return usageError{err}
	}
	if err := sv.src.check(); err != nil {
		return err
	}
	for _, p := range sv.parts {
		if err := p.check(); err != nil {
			return err
		}
	}
	return nil
}

func (sv *serving) serve(ctx context.Context) error {
	g, closer, err := sv.openGenerator(ctx)
	if err != nil {
		return err
	}
	defer closer.Close()
	sv.cfg.Generator = g
	sv.cfg.Defaults = localDefaults(g, sv.cfg.Defaults)
	if single, err := reason.Lookup("single"); err != nil {
		return err
	} else if err := single.Suits(g.Info(), reason.Params{Thoughts: sv.cfg.Defaults.Thoughts}); err != nil {
		return usageError{err}
	}
	for _, p := range sv.parts {
		defer p.close()
		if err := p.open(ctx, &sv.cfg); err != nil {
			return err
		}
	}
	sv.logger.Store(sv.cfg.Logger)
	l, err := net.Listen("tcp", sv.listen)
	if err != nil {
		return fmt.Errorf("serve: %w: choose another address with --listen", err)
	}
	s, err := sv.newServer(l)
	if err != nil {
		l.Close()
		return err
	}
	ctx, stop := sv.untilHangup(ctx)
	defer stop()
	if err := sv.announce(s, l, g.Info()); err != nil {
		l.Close()
		return err
	}
	err = s.Serve(ctx, l)
	if !sv.quiet {
		fmt.Fprintln(sv.err, "stopped")
	}
	return err
}

// untilHangup ends with SIGHUP as with SIGTERM where there is no file that SIGHUP reads
// again: a terminal that closes, or a reload that is none, must not cut requests off.
func (sv *serving) untilHangup(ctx context.Context) (context.Context, context.CancelFunc) {
	rereads := slices.ContainsFunc(sv.parts, func(p part) bool {
		k, ok := p.(*keyFlags)
		return ok && k.stop != nil
	})
	if rereads || signal.Ignored(syscall.SIGHUP) { // by nohup
		return ctx, func() {}
	}
	return signal.NotifyContext(ctx, syscall.SIGHUP)
}

// newServer makes the server and starts what belongs to it.
func (sv *serving) newServer(l net.Listener) (*server.Server, error) {
	if len(sv.cfg.Hosts) > 0 || l.Addr().(*net.TCPAddr).IP.IsLoopback() && len(sv.cfg.Keys) == 0 {
		sv.cfg.Hosts = append(sv.cfg.Hosts, "localhost") // nothing but names protects it from its user's browser
	}
	s, err := server.New(sv.cfg)
	if err != nil {
		return nil, usageError{err}
	}
	for _, p := range sv.parts {
		if err := p.start(s); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// announce says what is served, and where.
func (sv *serving) announce(s *server.Server, l net.Listener, info llm.Info) error {
	address := l.Addr().(*net.TCPAddr)
	host := address.IP.String()
	if address.IP.IsUnspecified() {
		host = "localhost"
	}
	if sv.json {
		if err := sv.printJSON(map[string]any{"version": 1, "address": l.Addr().String(), "model": info.Model, "backend": info.Backend}); err != nil {
			return err
		}
	}
	if sv.quiet {
		return nil
	}
	scheme := "http://"
	if sv.cfg.TLS != nil {
		scheme = "https://"
	}
	url := scheme + net.JoinHostPort(host, fmt.Sprint(address.Port))
	model := oneLine(info.Model) // as the server calls it
	fmt.Fprintf(sv.err, "serving %s (%s) on %s/v1\n", model, info.Backend, url)
	if sv.cfg.Page != nil {
		fmt.Fprintf(sv.err, "page: %s/\n", url)
	}
	fmt.Fprintf(sv.err, "methods: %s@{%s}\n", model, strings.Join(s.Methods(), ", "))
	if !address.IP.IsLoopback() && len(sv.cfg.Keys) == 0 {
		fmt.Fprintf(sv.err, "warning: anyone who can reach %s may ask: set --keys-file or %s\n", sv.listen, apiKeysVariable)
	}
	return nil
}
