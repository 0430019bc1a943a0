package llmtest

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"orrery/think/llm"
)

// Alt is one alternative of a token.
type Alt struct {
	Text    string
	Logprob float64 // nats; NaN is written as null
}

// Token is one scripted token.
type Token struct {
	Text    string      // its bytes, which may be part of a character
	Logprob float64     // of this token; NaN is written as null
	Top     []Alt       // ranked, the best first; a server cuts them to what was asked
	Channel llm.Channel // which part of the reply it belongs to

	NoEntry  bool // the server sends its text without log-probabilities
	NoText   bool // the server sends its log-probabilities without text
	Verbatim bool // Top goes out as it is: any length, any order
}

// Script is what a model says to one request.
type Script struct {
	Thoughts []llm.Thought // for Scripted with Latent: had before the first token
	Tokens   []Token
	// Finish is why it ends after the last token: FinishEOS (also when
	// empty) or FinishLength; for Scripted also FinishError with Err.
	Finish llm.Finish
	Err    *llm.Error
}

// Say makes a script of one token per string, each with k alternatives whose
// log-probabilities are those of a geometric distribution with ratio 1/2, the
// sampled token being the best.
func Say(k int, texts ...string) Script {
	var s Script
	for _, text := range texts {
		t := Token{Text: text, Logprob: -math.Ln2}
		for j := range k {
			alt := Alt{Text: text, Logprob: -math.Ln2 * float64(j+1)}
			if j > 0 {
				alt.Text = text + strings.Repeat("'", j)
			}
			t.Top = append(t.Top, alt)
		}
		s.Tokens = append(s.Tokens, t)
	}
	return s
}

// Words is Say with the text cut before each blank.
func Words(k int, text string) Script {
	var parts []string
	for text != "" {
		i := strings.IndexByte(text[1:], ' ') + 1
		if i == 0 {
			i = len(text)
		}
		parts, text = append(parts, text[:i]), text[i:]
	}
	return Say(k, parts...)
}

// Text is the script's whole text in one channel.
func (s Script) Text(channel llm.Channel) string {
	var b strings.Builder
	for _, t := range s.Tokens {
		if t.Channel == channel && !t.NoText {
			b.WriteString(t.Text)
		}
	}
	return b.String()
}

// Shape says what Random makes.
type Shape struct {
	Tokens    int  // how many; 0: 32
	K         int  // alternatives of each; 0: 20
	Reasoning int  // how many of the first tokens are reasoning
	Fragments bool // some tokens are parts of characters
	Rare      bool // some sampled tokens are not among their alternatives
}

var vocabulary = []string{
	" the", " so", " if", " we", " x", " =", " 3", "7", ".", ",", "\n", " then", " sum", " größer", " π", " 三", "\"", "\\", " <b>", " 🪐", "\t", " \\boxed{", "}",
}

// Random makes a script from a seed: equal seeds and shapes, equal scripts.
// Alternatives have distinct texts and are sorted, their probabilities sum to
// less than 1, and the sampled token's log-probability is its own among them
// unless it is Rare.
func Random(seed uint64, shape Shape) Script {
	n, k := shape.Tokens, shape.K
	if n == 0 {
		n = 32
	}
	if k == 0 {
		k = 20
	}
	rng := rand.New(rand.NewPCG(seed, 0x6f72726572790a))
	var s Script
	for len(s.Tokens) < n {
		t := Token{Text: vocabulary[rng.IntN(len(vocabulary))]}
		if len(s.Tokens) < shape.Reasoning {
			t.Channel = llm.Reasoning
		}
		weights := make([]float64, k+1)
		sum := 0.0
		for i := range weights {
			weights[i] = math.Exp(3 * rng.NormFloat64())
			sum += weights[i]
		}
		slices.Sort(weights)
		slices.Reverse(weights)
		own := min(int(rng.ExpFloat64()), k-1)
		for i, w := range weights[:k] {
			alt := Alt{Text: t.Text, Logprob: math.Log(w / sum * 0.99)}
			if i != own {
				alt.Text = string(rune('a'+i%26)) + string(rune('a'+i/26)) + t.Text
			} else {
				t.Logprob = alt.Logprob
			}
			t.Top = append(t.Top, alt)
		}
		if shape.Rare && rng.IntN(4) == 0 {
			t.Top[own].Text = "zz" + t.Text
			t.Logprob = math.Log(weights[k] / sum * 0.99)
		}
		if shape.Fragments && len(t.Text) > 3 && len(s.Tokens)+1 < n && rng.IntN(2) == 0 {
			head, tail := t, t
			head.Text, tail.Text = t.Text[:len(t.Text)-1], t.Text[len(t.Text)-1:]
			tail.Channel = head.Channel
			s.Tokens = append(s.Tokens, head, tail)
			continue
		}
		s.Tokens = append(s.Tokens, t)
	}
	return s
}
