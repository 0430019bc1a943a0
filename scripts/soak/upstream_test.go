package soak

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// model is a server of the vllm dialect that goes wrong as the question says.
// It keeps nothing of a request, so that memory is the program's.
type model struct {
	away   atomic.Bool // connections are closed at once
	active atomic.Int64
}

// words is what it says, a token an event.
var words = strings.SplitAfter(`so we add them up and find that it must be \boxed{4}`, " ")

func (m *model) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if m.away.Load() {
		panic(http.ErrAbortHandler)
	}
	m.active.Add(1)
	defer m.active.Add(-1)
	if r.URL.Path == "/v1/models" {
		io.WriteString(w, `{"object": "list", "data": [{"id": "soak", "owned_by": "vllm"}]}`)
		return
	}
	body, err := io.ReadAll(r.Body)
	var in struct {
		Messages []struct{ Content string }
		Logprobs bool
	}
	if err != nil || json.Unmarshal(body, &in) != nil || len(in.Messages) == 0 {
		http.Error(w, `{"error": {"message": "what?"}}`, http.StatusBadRequest)
		return
	}
	question := in.Messages[len(in.Messages)-1].Content
	fault := question[strings.LastIndexByte(question, ' ')+1:]
	switch fault {
	case "broken":
		http.Error(w, `{"error": {"message": "the engine died"}}`, http.StatusNotImplemented)
		return
	case "page":
		io.WriteString(w, "<html>welcome</html>")
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w)
	for i, word := range words {
		pause := 2 * time.Millisecond
		switch {
		case fault == "slow":
			pause = 60 * time.Millisecond
		case i < len(words)/2:
		case fault == "killed":
			flush.Flush()
			panic(http.ErrAbortHandler)
		case fault == "malformed":
			io.WriteString(w, "data: {\"choices\": nonsense}\n\n")
			return
		case fault == "truncated":
			return
		case fault == "silent":
			flush.Flush()
			<-r.Context().Done()
			return
		}
		select {
		case <-time.After(pause):
		case <-r.Context().Done():
			return
		}
		logprobs := "null"
		if in.Logprobs {
			logprobs = fmt.Sprintf(`{"content": [{"token": %q, "logprob": -0.5, "top_logprobs": [{"token": %q, "logprob": -0.5}, {"token": "x", "logprob": -%d.25}, {"token": "y", "logprob": -3}]}]}`, word, word, 1+i%2)
		}
		fmt.Fprintf(w, "data: {\"choices\": [{\"index\": 0, \"delta\": {\"content\": %q}, \"logprobs\": %s, \"finish_reason\": null}]}\n\n", word, logprobs)
		flush.Flush()
	}
	fmt.Fprintf(w, "data: {\"choices\": [{\"index\": 0, \"delta\": {}, \"finish_reason\": \"stop\"}]}\n\ndata: {\"choices\": [], \"usage\": {\"prompt_tokens\": 9, \"completion_tokens\": %d}}\n\ndata: [DONE]\n\n", len(words))
}
