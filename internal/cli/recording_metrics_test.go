package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// The last value of each number counts, also of those one level down, as grokking runs
// have them; texts, nulls and what is not a whole line do not.
func TestLastMetrics(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	text := `{"kind": "step", "step": 1, "loss": 2.5, "train": {"loss": 3, "accuracy": 0.5}, "test": null}
{"kind": "step", "step": 2, "train": {"loss": 1, "name": "x", "deep": {"a": 1}}, "test": {"accuracy": 1}}
{"kind": "st`
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var got map[string]float64
	if err := json.Unmarshal(lastMetrics(path), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{"step": 2, "loss": 2.5, "train.loss": 1, "train.accuracy": 0.5, "test.accuracy": 1}
	if len(got) != len(want) {
		t.Errorf("%v, want %v", got, want)
	}
	for name, v := range want {
		if got[name] != v {
			t.Errorf("%s is %v, want %v", name, got[name], v)
		}
	}
	if lastMetrics(filepath.Join(t.TempDir(), "none")) != nil {
		t.Error("figures of a file that is not there")
	}
}
