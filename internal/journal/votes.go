package journal

import (
	"encoding/json"
	"errors"

	"orrery/record"
	"orrery/think/reason"
)

// MostClasses is how many classes of a vote are kept: the heaviest. Of the others
// there is their weight together.
const MostClasses = 12

// Vote is a state of the vote: what the run would have answered if it had had to stop
// then.
type Vote struct {
	reason.Vote
	Others float64 // weight of the classes beyond MostClasses
}

// votes is a run's Votes as they are stored. Answers repeat, so classes name them by
// their place.
type votes struct {
	Answers []string `json:"answers"`
	Votes   []ballot `json:"votes"`

	places map[string]int
}

type ballot struct {
	Used       int          `json:"used"`
	Leader     *int         `json:"leader"`
	Beta       *float64     `json:"beta"`
	Calibrated bool         `json:"calibrated,omitempty"`
	Classes    [][3]float64 `json:"classes"` // each an answer's place, its weight, and how many traces
	Others     float64      `json:"others,omitempty"`
}

// place is where an answer stands, from now on.
func (v *votes) place(answer string) int {
	at, ok := v.places[answer]
	if !ok {
		if v.places == nil {
			v.places = map[string]int{}
		}
		at = len(v.Answers)
		v.places[answer], v.Answers = at, append(v.Answers, answer)
	}
	return at
}

// add takes a state of the vote in.
func (v *votes) add(e reason.Vote) {
	b := ballot{Used: e.Used, Beta: e.Beta, Calibrated: e.Calibrated, Classes: [][3]float64{}}
	if e.Leader != nil {
		at := v.place(*e.Leader)
		b.Leader = &at
	}
	for i, c := range e.Classes {
		if i < MostClasses {
			b.Classes = append(b.Classes, [3]float64{float64(v.place(c.Answer)), c.Weight, float64(c.Count)})
		} else {
			b.Others += c.Weight
		}
	}
	v.Votes = append(v.Votes, b)
}

// vote is e without texts.
func (l labels) vote(e reason.Vote) reason.Vote {
	e.Leader = l.of(e.Leader)
	e.Classes = append([]reason.Class{}, e.Classes...)
	for i := range e.Classes {
		e.Classes[i].Answer = *l.of(&e.Classes[i].Answer)
	}
	return e
}

// Votes is how a request's vote shifted, as it was counted then; known is false of a
// request of which that was not recorded.
func Votes(run *record.Run) (list []Vote, known bool, err error) {
	if len(run.Votes) == 0 {
		return nil, false, nil
	}
	damaged := errors.New("the votes of run " + run.ID + " are damaged; delete it with 'orrery runs rm'")
	var v votes
	if json.Unmarshal(run.Votes, &v) != nil {
		return nil, false, damaged
	}
	answer := func(at float64) (string, bool) {
		if !(at >= 0 && at < float64(len(v.Answers))) {
			return "", false
		}
		return v.Answers[int(at)], true
	}
	for _, b := range v.Votes {
		vote := Vote{Vote: reason.Vote{Used: b.Used, Beta: b.Beta, Calibrated: b.Calibrated, Classes: []reason.Class{}}, Others: b.Others}
		if b.Leader != nil {
			leader, ok := answer(float64(*b.Leader))
			if !ok {
				return nil, false, damaged
			}
			vote.Leader = &leader
		}
		for _, c := range b.Classes {
			text, ok := answer(c[0])
			if !ok {
				return nil, false, damaged
			}
			vote.Classes = append(vote.Classes, reason.Class{Answer: text, Weight: c[1], Count: int(c[2])})
		}
		list = append(list, vote)
	}
	return list, true, nil
}
