package probe

// Subject is a causal two-layer model that reads questions in the symbol format.
type Subject interface {
	// Name says which model it is, in a few words.
	Name() string

	// Width is the length of a thought.
	Width() int

	// Embedding is the input vector of a token without its position, u_v for a
	// node v, (Width). It is not to be changed.
	Embedding(token int) []float64

	// Read makes a mind that has read a prompt. An error says that the prompt
	// does not fit the model.
	Read(prompt []int) (Mind, error)

	// Look reads a prompt and thoughts, each (Width), with its attention open.
	Look(prompt []int, thoughts [][]float64) (*Attention, error)
}

// Mind is a model that has read a prompt and may think on.
type Mind interface {
	// Thought is the model's output at its last position, (Width): the thought
	// that it would think next.
	Thought() []float64

	// Feed appends a thought, or whatever stands in for one.
	Feed(thought []float64) error

	// Logits are the model's 40 logits at its last position, the next node on its
	// path if it is asked now.
	Logits() []float64

	// Fork is a second mind with the same past.
	Fork() Mind

	// Answer is the 40 logits after [A]; the mind stays as it was.
	Answer() ([]float64, error)
}

// Attention is how the positions of one sequence see each other.
type Attention struct {
	Heads [2]int // of each layer

	// Weight is the attention weight, 0 to 1, that a head of layer 0 or 1 gives from
	// one position to another.
	Weight func(layer, head, from, to int) float64

	// Logit is the number before the softmax, of the second layer.
	Logit func(head, from, to int) float64
}

// Second is the second layer's weight from one position to another, summed over heads.
func (a *Attention) Second(from, to int) float64 {
	sum := 0.0
	for h := range a.Heads[1] {
		sum += a.Weight(1, h, from, to)
	}
	return sum
}

// Match is the second layer's logit from one position to another, mean over heads.
func (a *Attention) Match(from, to int) float64 {
	sum := 0.0
	for h := range a.Heads[1] {
		sum += a.Logit(h, from, to)
	}
	return sum / float64(a.Heads[1])
}
