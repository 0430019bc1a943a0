package grok

import (
	"fmt"
	"math"
	"slices"

	"orrery/learn/recipe"
	"orrery/look/li2"
)

func init() {
	Register(Analysis{Name: "li2", Begin: li2Begin, Report: li2Report, Result: li2Result, Lazy: li2Lazy})
}

// The measures of Li2 in metrics.jsonl. One that is not a number is left out.
const (
	gradientMeasure  = "g_norm"      // ‖G_F‖
	alignmentMeasure = "alignment"   // c = cos(G_F, ỸỸᵀF̃)
	coverageMeasure  = "coverage"    // share of components with a pure living node
	purityMeasure    = "purity"      // weighted
	iprMeasure       = "ipr"         // weighted
	livingMeasure    = "alive_nodes" //
)

// li2Observer measures what the stages need.
type li2Observer struct{ train *li2.Samples }

func li2Begin(e Experiment) (Observer, error) {
	if e.Settings.Net != li2Net {
		return nil, nil
	}
	s, err := li2.NewSamples(e.Group, e.Split.Train)
	if err != nil {
		return nil, err
	}
	return li2Observer{s}, nil
}

// Observe implements Observer.
func (o li2Observer) Observe(_ int, n *Net) (map[string]float64, error) {
	net, err := li2View(n)
	if err != nil {
		return nil, err
	}
	flow, nodes := o.train.Flow(net), li2.NewNodes(o.train, net)
	m := map[string]float64{gradientMeasure: flow.Norm, alignmentMeasure: flow.Alignment, coverageMeasure: nodes.Coverage(), purityMeasure: nodes.Weighted(),
		iprMeasure: nodes.WeightedIPR(), livingMeasure: float64(nodes.Living())}
	for name, x := range m {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			delete(m, name)
		}
	}
	return m, nil
}

func li2View(n *Net) (*li2.Net, error) {
	act, err := li2.ActivationNamed(string(n.Act))
	return &li2.Net{M: n.M, K: n.K, A: n.A, B: n.B, C: n.C, Act: act}, err
}

// li2Point is an evaluation with its measures, NaN where there is none.
func li2Point(e Evaluation) li2.Point {
	get := func(name string) float64 {
		if x, ok := e.Measures[name]; ok {
			return x
		}
		return math.NaN()
	}
	p := li2.Point{Epoch: e.Epoch, TrainAccuracy: e.Train.Accuracy, TrainLoss: e.Train.Loss, Alignment: get(alignmentMeasure), Coverage: get(coverageMeasure),
		Purity: get(purityMeasure), Gradient: get(gradientMeasure), IPR: get(iprMeasure), TestAccuracy: math.NaN(), TestLoss: math.NaN()}
	if e.Test != nil {
		p.TestAccuracy, p.TestLoss = e.Test.Accuracy, e.Test.Loss
	}
	return p
}

// li2Lazy is Li2's verdict on the measured evaluations.
func li2Lazy(history []Evaluation) bool {
	var measured []li2.Point
	for _, e := range history {
		if _, ok := e.Measures[purityMeasure]; ok {
			measured = append(measured, li2Point(e))
		}
	}
	if len(measured) < 3 {
		return false
	}
	o, _, _ := li2.Judge(measured[0], &measured[len(measured)-2], measured[len(measured)-1])
	return o == li2.Lazy
}

// li2Report adds energy and stages to the page of a run. Its theory is of CoGS
// nets as well, which differ in their initial scale; they are measured at kept
// epochs alone.
func li2Report(r *Run) (out Section, err error) {
	if len(r.Epochs) == 0 {
		return out, nil
	}
	t := li2.Training{Width: r.Settings.Width, Optimizer: r.Settings.Optimizer.Kind, Decay: r.Settings.Optimizer.Decay, Kept: r.Epochs}
	if t.Train, err = li2.NewSamples(r.Group, r.Split.Train); err != nil {
		return out, err
	}
	if t.Full, err = li2.NewSamples(r.Group, nil); err != nil {
		return out, err
	}
	if t.Points, err = r.li2Points(t.Train); err != nil {
		return out, err
	}
	t.Load = func(epoch int) (*li2.Net, error) {
		n, err := r.Load(epoch)
		if err != nil {
			return nil, fmt.Errorf("epoch %d: %w", epoch, err)
		}
		return li2View(n)
	}
	out.Blocks, err = t.Blocks()
	return out, err
}

// li2Points are the evaluations with measures: those of metrics.jsonl or, of a
// CoGS net, those of kept epochs, measured now.
func (r *Run) li2Points(train *li2.Samples) ([]li2.Point, error) {
	var out []li2.Point
	for _, e := range r.Metrics {
		if r.Settings.Net != li2Net {
			if !slices.Contains(r.Epochs, e.Epoch) {
				continue
			}
			n, err := r.Load(e.Epoch)
			if err != nil {
				return nil, err
			}
			if e.Measures, err = (li2Observer{train}).Observe(e.Epoch, n); err != nil {
				return nil, err
			}
		}
		out = append(out, li2Point(e))
	}
	return out, nil
}

// li2Result adds the stages to what a finished run prints.
func li2Result(r *Run) (recipe.Result, error) {
	if r.Settings.Net != li2Net {
		return recipe.Result{}, nil
	}
	var points []li2.Point
	for _, e := range r.Metrics {
		points = append(points, li2Point(e))
	}
	s, err := li2.FindStages(points)
	if err != nil {
		return recipe.Result{}, err
	}
	ends := func(epoch int) any {
		if epoch < 0 {
			return nil
		}
		return epoch
	}
	finite := func(x float64) any {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil
		}
		return x
	}
	last := points[len(points)-1]
	fields := map[string]any{"stage_ends": []any{ends(s.First), ends(s.Second), ends(s.Third)}, "alignment_max": finite(s.MaxAlignment),
		"alignment": finite(last.Alignment), "g_norm": finite(last.Gradient), "coverage": finite(last.Coverage), "purity": finite(last.Purity), "phi": finite(s.Phi), "verdict": string(s.Outcome)}
	told := func(epoch int) string {
		if epoch < 0 {
			return "not yet"
		}
		return fmt.Sprint(epoch)
	}
	return recipe.Result{
		Lines:  []string{fmt.Sprintf("by the weights: %s (stages ended at %s, %s, %s; %s)", s.Outcome, told(s.First), told(s.Second), told(s.Third), s.Why)},
		Fields: map[string]any{"li2": fields},
	}, nil
}
