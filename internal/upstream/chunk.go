package upstream

import (
	"bytes"
	"math"
	"slices"
	"strings"

	"orrery/think/llm"
)

// chunk is one event of a server in normal form. It is reused from event to
// event: its slices grow once.
type chunk struct {
	text      []byte
	reasoning []byte

	entries []entry
	tops    []float64 // alternatives' log-probabilities of all entries, end to end
	names   []byte    // alternatives' texts, end to end
	ends    []int     // ends[i]: where in names the text of tops[i] ends
	noNames bool      // the names are ids, not texts

	finish  string // the server's word for why it ended; "" not yet
	matched string // the stop string that it says it met
	usage   llm.Usage
	fault   []byte // the JSON value of error; nil: none
	done    bool   // the event says that it is the last

	sampled []float64 // scratch: completions' token_logprobs
	lists   []entry   // scratch: completions' top_logprobs
}

// entry is one token: its log-probability and tops[lo:hi].
type entry struct {
	logprob float64
	lo, hi  int
}

func (c *chunk) reset() {
	*c = chunk{
		text: c.text[:0], reasoning: c.reasoning[:0], entries: c.entries[:0], tops: c.tops[:0],
		names: c.names[:0], ends: c.ends[:0], sampled: c.sampled[:0], lists: c.lists[:0],
	}
}

// content reports whether the event carries generated tokens.
func (c *chunk) content() bool { return len(c.text)+len(c.reasoning)+len(c.entries) > 0 }

// topTexts cuts names into one string per alternative, in one allocation.
func (c *chunk) topTexts(dst []string) []string {
	dst = dst[:0]
	if c.noNames || len(c.names) == 0 {
		return dst
	}
	all, from := string(c.names), 0
	for _, to := range c.ends {
		dst = append(dst, all[from:to])
		from = to
	}
	return dst
}

// decodeOpenAI reads an event of /v1/chat/completions or /v1/completions in
// any of the five servers' versions of it.
func decodeOpenAI(s *scanner, c *chunk) {
	for more := s.open('{'); more; more = s.next('}') {
		switch string(s.key()) {
		case "choices":
			for more := s.open('['); more; more = s.next(']') {
				decodeChoice(s, c)
			}
		case "usage":
			decodeUsage(s, c)
		case "error":
			decodeFault(s, c)
		default:
			s.skip()
		}
	}
}

func decodeChoice(s *scanner, c *chunk) {
	for more := s.open('{'); more; more = s.next('}') {
		switch string(s.key()) {
		case "delta", "message":
			for more := s.open('{'); more; more = s.next('}') {
				switch string(s.key()) {
				case "content":
					c.text = s.text(c.text)
				case "reasoning", "reasoning_content":
					// vLLM has sent both names at once with equal values.
					if len(c.reasoning) == 0 {
						c.reasoning = s.text(c.reasoning)
					} else {
						s.skip()
					}
				default:
					s.skip()
				}
			}
		case "text":
			c.text = s.text(c.text)
		case "logprobs":
			decodeLogprobs(s, c)
		case "finish_reason":
			if s.peek() == '"' {
				c.finish = string(s.text(nil))
			} else {
				s.skip()
			}
		case "stop_reason", "matched_stop": // vLLM's and SGLang's; a number is a token's id
			if s.peek() == '"' {
				c.matched = string(s.text(nil))
			} else {
				s.skip()
			}
		default:
			s.skip()
		}
	}
}

// decodeLogprobs reads both forms: chat's list of entries, and completions'
// parallel lists.
func decodeLogprobs(s *scanner, c *chunk) {
	if s.peek() == '[' { // Ollama's own API has the list itself
		decodeEntries(s, c)
		return
	}
	for more := s.open('{'); more; more = s.next('}') {
		switch string(s.key()) {
		case "content":
			decodeEntries(s, c)
		case "token_logprobs":
			for more := s.open('['); more; more = s.next(']') {
				c.sampled = append(c.sampled, s.num())
			}
		case "top_logprobs":
			for more := s.open('['); more; more = s.next(']') {
				e := entry{lo: len(c.tops)}
				for more := s.open('{'); more; more = s.next('}') {
					key := s.key()
					c.noNames = c.noNames || bytes.HasPrefix(key, []byte("token_id:"))
					c.names = append(c.names, key...)
					c.tops = append(c.tops, s.num())
					c.ends = append(c.ends, len(c.names))
				}
				e.hi = len(c.tops)
				c.lists = append(c.lists, e)
			}
		default:
			s.skip()
		}
	}
	for i := range max(len(c.sampled), len(c.lists)) {
		e := entry{logprob: math.NaN()}
		if i < len(c.lists) {
			e.lo, e.hi = c.lists[i].lo, c.lists[i].hi
		}
		if i < len(c.sampled) {
			e.logprob = c.sampled[i]
		}
		c.entries = append(c.entries, e)
	}
}

// decodeEntries reads [{token, logprob, top_logprobs: [{token, logprob}]}].
func decodeEntries(s *scanner, c *chunk) {
	for more := s.open('['); more; more = s.next(']') {
		e := entry{logprob: math.NaN(), lo: len(c.tops)}
		for more := s.open('{'); more; more = s.next('}') {
			switch string(s.key()) {
			case "logprob":
				e.logprob = s.num()
			case "top_logprobs":
				for more := s.open('['); more; more = s.next(']') {
					decodeAlternative(s, c)
				}
			default:
				s.skip()
			}
		}
		e.hi = len(c.tops)
		c.entries = append(c.entries, e)
	}
}

func decodeAlternative(s *scanner, c *chunk) {
	lp := math.NaN()
	start := len(c.names)
	for more := s.open('{'); more; more = s.next('}') {
		switch string(s.key()) {
		case "token":
			c.names = s.text(c.names[:start])
		case "logprob":
			lp = s.num()
		default:
			s.skip()
		}
	}
	c.noNames = c.noNames || bytes.HasPrefix(c.names[start:], []byte("token_id:"))
	c.tops = append(c.tops, lp)
	c.ends = append(c.ends, len(c.names))
}

func decodeUsage(s *scanner, c *chunk) {
	for more := s.open('{'); more; more = s.next('}') {
		switch string(s.key()) {
		case "prompt_tokens":
			c.usage.Prompt = s.count()
		case "completion_tokens":
			c.usage.Completion = s.count()
		default:
			s.skip()
		}
	}
}

// decodeFault notes an error unless it is null, which some servers always send.
func decodeFault(s *scanner, c *chunk) {
	if v := s.skip(); !bytes.Equal(v, []byte("null")) {
		c.fault = slices.Clone(v)
	}
}

// count reads a number of tokens; what is not one is 0, that is, unknown.
func (s *scanner) count() int {
	n := s.num()
	if n >= 0 && n < 1<<40 {
		return int(n)
	}
	return 0
}

// openAIFinish tells finish words of OpenAI's shape apart. The servers' word
// "stop" is both the model's own end and a stop string: matched decides.
func openAIFinish(finish, matched string, stops []string) (llm.Finish, string, bool) {
	switch strings.ToLower(finish) {
	case "stop", "eos", "eos_token", "stop_sequence", "end_turn", "tool_calls", "function_call":
		if matched != "" && slices.Contains(stops, matched) {
			return llm.FinishStop, matched, true
		}
		return llm.FinishEOS, "", true
	case "length", "max_tokens":
		return llm.FinishLength, "", true
	}
	return llm.FinishError, "", false
}
