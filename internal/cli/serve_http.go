package cli

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"orrery/internal/server"
)

func init() { servePart(func(a *app) part { return &httpFlags{app: a} }) }

// httpFlags say how clients reach the server: whose web pages, through which
// proxies, encrypted or not.
type httpFlags struct {
	*app
	hosts, origins, proxies []string
	anyOrigin               bool
	cert, key               string
}

func (h *httpFlags) flags(f *pflag.FlagSet) {
	f.StringSliceVar(&h.hosts, "allow-host", nil, "names that requests may call this server by; matters where it needs no key and listens on this machine alone")
	f.StringSliceVar(&h.origins, "cors-origin", nil, "web origins whose pages may use the API, such as https://example.org, or * for any (default: none)")
	f.BoolVar(&h.anyOrigin, "cors-with-keys", false, "allow --cors-origin * although keys are needed")
	f.StringSliceVar(&h.proxies, "trust-proxy", nil, "addresses of proxies, such as 10.0.0.0/8, whose X-Forwarded-For names the client in the log")
	f.StringVar(&h.cert, "tls-cert", "", "file of the certificate and its chain, in PEM; read again when it changes")
	f.StringVar(&h.key, "tls-key", "", "file of the certificate's key, in PEM")
}

func (h *httpFlags) check() error {
	if (h.cert == "") != (h.key == "") {
		return usagef("--tls-cert and --tls-key belong together: give both or none")
	}
	_, err := h.prefixes()
	return err
}

// prefixes are the proxies' addresses.
func (h *httpFlags) prefixes() (out []netip.Prefix, err error) {
	for _, p := range h.proxies {
		prefix, err := netip.ParsePrefix(p)
		if addr, bad := netip.ParseAddr(p); err != nil && bad == nil {
			prefix, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			return nil, usagef("--trust-proxy %q is not an address or a range of them such as 10.0.0.0/8", p)
		}
		out = append(out, prefix.Masked())
	}
	return out, nil
}

func (h *httpFlags) open(_ context.Context, cfg *server.Config) error {
	for _, host := range h.hosts {
		cfg.Hosts = append(cfg.Hosts, strings.ToLower(host))
	}
	cfg.Origins, cfg.AnyOriginWithKeys = h.origins, h.anyOrigin
	cfg.Proxies, _ = h.prefixes()
	if h.cert == "" {
		return nil
	}
	c := &certificate{cert: h.cert, key: h.key, log: cfg.Logger}
	if err := c.load(); err != nil {
		return err
	}
	cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
	return nil
}

func (h *httpFlags) start(*server.Server) error { return nil }
func (h *httpFlags) close()                     {}

// certificate is a certificate in files that are replaced now and then.
type certificate struct {
	cert, key string
	log       *slog.Logger // nil: none

	mu      sync.Mutex
	now     *tls.Certificate
	stamp   string    // of the files that now was made of
	checked time.Time // when they were last looked at
}

// certificateEvery is how often the files are looked at, at handshakes.
const certificateEvery = 10 * time.Second

// load reads the files.
func (c *certificate) load() error {
	stamp := c.stamped()
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return fmt.Errorf("read the certificate of --tls-cert and --tls-key: %w: give readable files in PEM that belong together", err)
	}
	c.now, c.stamp = &pair, stamp
	return nil
}

// stamped is when the files were changed, and their sizes.
func (c *certificate) stamped() string {
	var out strings.Builder
	for _, name := range []string{c.cert, c.key} {
		if info, err := os.Stat(name); err == nil {
			fmt.Fprintln(&out, info.ModTime().UnixNano(), info.Size())
		}
	}
	return out.String()
}

// get is the newest certificate that could be read.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.checked) >= certificateEvery {
		c.checked = time.Now()
		if c.stamped() != c.stamp {
			err := c.load()
			if err != nil && c.log != nil {
				c.log.Error("the certificate stays as it was", "error", err.Error())
			}
		}
	}
	return c.now, nil
}
