package reason

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"strconv"
	"sync"
	"unicode/utf8"

	"orrery/think/llm"
	"orrery/think/vote"
)

// TraceRecord is one trace as it was generated, one JSON object a line of the
// file that `orrery replay` reads.
type TraceRecord struct {
	ID     json.RawMessage `json:"id"` // a string or a number, kept as it is written
	Answer *string         `json:"answer"`
	Tokens []TokenRecord   `json:"tokens"`
	// StopReason may say why the trace ended. Only "length" and "token_budget" mean
	// something to a replay: it had no room to go on.
	StopReason vote.StopReason `json:"stop_reason,omitempty"`
	// Thoughts are what each hidden thought of a latent model held. They are among
	// Tokens too, as tokens without a score; a replay only hands them on.
	Thoughts []llm.Thought `json:"thoughts,omitempty"`
}

// TokenRecord is one token: the sampled log-probability, null if unknown, and
// those of its alternatives.
type TokenRecord struct {
	Logprob *float64 `json:"logprob"`
	Top     Entries  `json:"top"` // null or empty: an unscored token
}

// Entries are log-probabilities with NaN for null. Other values that JSON does
// not know are written as what they mean to package confidence: +Inf as null,
// -Inf as the least number.
type Entries []float64

func (e Entries) MarshalJSON() ([]byte, error) {
	out := []byte{'['}
	for i, v := range e {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendNumber(out, v)
	}
	return append(out, ']'), nil
}

func appendNumber(out []byte, v float64) []byte {
	if v != v || v > math.MaxFloat64 {
		return append(out, "null"...)
	}
	return strconv.AppendFloat(out, max(v, -math.MaxFloat64), 'g', -1, 64)
}

// UnmarshalJSON reads a list of numbers and nulls. It does so by hand, because
// a trace of a long thought has a million of them.
func (e *Entries) UnmarshalJSON(b []byte) error {
	*e = Entries{}
	if string(b) == "null" {
		return nil
	}
	if b[0] != '[' {
		return fmt.Errorf("a list of numbers and nulls is wanted, not %.20q", b)
	}
	for b = bytes.TrimSpace(b[1 : len(b)-1]); len(b) > 0; {
		item, rest, more := bytes.Cut(b, []byte{','})
		item = bytes.TrimSpace(item)
		v := math.NaN()
		if string(item) != "null" {
			var err error
			if v, err = strconv.ParseFloat(string(item), 64); err != nil && !errors.Is(err, strconv.ErrRange) {
				return fmt.Errorf("a list of numbers and nulls is wanted, not %.20q in it", item)
			}
		}
		*e = append(*e, v)
		if b = rest; !more {
			break
		}
	}
	return nil
}

// maxLine bounds one trace of a file, in bytes: 128k tokens of 20 alternatives
// take a twentieth of it.
const maxLine = 1 << 30

// ReadTraces reads the traces of a file one by one. Errors name the line and
// the field. Blank lines are skipped.
func ReadTraces(r io.Reader) iter.Seq2[TraceRecord, error] {
	return func(yield func(TraceRecord, error) bool) {
		in := bufio.NewReaderSize(r, 1<<16)
		seen := map[string]int{}
		var buf []byte
		for line := 1; ; line++ {
			var err error
			buf, err = readLine(in, buf[:0])
			if err != nil && err != io.EOF {
				yield(TraceRecord{}, fmt.Errorf("traces: line %d: %w", line, err))
				return
			}
			if text := bytes.TrimSpace(buf); len(text) > 0 {
				t, bad := parseTrace(text)
				if bad == nil {
					if first, dup := seen[string(t.ID)]; dup {
						bad = fmt.Errorf("field id: %s was already used on line %d; ids must differ", t.ID, first)
					}
					seen[string(t.ID)] = line
				}
				if bad != nil {
					yield(TraceRecord{}, fmt.Errorf("traces: line %d: %w", line, bad))
					return
				}
				if !yield(t, nil) {
					return
				}
			}
			if err == io.EOF {
				return
			}
		}
	}
}

func readLine(in *bufio.Reader, buf []byte) ([]byte, error) {
	for {
		part, err := in.ReadSlice('\n')
		buf = append(buf, part...)
		if err != bufio.ErrBufferFull {
			return buf, err
		}
		if len(buf) > maxLine {
			return nil, fmt.Errorf("it is longer than %d bytes; is this one trace a line?", maxLine)
		}
	}
}

func parseTrace(line []byte) (TraceRecord, error) {
	var t TraceRecord
	if !utf8.Valid(line) { // decoding would make different answers equal
		return t, errors.New("it is not text in UTF-8")
	}
	if err := json.Unmarshal(line, &t); err != nil {
		return t, explain(line, err)
	}
	switch {
	case len(t.ID) == 0 || string(t.ID) == "null":
		return t, errors.New("field id is missing; give a string or a number")
	case t.ID[0] == '{' || t.ID[0] == '[' || t.ID[0] == 't' || t.ID[0] == 'f':
		return t, errors.New("field id: it is neither a string nor a number")
	case t.Tokens == nil:
		return t, errors.New("field tokens is missing; give a list, which may be empty")
	}
	for i := range t.Tokens {
		if t.Tokens[i].Top == nil {
			return t, fmt.Errorf("field tokens[%d].top is missing; give a list, which may be empty", i)
		}
	}
	return t, nil
}

// explain says in the words of the format why decoding a line failed with err.
func explain(line []byte, err error) error {
	if !json.Valid(line) {
		hint := ""
		if bytes.Contains(line, []byte("NaN")) || bytes.Contains(line, []byte("Infinity")) {
			hint = "; JSON has no NaN or Infinity: write null, or -9999 for the logarithm of 0"
		}
		return fmt.Errorf("it is not one JSON object: %w%s", err, hint)
	}
	is := func(raw json.RawMessage, v any) bool { return len(raw) == 0 || json.Unmarshal(raw, v) == nil }
	var t struct{ Answer, Tokens, Thoughts json.RawMessage }
	var tokens []json.RawMessage
	switch {
	case !is(line, &t):
		return fmt.Errorf("it is not a JSON object but %.20q", line)
	case !is(t.Answer, new(*string)):
		return fmt.Errorf("field answer: %.20q is neither a string nor null", t.Answer)
	case !is(t.Tokens, &tokens):
		return fmt.Errorf("field tokens: %.20q is not a list", t.Tokens)
	}
	if !is(t.Thoughts, new([]llm.Thought)) {
		return errors.New("field thoughts: it is not a list of objects with number, a whole number, and holds, a list of objects with text, a string, and p, a number")
	}
	for i, raw := range tokens {
		var tok struct{ Logprob, Top json.RawMessage }
		switch {
		case !is(raw, &tok):
			return fmt.Errorf("field tokens[%d]: %.20q is not an object", i, raw)
		case !is(tok.Logprob, new(*float64)):
			return fmt.Errorf("field tokens[%d].logprob: %.20q is neither a number that a double can hold nor null", i, tok.Logprob)
		case len(tok.Top) > 0:
			if bad := new(Entries).UnmarshalJSON(tok.Top); bad != nil {
				return fmt.Errorf("field tokens[%d].top: %w", i, bad)
			}
		}
	}
	return err
}

// Recorder is a Generator that writes every trace of another as a TraceRecord,
// in the order in which they were asked for. A trace that is stopped is written
// as far as it came, and a replay cannot tell: to record whole traces, use a
// method that stops none, such as majority with k = 20.
type Recorder struct {
	llm.Generator
	w io.Writer

	mu      sync.Mutex
	asked   int
	written int
	ready   map[int][]byte // ended, but an earlier one is still running
	err     error
}

// NewRecorder records what g generates to w.
func NewRecorder(g llm.Generator, w io.Writer) *Recorder {
	return &Recorder{Generator: g, w: w, ready: map[int][]byte{}}
}

// Err is the first error of writing.
func (r *Recorder) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Generate passes the stream on and keeps its tokens, about 20 bytes for each
// alternative, until it ends. Ids are numbers from 0, by order of the calls.
// Every stream that is asked for must be ranged over.
func (r *Recorder) Generate(ctx context.Context, req llm.Request) iter.Seq[llm.Event] {
	r.mu.Lock()
	id := r.asked
	r.asked++
	r.mu.Unlock()
	return func(yield func(llm.Event) bool) {
		line := fmt.Appendf(nil, `{"id":%d,"tokens":[`, id)
		var said, thought []byte
		var thoughts []llm.Thought
		tokens := 0
		cut := true // until the end is known
		defer func() {
			line = append(line, ']')
			if b, err := json.Marshal(thoughts); len(thoughts) > 0 && err == nil {
				line = append(append(line, `,"thoughts":`...), b...)
			}
			line = append(line, `,"answer":`...)
			ans := extract(r.Generator.Info(), string(said), string(thought), cut)
			if b, err := json.Marshal(ans); ans != "" && err == nil {
				line = append(line, b...)
			} else {
				line = append(line, "null"...)
			}
			r.write(id, append(line, "}\n"...))
		}()
		for ev := range r.Generator.Generate(ctx, req) {
			switch ev.Kind {
			case llm.KindText:
				if ev.Channel == llm.Reasoning {
					thought = append(thought, ev.Text...)
				} else {
					said = append(said, ev.Text...)
				}
			case llm.KindToken:
				if tokens++; tokens > 1 {
					line = append(line, ',')
				}
				line = append(line, `{"logprob":`...)
				line = appendNumber(line, ev.Token.Logprob)
				line = append(line, `,"top":[`...)
				for i, v := range ev.Token.Top {
					if i > 0 {
						line = append(line, ',')
					}
					line = appendNumber(line, v)
				}
				line = append(line, "]}"...)
			case llm.KindThought:
				if tokens++; tokens > 1 {
					line = append(line, ',')
				}
				line = append(line, `{"logprob":null,"top":[]}`...)
				thoughts = append(thoughts, ev.Thought.Clone())
			case llm.KindEnd:
				if ev.End.Finish == llm.FinishEOS || ev.End.Finish == llm.FinishStop {
					cut = false
				}
			}
			if !yield(ev) {
				return
			}
		}
	}
}

func (r *Recorder) write(id int, line []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ready[id] = line
	for next, ok := r.ready[r.written]; ok; next, ok = r.ready[r.written] {
		delete(r.ready, r.written)
		r.written++
		if r.err == nil {
			if _, err := r.w.Write(next); err != nil {
				r.err = fmt.Errorf("recording trace %d: %w", r.written-1, err)
			}
		}
	}
}
