package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"

	"orrery/think/llm"
)

// dialect is what differs between servers. Each is one file that registers
// itself; nothing else names it.
type dialect struct {
	name string
	rank int // in which order dialects are asked whether a server is theirs

	// recognise says whether the server at hand speaks this dialect.
	recognise func(ctx context.Context, p *facts) bool
	// request puts a Request into this server's words.
	request func(t *target, r *llm.Request) (*call, *badRequest)
	// slots asks how many requests the server serves at once; nil or 0: unknown.
	slots func(ctx context.Context, c *Client, t *target) (int, error)
	// parallel is the limit when nothing else is known; 0: 32.
	parallel int
	// render shows what the chat template makes of messages; nil: it cannot.
	render func(ctx context.Context, c *Client, t *target, messages []llm.Message) (string, error)
	// busy counts requests that the server works on; nil: it does not say.
	busy func(ctx context.Context, c *Client, t *target) (int, error)

	remedies map[llm.ErrorKind]string

	// What check reports, in words.
	stops   string // how a met stop string is told
	prefill string // whether a trailing assistant message is continued; "": no
	raw     string // the route that takes a raw prompt; "": none
	// suits says what DeepConf and ThreadWeaver get, given what was measured.
	suits func(r *Report) (deepconf, threadweaver Fitness)
}

// call is one request in a server's words.
type call struct {
	route  string
	body   []byte
	lines  bool // the reply is newline-delimited JSON
	decode func(*scanner, *chunk)
	// finish tells the server's words for an end apart; ok is false for a
	// word that means a failure.
	finish func(word, matched string, stops []string) (f llm.Finish, hit string, ok bool)
	asked  int  // the k sent
	exact  bool // all of the k best alternatives will be among those listed
}

// badRequest is a Request that this dialect cannot express.
type badRequest struct{ param, words, remedy string }

var dialects = map[string]*dialect{}

func register(d *dialect) *dialect {
	dialects[d.name] = d
	return d
}

// Dialects lists the known dialects' names, in the order in which detection
// tries them.
func Dialects() []string {
	var names []string
	for _, d := range ranked() {
		names = append(names, d.name)
	}
	return names
}

func ranked() []*dialect {
	all := make([]*dialect, 0, len(dialects))
	for _, d := range dialects {
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b *dialect) int { return a.rank - b.rank })
	return all
}

// fields is a request's body. encoding/json writes its keys sorted, so equal
// requests are equal bytes.
type fields map[string]any

func (f fields) encode() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // prompts are full of angle brackets
	if err := e.Encode(f); err != nil {
		panic("upstream: a request of strings and numbers does not encode: " + err.Error())
	}
	return b.Bytes()
}

// openAIFields are what all OpenAI-shaped routes take.
func openAIFields(t *target, r *llm.Request) fields {
	f := fields{
		"model": t.model, "stream": true, "stream_options": fields{"include_usage": true},
		"max_tokens": r.MaxTokens, "temperature": r.Temperature, "top_p": or(r.TopP, 1), "seed": foldSeed(r.Seed, 53),
	}
	if r.Prompt != "" {
		f["prompt"] = r.Prompt
	} else {
		f["messages"] = r.Messages
	}
	return f
}

// exactSampling turns off what a server or a model's own defaults would do to
// the distribution besides temperature, top-p and top-k.
func (f fields) exactSampling(r *llm.Request, noTopK int) {
	f["top_k"] = or(r.TopK, noTopK)
	f["min_p"] = 0
}

// askLogprobs asks for k alternatives the way the route wants it.
func (f fields) askLogprobs(r *llm.Request, k int) {
	if k == 0 {
		return
	}
	if r.Prompt != "" {
		f["logprobs"] = k
	} else {
		f["logprobs"], f["top_logprobs"] = true, k
	}
}

// prefill reports whether the last message is the beginning of the reply.
func prefill(r *llm.Request) bool {
	return len(r.Messages) > 0 && r.Messages[len(r.Messages)-1].Role == "assistant"
}

var errNoPrefill = &badRequest{
	"messages", "the last message is the assistant's, and this server cannot go on from it",
	"end with a user message, or use vLLM, SGLang or llama.cpp",
}

func openAIRoute(r *llm.Request) string {
	if r.Prompt != "" {
		return "/v1/completions"
	}
	return "/v1/chat/completions"
}

// foldSeed brings a seed into a server's range, bits wide: small seeds stay as
// they are, large ones are mixed (SplitMix64's finaliser) and cut.
func foldSeed(seed uint64, bits uint) uint64 {
	mask := uint64(1)<<bits - 1
	if seed >= mask {
		seed = (seed ^ seed>>30) * 0xbf58476d1ce4e5b9
		seed = (seed ^ seed>>27) * 0x94d049bb133111eb
		seed = (seed ^ seed>>31) & mask
	}
	if seed == mask {
		seed-- // all ones is −1, which means "any seed" to llama.cpp and Ollama
	}
	return seed
}
