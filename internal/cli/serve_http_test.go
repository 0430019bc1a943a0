package cli

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// certify writes a certificate for 127.0.0.1 and its key.
func certify(t *testing.T, dir, name string) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return cert, key, pool
}

func TestTLS(t *testing.T) {
	cert, key, pool := certify(t, t.TempDir(), "first")
	url, _, stop := served(t, "--tls-cert", cert, "--tls-key", key)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	resp, err := (&http.Client{Transport: tr}).Get(url + "/v1/models")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 || resp.ProtoMajor != 2 {
		t.Errorf("%s %s", resp.Proto, resp.Status)
	}
	tr.CloseIdleConnections()
	if code := stop(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// A certificate that is replaced is taken up without a restart; one that is
// broken, or half replaced, is not.
func TestCertificateReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		name := func(c *certificate) string {
			got, err := c.get(nil)
			if err != nil {
				t.Fatal(err)
			}
			return got.Leaf.Subject.CommonName
		}
		c := &certificate{}
		c.cert, c.key, _ = certify(t, dir, "first")
		if err := c.load(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(certificateEvery)
		if got := name(c); got != "first" {
			t.Errorf("%s", got)
		}
		certify(t, dir, "the second")
		if got := name(c); got != "first" {
			t.Errorf("the files are read at each handshake: %s", got)
		}
		time.Sleep(certificateEvery)
		if got := name(c); got != "the second" {
			t.Errorf("%s", got)
		}
		if err := os.WriteFile(c.key, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(certificateEvery)
		if got := name(c); got != "the second" {
			t.Errorf("%s", got)
		}
		certify(t, dir, "the third one")
		time.Sleep(certificateEvery)
		if got := name(c); got != "the third one" {
			t.Errorf("%s", got)
		}
	})
}

func TestHTTPFlags(t *testing.T) {
	for _, h := range []httpFlags{{cert: "x"}, {key: "x"}, {proxies: []string{"proxy.example"}}, {proxies: []string{"10.0.0.0/33"}}} {
		if err := h.check(); err == nil {
			t.Errorf("%+v is taken", h)
		}
	}
	h := httpFlags{proxies: []string{"10.1.2.3", "10.0.0.1/8", "::1"}}
	if got, err := h.prefixes(); err != nil || len(got) != 3 || got[0].String() != "10.1.2.3/32" || got[1].String() != "10.0.0.0/8" {
		t.Errorf("%v %v", got, err)
	}
}
