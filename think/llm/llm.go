// Package llm is the one door between reasoning methods and whatever makes
// tokens: a server over HTTP, a model of our own, or a scripted fake.
//
// A [Generator] turns one [Request] into one ordered stream of [Event] values
// in the normal form below. Methods (package reason) know nothing of wires,
// and generators know nothing of methods. Package llmtest holds the scripted
// fake and the conformance suite that every Generator passes.
//
// # Normal form
//
// A stream is any number of Text, Token and Usage events in any order, then
// exactly one End, which is last. Text and Token are independent: a server may
// send text without log-probabilities, log-probabilities without text, or
// several tokens' worth of either at once, so they are never paired by event.
// Log-probabilities go through as received: unordered, of any number, with NaN
// where the server sent null. Package confidence clamps, sorts and cuts.
//
// A model that thinks in hidden states before it writes (see [Latent]) sends one
// Thought event for each thought, numbered from 1, before any Text or Token. No
// other generator ever sends one.
package llm

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Message is one turn of a conversation.
type Message struct {
	Role    string `json:"role"` // "system", "user" or "assistant"
	Content string `json:"content"`
}

// Request asks for one trace. Exactly one of Messages and Prompt is set.
type Request struct {
	Messages []Message // rendered by the generator's own chat template
	Prompt   string    // raw text to be continued, no template applied

	MaxTokens   int      // > 0; always sent
	Temperature float64  // 0 is greedy
	TopP        float64  // 0 or 1: off
	TopK        int      // 0: off
	Seed        uint64   // each trace has its own
	Stop        []string // stop strings, found by the generator across event borders, in either channel

	// Rendered says that Prompt came from a chat template (see [Renderer]) and
	// so holds its own begin-of-text marker: the server must not add another.
	Rendered bool

	// TopLogprobs is how many alternatives each token should carry (k).
	// 0 asks for none. A generator that cannot give any ends the stream with
	// an *Error of kind NoTopLogprobs or LogprobsUnsupported, never with
	// made-up values.
	TopLogprobs int

	// Thoughts is how many hidden thoughts a latent model has before it writes;
	// nil is the model's own number. It is an error of kind BadRequest on a
	// generator whose Info.Latent is nil, or whose models have no thoughts, unless it is 0.
	Thoughts *int

	// Label names the trace in errors and logs, for instance "trace 7".
	Label string
}

// Channel says which part of the reply a text belongs to.
type Channel uint8

const (
	Answer    Channel = iota // what the user sees
	Reasoning                // what a server reports as hidden reasoning
)

func (c Channel) String() string {
	if c == Reasoning {
		return "reasoning"
	}
	return "answer"
}

// Kind discriminates an [Event].
type Kind uint8

const (
	KindText Kind = iota
	KindToken
	KindUsage
	KindEnd
	KindThought
)

// Event is one element of a stream. Only the field that Kind names is
// meaningful. Text and Token.Top are valid until the next event is asked for;
// a consumer that keeps them copies them.
type Event struct {
	Kind    Kind
	Channel Channel // of Text
	Text    []byte  // complete UTF-8 characters only
	Token   Token
	Usage   Usage
	End     End
	Thought Thought
}

// Thought is one hidden thought of a latent model: a vector that was fed back
// in the place of a word. It counts as a generated token (arXiv 2412.06769, table 1),
// against Request.MaxTokens too.
type Thought struct {
	Number int       `json:"number"` // from 1
	Holds  []Reading `json:"holds"`  // the likeliest readings, the best first; what the others have is left out

	// Answers says that the text goes on from behind this thought, where the model chose
	// among the thoughts that it had. Where none says so it is the last.
	Answers bool `json:"answers,omitempty"`
}

// Clone is a copy that shares nothing.
func (t Thought) Clone() Thought {
	t.Holds = slices.Clone(t.Holds)
	return t
}

// Reading is a word that a thought would be, were it read as one: an entry of
// softmax(W h), the logit lens.
type Reading struct {
	Text string  `json:"text"`
	P    float64 `json:"p"` // probability, 0 to 1
}

// Token is one generated token's log-probabilities, in nats.
type Token struct {
	Logprob float64   // of the sampled token; NaN if the server sent none
	Top     []float64 // the alternatives' as received: any order, any length; NaN for null
	TopText []string  // the alternatives' texts, parallel to Top; nil if unknown
}

// Name is the sampled token's text: that of the alternative with its log-probability.
// Streams don't name the token itself; "" if it is not among the alternatives. rest
// is what follows in the trace's text, which tells equal alternatives apart.
func (t Token) Name(rest string) string {
	found := ""
	for i, lp := range t.Top {
		if lp != t.Logprob || i >= len(t.TopText) {
			continue
		}
		if found == "" || strings.HasPrefix(rest, t.TopText[i]) && !strings.HasPrefix(rest, found) {
			found = t.TopText[i]
		}
	}
	return found
}

// Usage is the server's own count of tokens, where it gives one.
type Usage struct {
	Prompt     int
	Completion int
}

// Finish says why a stream ended.
type Finish string

const (
	FinishEOS       Finish = "eos"         // the model ended its text
	FinishStop      Finish = "stop_string" // one of Request.Stop was generated; End.Matched says which
	FinishLength    Finish = "length"      // MaxTokens or the context is full
	FinishCancelled Finish = "cancelled"   // the request's context was cancelled
	FinishError     Finish = "error"       // End.Err says what went wrong
)

// End closes a stream.
type End struct {
	Finish  Finish
	Matched string // the stop string, when Finish is FinishStop
	Err     error  // an *Error when Finish is FinishError
	// Retries is how often the request was sent again before its first token.
	Retries int
	// QueueSeconds is the wait for a place at the backend, before sending.
	QueueSeconds float64
	// FirstTokenSeconds is the time from sending to the first Text or Token;
	// 0 if none came.
	FirstTokenSeconds float64
	// Tokens is how many the stream brought, and Counted how that is known.
	Tokens   int
	Counted  Count
	Warnings []Warning
	// Upstream names the one of several servers that made the stream; "" where
	// there is only one, or none was reached.
	Upstream string
}

// Count says where a number of tokens comes from, best first.
type Count string

const (
	CountUsage    Count = "usage"    // the server's own figure
	CountEntries  Count = "entries"  // one Token or Thought event each
	CountEstimate Count = "estimate" // one token per 3 bytes of text
)

// Warning is something a run should report although the stream is good. The
// names are stable: they appear in JSON.
type Warning string

const (
	WarnBasisAfterTemperature Warning = "basis_after_temperature" // log-probabilities change with the temperature
	WarnKReduced              Warning = "k_reduced"               // fewer alternatives than asked for are exact
	WarnSerialised            Warning = "serialised"              // one trace at a time
	WarnLateAbort             Warning = "late_abort"              // the server goes on generating after a cancel
	WarnBufferedUpstream      Warning = "buffered_upstream"       // all tokens arrived at once
	WarnThoughtsUntrained     Warning = "thoughts_untrained"      // more thoughts than the model had in training
)

// Generator makes traces. It is safe for concurrent use.
type Generator interface {
	// Generate starts one trace when its result is ranged over.
	//
	// Cancelling ctx ends it promptly: events that had already arrived are
	// still delivered, then End{Finish: FinishCancelled}. The server is never
	// waited for. A consumer that wants to count what came after its decision
	// to stop cancels ctx and keeps ranging. Breaking out of the range cancels
	// as well and frees everything.
	Generate(ctx context.Context, r Request) iter.Seq[Event]

	// Info describes the model and its limits. It does no I/O.
	Info() Info
}

// Renderer is implemented by generators that can show what their chat template
// makes of a conversation, for methods that go on from raw text.
type Renderer interface {
	// Render returns the prompt, the assistant's opening included. Send it
	// back as Request.Prompt with Request.Rendered set.
	Render(ctx context.Context, messages []Message) (string, error)
}

// Around is outer, which wraps inner, with what inner can do beside generating: its
// [Renderer]. Without it a wrapper would hide that from whoever asks.
func Around(outer, inner Generator) Generator {
	if r, ok := inner.(Renderer); ok {
		return struct {
			Generator
			Renderer
		}{outer, r}
	}
	return outer
}

// Grouper is implemented by generators that spread traces over several servers.
type Grouper interface {
	// Group returns a Generator for the traces of one request, which go to one
	// server while that works, because they share a prompt and it caches that.
	Group() Generator
}

// Basis says whether log-probabilities were taken before or after the
// temperature was applied. Thresholds of different bases do not compare.
type Basis string

const (
	BasisUnknown Basis = "unknown"
	BasisBefore  Basis = "before_temperature"
	BasisAfter   Basis = "after_temperature"
)

// Info is what a Generator knows of itself.
type Info struct {
	Model       string // as the server names it
	Backend     string // "builtin", "vllm", "sglang", "llamacpp", "ollama", "openai"
	MaxParallel int    // how many traces run at once; the rest queue; 0 is unknown
	TopLogprobs int    // the largest k served; 0 is unknown
	Basis       Basis

	Latent *Latent // how the model answers, if it is a latent one; nil: it thinks in text alone
}

// Latent describes a model that was trained to think in hidden states, or a
// baseline or control of such a model.
type Latent struct {
	Method   string // how it was trained: "coconut", "pause", "cot", …
	Thoughts int    // hidden thoughts or pauses of a request that does not say; 0 for models that have none
	Trained  int    // the most that it had in training; more may be asked for, with a warning
	Mark     string // its answers are what follows the last one in a text; "": the whole text is the answer

	// Alike says why traces of one question have the same confidence, so that no
	// vote can be weighted and no trace told to be hopeless; "": they have not.
	Alike string
}

// ErrorKind classifies an [Error]. The names are stable: they appear in JSON.
type ErrorKind string

const (
	Unreachable         ErrorKind = "unreachable"
	TLS                 ErrorKind = "tls"
	Auth                ErrorKind = "auth"
	ModelNotFound       ErrorKind = "model_not_found"
	BadRequest          ErrorKind = "bad_request"
	ContextOverflow     ErrorKind = "context_overflow"
	TopLogprobsTooLarge ErrorKind = "top_logprobs_too_large"
	LogprobsUnsupported ErrorKind = "logprobs_unsupported"
	NoTopLogprobs       ErrorKind = "no_top_logprobs"
	RateLimited         ErrorKind = "rate_limited"
	Overloaded          ErrorKind = "overloaded"
	FirstTokenTimeout   ErrorKind = "first_token_timeout"
	IdleTimeout         ErrorKind = "idle_timeout"
	StreamError         ErrorKind = "stream_error"
	StreamTruncated     ErrorKind = "stream_truncated"
	MalformedEvent      ErrorKind = "malformed_event"
	NotStreaming        ErrorKind = "not_streaming"
)

// Error is what ends a stream with FinishError. It reads as one sentence:
// operation, place, cause, remedy.
type Error struct {
	Kind    ErrorKind
	Backend string // "vllm", …
	Route   string // "POST /v1/chat/completions"; never with credentials
	Status  int    // HTTP status, 0 if none
	Param   string // the offending parameter of a BadRequest, if known
	Words   string // the server's own words, at most 2 KiB
	Label   string // Request.Label
	Tokens  int    // received before the error
	Remedy  string // what to change
	Err     error  // cause, may be nil
}

func (e *Error) Error() string {
	s := string(e.Kind)
	if e.Route != "" {
		s = e.Route + ": " + s
	}
	if e.Backend != "" {
		s = e.Backend + " " + s
	}
	if e.Label != "" {
		s = e.Label + ": " + s
	}
	if e.Status != 0 {
		s += fmt.Sprintf(" (status %d)", e.Status)
	}
	if e.Tokens > 0 {
		s += fmt.Sprintf(" after %d tokens", e.Tokens)
	}
	if e.Words != "" {
		s += ": " + e.Words
	} else if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Remedy != "" {
		s += "; " + e.Remedy
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }
