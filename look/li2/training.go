package li2

import (
	"fmt"
	"math"

	"orrery/report"
)

// Training is one run, as a report needs it.
type Training struct {
	Train, Full *Samples
	Width       int
	Optimizer   string
	Decay       float64 // weight decay, per update
	Points      []Point // by epoch
	Kept        []int   // epochs whose weights Load has, ascending
	Load        func(epoch int) (*Net, error)
}

// snapshot is what is drawn of one kept epoch.
type snapshot struct {
	epoch               int
	nodes               *Nodes
	diagonal, crossed   float64 // see Diagonality
	turnedW, turnedV    float64 // since the snapshot before
	learned             []float64
	energy, trainEnergy []float64 // E/E*
}

// frames bounds the kept epochs that are drawn.
const frames = 18

// follow reads the kept weights, one after the other.
func (t *Training) follow() (snaps []snapshot, last *Net, err error) {
	for _, epoch := range thin(t.Kept, frames) {
		net, err := t.Load(epoch)
		if err != nil {
			return nil, nil, err
		}
		s := snapshot{epoch: epoch, nodes: NewNodes(t.Train, net), turnedW: math.NaN(), turnedV: math.NaN(), learned: t.Train.Learned(net)}
		s.diagonal, s.crossed = t.Train.Diagonality(net)
		if last != nil {
			s.turnedW, s.turnedV = Turned(last, net)
		}
		s.energy, s.trainEnergy = s.nodes.Energies(t.Full, t.Train, net)
		snaps, last = append(snaps, s), net
	}
	return snaps, last, nil
}

// thin keeps at most so many, evenly by place, the first and the last among them.
func thin(epochs []int, most int) []int {
	if len(epochs) <= most {
		return epochs
	}
	out := make([]int, most)
	for i := range out {
		out[i] = epochs[i*(len(epochs)-1)/(most-1)]
	}
	return out
}

// Blocks is the section of a run's page.
func (t *Training) Blocks() ([]report.Block, error) {
	stages, err := FindStages(t.Points)
	if err != nil {
		return nil, err
	}
	snaps, last, err := t.follow()
	if err != nil {
		return nil, err
	}
	blocks := []report.Block{
		report.Heading("Li2: how the features emerged"),
		report.Text("A hidden node is two functions on the group, one for each factor. Every such function is a sum of pure patterns, the components of the group " +
			"(for addition mod n: waves of one frequency). At the start a node is a mixture of all. First the output layer fits the training pairs on top of " +
			"those random nodes: that is memorising, and says nothing about other pairs. Its remaining error then pulls each node, on its own, towards one pure " +
			"pattern, where an energy E is largest. Once patterns have nodes, similar nodes push each other apart and what is missing is filled in; the held-out " +
			"pairs become right when all components have a node."),
		t.verdict(stages),
	}
	if last != nil {
		table, err := t.table(stages, snaps[len(snaps)-1], last)
		if err != nil {
			return nil, err
		}
		blocks = append(blocks, table)
	}
	blocks = append(blocks, t.curves(stages)...)
	if last != nil {
		blocks = append(blocks, t.overTime(stages, snaps)...)
		blocks = append(blocks, t.nodes(snaps)...)
		blocks = append(blocks, t.energies(snaps)...)
		blocks = append(blocks, t.components(snaps[len(snaps)-1]))
	}
	return blocks, nil
}

func (t *Training) verdict(s Stages) report.Block {
	v := report.Verdict{Label: "By the weights and the training pairs alone: " + string(s.Outcome), Evidence: []string{s.Why}}
	for _, e := range []struct {
		epoch int
		yes   string
		no    string
	}{
		{s.First, "Stage I, memorising, ended at epoch %d: 99 %% of the training pairs are right.", "Stage I, memorising, has not ended: fewer than 99 % of the training pairs are right."},
		{s.Second, "Stage II, each node learning on its own, ended at epoch %d: c has fallen to half of its largest value.", "Stage II, each node learning on its own, has not ended by its rule: c stays above half of its largest value."},
		{s.Third, "Stage III, nodes interacting, ended at epoch %d: all components have pure nodes and the loss rests.", "Stage III, nodes interacting, has not ended: the nodes are not all pure, or the loss still moves."},
	} {
		if e.epoch >= 0 {
			v.Evidence = append(v.Evidence, fmt.Sprintf(e.yes, e.epoch))
		} else {
			v.Against = append(v.Against, e.no)
		}
	}
	acc := t.Points[len(t.Points)-1].TestAccuracy
	switch {
	case math.IsNaN(acc):
	case !s.Known:
		v.Against = append(v.Against, fmt.Sprintf("Undecided; %.1f %% of the held-out pairs are right.", 100*acc))
	case s.Agrees:
		v.Evidence = append(v.Evidence, fmt.Sprintf("The held-out pairs, which no rule has seen, agree: %.1f %% are right.", 100*acc))
	default:
		v.Against = append(v.Against, fmt.Sprintf("The held-out pairs disagree: %.1f %% are right.", 100*acc))
	}
	return v
}

// regions are the stages as shaded ranges of epochs.
func (s Stages) regions(end int) []report.Region {
	var out []report.Region
	from := 1.0
	for i, e := range []int{s.First, s.Second, s.Third} {
		name := []string{"I memorises", "II nodes on their own", "III nodes interact"}[i]
		to := float64(end)
		// A later stage may have been found to end first: it has no range then.
		if e >= 0 {
			to = float64(e)
		}
		if to > from {
			out = append(out, report.Region{Name: name, From: from, To: to})
			from = to
		}
		if e < 0 {
			break
		}
	}
	return out
}
