package cli

import (
	"fmt"

	"orrery/learn/train"
	"orrery/report"
)

// reading is one number of a step of GRPO, and how a table prints it.
type reading struct {
	name   string
	format string
	of     func(*train.RL) float64
}

var readings = []reading{
	{"reward", "%.3f", func(r *train.RL) float64 { return r.Reward }},
	{"accuracy", "%.3f", func(r *train.RL) float64 { return r.Accuracy }},
	{"answered", "%.3f", func(r *train.RL) float64 { return r.Answered }},
	{"KL to the reference, nats a token", "%.3g", func(r *train.RL) float64 { return r.KL }},
	{"entropy, nats a token", "%.4f", func(r *train.RL) float64 { return r.Entropy }},
	{"tokens a response", "%.1f", func(r *train.RL) float64 { return r.Length }},
	{"groups with equal rewards", "%.3f", func(r *train.RL) float64 { return r.ZeroVariance }},
	{"tokens clipped", "%.4f", func(r *train.RL) float64 { return r.Clipped }},
	{"tokens whose log-probability agrees bit for bit", "%.4f", func(r *train.RL) float64 { return r.AgreementEqual }},
	{"largest disagreement, nats", "%.3g", func(r *train.RL) float64 { return r.AgreementMax }},
	{"mean disagreement, nats", "%.3g", func(r *train.RL) float64 { return r.AgreementMean }},
	{"sampled tokens a second", "%.0f", func(r *train.RL) float64 { return speed(r.ResponseTokens, r.SampleSeconds) }},
	{"share of time sampling", "%.2f", func(r *train.RL) float64 {
		return r.SampleSeconds / (r.SampleSeconds + r.ScoreSeconds + r.TrainSeconds)
	}},
}

func speed(tokens int, seconds float64) float64 { return float64(tokens) / max(seconds, 1e-9) }

// rlBlocks are the table and the curves of a run of GRPO, nil of any other.
func rlBlocks(metrics []train.Metric) []report.Block {
	var steps []train.Metric
	for _, m := range metrics {
		if m.RL != nil {
			steps = append(steps, m)
		}
	}
	if len(steps) == 0 {
		return nil
	}
	curve := func(name string, f func(*train.RL) float64) report.Series {
		s := report.Series{Name: name}
		for _, m := range steps {
			s.X, s.Y = append(s.X, float64(m.Step)), append(s.Y, f(m.RL))
		}
		return s
	}
	plot := func(title, caption string, y report.Axis, s ...report.Series) report.Plot {
		for i := range s {
			s[i] = thin(s[i])
		}
		return report.Plot{Title: title, X: report.Axis{Label: "step"}, Y: y, Series: s, Caption: caption}
	}
	share := report.Axis{Percent: true, Min: 0, Max: 1}
	reward := curve("mean of the step's responses", readings[0].of)
	out := []report.Block{
		rlTable(steps),
		plot("Reward", "Of responses sampled before the step's update. Steps draw different problems, hence the noise.",
			report.Axis{Label: "reward"}, reward, smoothed(reward, "mean of 25 steps")),
		plot("KL to the model it started from", "Mean over sampled tokens of the k3 estimate, which is never negative.", report.Axis{Label: "nats a token"}, curve("KL", func(r *train.RL) float64 { return r.KL })),
		plot("Entropy of the policy", "", report.Axis{Label: "nats a token"}, curve("entropy", func(r *train.RL) float64 { return r.Entropy })),
		plot("Length of responses", "", report.Axis{Label: "tokens"}, curve("mean", func(r *train.RL) float64 { return r.Length })),
		plot("Shares", "Groups with equal rewards teach nothing. Clipping acts only where weights have moved since sampling: never with one update a step.", share,
			curve("groups with equal rewards", func(r *train.RL) float64 { return r.ZeroVariance }),
			curve("tokens clipped", func(r *train.RL) float64 { return r.Clipped }),
			curve("responses cut off", func(r *train.RL) float64 { return r.Truncated })),
		plot("Sampled tokens that the trainer gives the same log-probability, bit for bit",
			"Measured every step on every token, before the update. Below 100 % the responses came from other weights than those that are trained.",
			share, curve("equal", func(r *train.RL) float64 { return r.AgreementEqual })),
	}
	if apart := curve("largest of a step", func(r *train.RL) float64 { return r.AgreementMax }); anyAbove(apart.Y, 0) {
		out = append(out, plot("Disagreement of sampler and trainer", "|difference of log-probabilities| of sampled tokens.", report.Axis{Label: "nats", Log: true},
			apart, curve("mean", func(r *train.RL) float64 { return r.AgreementMean })))
	}
	return append(out, plot("Seconds of a step", "Scoring is passes without gradient: the reference's, and the trainer's own where it needs them.", report.Axis{Label: "seconds"},
		curve("sampling", func(r *train.RL) float64 { return r.SampleSeconds }),
		curve("scoring", func(r *train.RL) float64 { return r.ScoreSeconds }),
		curve("training", func(r *train.RL) float64 { return r.TrainSeconds })))
}

// rlTable compares the means over the first and the last steps.
func rlTable(steps []train.Metric) report.Block {
	n := min(20, max(1, len(steps)/2))
	mean := func(list []train.Metric, f func(*train.RL) float64) float64 {
		sum := 0.0
		for _, m := range list {
			sum += f(m.RL)
		}
		return sum / float64(len(list))
	}
	t := report.Table{Head: []string{"mean of a step", fmt.Sprintf("first %d", n), fmt.Sprintf("last %d", n)}}
	for _, r := range readings {
		t.Rows = append(t.Rows, []string{r.name, fmt.Sprintf(r.format, mean(steps[:n], r.of)), fmt.Sprintf(r.format, mean(steps[len(steps)-n:], r.of))})
	}
	return t
}

func anyAbove(list []float64, least float64) bool {
	for _, x := range list {
		if x > least {
			return true
		}
	}
	return false
}

// smoothed is the mean of a series' latest 25 points at each.
func smoothed(s report.Series, name string) report.Series {
	out := report.Series{Name: name, X: s.X}
	for i := range s.Y {
		recent, sum := s.Y[max(0, i-24):i+1], 0.0
		for _, y := range recent {
			sum += y
		}
		out.Y = append(out.Y, sum/float64(len(recent)))
	}
	return out
}
