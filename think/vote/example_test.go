package vote_test

import (
	"fmt"

	"orrery/think/answer"
	"orrery/think/confidence"
	"orrery/think/vote"
)

// One confident trace outvotes two that doubt, and ends the run with a second
// that agrees.
func ExampleMachine() {
	m := vote.New(vote.Policy{Budget: 8, Warmup: 3, Eta: 50, Consensus: true, Tau: 0.85, MinVotes: 2,
		Confidence: confidence.Config{Window: 2}})
	traces := []struct {
		answer string
		c      float64
	}{{"1/3", 2}, {"1/3", 3}, {"0.5", 12}, {"7", 1}, {"1/2", 10}}
	for _, t := range traces {
		r, ok := m.Next()
		if !ok {
			break
		}
		for range 4 {
			m.Token(r.ID, []float64{-t.c})
		}
		m.End(r.ID, vote.EOS, t.answer, 0)
		fmt.Println(r.ID, r.Phase, r.Reason, r.Tokens)
	}
	m.Settle()
	s, _ := m.Threshold()
	o := m.Outcome()
	fmt.Println("s", s, "answer", o.Answer, "V", o.Classes[0].V, "stopped by", m.StoppedBy())
	fmt.Println(answer.KeyOf(o.Answer) == answer.KeyOf("1/2"))
	// Output:
	// 0 warmup eos 4
	// 1 warmup eos 4
	// 2 warmup eos 4
	// 3 final low_confidence 2
	// 4 final eos 4
	// s 3 answer 0.5 V 22 stopped by consensus
	// true
}
