package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/pflag"

	"orrery/internal/server"
	"orrery/internal/upstream"
	"orrery/record"
)

// apiKeysVariable is the environment variable with the keys that clients need.
const apiKeysVariable = "ORRERY_API_KEYS"

func init() { servePart(func(a *app) part { return &keyFlags{app: a} }) }

// keyFlags say who may ask, and how much.
type keyFlags struct {
	*app
	file   string
	limits string
	in     string // where what is used is counted: "memory", "store" or "" for what suits
	known  *pflag.FlagSet
	pool   *upstream.Pool // nil: there is none
	stop   func()         // of listening for SIGHUP; nil: not begun
}

func (k *keyFlags) check() error {
	if k.in != "" && k.in != "memory" && k.in != "store" {
		return usagef("--limits-in %q: there are memory and store", k.in)
	}
	limits, err := k.defaults()
	if err != nil {
		return err
	}
	keys, err := k.keys()
	if err != nil {
		return err
	}
	if err := server.CheckKeys(keys, limits); err != nil {
		return usageError{err}
	}
	return nil
}

func (k *keyFlags) open(ctx context.Context, cfg *server.Config) (err error) {
	k.pool, _ = cfg.Generator.(*upstream.Pool)
	cfg.Limits, _ = k.defaults()
	if cfg.Keys, err = k.keys(); err != nil {
		return err
	}
	if k.in == "memory" {
		return nil
	}
	store, _, err := k.serves.kept(ctx)
	switch {
	case err != nil:
		return err
	case store == nil && k.in == "store":
		return usagef("--limits-in store: nothing is stored; give a --store, or count in memory")
	case store != nil && (k.in == "store" || strings.HasPrefix(store.Name(), "postgres")):
		cfg.Limiter = shared{store}
	}
	return nil
}

// shared counts in the store, for all replicas that have the same one.
type shared struct{ *record.Store }

func (s shared) Take(ctx context.Context, key string, cost int, r server.Rate) (bool, time.Duration, error) {
	return s.Store.Take(ctx, key, cost, record.Limit{Count: r.Count, Per: r.Per})
}

func (k *keyFlags) start(s *server.Server) error {
	if k.file == "" && k.conf == nil {
		return nil
	}
	k.stop = k.onHangup("API keys", func() (more string, err error) { return k.reread(s) })
	return nil
}

// reread takes up the keys and drains of the files as they are now, all or nothing,
// and says what else has changed.
func (k *keyFlags) reread(s *server.Server) (more string, err error) {
	now, was := k.conf, []server.Key(nil)
	if k.conf != nil {
		if now, err = readConfig(k.conf.path, k.known); err != nil {
			return "", err
		}
		was, k.conf.keys = k.conf.keys, now.keys
		defer func() {
			if err != nil {
				k.conf.keys = was
			}
		}()
	}
	keys, err := k.keys()
	if err != nil {
		return "", err
	}
	limits, err := k.defaults()
	if err != nil {
		return "", err
	}
	if err := server.CheckKeys(keys, limits); err != nil {
		return "", err
	}
	if now != nil {
		if err := k.redrain(now); err != nil {
			return "", err
		}
		if names := k.conf.changed(now); len(names) > 0 {
			more = fmt.Sprintf("; %s changed too, which takes a restart", strings.Join(names, ", "))
		}
	}
	return more, s.SetKeys(keys)
}

// changed are the entries, keys and drains apart, in which a file differs from now.
func (c *configFile) changed(now *configFile) (names []string) {
	all := maps.Clone(c.flags)
	maps.Copy(all, now.flags)
	for name := range all {
		if !slices.Equal(c.flags[name], now.flags[name]) {
			names = append(names, name)
		}
	}
	for _, s := range now.servers {
		for _, was := range c.servers {
			if was.Called() != s.Called() {
				continue
			}
			if was.Drained = s.Drained; !reflect.DeepEqual(was, s) && !slices.Contains(names, "upstreams") {
				names = append(names, "upstreams")
			}
		}
	}
	slices.Sort(names)
	return names
}

// redrain drains the upstreams that a configuration file now drains or leaves out.
func (k *keyFlags) redrain(c *configFile) error {
	if k.pool == nil || len(c.servers) == 0 {
		return nil
	}
	drained := map[string]bool{}
	for _, s := range k.pool.Status() {
		drained[s.Name] = true
	}
	for _, s := range c.servers {
		if _, there := drained[s.Called()]; !there {
			return fmt.Errorf("upstream %s is new, which takes a restart", s.Called())
		}
		drained[s.Called()] = s.Drained
	}
	maps.DeleteFunc(drained, func(_ string, d bool) bool { return !d })
	return k.pool.SetDrained(slices.Sorted(maps.Keys(drained))...)
}

func (k *keyFlags) close() {
	if k.stop != nil {
		k.stop()
	}
}

func (k *keyFlags) flags(f *pflag.FlagSet) {
	k.known = f
	f.StringVar(&k.file, "keys-file", "", "file of API keys, one a line (or the variable "+apiKeysVariable+"); read again on SIGHUP")
	f.StringVar(&k.limits, "limits", "", "of each key that has none of its own, for instance requests=60,tokens=100000,concurrent=4,budget=64; the first two a minute")
	f.StringVar(&k.in, "limits-in", "", "where they are counted: memory, or store for all replicas together (default: store if that is PostgreSQL)")
}

// defaults are the limits of --limits.
func (k *keyFlags) defaults() (l server.Limits, err error) {
	fields := map[string]*int{"requests": &l.Requests, "tokens": &l.Tokens, "concurrent": &l.Concurrent, "budget": &l.Budget}
	for part := range strings.SplitSeq(k.limits, ",") {
		if k.limits == "" {
			break
		}
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		field, known := fields[name]
		n, err := strconv.Atoi(value)
		switch {
		case !known:
			return l, usagef("--limits: %q is not NAME=NUMBER with a name of requests, tokens, concurrent and budget", part)
		case *field != 0:
			return l, usagef("--limits: %s is said twice; drop one", name)
		case err != nil || n < 1:
			return l, usagef("--limits: %s is %q; give a whole number above 0, or leave it out for no limit", name, value)
		}
		*field = n
	}
	return l, nil
}

// keys reads the keys that clients need, from the file or the environment, and
// adds those of the configuration.
func (k *keyFlags) keys() ([]server.Key, error) {
	from, text, sep := apiKeysVariable, os.Getenv(apiKeysVariable), ","
	if k.file != "" {
		b, err := os.ReadFile(k.file)
		if err != nil {
			return nil, fmt.Errorf("read API keys: %w: give a readable file to --keys-file", err)
		}
		from, text, sep = k.file, strings.TrimPrefix(string(b), byteOrderMark), "\n"
	}
	var keys []server.Key
	if k.conf != nil {
		keys = append(keys, k.conf.keys...)
	}
	line := 0
	for word := range strings.SplitSeq(text, sep) {
		line++
		if word = strings.TrimSpace(word); word == "" || strings.HasPrefix(word, "#") {
			continue
		}
		key, err := parseKey("", word)
		if err != nil {
			return nil, usagef("%s, entry %d: %w", from, line, err)
		}
		keys = append(keys, key)
	}
	if k.file != "" && strings.TrimSpace(text) == "" || k.file != "" && len(keys) == 0 {
		return nil, usagef("--keys-file %s holds no key: write one a line, or drop the flag to let everyone in", k.file)
	}
	return keys, nil
}

// byteOrderMark is what some editors put before a text, and no part of its first key.
const byteOrderMark = "\ufeff"

// hashMark begins a key that is given by its SHA-256 in hexadecimal digits.
const hashMark = "sha256:"

func parseKey(name, word string) (server.Key, error) {
	digits, hashed := strings.CutPrefix(word, hashMark)
	if !hashed && strings.ContainsFunc(word, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return server.Key{}, errors.New("a key has no blanks or control characters in it; write the key alone: names are for the configuration file")
	}
	if !hashed {
		return server.NewKey(name, word), nil
	}
	var hash [32]byte
	if n, err := hex.Decode(hash[:], []byte(digits[:min(len(digits), 64)])); err != nil || n != len(hash) || len(digits) != 64 {
		return server.Key{}, fmt.Errorf("what follows %s is not 64 hexadecimal digits; make them with: printf %%s KEY | sha256sum", hashMark)
	}
	return server.HashedKey(name, hash), nil
}
