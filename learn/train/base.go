package train

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"

	"orrery/learn/nn"
	"orrery/learn/token"
)

// Base is a trained model that a run starts from. A run copies its weights and
// never changes them: they are GRPO's reference.
type Base struct {
	Name  string // what the user called it, for messages and config.json
	Model *nn.Model
	Vocab *token.Vocab // nil: its tokens are no words, as in graph questions in symbols
}

// origin is what config.json keeps of a Base.
type origin struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
}

// Fingerprint is the SHA-256, in hex, over the model's shape, its vocabulary
// and its weights as float32: the same for a folder and for its lossless copy
// under another name or in a wider type.
func (b *Base) Fingerprint() string {
	h := sha256.New()
	fmt.Fprintf(h, "%+v\n", b.Model.Config)
	if b.Vocab != nil {
		for id := range b.Vocab.Size() {
			fmt.Fprintf(h, "%q ", b.Vocab.Bytes(id))
		}
	}
	var buf []byte
	for _, p := range b.Model.Params() {
		fmt.Fprintf(h, "\n%s %v ", p.Name, p.Val.Shape)
		buf = buf[:0]
		for _, x := range p.Val.Data {
			buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(x))
		}
		h.Write(buf)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Check finds a model that can't be trained on, or that does not belong to its
// vocabulary.
func (b *Base) Check() error {
	c := b.Model.Config
	fail := func(format string, args ...any) error {
		return fmt.Errorf("starting from the model %s: %s: give the folder of a model that orrery trained, such as runs/NAME/final", b.Name, fmt.Sprintf(format, args...))
	}
	switch {
	case c.Bidirectional:
		return fail("it is bidirectional and writes no text from left to right")
	case b.Vocab == nil:
	case c.VocabSize != b.Vocab.Size():
		return fail("its weights are for %d tokens, its tokenizer has %d", c.VocabSize, b.Vocab.Size())
	case c.BOS != b.Vocab.BOS() || c.EOS != b.Vocab.EOS():
		return fail("its config.json begins and ends texts with tokens %d and %d, its tokenizer with %d and %d", c.BOS, c.EOS, b.Vocab.BOS(), b.Vocab.EOS())
	}
	for _, p := range b.Model.Params() {
		for i, x := range p.Val.Data {
			if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
				return fail("element %d of its tensor %s is %v", i, p.Name, x)
			}
		}
	}
	return nil
}

// clone copies a model.
func clone(m *nn.Model) (*nn.Model, error) {
	c, err := nn.New(m.Config, 0)
	if err != nil {
		return nil, err
	}
	for i, p := range m.Params() {
		copy(c.Params()[i].Val.Data, p.Val.Data)
	}
	return c, nil
}
