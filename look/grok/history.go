package grok

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"orrery/report"
)

// History is the evaluations of a training, by epoch.
type History []Evaluation

// ReadMetrics reads a folder's metrics.jsonl, none if there is no such file. A
// last line that is not whole, being written, is left out.
func ReadMetrics(dir string) (History, error) {
	b, err := os.ReadFile(filepath.Join(dir, "metrics.jsonl"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the metrics of a run: %w", err)
	}
	var out History
	for n := 1; ; n++ {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		if !whole {
			return out, nil
		}
		b = rest
		var e Evaluation
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("reading the metrics of the run in %s: line %d: %w", dir, n, err)
		}
		out = append(out, e)
	}
}

// Enough is the accuracy that counts as fitting, or generalising.
const Enough = 0.99

// Reached is the first epoch from which on, for two evaluations, accuracy is at
// least some value, and whether there is one. test chooses the held-out pairs.
func (h History) Reached(test bool, accuracy float64) (epoch int, ok bool) {
	enough := func(e Evaluation) bool {
		s := &e.Train
		if test {
			s = e.Test
		}
		return s != nil && s.Accuracy >= accuracy
	}
	for i, e := range h {
		if enough(e) && (i+1 == len(h) || enough(h[i+1])) {
			return e.Epoch, true
		}
	}
	return 0, false
}

// Blocks are a table of the marks, for so many pairs trained on and held out, and
// the curves of accuracy and loss, with further marks. There must be an evaluation.
func (h History) Blocks(train, test int, marks []report.Mark) []report.Block {
	return append([]report.Block{h.table(train, test)}, h.curves(marks)...)
}

func (h History) table(train, test int) report.Block {
	when := func(test bool) string {
		if e, ok := h.Reached(test, Enough); ok {
			return fmt.Sprint(e)
		}
		return "not reached"
	}
	last := h[len(h)-1]
	t := report.Table{Head: []string{"pairs", "count", "99 % from epoch", "accuracy at the end", "loss at the end"}}
	row := func(name string, n int, test bool, s Score) {
		t.Rows = append(t.Rows, []string{name, fmt.Sprint(n), when(test), fmt.Sprintf("%.2f %%", 100*s.Accuracy), fmt.Sprintf("%.3g", s.Loss)})
	}
	row("trained on", train, false, last.Train)
	if last.Test != nil {
		row("held out", test, true, *last.Test)
	}
	return t
}

// curves are accuracy and loss over epochs, with the two marks and others.
func (h History) curves(more []report.Mark) []report.Block {
	var marks []report.Mark
	if e, ok := h.Reached(false, Enough); ok {
		marks = append(marks, report.Mark{At: float64(e), Name: "fits"})
	}
	if e, ok := h.Reached(true, Enough); ok {
		marks = append(marks, report.Mark{At: float64(e), Name: "generalises"})
	}
	marks = append(marks, more...)
	accuracy := []report.Series{{Name: "trained on"}, {Name: "held out"}}
	loss := []report.Series{{Name: "trained on"}, {Name: "held out"}}
	add := func(i int, epoch float64, s Score) {
		accuracy[i].X, accuracy[i].Y = append(accuracy[i].X, epoch), append(accuracy[i].Y, s.Accuracy)
		loss[i].X, loss[i].Y = append(loss[i].X, epoch), append(loss[i].Y, s.Loss)
	}
	for _, e := range h {
		add(0, float64(e.Epoch), e.Train)
		if e.Test != nil {
			add(1, float64(e.Epoch), *e.Test)
		}
	}
	if len(accuracy[1].X) == 0 {
		accuracy, loss = accuracy[:1], loss[:1]
	}
	epochs := report.Axis{Label: "epoch", Log: true}
	return []report.Block{
		report.Plot{Title: "Accuracy", X: epochs, Y: report.Axis{Percent: true, Min: 0, Max: 1}, Series: accuracy, Marks: marks,
			Caption: "Marks: the first epoch from which on two evaluations reach 99 %."},
		report.Plot{Title: "Loss", X: epochs, Y: report.Axis{Label: "loss of a pair", Log: true}, Series: loss, Marks: marks},
	}
}
