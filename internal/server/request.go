package server

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"orrery/think/llm"
	"orrery/think/reason"
)

// route is one of the two ways to ask.
type route string

const (
	chat        route = "chat"
	completions route = "completions"
)

// plainMethod is what the plain name of a model stands for.
const plainMethod = "single"

// body is what a request may say. Numbers that are parameters of a method stay
// raw: params.go reads them. Fields that no OpenAI-compatible server needs to
// know are ignored; those that would change the answer and cannot be honoured
// are refused, which is why they are here.
type body struct {
	Model         string          `json:"model"`
	Messages      []message       `json:"messages"`
	Prompt        json.RawMessage `json:"prompt"`
	Stream        bool            `json:"stream"`
	StreamOptions *struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	Stop stops `json:"stop"`

	MaxTokens           json.RawMessage `json:"max_tokens"`
	MaxCompletionTokens json.RawMessage `json:"max_completion_tokens"`
	Temperature         json.RawMessage `json:"temperature"`
	TopP                json.RawMessage `json:"top_p"`
	TopK                json.RawMessage `json:"top_k"`
	Seed                json.RawMessage `json:"seed"`
	Logprobs            json.RawMessage `json:"logprobs"` // chat: whether; completions: how many
	TopLogprobs         *int            `json:"top_logprobs"`
	Orrery              json.RawMessage `json:"orrery"`

	N                *int              `json:"n"`
	BestOf           *int              `json:"best_of"`
	Echo             bool              `json:"echo"`
	Suffix           string            `json:"suffix"`
	Tools            []json.RawMessage `json:"tools"`
	ToolChoice       json.RawMessage   `json:"tool_choice"`
	Functions        []json.RawMessage `json:"functions"`
	PresencePenalty  float64           `json:"presence_penalty"`
	FrequencyPenalty float64           `json:"frequency_penalty"`
	LogitBias        map[string]any    `json:"logit_bias"`
	ResponseFormat   *struct {
		Type string `json:"type"`
	} `json:"response_format"`
}

// message is one turn; its content is a text or a list of text parts.
type message struct {
	Role    string  `json:"role"`
	Content content `json:"content"`
}

type content struct {
	text  string
	wrong string // what else it holds; "": nothing
}

func (c *content) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, &c.text) == nil && b[0] == '"' {
		return nil
	}
	var parts []struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	if string(b) == "null" || json.Unmarshal(b, &parts) != nil {
		c.wrong = "no text"
		return nil
	}
	var text strings.Builder
	for _, p := range parts {
		if p.Type != "text" && p.Type != "input_text" {
			c.wrong = fmt.Sprintf("a part of type %.40q", p.Type)
			return nil
		}
		text.WriteString(p.Text)
	}
	c.text = text.String()
	return nil
}

// stops is one stop string or a list of them.
type stops []string

func (s *stops) UnmarshalJSON(b []byte) error {
	var one string
	if b[0] == '"' {
		err := json.Unmarshal(b, &one)
		*s = stops{one}
		return err
	}
	return json.Unmarshal(b, (*[]string)(s))
}

// Each stop string costs a step of its automaton a byte of every trace.
const (
	maxStops      = 16
	maxStopLength = 1 << 10
)

// asked is a request that makes sense.
type asked struct {
	route    route
	model    string // as it is called in replies
	method   reason.Method
	params   reason.Params
	question reason.Question
	stream   bool
	usage    bool // a last chunk with the usage
	progress bool
	logprobs bool
	top      int // alternatives a token in the reply
}

// read reads and checks a request's body.
func (x *exchange) read(rt route) (*asked, *apiError) {
	var b body
	if err := x.decode(&b); err != nil {
		return nil, err
	}
	for _, check := range []func(*body, route) *apiError{refusedFields, checkStops} {
		if err := check(&b, rt); err != nil {
			return nil, err
		}
	}
	o, err := readOptions(b.Orrery)
	if err != nil {
		return nil, err
	}
	a := &asked{route: rt, stream: b.Stream, progress: o.Progress}
	if a.method, a.model, err = x.s.method(b.Model, o.Method); err != nil {
		return nil, err
	}
	if err = x.client.permits(a.method.Name()); err != nil {
		return nil, err
	}
	if a.question, err = question(&b, rt); err != nil {
		return nil, err
	}
	a.usage = b.StreamOptions != nil && b.StreamOptions.IncludeUsage
	switch {
	case b.StreamOptions != nil && !b.Stream:
		return nil, invalid("stream_options", "stream_options says how to stream, but stream is not true; drop one or set the other")
	case a.progress && !b.Stream:
		return nil, invalid("orrery.progress", "orrery.progress is shown in a stream, but stream is not true; drop one or set the other")
	case a.progress && rt != chat:
		return nil, invalid("orrery.progress", "orrery.progress is sent as reasoning_content, which only chat completions have; use /v1/chat/completions")
	}
	if a.logprobs, a.top, err = logprobs(&b, rt, a.method); err != nil {
		return nil, err
	}
	a.params, err = x.s.params(x.client, a, &b, o)
	return a, err
}

// refusedFields are those that would change the answer and cannot be honoured.
// Their neutral values are fine: many clients always send them.
func refusedFields(b *body, rt route) *apiError {
	one := func(p *int) bool { return p == nil || *p == 1 }
	tools := len(b.Tools) > 0 && string(b.ToolChoice) != `"none"`
	switch {
	case !one(b.N):
		return invalid("n", fmt.Sprintf("n is %d, but each request has one answer; send the request %d times, or use a method such as majority, which weighs many traces into one", *b.N, max(2, *b.N)))
	case !one(b.BestOf):
		return invalid("best_of", "best_of is not served; a method such as majority weighs many traces into one answer")
	case b.Echo:
		return invalid("echo", "echo is not served: the reply holds the continuation only; put the prompt in front of it yourself")
	case b.Suffix != "":
		return invalid("suffix", "suffix is not served: text is continued, not filled in")
	case tools, len(b.Functions) > 0:
		return invalid("tools", "tools are not served; drop them, or ask the model's own server")
	case b.PresencePenalty != 0 || b.FrequencyPenalty != 0:
		return invalid("presence_penalty", "penalties are not served: they change the log-probabilities that confidence is measured from; set them to 0")
	case len(b.LogitBias) > 0:
		return invalid("logit_bias", "logit_bias is not served: it changes the log-probabilities that confidence is measured from; drop it")
	case b.ResponseFormat != nil && b.ResponseFormat.Type != "text" && b.ResponseFormat.Type != "":
		return invalid("response_format", fmt.Sprintf("response_format %.40q is not served; only text is", b.ResponseFormat.Type))
	}
	return nil
}

func checkStops(b *body, _ route) *apiError {
	if len(b.Stop) > maxStops {
		return invalid("stop", fmt.Sprintf("stop has %d strings and at most %d are served", len(b.Stop), maxStops))
	}
	for _, s := range b.Stop {
		if s == "" || len(s) > maxStopLength {
			return invalid("stop", fmt.Sprintf("stop has a string of %d bytes; each must have 1 to %d", len(s), maxStopLength))
		}
	}
	return nil
}

// question is what the traces will be asked.
func question(b *body, rt route) (reason.Question, *apiError) {
	q := reason.Question{Stop: b.Stop}
	if rt == completions {
		if len(b.Messages) > 0 {
			return q, invalid("messages", "messages belong to /v1/chat/completions; here a prompt is expected")
		}
		prompt, err := prompt(b.Prompt)
		q.Prompt = prompt
		return q, err
	}
	if len(b.Prompt) > 0 && string(b.Prompt) != "null" {
		return q, invalid("prompt", "a prompt belongs to /v1/completions; here messages are expected")
	}
	if len(b.Messages) == 0 {
		return q, invalid("messages", "there are no messages; send at least one, such as {\"role\": \"user\", \"content\": \"…\"}")
	}
	empty := true
	for i, m := range b.Messages {
		field := fmt.Sprintf("messages[%d]", i)
		role := m.Role
		if role == "developer" {
			role = "system" // OpenAI's newer name for it
		}
		if !slices.Contains([]string{"system", "user", "assistant"}, role) {
			return q, invalid(field+".role", fmt.Sprintf("%s has the role %.40q; system, developer, user and assistant are served", field, m.Role))
		}
		if m.Content.wrong != "" {
			return q, invalid(field+".content", fmt.Sprintf("%s has %s; its content must be a text, or a list of parts of type text", field, m.Content.wrong))
		}
		empty = empty && strings.TrimSpace(m.Content.text) == ""
		q.Messages = append(q.Messages, llm.Message{Role: role, Content: m.Content.text})
	}
	if empty {
		return q, invalid("messages", "the question is empty; write one")
	}
	return q, nil
}

// prompt reads a text or a list of one.
func prompt(raw json.RawMessage) (string, *apiError) {
	var one string
	var list []string
	switch {
	case len(raw) == 0 || string(raw) == "null":
	case raw[0] == '"':
		json.Unmarshal(raw, &one)
	case json.Unmarshal(raw, &list) != nil:
		return "", invalid("prompt", "the prompt is neither a text nor a list of one; token numbers are not served")
	case len(list) > 1:
		return "", invalid("prompt", fmt.Sprintf("there are %d prompts and each request has one answer; send one request for each", len(list)))
	case len(list) == 1:
		one = list[0]
	}
	if strings.TrimSpace(one) == "" {
		return "", invalid("prompt", "the prompt is empty; write one")
	}
	return one, nil
}

// method finds the method that a request's model name and options choose, and
// what the model is called in replies.
func (s *Server) method(name, option string) (reason.Method, string, *apiError) {
	base, method, err := s.resolveModel(name)
	if err != nil {
		return nil, "", err
	}
	called := base
	if method != "" {
		called += "@" + method
	}
	if option != "" {
		if _, err := reason.Lookup(option); err != nil {
			return nil, "", invalid("orrery.method", fmt.Sprintf("orrery.method: %v", err))
		}
		if method != "" && method != option {
			return nil, "", invalid("orrery.method", fmt.Sprintf("model %q and orrery.method %q contradict each other; drop one", called, option))
		}
		method = option
	}
	m, lookup := reason.Lookup(cmp.Or(method, plainMethod))
	if lookup != nil {
		return nil, "", invalid("model", lookup.Error())
	}
	return m, called, nil
}

// resolveModel splits MODEL@METHOD. Model names may hold an @ themselves. An
// empty name is the only model there is; a generator that has not learnt its
// model's name yet takes any.
func (s *Server) resolveModel(name string) (base, method string, err *apiError) {
	known := s.cfg.Generator.Info().Model
	if name == "" || name == known {
		return known, "", nil
	}
	base, method = known, strings.TrimPrefix(name, known+"@")
	if known == "" {
		i := strings.LastIndexByte(name, '@')
		if _, err := reason.Lookup(name[i+1:]); i < 0 || err != nil {
			return name, "", nil
		}
		return name[:i], name[i+1:], nil
	}
	if _, err := reason.Lookup(method); err != nil || method == name {
		return "", "", &apiError{Status: http.StatusNotFound, Reason: BadRequest, Type: typeInvalid, Param: "model", Code: "model_not_found",
			Message: fmt.Sprintf("there is no model %.100q here; there is %s, alone or with one of @%s", name, known, strings.Join(s.Methods(), ", @"))}
	}
	return base, method, nil
}
