package nn

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"orrery/learn/checkpoint"
	"orrery/learn/tensor"
)

// TestSaveLoad: what was saved as F32 comes back with every bit and the same
// configuration; as BF16, within half a unit of its eight bits.
func TestSaveLoad(t *testing.T) {
	for name, c := range shapes() {
		c.BOS, c.EOS, c.RopeTheta, c.NormEps = 1, 2, 5e5, 1e-3
		m := lively(t, c, 7)
		dir := filepath.Join(t.TempDir(), "model")
		for _, dtype := range []checkpoint.DType{checkpoint.BF16, checkpoint.F32} {
			if err := m.Save(dir, dtype); err != nil {
				t.Fatal(err)
			}
			back, err := Load(dir)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if back.Config != m.Config {
				t.Errorf("%s: configuration %+v came back as %+v", name, m.Config, back.Config)
			}
			for i, p := range m.Params() {
				got := back.Params()[i].Val.Data
				if dtype == checkpoint.F32 {
					sameBits(t, name+": "+p.Name, got, p.Val.Data)
					continue
				}
				for j, v := range p.Val.Data {
					if d := got[j] - v; d > max(v, -v)/256 || -d > max(v, -v)/256 {
						t.Fatalf("%s: %s element %d: %g became %g in BF16", name, p.Name, j, v, got[j])
					}
				}
			}
		}
		var conf map[string]any
		raw, err := os.ReadFile(filepath.Join(dir, "config.json"))
		if err != nil || json.Unmarshal(raw, &conf) != nil {
			t.Fatal(err)
		}
		want := "orrery"
		if name == "llama" || name == "tied" {
			want = "llama"
		}
		if conf["model_type"] != want {
			t.Errorf("%s was saved as model_type %v", name, conf["model_type"])
		}
	}
}

// hfFolder is a Llama's folder as Hugging Face writes it, without keys of ours.
func hfFolder(t *testing.T, edit func(conf map[string]any, tensors map[string]*tensor.Tensor)) fs.FS {
	t.Helper()
	m := lively(t, Config{VocabSize: 13, HiddenSize: 12, Layers: 1, Heads: 4, KVHeads: 2, HeadDim: 4, Intermediate: 20}, 3)
	conf := map[string]any{
		"architectures": []string{"LlamaForCausalLM"}, "model_type": "llama", "transformers_version": "4.44.0",
		"vocab_size": 13, "hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4,
		"intermediate_size": 20, "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "rope_scaling": nil,
		"hidden_act": "silu", "attention_bias": false, "mlp_bias": false, "tie_word_embeddings": false, "bos_token_id": nil, "eos_token_id": []int{7, 8},
	}
	tensors := map[string]*tensor.Tensor{}
	for _, p := range m.Params() {
		tensors[p.Name] = p.Val
	}
	if edit != nil {
		edit(conf, tensors)
	}
	raw, err := json.Marshal(conf)
	if err != nil {
		t.Fatal(err)
	}
	var entries []checkpoint.Entry
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		entries = append(entries, checkpoint.Entry{Name: name, Tensor: tensors[name]})
	}
	var weights strings.Builder
	if err := checkpoint.Encode(&weights, entries, nil); err != nil {
		t.Fatal(err)
	}
	return fstest.MapFS{"config.json": {Data: raw}, "model.safetensors": {Data: []byte(weights.String())}}
}

func TestLoadHuggingFace(t *testing.T) {
	m, err := LoadFS(hfFolder(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	if m.Config.EOS != 7 || m.Config.BOS != 0 || m.Config.MaxPositions != 64 || m.Config.Tied {
		t.Errorf("configuration %+v", m.Config)
	}
	m, err = LoadFS(hfFolder(t, func(conf map[string]any, tensors map[string]*tensor.Tensor) {
		delete(conf, "rope_theta")
		conf["rope_parameters"] = map[string]any{"rope_type": "default", "rope_theta": 500000.0}
		conf["tie_word_embeddings"] = true
		tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
		tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = tensor.New(2)
	}))
	if err != nil {
		t.Fatal(err)
	}
	if m.Config.RopeTheta != 500000 || !m.Config.Tied || m.head != m.embed {
		t.Errorf("configuration %+v", m.Config)
	}
}

func TestLoadRefuses(t *testing.T) {
	for want, edit := range map[string]func(map[string]any, map[string]*tensor.Tensor){
		`model_type "mamba"`: func(c map[string]any, _ map[string]*tensor.Tensor) { c["model_type"] = "mamba" },
		`rope_scaling of type "llama3"`: func(c map[string]any, _ map[string]*tensor.Tensor) {
			c["rope_scaling"] = map[string]any{"rope_type": "llama3"}
		},
		`hidden_act "gelu"`:                  func(c map[string]any, _ map[string]*tensor.Tensor) { c["hidden_act"] = "gelu" },
		"attention_bias and mlp_bias differ": func(c map[string]any, _ map[string]*tensor.Tensor) { c["mlp_bias"] = true },
		"llama with positions":               func(c map[string]any, _ map[string]*tensor.Tensor) { c["positions"] = "learned" },
		"hidden_size is 0":                   func(c map[string]any, _ map[string]*tensor.Tensor) { delete(c, "hidden_size") },
		`unknown field "rope_thta"`: func(c map[string]any, _ map[string]*tensor.Tensor) {
			maps.DeleteFunc(c, func(k string, _ any) bool { return k == "transformers_version" })
			c["model_type"], c["rope_thta"] = "orrery", 1
		},
		"model.norm.weight":                     func(_ map[string]any, ts map[string]*tensor.Tensor) { delete(ts, "model.norm.weight") },
		"lm_head.bias is not part":              func(_ map[string]any, ts map[string]*tensor.Tensor) { ts["lm_head.bias"] = tensor.New(13) },
		"model.norm.weight has shape [12 1]":    func(_ map[string]any, ts map[string]*tensor.Tensor) { ts["model.norm.weight"] = tensor.New(12, 1) },
		"lm_head.weight differs from":           func(c map[string]any, _ map[string]*tensor.Tensor) { c["tie_word_embeddings"] = true },
		"cannot unmarshal string into Go":       func(c map[string]any, _ map[string]*tensor.Tensor) { c["hidden_size"] = "12" },
		"num_key_value_heads 3 does not divide": func(c map[string]any, _ map[string]*tensor.Tensor) { c["num_key_value_heads"] = 3 },
	} {
		if _, err := LoadFS(hfFolder(t, edit)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
	if _, err := Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "config.json") {
		t.Errorf("an empty folder: %v", err)
	}
}

func TestSetWeights(t *testing.T) {
	c := shapes()["gpt2"]
	from, to := lively(t, c, 1), lively(t, c, 2)
	stored := map[string]*tensor.Tensor{}
	for _, p := range from.Params() {
		stored[p.Name] = p.Val
	}
	if err := to.SetWeights(func(name string) (*tensor.Tensor, error) { return stored[name], nil }); err != nil {
		t.Fatal(err)
	}
	for i, p := range from.Params() {
		sameBits(t, p.Name, to.Params()[i].Val.Data, p.Val.Data)
	}
	if to.Params()[0].Val == stored[to.Params()[0].Name] {
		t.Error("the parameter shares memory with the given tensor")
	}
}
