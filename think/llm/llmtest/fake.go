package llmtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"orrery/think/llm"
)

// Fake is a scripted server that speaks one dialect: vllm, sglang, llamacpp,
// ollama or openai. Set its fields before its first request.
type Fake struct {
	Dialect string
	Model   string // "": "fake"
	APIKey  string // if set, other requests are refused
	Slots   int    // how many requests are worked on at once; 0: all
	Rules   []Rule // the first that fits; none fits: 400

	once  sync.Once
	slots chan struct{}

	mu      sync.Mutex
	calls   []*Call
	served  []int // by rule
	gates   map[int]*gate
	prompts []string // distinct ones
	active  int
	peak    int
	other   map[string]int // requests that generate nothing, by path
}

// gate lets tokens of one call through.
type gate struct {
	credit int
	wake   chan struct{}
}

func (f *Fake) init() {
	f.once.Do(func() {
		if f.Slots > 0 {
			f.slots = make(chan struct{}, f.Slots)
		}
		f.served = make([]int, len(f.Rules))
		f.gates = map[int]*gate{}
		f.other = map[string]int{}
	})
}

func (f *Fake) model() string {
	if f.Model == "" {
		return "fake"
	}
	return f.Model
}

// Calls returns what was observed of each generating request so far.
func (f *Fake) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]Call, len(f.calls))
	for i, c := range f.calls {
		out[i] = *c
	}
	return out
}

// Peak is the most requests that were worked on at once.
func (f *Fake) Peak() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.peak
}

// Active is how many requests are worked on now.
func (f *Fake) Active() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.active
}

// Requests is how often a path was asked for that generates nothing.
func (f *Fake) Requests(path string) int {
	f.init()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.other[path]
}

// Release lets the next m tokens of call n through its gate. It may come
// before the call does.
func (f *Fake) Release(n, m int) {
	f.init()
	f.mu.Lock()
	defer f.mu.Unlock()
	g := f.gate(n)
	g.credit += m
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

func (f *Fake) gate(n int) *gate {
	g := f.gates[n]
	if g == nil {
		g = &gate{wake: make(chan struct{}, 1)}
		f.gates[n] = g
	}
	return g
}

// pass waits until a token of call n may go out; false if ctx ended first.
func (f *Fake) pass(ctx context.Context, n int) bool {
	for {
		f.mu.Lock()
		g := f.gate(n)
		ok := g.credit > 0
		if ok {
			g.credit--
		}
		f.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-g.wake:
		case <-ctx.Done():
			return false
		}
	}
}

// ServeHTTP implements http.Handler.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.init()
	if f.APIKey != "" && r.Header.Get("Authorization") != "Bearer "+f.APIKey {
		// Real servers echo what they were given.
		given := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		f.refuse(w, http.StatusUnauthorized, "", "Incorrect API key provided: "+given)
		return
	}
	if r.Method == http.MethodGet {
		f.mu.Lock()
		f.other[r.URL.Path]++
		f.mu.Unlock()
		f.serveGet(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	switch p := r.URL.Path; {
	case p == "/v1/chat/completions", p == "/v1/completions",
		p == "/completion" && f.Dialect == "llamacpp", p == "/api/generate" && f.Dialect == "ollama":
		f.generate(w, r, body)
	default:
		f.mu.Lock()
		f.other[p]++
		f.mu.Unlock()
		f.servePost(w, p, body)
	}
}

// serveGet answers the routes that tell what a server is.
func (f *Fake) serveGet(w http.ResponseWriter, r *http.Request) {
	owner := map[string]string{"vllm": "vllm", "sglang": "sglang", "llamacpp": "llamacpp", "ollama": "library", "openai": "system"}[f.Dialect]
	reply := func(v any) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(v)
	}
	type object = map[string]any
	switch p := r.URL.Path; {
	case p == "/v1/models":
		reply(object{"object": "list", "data": []object{{"id": f.model(), "object": "model", "owned_by": owner}}})
	case p == "/health" && f.Dialect != "ollama" && f.Dialect != "openai":
		reply(object{"status": "ok"})
	case p == "/version" && f.Dialect == "vllm", p == "/api/version" && f.Dialect == "ollama":
		reply(object{"version": "0.99.0"})
	case p == "/get_model_info" && f.Dialect == "sglang":
		reply(object{"model_path": f.model()})
	case p == "/props" && f.Dialect == "llamacpp":
		reply(object{"total_slots": max(f.Slots, 1), "model_path": f.model()})
	case p == "/slots" && f.Dialect == "llamacpp":
		slots, busy := []object{}, f.Active()
		for i := range max(f.Slots, 1, busy) {
			slots = append(slots, object{"id": i, "is_processing": i < busy})
		}
		reply(slots)
	case p == "/metrics" && f.Dialect == "vllm":
		fmt.Fprintf(w, "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{model_name=%q} %d.0\n", f.model(), f.Active())
	case p == "/metrics" && f.Dialect == "sglang":
		fmt.Fprintf(w, "sglang:num_running_reqs{model_name=%q} %d.0\n", f.model(), f.Active())
	default:
		f.refuse(w, http.StatusNotFound, "", "Not Found")
	}
}

// Rendered is what the fake's chat template makes of messages.
func Rendered(messages []llm.Message) string {
	var b strings.Builder
	for i, m := range messages {
		b.WriteString("<|" + m.Role + "|>" + m.Content)
		if i+1 < len(messages) || m.Role != "assistant" {
			b.WriteString("<|end|>")
		}
	}
	if n := len(messages); n == 0 || messages[n-1].Role != "assistant" {
		b.WriteString("<|assistant|>")
	}
	return b.String()
}

// servePost answers the routes about templates. A token is a byte.
func (f *Fake) servePost(w http.ResponseWriter, path string, body []byte) {
	var in struct {
		Messages []llm.Message
		Tokens   []int
	}
	if err := json.Unmarshal(body, &in); err != nil {
		f.refuse(w, http.StatusBadRequest, "", err.Error())
		return
	}
	out := map[string]any{}
	switch {
	case path == "/tokenize" && f.Dialect == "vllm":
		tokens := []int{}
		for _, b := range []byte(Rendered(in.Messages)) {
			tokens = append(tokens, int(b))
		}
		out["tokens"] = tokens
	case path == "/detokenize" && f.Dialect == "vllm":
		var b []byte
		for _, t := range in.Tokens {
			b = append(b, byte(t))
		}
		out["prompt"] = string(b)
	case path == "/apply-template" && f.Dialect == "llamacpp":
		out["prompt"] = Rendered(in.Messages)
	default:
		f.refuse(w, http.StatusNotFound, "", "Not Found")
		return
	}
	json.NewEncoder(w).Encode(out)
}

// refuse writes an error in the dialect's shape.
func (f *Fake) refuse(w http.ResponseWriter, code int, param, words string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	var v any
	switch f.Dialect {
	case "vllm":
		v = map[string]any{"error": map[string]any{"message": words, "type": "BadRequestError", "param": param, "code": code}}
	case "sglang":
		v = map[string]any{"object": "error", "message": words, "type": "BadRequestError", "param": nil, "code": code}
	case "llamacpp":
		kind := "invalid_request_error"
		if strings.Contains(words, "context") {
			kind = "exceed_context_size_error"
		}
		v = map[string]any{"error": map[string]any{"message": words, "type": kind, "code": code}}
	default:
		v = map[string]any{"error": map[string]any{"message": words, "type": "invalid_request_error", "param": param, "code": nil}}
	}
	json.NewEncoder(w).Encode(v)
}

// observe files a request and finds its reply.
func (f *Fake) observe(r *http.Request, body []byte) (*Call, *Reply, error) {
	c, err := f.parse(r, body)
	if err != nil {
		return nil, nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c.N, c.Arrived = len(f.calls), time.Now()
	f.calls = append(f.calls, c)
	known := false
	for _, p := range f.prompts {
		n := 0
		for n < min(len(p), len(c.Prompt)) && p[n] == c.Prompt[n] {
			n++
		}
		c.Prefix = max(c.Prefix, n)
		known = known || p == c.Prompt
	}
	if !known {
		f.prompts = append(f.prompts, c.Prompt)
	}
	for i := range f.Rules {
		rule := &f.Rules[i]
		if rule.Times > 0 && f.served[i] >= rule.Times || rule.When != nil && !rule.When(c) {
			continue
		}
		f.served[i]++
		reply := rule.Reply
		if rule.Make != nil {
			reply = rule.Make(c)
		}
		return c, &reply, nil
	}
	return c, nil, nil
}

// parse reads a request of any dialect.
func (f *Fake) parse(r *http.Request, body []byte) (*Call, error) {
	type options struct {
		Seed       uint64
		NumPredict int `json:"num_predict"`

		Temperature float64
	}
	var in struct {
		options
		Messages            []llm.Message
		Prompt              string
		MaxTokens           int `json:"max_tokens"`
		MaxCompletionTokens int `json:"max_completion_tokens"`
		NPredict            int `json:"n_predict"`
		Logprobs            json.RawMessage
		TopLogprobs         int `json:"top_logprobs"`
		NProbs              int `json:"n_probs"`
		Stop                []string
		Keep                bool  `json:"include_stop_str_in_output"`
		NoTrim              bool  `json:"no_stop_trim"`
		IDs                 bool  `json:"return_tokens_as_token_ids"`
		SeparateReasoning   *bool `json:"separate_reasoning"`
		Options             options
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	c := &Call{
		Path: r.URL.Path, Header: r.Header, Body: body, Messages: in.Messages, Prompt: in.Prompt, Stop: in.Stop,
		Seed: max(in.Seed, in.Options.Seed), Temperature: max(in.Temperature, in.Options.Temperature),
		MaxTokens:   max(in.MaxTokens, in.MaxCompletionTokens, in.NPredict, in.Options.NumPredict),
		TopLogprobs: max(in.TopLogprobs, in.NProbs), ids: in.IDs,
		KeepStop:   f.Dialect == "vllm" && in.Keep || f.Dialect == "sglang" && in.NoTrim,
		noSeparate: in.SeparateReasoning != nil && !*in.SeparateReasoning,
	}
	if len(in.Messages) > 0 {
		var lines []string
		for _, m := range in.Messages {
			lines = append(lines, m.Content)
		}
		c.Prompt = strings.Join(lines, "\n")
	}
	if k := 0; c.TopLogprobs == 0 && json.Unmarshal(in.Logprobs, &k) == nil {
		c.TopLogprobs = k // completions: "logprobs": k
	}
	return c, nil
}
