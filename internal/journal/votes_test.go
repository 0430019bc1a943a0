package journal

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"orrery/internal/server"
	"orrery/record"
	"orrery/think/llm"
	"orrery/think/llm/llmtest"
	"orrery/think/reason"
)

// TestThoughtsAreKept: what each hidden thought held is in the record and in the lines
// that a replay reads, and a replay hands it on; without texts it is nowhere.
func TestThoughtsAreKept(t *testing.T) {
	script := llmtest.Say(3, "Every", " step", " ###", " Alex is", " a gorpus.")
	script.Thoughts = []llm.Thought{{Number: 1, Holds: []llm.Reading{{Text: "wumpus", P: 0.5}, {Text: "lempus", P: 0.25}}}, {Number: 2, Holds: []llm.Reading{{Text: "gorpus", P: 1}}}}
	g := &llmtest.Scripted{Model: "nut", K: 3, Pick: func(llm.Request) llmtest.Script { return script }, Latent: &llm.Latent{Method: "coconut", Thoughts: 2, Trained: 3, Mark: "### "}}
	for keep, kept := range map[record.Keep]bool{record.KeepDefault: true, record.KeepConfidence: false} {
		j, s := opened(t, Options{Keep: keep})
		res, run := think(t, j, s, g, "coconut", reason.Params{K: 3, Window: 1})
		if len(res.Traces[0].Thoughts) != 2 {
			t.Fatalf("the run has %v", res.Traces[0].Thoughts)
		}
		var lines strings.Builder
		if _, err := WriteTraces(t.Context(), &lines, s, run.ID); err != nil {
			t.Fatal(err)
		}
		rep, err := Replay(t.Context(), s, run.ID, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := rep.Traces[0]; got.Tokens != 7 || kept != reflect.DeepEqual(got.Thoughts, res.Traces[0].Thoughts) || kept != strings.Contains(lines.String(), "wumpus") {
			t.Errorf("keep %s: a replay has %d tokens and %v of %s", keep, got.Tokens, got.Thoughts, lines.String())
		}
	}
}

// heard is a journal's watch that also keeps the votes that were told.
type heard struct {
	server.Watch
	labels labels // nil: answers are kept
	votes  []reason.Vote
}

func (h *heard) Event(e reason.Event) {
	switch e := e.(type) {
	case reason.TraceFinished:
		if h.labels != nil {
			h.labels.of(e.Answer) // as they end
		}
	case reason.Vote:
		if h.labels != nil {
			e = h.labels.vote(e)
		}
		h.votes = append(h.votes, e)
	}
	h.Watch.Event(e)
}

// bitsOf is a state of the vote, in text whose equality is that of bits.
func bitsOf(v reason.Vote, others float64) string {
	var b strings.Builder
	leader := "none"
	if v.Leader != nil {
		leader = *v.Leader
	}
	fmt.Fprintf(&b, "%d %q %s %v", v.Used, leader, bits(v.Beta), v.Calibrated)
	for i, c := range v.Classes {
		if i < MostClasses {
			fmt.Fprintf(&b, " %q %x %d", c.Answer, math.Float64bits(c.Weight), c.Count)
		} else {
			others += c.Weight
		}
	}
	return fmt.Sprintf("%s %x", b.String(), math.Float64bits(others))
}

// TestVotesAreThoseOfTheRun: every state of the vote is kept with all its bits, and with
// the tokens that had been used by then; without texts by labels, equal for equal answers.
func TestVotesAreThoseOfTheRun(t *testing.T) {
	for _, keep := range []record.Keep{record.KeepDefault, record.KeepConfidence} {
		j, s := opened(t, Options{Keep: keep})
		shifts := 0
		for seed := range uint64(8) {
			method, p := variants(rand.New(rand.NewPCG(seed, 7)))
			var h *heard
			res, run := thinkWith(t, j, s, random(seed), method, p, func(w server.Watch) server.Watch {
				if h = (&heard{Watch: w}); keep&record.KeepText == 0 {
					h.labels = labels{}
				}
				return h
			})
			got, known, err := Votes(run)
			if err != nil || !known || len(got) != len(h.votes) {
				t.Fatalf("seed %d: %d votes of %d, known %v, %v", seed, len(got), len(h.votes), known, err)
			}
			used := 0
			for i, want := range h.votes {
				if a, b := bitsOf(got[i].Vote, got[i].Others), bitsOf(want, 0); a != b {
					t.Fatalf("keep %s, seed %d, vote %d is kept as\n%s\nand was\n%s", keep, seed, i, a, b)
				}
				if got[i].Used < used || got[i].Used > res.Tokens.Used {
					t.Errorf("seed %d, vote %d: %d tokens after %d, of %d", seed, i, got[i].Used, used, res.Tokens.Used)
				}
				used = got[i].Used
			}
			shifts += len(got)
		}
		if shifts < 20 {
			t.Errorf("only %d votes were compared", shifts)
		}
	}
}
