package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"orrery/internal/journal"
	"orrery/internal/server"
	"orrery/record"
)

// keepFlags say what is kept of requests, and for how long.
type keepFlags struct {
	keep  string
	age   days
	bytes bytesFlag
}

// defaultKeepBytes bounds the file of a server that nobody looks after.
const defaultKeepBytes = 1 << 30

func (k *keepFlags) partsFlag(f *pflag.FlagSet) {
	f.StringVar(&k.keep, "keep", record.KeepDefault.String(), "what is recorded of traces: some of text, confidence and alternatives, or none or all")
}

func (k *keepFlags) limitFlags(f *pflag.FlagSet) {
	f.Var(&k.age, "keep-for", "delete recorded requests that ended longer ago, such as 30d or 12h (default: none for their age)")
	k.bytes = defaultKeepBytes
	f.Var(&k.bytes, "keep-bytes", "delete the oldest recorded requests beyond that, such as 500M or 8G; 0 is no limit")
}

// days is a duration that may be written in days.
type days time.Duration

func (d *days) String() string {
	if *d == 0 {
		return ""
	}
	return time.Duration(*d).String()
}
func (d *days) Type() string { return "duration" }
func (d *days) Set(s string) error {
	v, err := parseAge(s)
	*d = days(v)
	return err
}

// parseAge reads 30d, 12h or 90m.
func parseAge(s string) (time.Duration, error) {
	if n, ok := strings.CutSuffix(s, "d"); ok {
		v, err := strconv.ParseFloat(n, 64)
		if err == nil && v > 0 && v < 36500 {
			return time.Duration(v * float64(24*time.Hour)), nil
		}
	} else if v, err := time.ParseDuration(s); err == nil && v > 0 {
		return v, nil
	}
	return 0, fmt.Errorf("%q is no time: write it as 30d, 12h or 90m", s)
}

// bytesFlag is a size.
type bytesFlag int64

func (b *bytesFlag) String() string {
	for _, u := range []struct {
		size bytesFlag
		name string
	}{{1 << 40, "T"}, {1 << 30, "G"}, {1 << 20, "M"}, {1 << 10, "K"}} {
		if *b > 0 && *b%u.size == 0 {
			return strconv.FormatInt(int64(*b/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(*b), 10)
}
func (b *bytesFlag) Type() string { return "size" }
func (b *bytesFlag) Set(s string) error {
	if s == "0" {
		*b = 0
		return nil
	}
	n, err := parseBytes(s)
	*b = bytesFlag(n)
	return err
}

func init() {
	servePart(func(a *app) part {
		a.serves = &recordPart{app: a}
		return a.serves
	})
}

// recordPart records what is asked of serve.
type recordPart struct {
	*app
	keepFlags
	once   sync.Once
	store  *record.Store    // nil: nothing is recorded
	book   *journal.Journal // nil: nothing is recorded
	finish func()
	failed error
}

func (p *recordPart) flags(f *pflag.FlagSet) {
	p.partsFlag(f)
	p.limitFlags(f)
}

func (p *recordPart) check() error {
	if _, err := record.ParseKeep(p.keep); err != nil {
		return usagef("--keep: %w", err)
	}
	_, _, err := p.storeURL()
	return err
}

// kept opens the store, once: parts that are opened before this one may need it.
func (p *recordPart) kept(ctx context.Context) (*record.Store, *journal.Journal, error) {
	p.once.Do(func() { p.store, p.book, p.finish, p.failed = p.journal(ctx, &p.keepFlags, true) })
	return p.store, p.book, p.failed
}

func (p *recordPart) open(ctx context.Context, cfg *server.Config) error {
	_, j, err := p.kept(ctx)
	if j != nil {
		cfg.Observers = append(cfg.Observers, j)
	}
	return err
}

func (p *recordPart) start(*server.Server) error {
	if p.store == nil || p.quiet {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	from := ""
	if !p.store.Opened(ctx) {
		from = ", as soon as it can be reached"
	}
	fmt.Fprintf(p.err, "recording %s of requests in %s%s\n", p.keep, p.store.Name(), from)
	return nil
}

func (p *recordPart) close() {
	if p.finish != nil {
		p.finish()
	}
}

// journal opens the store and begins a journal in it, for requests. Both are nil if
// nothing is to be recorded, or the store cannot be opened, which is a warning; but
// an error if must says so and a store was named. A store that cannot be reached yet is taken
// as soon as it can. finish writes what waits.
func (a *app) journal(ctx context.Context, k *keepFlags, must bool) (s *record.Store, j *journal.Journal, finish func(), err error) {
	keep, err := record.ParseKeep(k.keep)
	if err != nil {
		return nil, nil, nil, usagef("--keep: %w", err)
	}
	finish = func() {}
	url, ok, err := a.storeURL()
	if err != nil || !ok {
		return nil, nil, finish, err
	}
	if s, err = record.Open(ctx, url, record.Later()); err != nil {
		if must && url != "" { // who names a store counts on it
			return nil, nil, nil, fmt.Errorf("%w; or serve without a record: --store %s", err, noStore)
		}
		a.unrecorded(err)
		return nil, nil, finish, nil
	}
	j = journal.New(s, journal.Options{Keep: keep, Age: time.Duration(k.age), Bytes: int64(k.bytes),
		Warn: func(text string) { fmt.Fprintf(a.err, "warning: %s\n", oneLine(text)) }})
	return s, j, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		for _, err := range []error{j.Close(ctx), s.Close()} {
			if err != nil {
				a.unrecorded(err)
			}
		}
	}, nil
}
