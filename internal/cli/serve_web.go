package cli

import (
	"context"

	"github.com/spf13/pflag"

	"orrery/internal/server"
	"orrery/internal/web"
)

// The file's name puts this part behind that of the record, so that it is closed
// before it: the page's own requests end in the record.
func init() { servePart(func(a *app) part { return &pagePart{app: a} }) }

// pagePart is the page at /.
type pagePart struct {
	*app
	off  bool
	page *web.Page
}

func (p *pagePart) flags(f *pflag.FlagSet) {
	f.BoolVar(&p.off, "no-page", false, "serve the API alone, without the page at /")
}

func (p *pagePart) check() error { return nil }

func (p *pagePart) open(ctx context.Context, cfg *server.Config) error {
	if p.off {
		return nil
	}
	p.page = web.New(web.Config{Model: cfg.Generator, Defaults: cfg.Defaults, Version: version()})
	store, _, err := p.serves.kept(ctx)
	if err != nil {
		return err
	}
	p.page.Records(store)
	cfg.Page = p.page
	cfg.Observers = append(cfg.Observers, p.page)
	return nil
}

func (p *pagePart) start(s *server.Server) error {
	if p.page != nil {
		p.page.Use(s)
	}
	return nil
}

func (p *pagePart) close() {
	if p.page != nil {
		p.page.Close()
		p.page.Wait()
	}
}
