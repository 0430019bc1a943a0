package train

import "math"

// advantages writes a group's advantages from its rewards: r − mean, divided by
// std + eps if normalised (arXiv 2402.03300, section 4.1.2; without division:
// arXiv 2503.20783). std is the population's. If all rewards are equal, every
// advantage is exactly 0 and equal is true.
func advantages(adv, rewards []float64, normalised bool, eps float64) (equal bool) {
	n := float64(len(rewards))
	mean, equal := 0.0, true
	for _, r := range rewards {
		mean += r / n
		equal = equal && r == rewards[0]
	}
	if equal {
		clear(adv)
		return true
	}
	variance := 0.0
	for i, r := range rewards {
		adv[i] = r - mean
		variance += adv[i] * adv[i] / n
	}
	if normalised {
		for i := range adv {
			adv[i] /= math.Sqrt(variance) + eps
		}
	}
	return false
}

// k3 is exp(d) − d − 1 with d = log π_ref(o) − log π(o): never negative, and over
// tokens drawn from π its mean is KL(π‖π_ref) (arXiv 2402.03300, eq. 4).
func k3(logp, ref float64) float64 {
	d := ref - logp
	return math.Expm1(d) - d
}

// term is one sampled token's part of the loss, as a function of its
// log-probability logp, and the derivative (arXiv 2402.03300, eq. 3; two clip
// bounds: arXiv 2503.14476, eq. 8):
//
//	−w·min(ρA, clip(ρ, 1−low, 1+high)·A) + β·k3(logp, ref),  ρ = exp(logp − old)
//
// w is the importance weight of a sampler that is not the trainer, 1 otherwise.
// Where clipping takes the token's part in the first addend away, clipped is true and
// the derivative has only the second's, β(1 − exp(ref − logp)).
//
// The derivative of k3 is not that of the KL whose value k3 estimates: on policy
// its mean is the gradient of KL(π_ref‖π), which pulls to the same place.
func (g *GRPO) term(logp, old, ref, w, adv float64) (loss, slope float64, clipped bool) {
	ratio := math.Exp(logp - old)
	gain := ratio * adv
	if most := min(max(ratio, 1-g.ClipLow), 1+g.ClipHigh) * adv; most < gain {
		gain, clipped = most, true
	}
	loss = -w * gain
	if !clipped {
		slope = -w * gain
	}
	if g.Beta != 0 {
		loss += g.Beta * k3(logp, ref)
		slope -= g.Beta * math.Expm1(ref-logp)
	}
	return loss, slope, clipped
}

// share is what each token's term of a response of that many tokens is
// multiplied by, so that the terms of a batch add up to its loss.
func (g *GRPO) share(length, responses, tokens int) float64 {
	switch g.Average {
	case perToken:
		return 1 / float64(tokens)
	case constant:
		return 1 / float64(responses*g.MaxTokens)
	}
	return 1 / float64(responses*length)
}
