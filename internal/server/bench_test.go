package server

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"orrery/internal/upstream"
)

// BenchmarkProxy counts tokens of one streamed chat over loopback sockets, each
// an event of its own: read directly from the model's server, through Go's
// ReverseProxy, which copies bytes, and through this server, which parses each
// event, runs it through a method and writes it anew. The server is a loop over
// prepared bytes, so that nothing but the way is measured.
//
// "paced" sends a token when the client has read the one before, as a model
// that is slower than the network does: the overhead is what a token comes
// later. "flood" sends as fast as it can: the overhead is work, and ReverseProxy
// may copy many events at once.
func BenchmarkProxy(b *testing.B) {
	for _, pace := range []string{"paced", "flood"} {
		for _, way := range []string{"direct", "reverseproxy", "orrery"} {
			b.Run(pace+"/"+way, func(b *testing.B) { benchmarkWay(b, pace == "paced", way) })
		}
	}
}

// tokensPerStream amortises the request itself.
const tokensPerStream = 2000

func benchmarkWay(b *testing.B, paced bool, way string) {
	next := make(chan struct{}, 1)
	event := []byte(`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"bench","choices":[{"index":0,"delta":{"content":" token"},"logprobs":null,"finish_reason":null}]}` + "\n\n")
	last := []byte(`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"bench","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n")
	model := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		for range tokensPerStream {
			if paced {
				select {
				case <-next:
				case <-r.Context().Done():
					return
				}
			}
			w.Write(event)
			w.(http.Flusher).Flush()
		}
		w.Write(last)
	}))
	defer model.Close()
	front := model.URL
	switch way {
	case "reverseproxy":
		to, err := url.Parse(model.URL)
		if err != nil {
			b.Fatal(err)
		}
		behind := &http.Transport{DisableCompression: true}
		defer behind.CloseIdleConnections()
		proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Body = http.NoBody; r.Out.ContentLength = 0 }, FlushInterval: -1, Transport: behind})
		defer proxy.Close()
		front = proxy.URL
	case "orrery":
		g, err := upstream.New(upstream.Config{URL: model.URL, Dialect: "openai", Model: "bench"})
		if err != nil {
			b.Fatal(err)
		}
		defer g.Close()
		s, err := New(Config{Generator: g})
		if err != nil {
			b.Fatal(err)
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		done := make(chan error)
		go func() { done <- s.Serve(ctx, l) }()
		defer func() {
			cancel()
			if err := <-done; err != nil {
				b.Error(err)
			}
		}()
		front = "http://" + l.Addr().String()
	}
	tr := &http.Transport{DisableCompression: true}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	body := fmt.Sprintf(`{"model": "bench", "stream": true, "max_tokens": %d, %s}`, 2*tokensPerStream, user)
	b.ReportAllocs()
	for b.Loop() {
		if paced {
			next <- struct{}{} // the first, which brings the headers
		}
		resp, err := client.Post(front+"/v1/chat/completions", "application/json", strings.NewReader(body))
		if err == nil && resp.StatusCode != 200 {
			err = fmt.Errorf("status %d", resp.StatusCode)
		}
		if err != nil {
			b.Fatal(err)
		}
		if n, err := readTokens(resp.Body, paced, next); n != tokensPerStream || err != io.EOF {
			b.Fatalf("%d tokens came, then %v", n, err)
		}
		resp.Body.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/tokensPerStream, "ns/token")
}

// readTokens counts tokens, asking for each if they are paced.
func readTokens(r io.Reader, paced bool, next chan<- struct{}) (n int, err error) {
	token := []byte(`"content":" token"`)
	br := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := br.ReadSlice('\n')
		if bytes.Contains(line, token) {
			if n++; paced && n < tokensPerStream {
				next <- struct{}{}
			}
		}
		if err != nil {
			return n, err
		}
	}
}

// BenchmarkWriteToken counts what a token of a single trace costs this package:
// the event's bytes, without a network.
func BenchmarkWriteToken(b *testing.B) {
	s, err := New(Config{Generator: boxes("4")})
	if err != nil {
		b.Fatal(err)
	}
	x := &exchange{s: s, w: discard{}, rc: http.NewResponseController(discard{}), id: "1", status: 200}
	st := newStream(x, &asked{route: chat, model: "m", method: single(b)}, newTap(nil, false))
	b.ReportAllocs()
	for b.Loop() {
		st.delta("content", " token", nil)
		st.send()
	}
}

type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) WriteHeader(int)             {}
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) FlushError() error           { return nil }
