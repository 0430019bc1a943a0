package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"orrery/think/reason"
)

// Key is an API key, and what whoever sends it may do.
type Key struct {
	// Name stands for the key in logs, records and measurements.
	Name string
	// Hash is the SHA-256 of the key: equal lengths, so that comparing takes the
	// same time whatever was sent, and nothing to leak by accident.
	Hash [sha256.Size]byte
	// Limits hold for all that is asked with this key. A zero field is
	// Config.Limits'; a negative one is no limit.
	Limits Limits
	// Methods are those that may be asked for; nil: all.
	Methods []string
	// SeesAll: the page shows what was asked with any key, and the operator's own
	// runs and reports; else what was asked with this one.
	SeesAll bool
}

// NewKey makes a Key of a secret without limits of its own. An empty name
// becomes one made of the hash, so that it stays the same wherever the key
// stands.
func NewKey(name, secret string) Key {
	return HashedKey(name, sha256.Sum256([]byte(secret)))
}

// HashedKey is NewKey for a secret of which only the SHA-256 is known.
func HashedKey(name string, hash [sha256.Size]byte) Key {
	if name == "" {
		name = "key-" + hex.EncodeToString(hash[:3])
	}
	return Key{Name: name, Hash: hash}
}

// client is who asks.
type client struct {
	name    string
	limits  Limits
	methods []string // nil: all
	all     bool     // sees what others ask
}

// called is the client's name in logs; "": it has none, or was not let in.
func (c *client) called() string {
	if c == nil {
		return ""
	}
	return c.name
}

// allows reports whether the client may ask for a method.
func (c *client) allows(method string) bool {
	return c.methods == nil || slices.Contains(c.methods, method)
}

// keyring is what a server knows of its clients. It is not changed.
type keyring struct {
	hashes  [][sha256.Size]byte
	clients []*client
	nobody  *client // whoever asks where no key is needed

	replaced chan struct{} // closed when there are others
}

func newKeyring(keys []Key, limits Limits) (*keyring, error) {
	k := &keyring{nobody: &client{limits: limits, all: true}, replaced: make(chan struct{})}
	if err := limits.check(); err != nil {
		return nil, err
	}
	names, hashes := map[string]bool{}, map[[sha256.Size]byte]string{}
	for _, key := range keys {
		switch other, twice := hashes[key.Hash]; {
		case key.Name == "" || strings.ContainsFunc(key.Name, func(r rune) bool { return r < ' ' || r == 0x7f }):
			return nil, fmt.Errorf("the API key named %q needs a name without control characters", key.Name)
		case key.Hash == sha256.Sum256(nil):
			return nil, fmt.Errorf("API key %s is empty; drop it, or give no keys at all to let everyone in", key.Name)
		case names[key.Name]:
			return nil, fmt.Errorf("two API keys are named %s; give each its own name", key.Name)
		case twice:
			return nil, fmt.Errorf("API keys %s and %s are the same; drop one", other, key.Name)
		}
		names[key.Name], hashes[key.Hash] = true, key.Name
		own := key.Limits.or(limits)
		if err := own.check(); err != nil {
			return nil, fmt.Errorf("API key %s: %w", key.Name, err)
		}
		for _, m := range key.Methods {
			if _, err := reason.Lookup(m); err != nil {
				return nil, fmt.Errorf("API key %s: %w", key.Name, err)
			}
		}
		k.hashes = append(k.hashes, key.Hash)
		k.clients = append(k.clients, &client{name: key.Name, limits: own, methods: key.Methods, all: key.SeesAll})
	}
	return k, nil
}

// CheckKeys says what is wrong with keys and the limits of those that have none.
func CheckKeys(keys []Key, limits Limits) error {
	if _, err := newKeyring(keys, limits); err != nil {
		return fmt.Errorf("check API keys: %w", err)
	}
	return nil
}

// find is the position of the key that a request carries; -1: it carries none
// of them.
func (k *keyring) find(r *http.Request) int {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return -1
	}
	sent := sha256.Sum256([]byte(strings.TrimSpace(token)))
	return position(k.hashes, func(h *[sha256.Size]byte) int { return subtle.ConstantTimeCompare(sent[:], h[:]) })
}

// position is where equal says 1, or -1. All are compared, and the result is
// chosen without a branch, so that the time says nothing about which it is.
func position(hashes [][sha256.Size]byte, equal func(*[sha256.Size]byte) int) int {
	found, at := 0, 0
	for i := range hashes {
		same := equal(&hashes[i])
		at = subtle.ConstantTimeSelect(same, i, at)
		found |= same
	}
	return subtle.ConstantTimeSelect(found, at, -1)
}

// who is the client that a request comes from; nil: it has no key and needs one.
func (k *keyring) who(r *http.Request) *client {
	if len(k.hashes) == 0 {
		return k.nobody
	}
	at := k.find(r)
	if at < 0 {
		return nil
	}
	return k.clients[at]
}

// SetKeys replaces the API keys. Requests that were let in go on as they were;
// what a key's name has used of its limits stays used. A server that needs keys
// cannot be told to need none.
func (s *Server) SetKeys(keys []Key) error {
	k, err := newKeyring(keys, s.cfg.Limits)
	if err == nil && len(keys) == 0 && len(s.keys.Load().hashes) > 0 {
		err = errors.New("there are none any more, which would let everyone in; start the server anew to mean that")
	}
	if err != nil {
		return fmt.Errorf("change the API keys: %w", err)
	}
	close(s.keys.Swap(k).replaced)
	return nil
}

// whileKnown calls end as soon as the keys have changed so that a request would no
// longer be let in as c. Stop must be called when it has ended.
func (s *Server) whileKnown(r *http.Request, c *client, end func()) (stop func()) {
	done := make(chan struct{})
	go func() {
		for {
			k := s.keys.Load()
			if now := k.who(r); now == nil || now.name != c.name || now.all != c.all {
				end()
				return
			}
			select {
			case <-k.replaced:
			case <-done:
				return
			}
		}
	}()
	return func() { close(done) }
}

// clientKey is the context key of the *client that a request has been let in as.
// It is there also for what the page asks on its behalf within this process; no
// client can set it.
type clientKey struct{}

// Client is the name of the API key that a request was let in with; "": none was
// needed.
func Client(ctx context.Context) string {
	if c, ok := ctx.Value(clientKey{}).(*client); ok {
		return c.name
	}
	return ""
}

// SeesAll reports whether whoever a request was let in as may see what others
// have asked: everyone where no keys are needed, else keys that say so.
func SeesAll(ctx context.Context) bool {
	c, ok := ctx.Value(clientKey{}).(*client)
	return ok && c.all
}
