package journal

import (
	"encoding/json"
	"slices"
	"testing"

	"orrery/record"
)

// FuzzVotes: whatever stands in a store's column, its votes are refused or name answers that
// stand there too, and no other.
func FuzzVotes(f *testing.F) {
	for _, s := range []string{
		"", "null", `{"answers":["2","3"],"votes":[{"used":3,"leader":1,"beta":0.5,"classes":[[1,2,1],[0,1,1]]},{"used":5,"leader":null,"beta":null,"classes":[],"others":1}]}`,
		`{"answers":[],"votes":[{"leader":0,"classes":[]}]}`, `{"answers":["2"],"votes":[{"classes":[[-1,0,0]]}]}`, `{"answers":["2"],"votes":[{"classes":[[1e300,0,1e300]]}]}`,
		`{"answers":["2"],"votes":[{"leader":-1,"classes":[[0.5,1,1]]}]}`, `{"votes":[null]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		list, known, err := Votes(&record.Run{ID: "x", Votes: b})
		if (err != nil || len(b) == 0) && (known || list != nil) {
			t.Fatalf("%v, and yet known %v: %v", err, known, list)
		}
		var stored votes
		if err != nil || json.Unmarshal(b, &stored) != nil {
			return
		}
		for _, v := range list {
			if v.Leader != nil && !slices.Contains(stored.Answers, *v.Leader) {
				t.Errorf("leader %q of %q", *v.Leader, stored.Answers)
			}
			for _, c := range v.Classes {
				if !slices.Contains(stored.Answers, c.Answer) {
					t.Errorf("class %q of %q", c.Answer, stored.Answers)
				}
			}
		}
	})
}
