package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// ErrAdapter is the cause when an adapter is of a kind that has no low-rank
// difference from its base, or none that is read here.
var ErrAdapter = errors.New("unsupported adapter")

// adapterConfig is what adapter_config.json says of the weights. The rest of
// it is about training.
type adapterConfig struct {
	r       int
	alpha   float64
	rslora  bool
	fanIn   bool // the base's weights are stored in×out
	bias    string
	save    []string  // modules_to_save
	base    string    // base_model_name_or_path
	ranks   []pattern // rank_pattern
	alphas  []pattern // alpha_pattern
	ignored []string  // keys that are set, unknown, and taken to be about training
}

// pattern gives the modules that match another rank or alpha.
type pattern struct {
	key   string
	match *regexp.Regexp
	value float64
}

// trainingKeys are the settings of PEFT (version 0.19) that don't say what the
// adapter's weights mean.
var trainingKeys = []string{"auto_mapping", "corda_config", "ensure_weight_tying", "eva_config", "exclude_modules", "inference_mode",
	"layers_pattern", "layers_to_transform", "loftq_config", "lora_dropout", "lora_ga_config", "megatron_config", "megatron_core",
	"peft_version", "qalora_group_size", "revision", "runtime_config", "target_modules", "task_type", "velora_config"}

// variantKeys are settings that make the update something else than s·B·A of
// the base named, with what they mean.
var variantKeys = map[string]string{
	"use_dora":                "DoRA, which rescales every column of the merged weight",
	"use_qalora":              "QA-LoRA, which pools the inputs",
	"use_bdlora":              "BD-LoRA, whose factors are block-diagonal",
	"alora_invocation_tokens": "activated LoRA, which acts on some tokens only",
	"arrow_config":            "Arrow, which routes between adapters",
	"kasa_config":             "KaSA, which changes the base too",
	"monteclora_config":       "MonteCLoRA, which samples its factors",
	"layer_replication":       "layer replication, which changes the base's layers",
	"target_parameters":       "LoRA of bare parameters",
	"trainable_token_indices": "trainable tokens",
	"lora_bias":               "LoRA with a bias",
}

// sameBase are the initialisations that leave the base's weights alone. Others
// (PiSSA, OLoRA, CorDA, LoftQ, LoRA-GA) take the initial s·B·A out of the base,
// so that the adapter is no difference from the base as published.
var sameBase = []string{"true", "false", "gaussian", "eva", "orthogonal", "mica"}

// parseAdapterConfig reads an adapter_config.json. Keys may stand once.
func parseAdapterConfig(raw []byte) (*adapterConfig, *Error) {
	if !utf8.Valid(raw) {
		return nil, where("", 0, "the configuration isn't UTF-8")
	}
	p := newParser(raw)
	c := &adapterConfig{r: -1, alpha: math.NaN(), bias: "none"}
	kind, hint := "", ""
	err := p.object(func(key string) (err error) {
		switch key {
		case "rank_pattern":
			c.ranks, err = p.patterns(key)
			return err
		case "alpha_pattern":
			c.alphas, err = p.patterns(key)
			return err
		}
		var v json.RawMessage
		if err := p.d.Decode(&v); err != nil {
			return err
		}
		set := isSet(v)
		switch {
		case key == "peft_type":
			err = json.Unmarshal(v, &kind)
		case key == "r":
			err = json.Unmarshal(v, &c.r)
		case key == "lora_alpha":
			err = json.Unmarshal(v, &c.alpha)
		case key == "use_rslora":
			err = json.Unmarshal(v, &c.rslora)
		case key == "fan_in_fan_out":
			err = json.Unmarshal(v, &c.fanIn)
		case key == "bias":
			err = json.Unmarshal(v, &c.bias)
		case key == "modules_to_save":
			err = json.Unmarshal(v, &c.save)
		case key == "base_model_name_or_path":
			err = json.Unmarshal(v, &c.base)
		case key == "init_lora_weights":
			if how := strings.ToLower(strings.Trim(string(v), `"`)); set && !slices.Contains(sameBase, how) {
				hint = "convert it with PEFT's save_pretrained(path_initial_model_for_weight_conversion=…)"
				return fmt.Errorf("%w: the initialisation %s changed the base, so that this is no difference from it", ErrAdapter, how)
			}
		case variantKeys[key] != "" && set:
			hint = "merge it with PEFT and compare the merged checkpoint"
			return fmt.Errorf("%w: %s", ErrAdapter, variantKeys[key])
		case variantKeys[key] == "" && set && !slices.Contains(trainingKeys, key):
			c.ignored = append(c.ignored, key)
		}
		if err != nil {
			err = fmt.Errorf("%s is %.40q: %w", key, v, err)
		}
		return err
	})
	switch {
	case err != nil:
	case len(bytes.TrimSpace(raw[p.d.InputOffset():])) > 0:
		err = errors.New("something follows the closing brace")
	case kind != "LORA":
		err, hint = fmt.Errorf("%w: peft_type is %q, only LORA is read", ErrAdapter, kind), "merge it with PEFT and compare the merged checkpoint"
	case c.r <= 0:
		err = errors.New("r, the rank, is missing or not a positive whole number")
	case math.IsNaN(c.alpha):
		err = errors.New("lora_alpha is missing")
	}
	if err != nil {
		e := where("", p.d.InputOffset(), "%w", err)
		e.Hint = hint
		return nil, e
	}
	return c, nil
}

// isSet tells a setting from its absence: null, false, zero, and what is empty.
func isSet(v json.RawMessage) bool {
	var b bytes.Buffer
	if json.Compact(&b, v) != nil {
		return true
	}
	return !slices.Contains([]string{"null", "false", "0", "0.0", `""`, "[]", "{}"}, b.String())
}

// patterns reads {module or expression: number}, in its order, as the first
// match counts. A key matches a module's whole name, or the end of it after a
// dot: PEFT's (.*\.)?(KEY)$.
func (p *parser) patterns(what string) ([]pattern, error) {
	var list []pattern
	if t, err := p.token(); err != nil || t == nil {
		return nil, err
	} else if t != json.Delim('{') {
		return nil, fmt.Errorf("%s is %v, not an object", what, t)
	}
	err := p.members(func(key string) error {
		t, err := p.token()
		if err != nil {
			return err
		}
		num, _ := t.(json.Number)
		v, err := num.Float64()
		if err != nil || what == "rank_pattern" && (v != math.Trunc(v) || v <= 0 || v > math.MaxInt32) {
			return fmt.Errorf("%s gives %q the value %v", what, key, t)
		}
		re, err := regexp.Compile(`^(?:.*\.)?(?:` + key + `)$`)
		if err != nil {
			return fmt.Errorf("%s has an expression that isn't understood here: %w", what, err)
		}
		list = append(list, pattern{key, re, v})
		return nil
	})
	return list, err
}

// find is the value of the first pattern that matches, else the default.
func find(list []pattern, module string, otherwise float64) float64 {
	for _, p := range list {
		if p.match.MatchString(module) {
			return p.value
		}
	}
	return otherwise
}

// scale is the rank and the factor of a module's B·A.
func (c *adapterConfig) scale(module string) (int, float64) {
	r := find(c.ranks, module, float64(c.r))
	alpha := find(c.alphas, module, c.alpha)
	if c.rslora {
		return int(r), alpha / math.Sqrt(r)
	}
	return int(r), alpha / r
}

// saves reports whether modules_to_save covers a tensor of the base.
func (c *adapterConfig) saves(tensor string) bool {
	for _, m := range c.save {
		if strings.Contains("."+tensor, "."+m+".") {
			return true
		}
	}
	return false
}
