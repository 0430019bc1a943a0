package nn

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"orrery/learn/checkpoint"
	"orrery/learn/tensor"
)

// A model's folder is Hugging Face's: config.json and model.safetensors (or
// shards with an index). A model with rotary positions, RMS norm, SwiGLU and
// causal attention is written as model_type "llama", which other programs load;
// any other as "orrery", which they do not know.
const (
	configFile  = "config.json"
	weightsFile = "model.safetensors"
)

// hfConfig is config.json: Config, and the keys that Hugging Face wants or that
// change what the weights mean.
type hfConfig struct {
	Architectures []string `json:"architectures,omitempty"`
	ModelType     string   `json:"model_type"`
	Config
	MLPBias     bool            `json:"mlp_bias"`
	HiddenAct   string          `json:"hidden_act,omitempty"`
	DType       string          `json:"torch_dtype,omitempty"`
	RopeScaling json.RawMessage `json:"rope_scaling,omitempty"`
}

func (c Config) llama() bool {
	return c.Positions == "rotary" && c.Norm == "rms" && c.MLP == "swiglu" && !c.Bidirectional
}

// Save writes the model's folder, making it if need be; each file appears whole
// or not at all, the weights first.
func (m *Model) Save(dir string, dtype checkpoint.DType) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("nn: save model: %w", err)
	}
	// "format" is what Hugging Face's loader asks of a file's metadata.
	if err := checkpoint.Write(filepath.Join(dir, weightsFile), m.Entries(dtype), map[string]string{"format": "pt"}); err != nil {
		return err
	}
	raw, err := m.ConfigJSON(dtype)
	if err != nil {
		return err
	}
	return checkpoint.Atomic(filepath.Join(dir, configFile), func(w io.Writer) error {
		_, err := w.Write(raw)
		return err
	})
}

// Entries lists the weights for checkpoint.Write, under Hugging Face's names.
func (m *Model) Entries(dtype checkpoint.DType) []checkpoint.Entry {
	out := make([]checkpoint.Entry, len(m.params))
	for i, p := range m.params {
		out[i] = checkpoint.Entry{Name: p.Name, Tensor: p.Val, DType: dtype}
	}
	return out
}

// ConfigJSON is the model's config.json.
func (m *Model) ConfigJSON(dtype checkpoint.DType) ([]byte, error) {
	c := hfConfig{ModelType: "orrery", Config: m.Config, MLPBias: m.Config.Bias, HiddenAct: "silu"}
	switch m.Config.MLP {
	case "gelu":
		c.HiddenAct = "gelu_pytorch_tanh"
	case "relu":
		c.HiddenAct = "relu"
	}
	if m.Config.llama() {
		c.ModelType, c.Architectures = "llama", []string{"LlamaForCausalLM"}
	}
	c.DType = map[checkpoint.DType]string{checkpoint.BF16: "bfloat16", checkpoint.F16: "float16", checkpoint.F64: "float64"}[dtype]
	if c.DType == "" {
		c.DType = "float32"
	}
	raw, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("nn: write %s: %w", configFile, err)
	}
	return append(raw, '\n'), nil
}

// Load reads a model's folder: those that Save wrote, and Llama's of Hugging
// Face. What would give other numbers than the model's own is refused, such as
// scaled rotary positions, missing tensors, or tensors that the model does not
// have.
func Load(dir string) (*Model, error) {
	m, err := LoadFS(os.DirFS(dir))
	if err != nil {
		return nil, fmt.Errorf("nn: load model %s: %w", dir, err)
	}
	return m, nil
}

// LoadFS is Load from a file system whose root is the folder.
func LoadFS(fsys fs.FS) (m *Model, err error) {
	raw, err := fs.ReadFile(fsys, configFile)
	if err != nil {
		return nil, err
	}
	c, err := ParseConfig(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", configFile, err)
	}
	f, err := checkpoint.OpenFS(fsys, ".")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if m, err = build(c); err != nil {
		return nil, fmt.Errorf("%s: %w", configFile, err)
	}
	if err := m.read(f); err != nil {
		return nil, err
	}
	return m, nil
}

// read fills the parameters from a checkpoint.
func (m *Model) read(f *checkpoint.File) error {
	extra := map[string]bool{}
	for _, name := range f.Names() {
		// Old files carry the rotary frequencies, which the config determines.
		extra[name] = !strings.HasSuffix(name, "rotary_emb.inv_freq")
	}
	for _, p := range m.params {
		info, ok := f.Info(p.Name)
		if ok && !slices.Equal(info.Shape, p.Shape()) {
			return fmt.Errorf("tensor %s has shape %v, %s makes it %v", p.Name, info.Shape, configFile, p.Shape())
		}
		t, err := f.Tensor(p.Name)
		if err != nil {
			return err
		}
		copy(p.Val.Data, t.Data)
		extra[p.Name] = false
	}
	if m.Config.Tied && extra["lm_head.weight"] {
		t, err := f.Tensor("lm_head.weight")
		if err != nil {
			return err
		}
		if !slices.Equal(t.Data, m.embed.Val.Data) {
			return fmt.Errorf("tensor lm_head.weight differs from model.embed_tokens.weight, but %s ties them; set tie_word_embeddings to false", configFile)
		}
		extra["lm_head.weight"] = false
	}
	for _, name := range f.Names() {
		if extra[name] {
			return fmt.Errorf("tensor %s is not part of a model with this %s", name, configFile)
		}
	}
	return nil
}

// SetWeights copies tensors of the given names into the parameters, all of
// them, for a training run that resumes.
func (m *Model) SetWeights(get func(name string) (*tensor.Tensor, error)) error {
	for _, p := range m.params {
		t, err := get(p.Name)
		if err != nil {
			return err
		}
		if !slices.Equal(t.Shape, p.Shape()) {
			return fmt.Errorf("nn: tensor %s has shape %v, the model's is %v", p.Name, t.Shape, p.Shape())
		}
		copy(p.Val.Data, t.Data)
	}
	return nil
}

// ParseConfig reads a config.json. Keys that a Llama's may have and that do not
// concern the numbers are passed over; an "orrery" config may have no key that
// is not known.
func ParseConfig(raw []byte) (Config, error) {
	var loose struct {
		ModelType string          `json:"model_type"`
		EOS       json.RawMessage `json:"eos_token_id"`
		BOS       json.RawMessage `json:"bos_token_id"`
		Scaling   map[string]any  `json:"rope_scaling"`
		Rope      map[string]any  `json:"rope_parameters"`
		Act       *string         `json:"hidden_act"`
	}
	if err := json.Unmarshal(raw, &loose); err != nil {
		return Config{}, err
	}
	switch loose.ModelType {
	case "llama", "orrery":
	default:
		return Config{}, fmt.Errorf("model_type %q is not supported, only llama and orrery are", loose.ModelType)
	}
	if s := ropeType(loose.Scaling); s != "" && s != "default" {
		return Config{}, fmt.Errorf("rope_scaling of type %q is not supported", s)
	}
	if s := ropeType(loose.Rope); s != "" && s != "default" {
		return Config{}, fmt.Errorf("rope_parameters of type %q are not supported", s)
	}
	// A list of end tokens, or null, does not fit Config: the first, or 0.
	flat, err := withTokens(raw, map[string]json.RawMessage{"eos_token_id": loose.EOS, "bos_token_id": loose.BOS})
	if err != nil {
		return Config{}, err
	}
	var c hfConfig
	dec := json.NewDecoder(bytes.NewReader(flat))
	if loose.ModelType == "orrery" {
		dec.DisallowUnknownFields()
	}
	if err := dec.Decode(&c); err != nil {
		return Config{}, err
	}
	if theta, ok := loose.Rope["rope_theta"].(float64); ok && c.RopeTheta == 0 {
		c.RopeTheta = theta
	}
	if loose.ModelType == "llama" {
		switch {
		case loose.Act != nil && *loose.Act != "silu":
			return Config{}, fmt.Errorf("hidden_act %q is not supported in a llama, only silu is", *loose.Act)
		case c.Bias != c.MLPBias:
			return Config{}, errors.New("attention_bias and mlp_bias differ; the model has biases in both or in neither")
		case !c.Config.llamaOrUnset():
			return Config{}, errors.New("model_type llama with positions, norm, mlp or bidirectional of another model")
		}
		if c.NormEps == 0 {
			c.NormEps = 1e-6 // LlamaConfig's own default
		}
	}
	return c.Config.Resolved()
}

// llamaOrUnset says whether the keys of ours that a Llama's config does not
// have agree with it.
func (c Config) llamaOrUnset() bool {
	or := func(v, want string) bool { return v == "" || v == want }
	return or(c.Positions, "rotary") && or(c.Norm, "rms") && or(c.MLP, "swiglu") && !c.Bidirectional
}

func ropeType(m map[string]any) string {
	for _, key := range []string{"rope_type", "type"} {
		if s, ok := m[key].(string); ok {
			return s
		}
	}
	return ""
}

// withTokens replaces token ids that are lists by their first, and null by 0.
func withTokens(raw []byte, ids map[string]json.RawMessage) ([]byte, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, err
	}
	for key, v := range ids {
		var list []int
		if v == nil || json.Unmarshal(v, &list) != nil {
			continue
		}
		id := 0
		if len(list) > 0 {
			id = list[0]
		}
		all[key] = json.RawMessage(fmt.Sprint(id))
	}
	return json.Marshal(all)
}
