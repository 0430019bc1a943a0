package cli

import (
	"context"
	"log/slog"

	"github.com/spf13/pflag"

	"orrery/internal/server"
	"orrery/think/llm"
	"orrery/think/reason"
)

func init() { servePart(func(a *app) part { return &logFlags{app: a} }) }

// logFlags say what is logged, and how.
type logFlags struct {
	*app
	on      bool
	format  string
	prompts bool
}

func (l *logFlags) flags(f *pflag.FlagSet) {
	f.BoolVar(&l.on, "log", false, "log one line a request to stderr, without prompts, answers or keys")
	f.StringVar(&l.format, "log-format", "", "text or json; logs as --log does")
	f.BoolVar(&l.prompts, "log-prompts", false, "log questions and answers as well, as --log does the rest")
}

func (l *logFlags) check() error {
	if l.format != "" && l.format != "text" && l.format != "json" {
		return usagef("--log-format %q: there are text and json", l.format)
	}
	return nil
}

func (l *logFlags) open(_ context.Context, cfg *server.Config) error {
	switch {
	case l.format == "json":
		cfg.Logger = slog.New(slog.NewJSONHandler(l.err, nil))
	case l.on || l.prompts || l.format != "":
		cfg.Logger = slog.New(slog.NewTextHandler(l.err, nil))
	}
	if l.prompts {
		cfg.Observers = append(cfg.Observers, promptLog{cfg.Logger})
	}
	return nil
}

func (l *logFlags) start(*server.Server) error { return nil }
func (l *logFlags) close()                     {}

// promptLog logs what is asked and answered.
type promptLog struct{ log *slog.Logger }

func (p promptLog) Asked(a server.Asked) server.Watch {
	q := slog.String("prompt", a.Question.Prompt)
	if len(a.Question.Messages) > 0 {
		q = slog.Any("messages", a.Question.Messages)
	}
	p.log.Info("asked", "request", a.ID, "client", a.Client, q)
	return answerLog{p.log, a.ID}
}

type answerLog struct {
	log     *slog.Logger
	request string
}

func (answerLog) Tap(g llm.Generator) llm.Generator { return g }
func (answerLog) Event(reason.Event)                {}

func (a answerLog) Ended(e server.Ended) {
	switch {
	case e.Result == nil:
		a.log.Info("not answered", "request", a.request, "error", e.Error)
	case e.Result.Answer == nil:
		a.log.Info("answered", "request", a.request, "text", e.Result.Text)
	default:
		a.log.Info("answered", "request", a.request, "answer", *e.Result.Answer, "text", e.Result.Text)
	}
}
