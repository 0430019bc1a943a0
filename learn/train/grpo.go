package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"orrery/task"
)

// GRPO is reinforcement learning with verifiable rewards (arXiv 2402.03300,
// section 4.1): a step draws problems, samples a group of responses to each
// with the current weights, rewards them, and moves the weights so that
// responses become likelier the better they are within their group. Its
// reference is the run's Base.
//
// The sampler and the trainer share kernels and their order of summation, so
// before the first update of a step the trainer's log-probability of a sampled
// token is the sampler's, bit for bit. Every step measures that on all of its
// tokens. With Sampler "bf16" responses come from weights rounded to bfloat16, as where
// a server holds a rounded copy of a float32 master: then they differ, and
// ImportanceCap corrects for it.
type GRPO struct {
	Problems    int     `json:"problems"`    // a step, 1 to 4096
	Group       int     `json:"group"`       // responses a problem, 2 to 4096
	MaxTokens   int     `json:"max_tokens"`  // a response; one that is cut off has no answer
	Temperature float64 `json:"temperature"` // > 0: the policy is the tempered distribution, in sampling, ratio and KL

	// A response's reward is 1 if its boxed answer is right, and FormatReward
	// for having one.
	FormatReward float64 `json:"format_reward"`

	// Normalise divides advantages by their group's standard deviation plus
	// StdEps; without, as in Dr. GRPO (arXiv 2503.20783), a problem that almost
	// all or almost none solve weighs less.
	Normalise bool    `json:"normalise"`
	StdEps    float64 `json:"std_eps"`

	// Average is the loss's mean: "sequence", over responses of the mean over
	// their tokens (GRPO); "token", over all tokens (DAPO, arXiv 2503.14476);
	// or "constant", the sum over responses·max_tokens (Dr. GRPO).
	Average string `json:"average"`

	ClipLow  float64 `json:"clip_low"`  // ratios below 1−this are clipped, [0, 1]
	ClipHigh float64 `json:"clip_high"` // ratios above 1+this are clipped, ≥ 0
	Beta     float64 `json:"beta"`      // weight of the KL to the reference, ≥ 0

	Epochs      int `json:"epochs"`      // passes over a step's responses
	Minibatches int `json:"minibatches"` // updates a pass, ≤ problems

	Sampler       string  `json:"sampler"`        // weights that responses come from: "master" or "bf16"
	ImportanceCap float64 `json:"importance_cap"` // largest importance weight π_trainer/π_sampler of a token (truncated importance sampling); 0: no correction

	// Reward, if not nil, replaces the reward above. It must be finite.
	Reward func(p task.Problem, response []int) float64 `json:"-"`
}

const (
	perSequence = "sequence"
	perToken    = "token"
	constant    = "constant"
	master      = "master"
)

// Validate reports the first setting without meaning, by its JSON name.
func (g *GRPO) Validate() error {
	finite := func(x float64) bool { return x >= 0 && !math.IsInf(x, 0) } // false for NaN
	for _, check := range []struct {
		ok    bool
		field string
		value any
		want  string
	}{
		{g.Problems >= 1 && g.Problems <= 4096, "problems", g.Problems, "1 to 4096"},
		{g.Group >= 2 && g.Group <= 4096, "group", g.Group, "2 to 4096: a response alone has nothing to be better than"},
		{g.MaxTokens >= 1, "max_tokens", g.MaxTokens, "at least 1"},
		{finite(g.Temperature) && g.Temperature > 0, "temperature", g.Temperature, "more than 0: greedy responses of a group are all the same"},
		{finite(g.FormatReward), "format_reward", g.FormatReward, "0 or more"},
		{finite(g.StdEps), "std_eps", g.StdEps, "0 or more"},
		{slices.Contains([]string{perSequence, perToken, constant}, g.Average), "average", g.Average, `"sequence", "token" or "constant"`},
		{g.ClipLow >= 0 && g.ClipLow <= 1, "clip_low", g.ClipLow, "from 0 to 1"},
		{finite(g.ClipHigh), "clip_high", g.ClipHigh, "0 or more"},
		{finite(g.Beta), "beta", g.Beta, "0 or more"},
		{g.Epochs >= 1, "epochs", g.Epochs, "at least 1"},
		{g.Minibatches >= 1 && g.Minibatches <= g.Problems, "minibatches", g.Minibatches, "1 to the number of problems"},
		{g.Sampler == master || g.Sampler == bf16, "sampler", g.Sampler, `"master" or "bf16"`},
		{finite(g.ImportanceCap), "importance_cap", g.ImportanceCap, "0 (off) or more"},
	} {
		if !check.ok {
			return fmt.Errorf("GRPO: %s is %v, want %s", check.field, check.value, check.want)
		}
	}
	return nil
}

func (g *GRPO) fits(r *Run) error {
	if r.Base == nil {
		return errors.New("GRPO: the run starts from no model: give one that solves some of the problems, a random one is never rewarded")
	}
	if _, ok := r.Source.(Poser); !ok {
		return errors.New("GRPO: the source of examples puts no problems: use one that does, such as Problems")
	}
	return nil
}

// rollout is a response and all that is known of it.
type rollout struct {
	trace
	problem         task.Problem
	example         Example // prompt and response; the response's tokens are the targets
	answered, right bool
	reward, adv     float64
	equal           bool      // its group's rewards are all the same
	old, ref        []float32 // the trainer's log-probabilities before the step's first update, the reference's (nil: not asked)
	entropy         float64   // of the policy before each of its tokens, added up; nats
}

// weight is a token's importance weight, and whether the cap cut it.
func (g *GRPO) weight(r *rollout, i int) (w float64, cut bool) {
	if g.ImportanceCap == 0 {
		return 1, false
	}
	w = math.Exp(float64(r.old[i]) - float64(r.logp[i]))
	return min(w, g.ImportanceCap), w > g.ImportanceCap
}

// judge fills in rewards and advantages.
func (g *GRPO) judge(t *trainer, list []*rollout) error {
	rewards, adv := make([]float64, g.Group), make([]float64, g.Group)
	for lo := 0; lo < len(list); lo += g.Group {
		group := list[lo : lo+g.Group]
		for i, r := range group {
			var err error
			if r.answered, r.right, err = mark(t.Vocab, r.problem, r.tokens); err != nil {
				return err
			}
			if g.Reward != nil {
				r.reward = g.Reward(r.problem, r.tokens)
			} else {
				r.reward = 0
				if r.answered {
					r.reward += g.FormatReward
				}
				if r.right {
					r.reward++
				}
			}
			if math.IsNaN(r.reward) || math.IsInf(r.reward, 0) {
				return fmt.Errorf("GRPO: the reward of a response to %q is %v: correct the reward function", r.problem.Question, r.reward)
			}
			rewards[i] = r.reward
		}
		equal := advantages(adv, rewards, g.Normalise, g.StdEps)
		for i, r := range group {
			r.adv, r.equal = adv[i], equal
		}
	}
	return nil
}

// pose draws a step's problems and their prompts.
func (g *GRPO) pose(t *trainer, n int) (problems []task.Problem, prompts [][]int, most []int, err error) {
	rng := stream(t.Config.Seed, trainStream+uint64(n))
	for range g.Problems {
		p := t.Source.(Poser).Pose(rng, n-1)
		prompt := Prompt(t.Vocab, p)
		room := t.Model.MaxPositions - len(prompt) + 1 // the last token is not fed back
		if room < 1 {
			return nil, nil, nil, fmt.Errorf("GRPO: the question %q takes %d tokens, the model has %d positions: leave such problems out", p.Question, len(prompt), t.Model.MaxPositions)
		}
		problems, prompts, most = append(problems, p), append(prompts, prompt), append(most, min(g.MaxTokens, room))
	}
	return problems, prompts, most, nil
}

// rolled joins a prompt and its response.
func rolled(p task.Problem, prompt []int, t trace) *rollout {
	n := len(t.tokens)
	e := Example{Tokens: append(slices.Clone(prompt), t.tokens[:n-1]...), Targets: slices.Repeat([]int{-1}, len(prompt)-1)}
	e.Targets = append(e.Targets, t.tokens...)
	return &rollout{trace: t, problem: p, example: e}
}

func (g *GRPO) begin(_ context.Context, t *trainer) (stepper, error) { return newLearner(g, t) }
