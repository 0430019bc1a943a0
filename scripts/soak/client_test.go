package soak

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

const key = "sk-soak"

// kind is one way in which a request is sent, and may go wrong.
type kind struct {
	name   string
	weight int
	model  string // what the model's server does: the question's last word
	method string
	more   string // fields of the body
	stream bool
	key    string
	client func(context.Context, *rand.Rand) (context.Context, context.CancelFunc) // when it leaves; nil: it stays
	half   bool                                                                    // of the body is sent, then the connection is closed
}

func leaves(most time.Duration) func(context.Context, *rand.Rand) (context.Context, context.CancelFunc) {
	return func(ctx context.Context, rng *rand.Rand) (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, time.Duration(rng.Int64N(int64(most))))
	}
}

var kinds = []kind{
	{name: "nothing, whole", weight: 20, method: "single"},
	{name: "nothing, streamed", weight: 20, method: "single", stream: true, more: `"logprobs": true, "top_logprobs": 2, `},
	{name: "nothing, 4 votes", weight: 8, method: "majority", stream: true, more: `"orrery": {"budget": 4, "progress": true}, `},
	{name: "nothing, deepconf", weight: 6, method: "deepconf-high", more: `"orrery": {"budget": 6, "warmup": 3}, `},
	{name: "model killed", weight: 6, model: "killed", method: "single", stream: true},
	{name: "model killed, 3 votes", weight: 3, model: "killed", method: "majority", more: `"orrery": {"budget": 3}, `},
	{name: "model slow", weight: 6, model: "slow", method: "single", stream: true},
	{name: "model slow, deadline", weight: 4, model: "slow", method: "majority", more: `"orrery": {"budget": 3, "deadline_seconds": 0.2}, `},
	{name: "model malformed", weight: 6, model: "malformed", method: "single"},
	{name: "model truncated", weight: 4, model: "truncated", method: "single", stream: true},
	{name: "model silent", weight: 4, model: "silent", method: "single", stream: true},
	{name: "model refuses", weight: 4, model: "broken", method: "single"},
	{name: "model sends a page", weight: 3, model: "page", method: "single"},
	{name: "client leaves at once", weight: 6, method: "single", model: "slow", client: leaves(10 * time.Millisecond)},
	{name: "client leaves a stream", weight: 8, method: "majority", stream: true, model: "slow", more: `"orrery": {"budget": 3, "progress": true}, `, client: leaves(500 * time.Millisecond)},
	{name: "client breaks off", weight: 4, half: true},
	{name: "client's question wrong", weight: 4, method: "single", more: `"n": 2, `},
	{name: "client's method wrong", weight: 3, method: "astrology"},
	{name: "client's key wrong", weight: 4, method: "single", key: "sk-wrong"},
}

// outcome is what a client saw.
type outcome uint8

const (
	unseen outcome = iota
	answered
	errorEvent // in a stream that had begun
	refused4xx
	failed5xx
	left      // the client went before the end
	unsent    // it went before its request was on its way: the server knows of none
	brokenOff // the server or the network did; nothing here should
	outcomes
)

var outcomeNames = [outcomes]string{"?", "answer", "error event", "4xx", "5xx", "left", "not sent", "broken off"}

// send sends request n of a kind and reports what came back.
func send(ctx context.Context, c *http.Client, address string, k *kind, n int, rng *rand.Rand) outcome {
	if k.half {
		return sendHalf(ctx, address, n)
	}
	if k.client != nil {
		var cancel context.CancelFunc
		ctx, cancel = k.client(ctx, rng)
		defer cancel()
	}
	model := k.model
	if model == "" {
		model = "well"
	}
	body := fmt.Sprintf(`{"model": "soak@%s", "stream": %v, %s"max_tokens": 100, "messages": [{"role": "user", "content": "request %d %s"}]}`, k.method, k.stream, k.more, n, model)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	if k.key != "" {
		r.Header.Set("Authorization", "Bearer "+k.key)
	}
	r.Header.Set(idHeader, requestID(n))
	var wrote atomic.Bool // something has gone to the system: from then on the server must know
	if k.client != nil {
		tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &noting{conn, &wrote}, nil
		}}
		defer tr.CloseIdleConnections()
		c = &http.Client{Transport: tr}
	}
	resp, err := c.Do(r)
	switch {
	case err == nil:
	case ctx.Err() == nil:
		return brokenOff
	case !wrote.Load():
		return unsent
	default:
		return left
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(resp.Body)
	switch {
	case err != nil && ctx.Err() != nil:
		return left
	case err != nil:
		return brokenOff
	case resp.StatusCode >= 500:
		return failed5xx
	case resp.StatusCode >= 400:
		return refused4xx
	case k.stream && !bytes.HasSuffix(reply, []byte("data: [DONE]\n\n")):
		return brokenOff
	case k.stream && bytes.Contains(reply, []byte(`data: {"error":`)):
		return errorEvent
	}
	return answered
}

// noting is a connection that notes whether it was written to. A hook of the
// client's would say so of what is still in its buffer.
type noting struct {
	net.Conn
	wrote *atomic.Bool
}

func (n *noting) Write(p []byte) (int, error) {
	k, err := n.Conn.Write(p)
	if k > 0 {
		n.wrote.Store(true)
	}
	return k, err
}

// sendHalf sends a request whose body never comes whole.
func sendHalf(ctx context.Context, address string, n int) outcome {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return brokenOff
	}
	fmt.Fprintf(conn, "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n%s: %s\r\nContent-Length: 500\r\n\r\n{\"messages\": [{", key, idHeader, requestID(n))
	conn.Close()
	return left
}
