package task

import "math/rand/v2"

// Shapes of ProsQA graphs beside the published one. Longer chains are
// ProsQAShapeOf(Hard).
var (
	// ProsQALaptop is for models that two cores train from scratch: about 110
	// words and marks a question.
	ProsQALaptop = ProsQAShape{Slots: 16, Parents: 1.5, DepthWeight: 1.5, MinHops: 2, MaxHops: 4}

	// ProsQATiny is for models that a test trains: about 60 words and marks.
	ProsQATiny = ProsQAShape{Slots: 10, Parents: 1.5, DepthWeight: 1.5, MinHops: 2, MaxHops: 3}

	// ProsQADense has the published slots and hops, and two thirds more edges.
	ProsQADense = ProsQAShape{Slots: 28, Parents: 2.6, DepthWeight: 1.5, MinHops: 3, MaxHops: 6}

	// ProsQABalanced is the published shape with candidates that have as many
	// parents and ancestors.
	ProsQABalanced = ProsQAShape{Slots: 28, Parents: 1.5, DepthWeight: 1.5, MinHops: 3, MaxHops: 6, Balanced: true}
)

// prosqaSet is ProsQA on graphs of another shape. A level chooses hops: Easy
// the shape's fewest only, Hard all but these.
type prosqaSet struct {
	name, about string
	shape       ProsQAShape
}

func init() {
	Register(prosqaSet{"prosqa-laptop", "prosqa on 16 slots, 2 to 4 hops, for models trained on a laptop", ProsQALaptop})
	Register(prosqaSet{"prosqa-tiny", "prosqa on 10 slots, 2 or 3 hops, for models trained in seconds", ProsQATiny})
	Register(prosqaSet{"prosqa-dense", "prosqa with two thirds more edges", ProsQADense})
	Register(prosqaSet{"prosqa-balanced", "prosqa where counting parents or ancestors does not help", ProsQABalanced})
}

func (s prosqaSet) Name() string        { return s.name }
func (s prosqaSet) About() string       { return s.about }
func (s prosqaSet) Instruction() string { return ProsQA{}.Instruction() }
func (s prosqaSet) Words() []string     { return ProsQA{}.Words() }

func (s prosqaSet) Verify(p Problem, answer string) bool { return ProsQA{}.Verify(p, answer) }

func (s prosqaSet) Generate(rng *rand.Rand, level Level) Problem {
	shape := s.shape
	switch level {
	case Easy:
		shape.MaxHops = shape.MinHops
	case Hard:
		shape.MinHops++
	}
	p := shape.Generate(rng)
	p.Task, p.Level = s.name, level
	return p
}
