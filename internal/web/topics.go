package web

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"orrery/think/llm"
)

// open is the source of a topic by its name.
func (p *Page) open(name string) source {
	kind, rest, _ := strings.Cut(name, "/")
	switch kind {
	case "runs":
		return &runList{p: p}
	case "run":
		return newFollow(p, rest)
	case "ask":
		if s := p.find(rest); s != nil {
			return s
		}
	case "trace":
		id, n, _ := strings.Cut(rest, "/")
		if i, err := strconv.Atoi(n); err == nil && i >= 0 {
			if s := p.find(id); s != nil {
				return &traceText{s, i}
			}
		}
	}
	return nothing{}
}

// nothing is the source of a topic that isn't there.
type nothing struct{}

func (nothing) frame(since any) ([]byte, any) {
	if since != nil {
		return nil, since
	}
	return []byte(`{"gone":true}`), true
}

// list is the requests that are kept and that a viewer may see, in short.
type list struct {
	p *Page
	v viewer
}

// brief is a request in the list.
type brief struct {
	ID       string    `json:"id"`
	Time     time.Time `json:"time"`
	Method   string    `json:"method"`
	Question string    `json:"question"`
	State    string    `json:"state"`
	Mine     bool      `json:"mine"`
	Traces   int       `json:"traces"`
	Running  int       `json:"running"`
	Used     int       `json:"used"`
	Saved    *float64  `json:"saved"`
	Answer   *string   `json:"answer"`
	Error    string    `json:"error,omitempty"`
}

type listFrame struct {
	Asks []brief  `json:"asks,omitempty"`
	Gone []string `json:"gone,omitempty"`
}

func (s *show) brief() brief {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &s.head
	b := brief{ID: s.id, Time: h.Time, Method: h.Method, Question: clip(h.Question, labelLength), State: h.State, Mine: h.Mine,
		Traces: len(s.traces), Used: s.used(), Saved: s.saved(), Error: clip(h.Error, labelLength)}
	for _, t := range s.traces {
		if t.head.State == stateRunning {
			b.Running++
		}
	}
	if n := len(s.votes); n > 0 {
		b.Answer = s.votes[n-1].Leader
	}
	if h.Result != nil {
		b.Answer = label(h.Result.Answer)
	}
	return b
}

// frame implements [source]. The mark is what each request looked like.
func (l *list) frame(since any) ([]byte, any) {
	was, _ := since.(map[string]string)
	l.p.mu.Lock()
	shows := make([]*show, 0, len(l.p.order))
	for _, id := range l.p.order {
		if s := l.p.shows[id]; l.v.may(s.client) {
			shows = append(shows, s)
		}
	}
	l.p.mu.Unlock()
	var f listFrame
	now := map[string]string{}
	for _, s := range shows {
		b := s.brief()
		saved := "none"
		if b.Saved != nil {
			saved = strconv.Itoa(int(*b.Saved))
		}
		now[s.id] = fmt.Sprint(b.State, b.Traces, b.Running, b.Used, saved, b.Answer != nil)
		if b.Answer != nil {
			now[s.id] += *b.Answer
		}
		if old, ok := was[s.id]; !ok || old != now[s.id] {
			f.Asks = append(f.Asks, b)
		}
	}
	for id := range was {
		if _, ok := now[id]; !ok {
			f.Gone = append(f.Gone, id)
		}
	}
	if since != nil && len(f.Asks)+len(f.Gone) == 0 {
		return nil, was
	}
	body, err := json.Marshal(f)
	if err != nil {
		panic(err) // texts and finite numbers
	}
	return body, now
}

// traceText is the text of one trace, and what its hidden thoughts hold.
type traceText struct {
	s *show
	n int
}

func traceTopic(id string, n int) string { return "trace/" + id + "/" + strconv.Itoa(n) }

type textMark struct{ text, reasoning, thoughts int }

type textFrame struct {
	TextAt      int           `json:"text_at"`
	Text        string        `json:"text,omitempty"`
	ReasoningAt int           `json:"reasoning_at"`
	Reasoning   string        `json:"reasoning,omitempty"`
	Thoughts    []llm.Thought `json:"thoughts,omitempty"` // all of them
	Cut         bool          `json:"cut,omitempty"`
}

// frame implements [source]. Offsets count bytes, which the page only compares.
func (t *traceText) frame(since any) ([]byte, any) {
	was, _ := since.(textMark)
	t.s.mu.Lock()
	var f textFrame
	now := textMark{}
	if t.n < len(t.s.traces) {
		tr := t.s.traces[t.n]
		now = textMark{len(tr.text), len(tr.reasoning), len(tr.thoughts)}
		f = textFrame{TextAt: was.text, Text: string(tr.text[was.text:]), ReasoningAt: was.reasoning, Reasoning: string(tr.reasoning[was.reasoning:]), Cut: tr.cut}
		if now.thoughts != was.thoughts {
			f.Thoughts = append(f.Thoughts, tr.thoughts...)
		}
	}
	t.s.mu.Unlock()
	if since != nil && now == was {
		return nil, was
	}
	body, err := json.Marshal(f)
	if err != nil {
		panic(err)
	}
	return body, now
}
