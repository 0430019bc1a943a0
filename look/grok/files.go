package grok

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"orrery/learn/checkpoint"
	"orrery/learn/tensor"
)

// A folder of one training:
//
//	config.json                          what was asked, and what did it
//	metrics.jsonl                        an Evaluation a line
//	checkpoints/epoch-N.safetensors      weights of the kept evaluations
//	checkpoints/state.safetensors        the newest state to resume from
//	final/model.safetensors              the finished weights
//	report.html
//
// Weights have the papers' names and shapes: W_a and W_b (d, q) and W_c (q, d)
// of a CoGS net, W (2M, K) and V (K, M) of a Li2 one, in float32.

const (
	stateFile  = "state.safetensors"
	modelFile  = "model.safetensors"
	epochFiles = "epoch-"
)

// EpochFile is the name of the weights of a kept epoch, in checkpoints/.
func EpochFile(epoch int) string { return fmt.Sprintf("%s%d.safetensors", epochFiles, epoch) }

// parseEpochFile is the inverse of EpochFile.
func parseEpochFile(name string) (epoch int, ok bool) {
	n, isEpoch := strings.CutPrefix(name, epochFiles)
	n, isTensors := strings.CutSuffix(n, ".safetensors")
	epoch, err := strconv.Atoi(n)
	return epoch, isEpoch && isTensors && err == nil && EpochFile(epoch) == name && epoch >= 0
}

// entries are the weights as they are written.
func (n *Net) entries(kind string) []checkpoint.Entry {
	v := tensor.New(n.K, n.M)
	transpose(v.Data, n.M, n.C, n.K, n.M, n.K)
	if kind == cogsNet {
		return []checkpoint.Entry{
			{Name: "W_a", Tensor: tensor.Of(n.A, n.M, n.K)}, {Name: "W_b", Tensor: tensor.Of(n.B, n.M, n.K)}, {Name: "W_c", Tensor: v},
		}
	}
	return []checkpoint.Entry{{Name: "W", Tensor: tensor.Of(n.W, 2*n.M, n.K)}, {Name: "V", Tensor: v}}
}

// metadata describes the weights to whoever finds the file.
func (e Experiment) metadata() map[string]string {
	s := e.Settings
	return map[string]string{"net": s.Net, "group": e.Group.Name(), "activation": string(s.Activation), "format": "orrery grok"}
}

// readNet takes the weights out of a file for the experiment.
func (e Experiment) readNet(f *checkpoint.File) (*Net, error) {
	n := NewNet(e.Group.Order(), e.Settings.Width, e.Settings.Activation)
	want := n.entries(e.Settings.Net)
	for _, w := range want {
		if err := take(f, w.Name, w.Tensor); err != nil {
			return nil, err
		}
	}
	v := want[len(want)-1].Tensor
	transpose(n.C, n.K, v.Data, n.M, n.K, n.M)
	return n, nil
}

// take copies a tensor of a file to its place.
func take(f *checkpoint.File, name string, to *tensor.Tensor) error {
	t, err := f.Tensor(name)
	if err != nil {
		return err
	}
	if !slices.Equal(t.Shape, to.Shape) {
		return fmt.Errorf("tensor %s has shape %v, the settings make it %v", name, t.Shape, to.Shape)
	}
	copy(to.Data, t.Data)
	return nil
}

// loadNet reads a file of weights.
func (e Experiment) loadNet(path string) (*Net, error) {
	f, err := checkpoint.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	n, err := e.readNet(f)
	if err != nil {
		return nil, fmt.Errorf("reading the weights in %s: %w", path, err)
	}
	return n, nil
}

// KeptEpochs lists the epochs whose weights are in a folder, ascending.
func KeptEpochs(dir string) ([]int, error) {
	list, err := os.ReadDir(filepath.Join(dir, "checkpoints"))
	if err != nil {
		return nil, fmt.Errorf("listing the weights of a run: %w", err)
	}
	var epochs []int
	for _, f := range list {
		if n, ok := parseEpochFile(f.Name()); ok {
			epochs = append(epochs, n)
		}
	}
	slices.Sort(epochs)
	return epochs, nil
}
