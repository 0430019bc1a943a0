package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"

	"orrery/learn/train"
	"orrery/report"
)

// writeTrainReport draws a run folder's metrics into its report.html; own, if
// not nil, adds what the recipe has of its own. A folder without metrics, of a run
// that ended before its first step, gets none.
func writeTrainReport(dir, recipe string, own func(*report.Page) error) error {
	f, err := os.Open(filepath.Join(dir, "metrics.jsonl"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("write the report of %s: %w", dir, err)
	}
	defer f.Close()
	metrics, err := readMetrics(f)
	if err != nil {
		return fmt.Errorf("write the report of %s: %w", dir, err)
	}
	config, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		return fmt.Errorf("write the report of %s: %w", dir, err)
	}
	page := trainPage(recipe, metrics, string(config))
	if own != nil {
		if err := own(&page); err != nil {
			return fmt.Errorf("write the report of %s: %w", dir, err)
		}
	}
	return page.WriteFile(filepath.Join(dir, "report.html"))
}

// lastStep is the newest step of a run's metrics.
func lastStep(dir string) (last train.Metric, err error) {
	f, err := os.Open(filepath.Join(dir, "metrics.jsonl"))
	if err != nil {
		return last, fmt.Errorf("read the metrics of %s: %w", dir, err)
	}
	defer f.Close()
	metrics, err := readMetrics(f)
	if err != nil {
		return last, fmt.Errorf("read the metrics of %s: %w", dir, err)
	}
	for _, m := range metrics {
		if m.Kind == "step" {
			last = m
		}
	}
	return last, nil
}

// readMetrics reads whole lines; a last one that is being written is left out.
func readMetrics(r io.Reader) ([]train.Metric, error) {
	var out []train.Metric
	in := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		var m train.Metric
		if err := json.Unmarshal(line, &m); err != nil {
			return nil, fmt.Errorf("metrics.jsonl line %d: %w", n, err)
		}
		out = append(out, m)
	}
}

// trainPage has the curves of one run.
func trainPage(recipe string, metrics []train.Metric, config string) report.Page {
	loss := report.Series{Name: "batch loss"}
	rate := report.Series{Name: "learning rate"}
	norm := report.Series{Name: "gradient norm before clipping"}
	speed := report.Series{Name: "tokens/s"}
	accuracy, held := map[string]*report.Series{}, map[string]*report.Series{}
	var last train.Metric
	for _, m := range metrics {
		last = m
		x := float64(m.Step)
		if m.Kind == "eval" {
			for task, s := range m.Tasks {
				add(accuracy, task, x, s.Accuracy)
				add(held, task, x, s.Loss)
			}
			continue
		}
		for s, y := range map[*report.Series]float64{&loss: m.Loss, &rate: m.LR, &norm: m.GradNorm, &speed: m.TokensPerSecond} {
			s.X, s.Y = append(s.X, x), append(s.Y, y)
		}
	}
	steps := report.Axis{Label: "step"}
	page := report.Page{
		Title:  "Training " + recipe,
		Lead:   fmt.Sprintf("%d steps, %.1f minutes of training and evaluation.", last.Step, last.Seconds/60),
		Blocks: rlBlocks(metrics),
	}
	if page.Blocks == nil {
		page.Blocks = append(page.Blocks, report.Plot{Title: "Loss", X: steps, Y: report.Axis{Label: "nats a supervised token", Log: true},
			Series: []report.Series{thin(loss), thin(smoothed(loss, "mean of 25"))}, Caption: "Of the batch before its step. Batches mix tasks and difficulties, hence the noise."})
	}
	if len(accuracy) > 0 {
		page.Blocks = append(page.Blocks,
			report.Plot{Title: "Held-out accuracy", X: steps, Y: report.Axis{Label: "single traces, sampled", Percent: true, Min: 0, Max: 1},
				Series: sorted(accuracy), Caption: "Few problems an evaluation: orrery eval measures the finished model."},
			report.Plot{Title: "Held-out loss", X: steps, Y: report.Axis{Label: "nats a token of the worked solutions", Log: true}, Series: sorted(held)})
	}
	for _, p := range []struct {
		title string
		s     report.Series
		y     report.Axis
	}{{"Learning rate", rate, report.Axis{}}, {"Gradient norm", norm, report.Axis{Log: true}}, {"Speed", speed, report.Axis{Label: "tokens/s"}}} {
		page.Blocks = append(page.Blocks, report.Plot{Title: p.title, X: steps, Y: p.y, Series: []report.Series{thin(p.s)}})
	}
	page.Blocks = append(page.Blocks, report.Heading("Settings"), report.Code(config))
	return page
}

func add(to map[string]*report.Series, name string, x, y float64) {
	if to[name] == nil {
		to[name] = &report.Series{Name: name, Draw: report.LinePoints}
	}
	to[name].X, to[name].Y = append(to[name].X, x), append(to[name].Y, y)
}

func sorted(m map[string]*report.Series) []report.Series {
	var out []report.Series
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, *m[name])
	}
	return out
}

// thin keeps at most a thousand points: more can't be told apart on a page.
func thin(s report.Series) report.Series {
	const most = 1000
	if len(s.X) <= most {
		return s
	}
	t := s
	t.X, t.Y = nil, nil
	for i := range most {
		j := int(math.Round(float64(i) * float64(len(s.X)-1) / (most - 1)))
		t.X, t.Y = append(t.X, s.X[j]), append(t.Y, s.Y[j])
	}
	return t
}
