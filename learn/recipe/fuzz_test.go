package recipe

import (
	"encoding/json"
	"reflect"
	"testing"
)

// A recipe file of any bytes is refused, or is a known recipe with settings
// that, written and read again, are the same.
func FuzzParse(f *testing.F) {
	choice := func(r Recipe) (Choice, error) {
		s, err := r.Settings()
		return Choice{Recipe: r.Name, Settings: s}, err
	}
	for _, name := range Names() {
		r, err := Lookup(name)
		if err != nil {
			f.Fatal(err)
		}
		c, err := choice(r)
		if err != nil {
			f.Fatal(err)
		}
		b, err := json.Marshal(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"recipe": "builtin", "settings": {"seed": 18446744073709551615}} {}`))
	f.Add([]byte(`{"version": 1, "config": {"recipe": "builtin"}, "base": {"sha256": "00"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parse(b)
		if err != nil {
			return
		}
		c, err := choice(r)
		if err != nil {
			t.Fatalf("%q is read, and its settings are not: %v", b, err)
		}
		out, err := json.Marshal(c)
		if err != nil {
			t.Fatalf("%q is recipe %s, whose settings cannot be written: %v", b, r.Name, err)
		}
		again, err := parse(out)
		if err != nil {
			t.Fatalf("%q is written as %s, which is refused: %v", b, out, err)
		}
		same, err := choice(again)
		if err != nil || !reflect.DeepEqual(normal(t, same), normal(t, c)) {
			t.Fatalf("%q is written as %s, which is another choice: %v", b, out, err)
		}
	})
}

// normal is a value as JSON has it: an empty list and none are the same.
func normal(t *testing.T, c Choice) (v any) {
	b, err := json.Marshal(c)
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}
