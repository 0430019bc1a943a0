package llmtest

import (
	"net/http"
	"strings"
	"time"

	"orrery/think/llm"
)

// Rule says what to reply to which call. The first rule that fits is taken.
type Rule struct {
	When  func(*Call) bool // nil: always
	Times int              // how many calls it serves before it is passed over; 0: no limit
	Reply Reply
	Make  func(*Call) Reply // if set, makes the reply from the call
}

// Reply is a script and how it goes out. The zero values of Wire and Fault are
// a well-behaved server.
type Reply struct {
	Script Script
	Wire   Wire
	Fault  Fault
	// Recorded, if set, is the body of a real stream, sent as it is.
	Recorded []byte
}

// Play is the reply of a well-behaved server.
func Play(s Script) Reply { return Reply{Script: s} }

// Wire says how the bytes of a reply are cut and paced.
type Wire struct {
	PerEvent    int           // tokens an event; 0: 1
	SplitAt     []int         // flush after these byte offsets of the body, besides after events
	SplitSeed   uint64        // flush at random offsets too; 0: not
	CRLF        bool          // lines end in CR LF
	Comments    bool          // a comment before each event
	NoLastBlank bool          // the last event lacks its blank line
	FirstDelay  time.Duration // before the first token
	Delay       time.Duration // before each later event
	Gate        bool          // each token waits for [Fake.Release]
}

// ErrorForm is how a server tells of an error in a stream.
type ErrorForm string

const (
	ErrorData  ErrorForm = "data"   // data: {"error": {…}}, then [DONE]
	ErrorField ErrorForm = "field"  // error: {…}
	ErrorEvent ErrorForm = "event"  // event: error, data: {…}
	ErrorText  ErrorForm = "text"   // data: {"error": "…"}
	ErrorNone  ErrorForm = "silent" // the stream just ends
)

// Fault is how a reply goes wrong. Counts of tokens and bytes are from the
// reply's beginning.
type Fault struct {
	Status     int    // instead of 200
	Body       string // instead of a stream, also with status 200
	RetryAfter string

	Error      ErrorForm // tell of an error after ErrorAfter tokens
	ErrorAfter int
	ErrorWords string // "": "the engine died"
	CutAfter   int    // close the connection after so many bytes of the body; 0: not
	HangAfter  int    // say nothing more after so many tokens; 0: not; −1: before the first
	Beat       time.Duration
	NoFinish   bool // no finish reason
	NoDone     bool // no [DONE], and no last line of a native route

	NoUsage   bool
	ZeroUsage bool

	NoLogprobs bool // log-probabilities are not sent though asked for
	MaxTop     int  // refuse a larger k; 0: as the dialect does; −1: refuse none
	Scaled     bool // log-probabilities are taken after the temperature

	IgnoreStop bool
	IgnoreMax  bool
	TrimStop   bool // leave a met stop string out although asked to keep it
	Lag        int  // hold so many bytes of text back, but not its entries
	After      int  // go on for so many tokens after the client has left
}

// Call is one generating request, as observed.
type Call struct {
	N           int // the how manieth, from 0
	Path        string
	Header      http.Header
	Body        []byte
	Messages    []llm.Message
	Prompt      string // raw, or the messages' contents, one a line
	Seed        uint64
	MaxTokens   int
	TopLogprobs int
	Temperature float64
	Stop        []string
	KeepStop    bool // asked to keep a met stop string in the text

	Prefix     int       // bytes that this prompt shares with the best fitting earlier one
	Arrived    time.Time // when the request was read
	Left       bool      // the client left before the end
	LeftAt     time.Time
	Sent       int // tokens sent in all
	SentAfter  int // of them after the client had left
	Ended      bool
	ids        bool // return_tokens_as_token_ids
	noSeparate bool // separate_reasoning: false
}

// PromptEnds fits calls by how their prompt ends.
func PromptEnds(suffix string) func(*Call) bool {
	return func(c *Call) bool { return strings.HasSuffix(c.Prompt, suffix) }
}

// Seed fits calls by seed.
func Seed(seed uint64) func(*Call) bool { return func(c *Call) bool { return c.Seed == seed } }

// Nth fits the nth call, from 0.
func Nth(n int) func(*Call) bool { return func(c *Call) bool { return c.N == n } }
