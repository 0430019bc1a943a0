package record

import (
	"crypto/rand"
	"encoding/json"
	"strings"
	"sync"
	"time"
)

// State is how far a run has come.
type State string

const (
	Running State = "running"
	Done    State = "done"
	Failed  State = "failed"  // Run.Error says why
	Stopped State = "stopped" // by whoever started it
	Lost    State = "lost"    // its process died before it ended
)

// States lists them all.
var States = []State{Running, Done, Failed, Stopped, Lost}

// Run is one thing that was run. What was not kept, or does not exist, is nil or "".
type Run struct {
	ID      string // see [NewID]; sorts by time
	Kind    string // "serve", "ask", "eval", "train", "audit", "probe", "sweep", "replay", …
	Name    string // of the recipe, the task, the checkpoint, or of the model that was asked
	Method  string // of requests
	Model   string // of requests: as the server names it
	State   State
	Started time.Time // exact to microseconds
	Ended   time.Time // zero while it runs; of a lost run the last sign of life
	Dir     string    // run folder
	Report  string    // path of its report.html
	Client  string    // name of the API key that asked
	Request string    // X-Request-Id
	Keep    string    // what of its traces is kept: see [Keep]

	Question *string // nil: not kept
	Answer   *string // nil: none, or not kept

	Tokens int      // used by all traces
	Saved  *float64 // estimate of the tokens saved; nil: undefined
	Traces int      // of a running or lost run: those that have ended

	Config  json.RawMessage // parameters, with defaults filled in
	Metrics json.RawMessage // an object of last values, by name
	Result  json.RawMessage // what --json prints; like Votes not filled in by [Store.List]
	Votes   json.RawMessage // how the vote shifted, as whoever wrote it reads it; nil: not known
	Error   string
}

// Seconds is how long the run took, or has been running at the time now.
func (r *Run) Seconds(now time.Time) float64 {
	if !r.Ended.IsZero() {
		now = r.Ended
	}
	return max(0, now.Sub(r.Started).Seconds())
}

// NewID is an identifier for a run that starts at t: UTC to the millisecond, then
// 30 random bits, as in "20261125-211503042-7hx3kq". Ids sort by time, and those that
// one process makes within a millisecond sort in the order in which they are made.
func NewID(t time.Time) string {
	at := strings.Replace(t.UTC().Format("20060102-150405.000"), ".", "", 1) + "-"
	id := at + strings.ToLower(rand.Text()[:6])
	lastID.Lock()
	defer lastID.Unlock()
	if strings.HasPrefix(lastID.id, at) && id <= lastID.id {
		id = after(lastID.id)
	}
	lastID.id = id
	return id
}

// lastID is the id that was made last.
var lastID struct {
	sync.Mutex
	id string
}

// digits are those of base 32 in lower case, as they sort.
const digits = "234567abcdefghijklmnopqrstuvwxyz"

// after is the id that comes next: its last digit is one more, or where there is no
// higher one, the digit before.
func after(id string) string {
	b := []byte(id)
	for i := len(b) - 1; b[i] != '-'; i-- {
		if d := strings.IndexByte(digits, b[i]); d+1 < len(digits) {
			b[i] = digits[d+1]
			return string(b)
		}
		b[i] = digits[0]
	}
	return id + digits[:1] // all were the highest: a longer one comes after them
}

// Trace is one trace of a run that has ended.
type Trace struct {
	Run        string
	Number     int    // from 0, in launch order
	Phase      string // "warmup" or "final"
	Seed       uint64
	Answer     *string // nil: none, or not kept
	StopReason string  // why it ended
	Excluded   string  // why it does not vote; "": it does, or that is not decided yet
	Votes      *bool   // nil: not decided yet
	Weight     *float64
	Tokens     int // up to the decision that ended it

	Mean, Lowest, Bottom10, Tail *float64 // nil: undefined

	Seconds float64
	Detail  json.RawMessage // everything else that is known of it

	// The parts below are kept, or read, only where that is asked for: see [Keep] and [Store.Traces].

	Text, Reasoning string // the two channels, up to the decision

	// Confidences has C of each token, NaN where a token has none; nil: not kept, or
	// none was measured.
	Confidences []float64

	// Logprobs, Top and TopTexts have for each token its own log-probability and those
	// of its alternatives as they were received, NaN for null, with their texts, nil
	// where the server sent none. They are as long as Confidences, or nil.
	Logprobs []float64
	Top      [][]float64
	TopTexts [][]string
}

// Keep names the parts of traces that are kept, or read.
type Keep uint8

const (
	KeepText         Keep = 1 << iota // questions, answers, and the traces' texts
	KeepConfidence                    // of each token
	KeepAlternatives                  // log-probabilities of each token and its alternatives, and their texts

	KeepAll     = KeepText | KeepConfidence | KeepAlternatives
	KeepDefault = KeepText | KeepConfidence
)
