package clients

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/respjson"
	"github.com/openai/openai-go/v3/packages/ssestream"
)

func client(s *served, opts ...option.RequestOption) openai.Client {
	return openai.NewClient(append([]option.RequestOption{option.WithBaseURL(s.URL), option.WithAPIKey(key), option.WithMaxRetries(0)}, opts...)...)
}

func about(model, question string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{Model: model, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(question)}}
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// complete fails the test for each field of a reply that the client's types
// call required and that was not sent.
func complete(t *testing.T, reply any) {
	t.Helper()
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer:
			if !v.IsNil() {
				walk(path, v.Elem())
			}
		case reflect.Slice:
			for i := range v.Len() {
				walk(fmt.Sprintf("%s[%d]", path, i), v.Index(i))
			}
		case reflect.Struct:
			sent := v.FieldByName("JSON")
			for i := range v.NumField() {
				f := v.Type().Field(i)
				if f.Name == "JSON" || !f.IsExported() || !sent.IsValid() {
					continue
				}
				meta, known := sent.FieldByName(f.Name), false
				var field respjson.Field
				if meta.IsValid() {
					field, known = meta.Interface().(respjson.Field)
				}
				required := f.Tag.Get("api") == "required"
				if required && known && field.Raw() == "" {
					t.Errorf("the reply lacks %s.%s", path, f.Name)
				}
				if known && field.Valid() {
					walk(path+"."+f.Name, v.Field(i))
				}
			}
		}
	}
	walk("", reflect.ValueOf(reply))
}

// orrery reads the extra object of a reply.
func orrery(t *testing.T, extra map[string]respjson.Field) (o struct {
	Answer string
	Method string
	Traces []struct {
		StopReason string `json:"stop_reason"`
		Seed       uint64
	}
	Tokens struct{ Used int }
}) {
	t.Helper()
	if err := json.Unmarshal([]byte(extra["orrery"].Raw()), &o); err != nil {
		t.Fatalf("the reply's orrery object: %v", err)
	}
	return o
}

func TestChat(t *testing.T) {
	s, _ := behind(t)
	c, ctx := client(s), within(t)
	var raw *http.Response
	r, err := c.Chat.Completions.New(ctx, about("scripted", "What is 2 + 2?"), option.WithResponseInto(&raw))
	if err != nil {
		t.Fatal(err)
	}
	complete(t, r)
	if r.Choices[0].Message.Content != `so it is \boxed{4}` || r.Choices[0].FinishReason != "stop" || r.Usage.CompletionTokens != 4 ||
		r.Usage.TotalTokens != r.Usage.PromptTokens+4 || r.Model != "scripted" {
		t.Errorf("the reply is %s", r.RawJSON())
	}
	if o := orrery(t, r.JSON.ExtraFields); o.Answer != "4" || o.Method != "single" {
		t.Errorf("the orrery object is %+v", o)
	}
	if got := s.reason(ctx, raw.Header.Get("X-Request-Id")); got != "completed" {
		t.Errorf("the request ended as %q", got)
	}
	// The extension both ways: a method and its parameters, then each trace's fate.
	r, err = c.Chat.Completions.New(ctx, about("scripted", "What is 2 + 2?"),
		option.WithJSONSet("orrery", map[string]any{"method": "majority", "budget": 3}), option.WithJSONSet("orrery.deadline_seconds", 20))
	if err != nil {
		t.Fatal(err)
	}
	if o := orrery(t, r.JSON.ExtraFields); o.Method != "majority" || len(o.Traces) != 3 || o.Tokens.Used != 12 || o.Traces[2].StopReason == "" {
		t.Errorf("the orrery object is %+v", o)
	}
	// Text that JSON writes in its own way, in parts, as a system message, with stops.
	p := openai.ChatCompletionNewParams{Model: "scripted", Messages: []openai.ChatCompletionMessageParamUnion{
		openai.DeveloperMessage("Be brief."), openai.AssistantMessage("Yes?"),
		openai.UserMessage([]openai.ChatCompletionContentPartUnionParam{openai.TextContentPart("Write "), openai.TextContentPart("in foreign letters")})},
		Stop: openai.ChatCompletionNewParamsStopUnion{OfStringArray: []string{"ü", "END"}}, Seed: openai.Int(7), Temperature: openai.Float(0.5),
		MaxCompletionTokens: openai.Int(50), TopP: openai.Float(0.9), N: openai.Int(1)}
	var seeds []uint64
	for range 2 {
		if r, err = c.Chat.Completions.New(ctx, p); err != nil || r.Choices[0].Message.Content != "π 三 🪐\"\\\u2028\n" {
			t.Fatalf("the reply is %v, %v", r, err)
		}
		seeds = append(seeds, orrery(t, r.JSON.ExtraFields).Traces[0].Seed)
	}
	if seeds[0] != seeds[1] {
		t.Errorf("equal seeds run as %v", seeds)
	}
	if r, err = c.Chat.Completions.New(ctx, about("", "Think aloud")); err != nil || r.Choices[0].Message.JSON.ExtraFields["reasoning_content"].Raw() != `"let me think"` ||
		r.Choices[0].Message.Content != ` so \boxed{4}` {
		t.Errorf("the reasoning is %v, %v", r, err)
	}
}

func TestChatLogprobs(t *testing.T) {
	s, _ := behind(t)
	c, ctx := client(s), within(t)
	p := about("scripted", "What is 2 + 2?")
	p.Logprobs, p.TopLogprobs = openai.Bool(true), openai.Int(3)
	check := func(content []openai.ChatCompletionTokenLogprob) {
		t.Helper()
		if len(content) != 4 {
			t.Fatalf("%d tokens have log-probabilities", len(content))
		}
		for i, l := range content {
			if len(l.TopLogprobs) != 3 || math.Abs(l.Logprob+math.Ln2) > 1e-6 || l.TopLogprobs[0].Token != l.Token || len(l.Bytes) != len(l.Token) || len(l.Token) == 0 {
				t.Errorf("token %d is %s", i, l.RawJSON())
			}
		}
	}
	r, err := c.Chat.Completions.New(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	complete(t, r)
	check(r.Choices[0].Logprobs.Content)
	p.StreamOptions.IncludeUsage = openai.Bool(true)
	var sum openai.ChatCompletionAccumulator
	stream := c.Chat.Completions.NewStreaming(ctx, p)
	for stream.Next() {
		chunk := stream.Current()
		complete(t, chunk)
		if !sum.AddChunk(chunk) {
			t.Fatalf("the client's accumulator refuses %s", chunk.RawJSON())
		}
	}
	if stream.Err() != nil || sum.Choices[0].Message.Content != `so it is \boxed{4}` || sum.Usage.CompletionTokens != 4 || sum.Choices[0].FinishReason != "stop" {
		t.Errorf("the stream is %+v, %v", sum.ChatCompletion, stream.Err())
	}
	check(sum.Choices[0].Logprobs.Content)
}

func TestCompletions(t *testing.T) {
	s, _ := behind(t)
	c, ctx := client(s), within(t)
	p := openai.CompletionNewParams{Model: "scripted", Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String("2 + 2 =")}, Logprobs: openai.Int(2), MaxTokens: openai.Int(20)}
	r, err := c.Completions.New(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	complete(t, r)
	if l := r.Choices[0].Logprobs; r.Choices[0].Text != `so it is \boxed{4}` || len(l.Tokens) != 4 || len(l.TokenLogprobs) != 4 || len(l.TextOffset) != 4 || len(l.TopLogprobs) != 4 || l.TokenLogprobs[3] >= 0 {
		t.Errorf("the reply is %s", r.RawJSON())
	}
	p.StreamOptions.IncludeUsage = openai.Bool(true)
	text, named, tokens, usage := "", "", 0, int64(0)
	stream := c.Completions.NewStreaming(ctx, p)
	for stream.Next() {
		chunk := stream.Current()
		complete(t, chunk)
		for _, choice := range chunk.Choices {
			text += choice.Text
			tokens += len(choice.Logprobs.Tokens)
			named += strings.Join(choice.Logprobs.Tokens, "")
		}
		usage += chunk.Usage.CompletionTokens
	}
	if stream.Err() != nil || text != `so it is \boxed{4}` || named != text || tokens != 4 || usage != 4 {
		t.Errorf("the stream is %q, %d tokens, usage %d, %v", text, tokens, usage, stream.Err())
	}
}

// A stream of many traces tells its progress if asked, and ends with the
// orrery object and the usage.
func TestStreamOfManyTraces(t *testing.T) {
	s, _ := behind(t)
	c, ctx := client(s), within(t)
	p := about("scripted@deepconf-high", "What is 2 + 2?")
	p.StreamOptions.IncludeUsage = openai.Bool(true)
	var sum openai.ChatCompletionAccumulator
	progress, ended := "", ""
	stream := c.Chat.Completions.NewStreaming(ctx, p, option.WithJSONSet("orrery", map[string]any{"progress": true, "budget": 6, "warmup": 4}))
	for stream.Next() {
		chunk := stream.Current()
		complete(t, chunk)
		sum.AddChunk(chunk)
		if o := chunk.JSON.ExtraFields["orrery"]; o.Raw() != "" {
			ended = o.Raw()
		}
		for _, choice := range chunk.Choices {
			var piece string
			if r := choice.Delta.JSON.ExtraFields["reasoning_content"].Raw(); r != "" && json.Unmarshal([]byte(r), &piece) == nil {
				progress += piece
			}
		}
	}
	if stream.Err() != nil || sum.Choices[0].Message.Content != `so it is \boxed{4}` || sum.Usage.CompletionTokens == 0 ||
		!strings.Contains(progress, "calibrated on 4 traces") || !strings.Contains(ended, `"method":"deepconf-high"`) {
		t.Errorf("the stream is %+v, %v\n%s\n%s", sum.ChatCompletion, stream.Err(), progress, ended)
	}
}

func TestModels(t *testing.T) {
	s, _ := behind(t)
	c, ctx := client(s), within(t)
	var ids []string
	pages := c.Models.ListAutoPaging(ctx)
	for pages.Next() {
		m := pages.Current()
		complete(t, m)
		ids = append(ids, m.ID)
	}
	if pages.Err() != nil || !slices.Contains(ids, "scripted") || !slices.Contains(ids, "scripted@deepconf-low") {
		t.Errorf("the models are %v, %v", ids, pages.Err())
	}
	for _, id := range ids {
		if m, err := c.Models.Get(ctx, id); err != nil || m.ID != id || m.Created == 0 {
			t.Errorf("model %s is %+v, %v", id, m, err)
		}
	}
}

func TestErrors(t *testing.T) {
	s, _ := behind(t)
	ctx := within(t)
	n := about("scripted", "?")
	n.N = openai.Int(2)
	for _, tt := range []struct {
		name, key    string
		ask          openai.ChatCompletionNewParams
		opts         []option.RequestOption
		status       int
		kind, code   string
		param, words string
		reason       string
	}{
		{"two answers", key, n, nil, 400, "invalid_request_error", "", "n", "each request has one answer", "bad_request"},
		{"an unknown parameter of a method", key, about("scripted@majority", "?"), []option.RequestOption{option.WithJSONSet("orrery.eta", 5)}, 400, "invalid_request_error", "", "", "does not use parameter eta", "bad_request"},
		{"no such model", key, about("gpt-9", "?"), nil, 404, "invalid_request_error", "model_not_found", "model", "scripted", "bad_request"},
		{"a wrong key", "sk-wrong", about("scripted", "?"), nil, 401, "authentication_error", "invalid_api_key", "", "Authorization: Bearer", "unauthorized"},
		{"too long a prompt", key, about("scripted", "Answer at length"), nil, 400, "invalid_request_error", "context_length_exceeded", "", "maximum context length", "upstream_error"},
		{"a model server that fails", key, about("scripted", "Answer unreachably"), nil, 502, "upstream_error", "stream_error", "", "501", "upstream_error"},
		{"a body that is too large", key, about("scripted", strings.Repeat("long ", 300000)), nil, 413, "invalid_request_error", "body_too_large", "", "limit", "bad_request"},
		{"a deadline", key, about("scripted", "Answer in silence"), []option.RequestOption{option.WithJSONSet("orrery.deadline_seconds", 0.2)}, 504, "server_error", "deadline_exceeded", "deadline_seconds", "deadline", "deadline"},
	} {
		for _, streamed := range []bool{false, true} {
			c := client(s, option.WithAPIKey(tt.key))
			var err error
			if streamed {
				stream := c.Chat.Completions.NewStreaming(ctx, tt.ask, tt.opts...)
				for stream.Next() {
					t.Errorf("%s: an event %s", tt.name, stream.Current().RawJSON())
				}
				err = stream.Err()
			} else {
				_, err = c.Chat.Completions.New(ctx, tt.ask, tt.opts...)
			}
			e, ok := errors.AsType[*openai.Error](err)
			if !ok {
				t.Errorf("%s, streamed %v: the error is %v", tt.name, streamed, err)
				continue
			}
			complete(t, *e)
			if e.StatusCode != tt.status || e.Type != tt.kind || e.Code != tt.code || e.Param != tt.param || !strings.Contains(e.Message, tt.words) {
				t.Errorf("%s, streamed %v: %d %s", tt.name, streamed, e.StatusCode, e.RawJSON())
			}
			if got := s.reason(ctx, e.Response.Header.Get("X-Request-Id")); got != tt.reason {
				t.Errorf("%s, streamed %v: the log says %q", tt.name, streamed, got)
			}
		}
	}
}

// A stream that breaks after its first event ends in an error of the client's
// own type, with the server's words, after what had come.
func TestBrokenStream(t *testing.T) {
	s, _ := behind(t)
	c := client(s)
	stream := c.Chat.Completions.NewStreaming(within(t), about("scripted", "Answer in pieces"))
	text := ""
	for stream.Next() {
		for _, choice := range stream.Current().Choices {
			text += choice.Delta.Content
		}
	}
	e, ok := errors.AsType[*ssestream.StreamError](stream.Err())
	if text != "so it" || !ok || !strings.Contains(e.Error(), "the engine died") {
		t.Errorf("the stream brings %q and ends in %v", text, stream.Err())
	}
}

// A client that leaves ends its traces: the log says so, and the model's server
// sees each connection close long before its script is over.
func TestAbort(t *testing.T) {
	s, model := behind(t)
	c, whole := client(s), within(t)
	for _, method := range []string{"single", "majority"} {
		ctx, cancel := context.WithCancel(whole)
		question := "In " + method + ": think slowly"
		var raw *http.Response
		stream := c.Chat.Completions.NewStreaming(ctx, about("scripted@"+method, question), option.WithResponseInto(&raw),
			option.WithJSONSet("orrery", map[string]any{"progress": true}))
		if !stream.Next() {
			t.Fatal(stream.Err())
		}
		model.asked(whole, question)
		cancel()
		for stream.Next() {
		}
		if !errors.Is(stream.Err(), context.Canceled) {
			t.Errorf("%s: the client's stream ends in %v", method, stream.Err())
		}
		if got := s.reason(whole, raw.Header.Get("X-Request-Id")); got != "client_cancelled" {
			t.Errorf("%s: the request ended as %q", method, got)
		}
		if left, sent := model.left(whole, question); !left || sent >= 5000 {
			t.Errorf("%s: the model's server saw its client leave: %v, after %d tokens", method, left, sent)
		}
	}
}

// One that is refused because all places are taken is told when to come again;
// the client obeys, and gets its answer once a place is free.
func TestRetry(t *testing.T) {
	s, _ := behind(t, "--max-requests", "1", "--max-queue", "-1")
	ctx := within(t)
	hold, release := context.WithCancel(ctx)
	first := client(s)
	var held *http.Response
	stream := first.Chat.Completions.NewStreaming(hold, about("scripted", "Think slowly"), option.WithResponseInto(&held))
	if !stream.Next() {
		t.Fatal(stream.Err())
	}
	statuses := []int{}
	watch := option.WithMiddleware(func(r *http.Request, next option.MiddlewareNext) (*http.Response, error) {
		resp, err := next(r)
		if err == nil {
			statuses = append(statuses, resp.StatusCode)
			if resp.StatusCode == 429 {
				if resp.Header.Get("Retry-After") == "" {
					t.Error("429 does not say when to come again")
				}
				release()
				if got := s.reason(ctx, held.Header.Get("X-Request-Id")); got != "client_cancelled" { // its place is free, however busy the machine is
					t.Errorf("the request that held the place ended as %q", got)
				}
			}
		}
		return resp, err
	})
	impatient := client(s, watch)
	_, err := impatient.Chat.Completions.New(ctx, about("scripted", "What is 2 + 2?"))
	if e, ok := errors.AsType[*openai.Error](err); !ok || e.StatusCode != 429 || e.Code != "queue_full" || e.Type != "rate_limit_error" {
		t.Errorf("the error is %v", err)
	}
	release()
	stream.Close()
	hold, release = context.WithCancel(ctx)
	if stream = first.Chat.Completions.NewStreaming(hold, about("scripted", "Think slowly"), option.WithResponseInto(&held)); !stream.Next() {
		t.Fatal(stream.Err())
	}
	statuses = statuses[:0]
	began := time.Now()
	patient := client(s, watch, option.WithMaxRetries(2))
	r, err := patient.Chat.Completions.New(ctx, about("scripted", "What is 2 + 2?"))
	if err != nil || r.Choices[0].FinishReason != "stop" || !slices.Equal(statuses, []int{429, 200}) || time.Since(began) < time.Second {
		t.Errorf("after %v in %v: %v, %v", statuses, time.Since(began), r, err)
	}
	release()
}

// The built-in model, whose answers are its own.
func TestBuiltin(t *testing.T) {
	s := start(t)
	c := client(s)
	r, err := c.Chat.Completions.New(within(t), about("builtin@deepconf-high", "Compute 3 * (4 + 5)."),
		option.WithJSONSet("orrery", map[string]any{"budget": 8, "warmup": 4}), option.WithJSONSet("seed", 1))
	if err != nil {
		t.Fatal(err)
	}
	complete(t, r)
	if o := orrery(t, r.JSON.ExtraFields); o.Answer != "27" || len(o.Traces) < 4 || !strings.Contains(r.Choices[0].Message.Content, `\boxed{27}`) {
		t.Errorf("the reply is %s", r.RawJSON())
	}
}

// Hidden thoughts come as events that a client passes over unless it looks.
func TestHiddenThoughts(t *testing.T) {
	s := start(t, "--model", "../../internal/local/superposition")
	c := client(s)
	const question = "Every wumpus is a gorpus. Every gorpus is a yumpus. Every lempus is a sterpus. Alex is a wumpus. Is Alex a yumpus or sterpus?"
	stream := c.Chat.Completions.NewStreaming(within(t), about("", question), option.WithJSONSet("orrery.thoughts", 2), option.WithJSONSet("seed", 1))
	var sum openai.ChatCompletionAccumulator
	held := 0
	for stream.Next() {
		chunk := stream.Current()
		complete(t, chunk)
		if !sum.AddChunk(chunk) {
			t.Fatalf("the client's accumulator refuses %s", chunk.RawJSON())
		}
		held += strings.Count(chunk.JSON.ExtraFields["orrery"].Raw(), `{"thought":`)
	}
	if text := sum.Choices[0].Message.Content; stream.Err() != nil || held != 2 || !strings.Contains(text, "pus") {
		t.Errorf("%d thoughts, then %q, %v", held, text, stream.Err())
	}
}
