package latent

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"orrery/learn/grad"
	"orrery/learn/nn"
	"orrery/learn/token"
	"orrery/task"
)

func small(t *testing.T) (*nn.Model, *token.Vocab, []task.Problem) {
	t.Helper()
	tiny, err := task.Lookup("prosqa-tiny")
	if err != nil {
		t.Fatal(err)
	}
	v, err := Vocabulary(tiny, Phrases)
	if err != nil {
		t.Fatal(err)
	}
	m, err := nn.New(nn.Config{VocabSize: v.Size(), HiddenSize: 16, Layers: 2, Heads: 2, MaxPositions: 96, Tied: true, BOS: token.BOS, EOS: token.EOS}, 5)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range m.Params() { // far from uniform, so that thoughts matter
		if len(p.Val.Shape) == 2 {
			for i := range p.Val.Data {
				p.Val.Data[i] *= 12
			}
		}
	}
	var ps []task.Problem
	for i := range 5 {
		ps = append(ps, tiny.Generate(rand.New(rand.NewPCG(9, uint64(i))), task.Standard))
	}
	return m, v, ps
}

// Answers side by side are, to the bit, what Model.Think says of the whole
// sequence, for every method and number of thoughts.
func TestAnswersAreWhatTheModelSays(t *testing.T) {
	m, v, ps := small(t)
	for _, method := range Methods {
		for k := range 4 {
			l := Layout{Vocab: v, Method: method}
			replies, err := Thinker{l, nn.NewDecoder(m), 6}.Answer(t.Context(), ps, k, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range replies {
				all := slices.Concat(l.Prompt(ps[i]), l.Filled(k), r.Written)
				first := len(all) - len(r.Written) - 1
				th := nn.Thread{Tokens: all, From: -1}
				for row := first; row < len(all); row++ {
					th.Want = append(th.Want, row)
				}
				tape := grad.NewTape()
				tape.NoGrad = true
				logits := m.Logits(tape, m.Think(tape, []nn.Thread{th}, nn.ThinkOptions{}), nil)
				size := v.Size()
				if !slices.Equal(logits.Val.Data[:size], r.First) {
					t.Fatalf("%s, %d thoughts: the first token's logits differ", method, k)
				}
				for n, id := range r.Written {
					if id != argmax(logits.Val.Data[n*size:(n+1)*size]) {
						t.Fatalf("%s, %d thoughts: token %d is not the likeliest", method, k, n)
					}
				}
				if want := l.Generated(len(r.Written), k); r.Tokens != want || len(r.Written) > 6 || len(r.Written) < 6 && r.Written[len(r.Written)-1] != token.EOS {
					t.Fatalf("%s: %d tokens for %v", method, r.Tokens, r.Written)
				}
				if thinks := method.Fill() == Thoughts; thinks && len(r.Thoughts) != k || !thinks && r.Thoughts != nil {
					t.Fatalf("%s has %d thoughts, want %d", method, len(r.Thoughts), k)
				}
			}
		}
	}
}

// Pauses one pass each are the same as all in one: to the bit, so that "pause
// multipass" and "pause as thought" are one model.
func TestPausesOneByOne(t *testing.T) {
	m, v, ps := small(t)
	l := Layout{Vocab: v, Method: PauseAsThought}
	const k = 4
	once, err := Thinker{l, nn.NewDecoder(m), 6}.Answer(t.Context(), ps, k, nil)
	if err != nil {
		t.Fatal(err)
	}
	embed := m.Params()[0].Val
	d := m.Config.HiddenSize
	pause := slices.Repeat([][]float32{embed.Data[token.Pause*d : (token.Pause+1)*d]}, k)
	l.Method = Coconut // n+1 passes, each fed the pause's embedding
	many, err := Thinker{l, nn.NewDecoder(m), 6}.Answer(t.Context(), ps, k, slices.Repeat([][][]float32{pause}, len(ps)))
	if err != nil {
		t.Fatal(err)
	}
	for i := range once {
		if !slices.Equal(once[i].First, many[i].First) || !slices.Equal(once[i].Written, many[i].Written) {
			t.Errorf("problem %d: %v in one pass, %v in %d", i, once[i].Written, many[i].Written, k+1)
		}
	}
}

// Given a problem's own thoughts nothing changes; given others, what is said
// does.
func TestGivenThoughts(t *testing.T) {
	m, v, ps := small(t)
	think := Thinker{Layout{Vocab: v, Method: Coconut}, nn.NewDecoder(m), 6}
	own, err := think.Answer(t.Context(), ps, 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	var given, turned [][][]float32
	for i := range own {
		given = append(given, own[i].Thoughts)
		turned = append(turned, own[(i+1)%len(own)].Thoughts)
	}
	same, err := think.Answer(t.Context(), ps, 3, given)
	if err != nil {
		t.Fatal(err)
	}
	other, err := think.Answer(t.Context(), ps, 3, turned)
	if err != nil {
		t.Fatal(err)
	}
	for i := range own {
		if !slices.Equal(own[i].First, same[i].First) {
			t.Errorf("problem %d is answered differently when its own thoughts are given", i)
		}
		if slices.Equal(own[i].First, other[i].First) {
			t.Errorf("problem %d does not notice another's thoughts", i)
		}
	}
}

func TestAnswerErrors(t *testing.T) {
	m, v, ps := small(t)
	think := Thinker{Layout{Vocab: v, Method: Coconut}, nn.NewDecoder(m), 6}
	if _, err := think.Answer(t.Context(), ps, -1, nil); err == nil {
		t.Error("−1 thoughts were taken")
	}
	if _, err := think.Answer(t.Context(), ps, 1, [][][]float32{nil}); err == nil {
		t.Error("vectors for one of five problems were taken")
	}
	if _, err := think.Answer(t.Context(), ps, 90, nil); !errors.Is(err, nn.ErrFull) {
		t.Errorf("more thoughts than positions give %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := think.Answer(ctx, ps, 1, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled context gives %v", err)
	}
}
