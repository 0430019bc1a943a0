package eval

import (
	"cmp"
	"math"
	"slices"

	"orrery/think/answer"
	"orrery/think/confidence"
	"orrery/think/vote"
)

// Result is one row of the table.
type Result struct {
	Task         string  `json:"task"`
	Method       string  `json:"method"`
	Accuracy     float64 `json:"accuracy"`
	AccuracyLow  float64 `json:"accuracy_low"`  // 95 % Wilson interval
	AccuracyHigh float64 `json:"accuracy_high"` //
	TokensMean   float64 `json:"tokens_mean"`   // a problem, all traces together
	SecondsMean  float64 `json:"seconds_mean"`
	Answered     int     `json:"answered"`
	N            int     `json:"n"`
	TracesMean   float64 `json:"traces_mean"`  // launched a problem
	StoppedMean  float64 `json:"stopped_mean"` // of them stopped for low confidence

	*Thinking // nil: not of a latent model
}

func summarise(task, method string, records []Record) Result {
	r := Result{Task: task, Method: method, N: len(records)}
	right := 0
	for _, rec := range records {
		if rec.Correct {
			right++
		}
		if rec.Answer != nil {
			r.Answered++
		}
		r.TokensMean += float64(rec.Tokens)
		r.SecondsMean += rec.Seconds
		r.TracesMean += float64(len(rec.Traces))
		for _, t := range rec.Traces {
			if t.Stop == string(vote.LowConfidence) {
				r.StoppedMean++
			}
		}
	}
	n := float64(max(1, len(records)))
	for _, sum := range []*float64{&r.TokensMean, &r.SecondsMean, &r.TracesMean, &r.StoppedMean} {
		*sum /= n
	}
	r.Accuracy = float64(right) / n
	r.AccuracyLow, r.AccuracyHigh = Wilson(right, len(records))
	return r
}

// Wilson is the 95 % score interval for k successes in n trials (Wilson 1927);
// (0, 1) if n is 0.
//
//	(p̂ + z²/2n ± z·√(p̂(1−p̂)/n + z²/4n²)) / (1 + z²/n),  z = 1.959964
func Wilson(k, n int) (low, high float64) {
	if n == 0 {
		return 0, 1
	}
	const z = 1.959963984540054
	p, m := float64(k)/float64(n), float64(n)
	mid := p + z*z/(2*m)
	half := z * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return max(0, (mid-half)/(1+z*z/m)), min(1, (mid+half)/(1+z*z/m))
}

// Curve is majority voting over the first b traces of each problem, for
// b = 1, 2, 4, …: what plain voting buys for the same tokens.
type Curve struct {
	Budget   []int
	Tokens   []float64 // mean a problem
	Accuracy []float64
	Low      []float64
	High     []float64
}

// verifier marks an answer to problem i of the records' task.
type verifier func(rec Record, answer string) bool

// majorityCurve votes again over prefixes of majority's records.
func majorityCurve(records []Record, verify verifier) Curve {
	var c Curve
	most := 0
	for _, r := range records {
		most = max(most, len(r.Traces))
	}
	for b := 1; most > 0; b *= 2 {
		b = min(b, most)
		right, tokens := 0, 0
		for _, r := range records {
			var ts []vote.Trace
			for i, t := range r.Traces[:min(b, len(r.Traces))] {
				tokens += t.Tokens
				if t.Answer != nil && vote.StopReason(t.Stop).Completed() {
					ts = append(ts, vote.Trace{ID: i, Answer: *t.Answer, Key: answer.KeyOf(*t.Answer)})
				}
			}
			if tally := vote.Majority(ts); len(tally.Classes) > 0 && verify(r, tally.Classes[0].Answer) {
				right++
			}
		}
		n := len(records)
		low, high := Wilson(right, n)
		c.Budget = append(c.Budget, b)
		c.Tokens = append(c.Tokens, float64(tokens)/float64(n))
		c.Accuracy = append(c.Accuracy, float64(right)/float64(n))
		c.Low, c.High = append(c.Low, low), append(c.High, high)
		if b == most {
			break
		}
	}
	return c
}

// Calibration says how well a measure tells right traces from wrong ones.
type Calibration struct {
	Measure confidence.Measure
	AUC     float64 // P(right trace scores above wrong one), ties ½; NaN without both kinds
	// Within compares traces of the same problem only, which is what a vote
	// does: a measure can rank problems and still not rank answers.
	Within float64
	// Ten bins of equal size by confidence.
	Confidence, Accuracy, Low, High []float64
	Traces                          int
}

// calibrate reads traces that ran to their end.
func calibrate(records []Record, m confidence.Measure) Calibration {
	var all []scored
	var pairs, wins float64
	for _, r := range records {
		var here []scored
		for _, t := range r.Traces {
			if c := t.measure(m); c != nil && vote.StopReason(t.Stop).Completed() {
				here = append(here, scored{*c, t.Correct})
			}
		}
		p, w := auc(here)
		pairs, wins = pairs+p, wins+w
		all = append(all, here...)
	}
	c := Calibration{Measure: m, Traces: len(all), Within: wins / pairs}
	p, w := auc(all)
	c.AUC = w / p
	const bins = 10
	for b := range bins {
		part := all[len(all)*b/bins : len(all)*(b+1)/bins] // auc sorted all
		if len(part) == 0 {
			continue
		}
		sum, right := 0.0, 0
		for _, s := range part {
			sum += s.confidence
			if s.right {
				right++
			}
		}
		low, high := Wilson(right, len(part))
		c.Confidence = append(c.Confidence, sum/float64(len(part)))
		c.Accuracy = append(c.Accuracy, float64(right)/float64(len(part)))
		c.Low, c.High = append(c.Low, low), append(c.High, high)
	}
	return c
}

type scored struct {
	confidence float64
	right      bool
}

// auc sorts s by confidence and counts the (right, wrong) pairs and those that
// the right one wins, ties counting half: Mann and Whitney's U, in O(n log n).
func auc(s []scored) (pairs, wins float64) {
	slices.SortStableFunc(s, func(a, b scored) int { return cmp.Compare(a.confidence, b.confidence) })
	wrongBelow := 0.0
	for i := 0; i < len(s); {
		j, right, wrong := i, 0.0, 0.0
		for ; j < len(s) && s[j].confidence == s[i].confidence; j++ {
			if s[j].right {
				right++
			} else {
				wrong++
			}
		}
		wins += right * (wrongBelow + wrong/2)
		wrongBelow += wrong
		i = j
	}
	rights := float64(len(s)) - wrongBelow
	return rights * wrongBelow, wins
}
