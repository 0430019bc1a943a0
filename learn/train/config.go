package train

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"

	"orrery/learn/sample"
)

// Config says how a model is trained: everything that the resulting bytes
// depend on, besides the model's shape, its vocabulary and the Source.
type Config struct {
	Seed            uint64     `json:"seed"`                     // of the initial weights, of every batch and of evaluation
	Steps           int        `json:"steps"`                    // optimiser steps, > 0
	BatchTokens     int        `json:"batch_tokens"`             // input tokens of a batch (of a pass, in GRPO), > 0: the example that reaches it is the last
	InitScale       float64    `json:"init_scale"`               // multiplies the initial matrices of nn.New; 0 stands for 1. Without meaning for a Base
	Init            string     `json:"init,omitempty"`           // "" or "lookup": nn.Model.InitLookup adds to the initial weights. Without meaning for a Base
	Clip            float64    `json:"clip"`                     // largest global norm of the gradient; 0: no clipping
	CheckpointEvery int        `json:"checkpoint_every"`         // steps; 0: at evaluations and at the end only
	SnapshotEvery   int        `json:"snapshot_every,omitempty"` // steps whose weights are kept in snapshots/, to look at how they came about; 0: none
	Optimizer       Optimizer  `json:"optimizer"`
	Schedule        Schedule   `json:"schedule"`
	Eval            Evaluation `json:"eval"`

	Storage string `json:"storage,omitempty"` // type of final/: "bf16" (default), "fp32", or "both": bf16, and final-fp32/ beside it
	Weights string `json:"weights,omitempty"` // what is trained: "fp32" (default), or "bf16": rounded after every step

	// ResetAt lists steps after which the optimiser begins anew: Adam's moments are
	// 0 and its count of updates, which corrects their bias, starts over. Ascending.
	ResetAt []int `json:"reset_at,omitempty"`

	// Finish says whose weights final/ has: "last" (default), or "best": those of
	// the evaluation with the highest accuracy from step Eval.BestFrom on.
	Finish string `json:"finish,omitempty"`
}

// Optimizer is Adam (arXiv 1412.6980) with decoupled ("adamw", arXiv
// 1711.05101) or coupled ("adam") weight decay. Only parameters of two
// dimensions and more decay: norms and biases set scales, which decay would
// pull away from where they work.
type Optimizer struct {
	Kind  string  `json:"kind"`  // "adamw" or "adam"
	LR    float64 `json:"lr"`    // at the top of the schedule
	Beta1 float64 `json:"beta1"` // [0, 1)
	Beta2 float64 `json:"beta2"` // [0, 1)
	Eps   float64 `json:"eps"`   // > 0
	Decay float64 `json:"decay"` // ≥ 0
}

// Schedule is a linear warm-up and then half a cosine.
type Schedule struct {
	Warmup int     `json:"warmup"` // steps until the full learning rate
	Final  float64 `json:"final"`  // share of the learning rate at the last step, [0, 1]
}

// Evaluation asks held-out problems while training goes on.
type Evaluation struct {
	Every       int     `json:"every"`               // steps; 0: only after the last step
	Problems    int     `json:"problems"`            // a task; 0: no evaluation at all
	Temperature float64 `json:"temperature"`         // of the sampled traces
	MaxTokens   int     `json:"max_tokens"`          // a solution
	BestFrom    int     `json:"best_from,omitempty"` // earlier evaluations are none of the best
}

// Validate reports the first setting without meaning, by its JSON name.
func (c Config) Validate() error {
	o, s, e := c.Optimizer, c.Schedule, c.Eval
	finite := func(x float64) bool { return x >= 0 && !math.IsInf(x, 0) } // false for NaN
	for _, check := range []struct {
		ok    bool
		field string
		value any
		want  string
	}{
		{c.Steps > 0, "steps", c.Steps, "at least 1"},
		{c.BatchTokens > 0, "batch_tokens", c.BatchTokens, "at least 1"},
		{finite(c.InitScale), "init_scale", c.InitScale, "0 (for 1) or more"},
		{finite(c.Clip), "clip", c.Clip, "0 (off) or more"},
		{c.CheckpointEvery >= 0, "checkpoint_every", c.CheckpointEvery, "0 (at evaluations and at the end) or more"},
		{c.SnapshotEvery >= 0, "snapshot_every", c.SnapshotEvery, "0 (none) or more"},
		{o.Kind == "adamw" || o.Kind == "adam", "optimizer.kind", o.Kind, `"adamw" or "adam"`},
		{finite(o.LR) && o.LR > 0, "optimizer.lr", o.LR, "more than 0"},
		{o.Beta1 >= 0 && o.Beta1 < 1, "optimizer.beta1", o.Beta1, "from 0 to below 1"},
		{o.Beta2 >= 0 && o.Beta2 < 1, "optimizer.beta2", o.Beta2, "from 0 to below 1"},
		{finite(o.Eps) && o.Eps > 0, "optimizer.eps", o.Eps, "more than 0"},
		{finite(o.Decay), "optimizer.decay", o.Decay, "0 or more"},
		{s.Warmup >= 0, "schedule.warmup", s.Warmup, "0 or more"},
		{s.Final >= 0 && s.Final <= 1, "schedule.final", s.Final, "from 0 to 1"},
		{slices.Contains([]string{"", bf16, fp32, both}, c.Storage), "storage", c.Storage, `"bf16", "fp32" or "both"`},
		{slices.Contains([]string{"", bf16, fp32}, c.Weights), "weights", c.Weights, `"fp32" or "bf16"`},
		{c.Init == "" || c.Init == "lookup", "init", c.Init, `nothing or "lookup"`},
		{slices.IsSorted(c.ResetAt) && (len(c.ResetAt) == 0 || c.ResetAt[0] > 0), "reset_at", c.ResetAt, "ascending steps from 1 on"},
		{c.Finish == "" || c.Finish == "last" || c.Finish == "best", "finish", c.Finish, `"last" or "best"`},
		{c.Finish != "best" || e.Problems > 0, "finish", c.Finish, `"last" where eval.problems is 0: nothing says which is best`},
		{e.BestFrom >= 0 && e.BestFrom <= c.Steps, "eval.best_from", e.BestFrom, "0 to steps"},
		{e.Every >= 0, "eval.every", e.Every, "0 (only at the end) or more"},
		{e.Problems >= 0, "eval.problems", e.Problems, "0 (no evaluation) or more"},
		{e.Problems == 0 || e.MaxTokens > 0, "eval.max_tokens", e.MaxTokens, "at least 1"},
		{(sample.Settings{Temperature: e.Temperature}).Validate() == nil, "eval.temperature", e.Temperature, "0 (greedy) or more"},
	} {
		if !check.ok {
			return fmt.Errorf("training config: %s is %v, want %s", check.field, check.value, check.want)
		}
	}
	return nil
}

// LR is the learning rate of step 1…Steps: lr·step/warmup while warming up,
// then lr·(final + (1−final)·½(1+cos πx)), x going from 0 to 1 at the last
// step.
func (c Config) LR(step int) float64 {
	w := c.Schedule.Warmup
	if step < w {
		return c.Optimizer.LR * float64(step) / float64(w)
	}
	x := 1.0
	if c.Steps > w {
		x = float64(step-w) / float64(c.Steps-w)
	}
	f := c.Schedule.Final
	return c.Optimizer.LR * (f + (1-f)*(1+math.Cos(math.Pi*min(x, 1)))/2)
}

// Strict decodes one JSON value into v, keeping what v holds for the fields
// that the JSON leaves out. Unknown fields and trailing data are errors.
func Strict(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty")
		}
		if te, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && te.Field != "" {
			err = fmt.Errorf("%s is a JSON %s, want %s", jsonPath(te.Field), te.Value, kind(te.Type))
		}
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the value")
	}
	return nil
}

// jsonPath is a field's path without the names of embedded structs, which encoding/json puts
// between: those have capitals, and settings have none.
func jsonPath(field string) string {
	parts := slices.DeleteFunc(strings.Split(field, "."), func(p string) bool { return p != strings.ToLower(p) })
	return strings.Join(parts, ".")
}

// kind is what a field holds, in words.
func kind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	return "a whole number"
}
