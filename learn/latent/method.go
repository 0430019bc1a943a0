// Package latent is reasoning in hidden states instead of words (Coconut, arXiv
// 2412.06769): which sequences a model is trained on at which stage, for Coconut
// and for every baseline and control of it; the file that says how a trained
// model thinks; and greedy answers with any number of thoughts.
//
// A training sequence at stage k, with c thoughts a step, of a problem with s
// steps is
//
//	<bos> question \n <bot> [thought]×(k·c) <eot> step_{k+1} … step_s ### answer <eos>
//
// and everything after <eot> is supervised, nothing before. The hidden state at
// <eot> predicts the first supervised token, so <eot> is never learnt as an
// output: inference puts it there.
//
// The package trains nothing (package train does) and knows no recipe.
package latent

import (
	"fmt"
	"strings"
)

// Method is a way of making a model think, or a control for one. Names are those
// of settings and of command lines.
type Method string

// The rows of the published table, in its order.
const (
	CoT            Method = "cot"                   // all steps are written
	NoCoT          Method = "no-cot"                // the answer alone
	ICoT           Method = "icot"                  // steps vanish token by token, nothing takes their place (arXiv 2405.14838)
	Pause          Method = "pause"                 // answer after pause tokens; no curriculum (arXiv 2310.02226)
	Coconut        Method = "coconut"               // steps vanish one by one, thoughts take their place
	NoCurriculum   Method = "coconut-no-curriculum" // thoughts and no steps from the beginning
	NoThought      Method = "no-thought"            // Coconut's curriculum, nothing in the steps' place
	PauseAsThought Method = "pause-as-thought"      // Coconut's curriculum, pause tokens in the steps' place
)

// Methods lists all of them in the published table's order.
var Methods = []Method{CoT, NoCoT, ICoT, Pause, Coconut, NoCurriculum, NoThought, PauseAsThought}

// Fill is what stands between the question and what is written.
type Fill string

const (
	Nothing  Fill = ""        // nothing, and no <bot> and <eot> either
	Thoughts Fill = "thought" // hidden states that are fed back
	Pauses   Fill = "pause"   // the token <pause>
)

// Fill is what the method puts in the place of steps.
func (m Method) Fill() Fill {
	switch m {
	case Coconut, NoCurriculum:
		return Thoughts
	case Pause, PauseAsThought:
		return Pauses
	}
	return Nothing
}

// Staged reports whether the method's sequences depend on the stage.
func (m Method) Staged() bool {
	return m == Coconut || m == NoThought || m == PauseAsThought || m == ICoT
}

// ParseMethod finds a method by name. The error lists the known ones.
func ParseMethod(s string) (Method, error) {
	names := make([]string, len(Methods))
	for i, m := range Methods {
		if string(m) == s {
			return m, nil
		}
		names[i] = string(m)
	}
	return "", fmt.Errorf("unknown latent method %q: known are %s", s, strings.Join(names, ", "))
}
