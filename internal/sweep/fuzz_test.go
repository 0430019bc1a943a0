package sweep

import "testing"

// A sweep's file of any bytes is refused, or is trials of known recipes with
// different keys, no more than a file may ask for.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"recipe": "grok", "settings": {"seed": 18446744073709551615}, "vary": [{"setting": "seed", "values": [1, 2, 1]}, {"setting": "a.b", "values": [{}]}]}`))
	f.Add([]byte(`{"recipe": "grok", "vary": [{"setting": "", "values": [null]}]}`))
	f.Add([]byte(`{"recipe": "grok", "settings": [], "like": "li2-boundary"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 4<<10 { // a product of 100,000 trials is meant to be possible, and slow
			return
		}
		s, err := parse(b)
		if err != nil {
			return
		}
		if len(s.Trials) > mostTrials {
			t.Fatalf("%d trials", len(s.Trials))
		}
		seen := map[string]bool{}
		for _, trial := range s.Trials {
			if seen[trial.Key] || trial.Key == "" {
				t.Fatalf("%q: the key %q is there twice", b, trial.Key)
			}
			seen[trial.Key] = true
		}
	})
}
