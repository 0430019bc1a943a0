package cli

import (
	"encoding/json"
	"reflect"
	"testing"

	"orrery/learn/recipe"
)

// TestSettingsOverride: what flags set overrides a recipe's defaults, zeros
// included. Settings of one recipe, written as JSON, turn every other recipe of the
// same kind into the first; a field that JSON leaves out would keep the other's default.
func TestSettingsOverride(t *testing.T) {
	pairs := 0
	for _, from := range recipe.Names() {
		a, _ := recipe.Lookup(from)
		want := a.New()
		if _, ok := want.(recipe.Flagged); !ok {
			continue
		}
		b, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		for _, to := range recipe.Names() {
			other, _ := recipe.Lookup(to)
			if reflect.TypeOf(other.New()) != reflect.TypeOf(want) || to == from {
				continue
			}
			pairs++
			r, err := other.With(b)
			if err != nil {
				t.Fatalf("%s with the settings of %s: %v", to, from, err)
			}
			got, err := r.Settings()
			if err != nil {
				t.Fatal(err)
			}
			if after, _ := json.Marshal(got); string(after) != string(b) {
				t.Errorf("%s with the settings of %s has\n%s\nwant\n%s", to, from, after, b)
			}
		}
	}
	if pairs < 20 {
		t.Errorf("only %d pairs of recipes were compared", pairs)
	}
}
