package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"orrery/learn/tensor"
)

const (
	adapterConfigFile  = "adapter_config.json"
	adapterWeightsFile = "adapter_model.safetensors"
	maxAdapterConfig   = 16 << 20 // bytes; a long one lists every module of a large model
)

// Adapter is a LoRA adapter as PEFT saves it (arXiv 2106.09685): for some
// tensors of a base model the exact low-rank difference, for others a whole
// replacement. The base is never written to.
type Adapter struct {
	dir      string
	config   *adapterConfig
	file     *File
	factors  map[string]*factors // by the base's tensor
	full     map[string]string   // by the base's tensor: the adapter's
	warnings []string
}

// factors are the adapter's two tensors for one of the base.
type factors struct {
	a, b       Info // zero until found
	r          int
	scale      float64
	transposed bool // the base has it in×out
}

// IsAdapter reports whether a folder holds a PEFT adapter.
func IsAdapter(dir string) bool {
	st, err := os.Stat(filepath.Join(dir, adapterConfigFile))
	return err == nil && !st.IsDir()
}

// OpenAdapter opens a folder with adapter_config.json and
// adapter_model.safetensors. What is no low-rank difference from the base as
// published, DoRA for one, is refused with the cause ErrAdapter.
func OpenAdapter(dir string) (*Adapter, error) {
	name := filepath.Join(dir, adapterConfigFile)
	raw, err := readBounded(name, maxAdapterConfig)
	if err != nil {
		return nil, err
	}
	a := &Adapter{dir: dir, factors: map[string]*factors{}, full: map[string]string{}}
	var e *Error
	if a.config, e = parseAdapterConfig(raw); e != nil {
		e.File = name
		return nil, e
	}
	if a.file, err = Open(filepath.Join(dir, adapterWeightsFile)); err != nil {
		if e, ok := errors.AsType[*Error](err); ok && errors.Is(err, fs.ErrNotExist) {
			e.Hint = "an adapter_model.bin must be saved again as safetensors"
		}
		return nil, err
	}
	if err := a.sort(); err != nil {
		a.file.Close()
		return nil, err
	}
	return a, nil
}

// readBounded reads a small file whole.
func readBounded(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, &Error{Op: "open", File: name, Offset: -1, Err: cause(err)}
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("a file above %d bytes is refused", limit)
	}
	if err != nil {
		return nil, &Error{Op: "read", File: name, Offset: -1, Err: cause(err)}
	}
	return raw, nil
}

// sort finds out what each tensor of the adapter is for.
func (a *Adapter) sort() error {
	for _, key := range a.file.Names() {
		info, _ := a.file.Info(key)
		if err := a.place(key, info); err != nil {
			return &Error{Op: "open", File: info.File, Tensor: key, Offset: info.Offset, Err: err}
		}
	}
	for _, target := range slices.Sorted(maps.Keys(a.factors)) {
		if key, err := a.factors[target].check(); err != nil {
			info, _ := a.file.Info(key)
			return &Error{Op: "open", File: info.File, Tensor: key, Offset: info.Offset, Err: err}
		}
	}
	if len(a.factors)+len(a.full) == 0 {
		return &Error{Op: "open", File: filepath.Join(a.dir, adapterWeightsFile), Offset: -1, Err: errors.New("the adapter changes no tensor")}
	}
	for _, key := range a.config.ignored {
		a.warn("the setting %s of %s is unknown and taken to be about training", key, adapterConfigFile)
	}
	for _, m := range a.config.save {
		one := &adapterConfig{save: []string{m}}
		if !slices.ContainsFunc(slices.Collect(maps.Keys(a.full)), one.saves) {
			a.warn("modules_to_save names %s, of which the adapter has no tensor", m)
		}
	}
	return nil
}

// place sorts one tensor in, by the name that PEFT gives it.
func (a *Adapter) place(key string, info Info) error {
	name, ok := strings.CutPrefix(key, "base_model.model.")
	if !ok {
		return errors.New("the name doesn't begin with base_model.model., as PEFT's do")
	}
	for _, kind := range []struct {
		suffix           string
		second, embedded bool
	}{
		{".lora_A.weight", false, false}, {".lora_B.weight", true, false},
		{".lora_embedding_A", false, true}, {".lora_embedding_B", true, true},
	} {
		module, ok := strings.CutSuffix(name, kind.suffix)
		if !ok {
			continue
		}
		if strings.Contains("."+module+".", ".base_layer.") {
			return fmt.Errorf("%w: LoRA of bare parameters", ErrAdapter)
		}
		f := a.factors[module+".weight"]
		if f == nil {
			r, scale := a.config.scale(module)
			f = &factors{r: r, scale: scale, transposed: a.config.fanIn || kind.embedded}
			a.factors[module+".weight"] = f
		}
		slot := &f.a
		if kind.second {
			slot = &f.b
		}
		if slot.Name != "" {
			return fmt.Errorf("%q is for the same factor", slot.Name)
		}
		*slot = info
		return nil
	}
	for part := range strings.SplitSeq(name, ".") {
		if part == "lora_magnitude_vector" {
			return fmt.Errorf("%w: DoRA, which rescales every column of the merged weight", ErrAdapter)
		}
		if strings.HasPrefix(part, "lora_") || strings.HasPrefix(part, "trainable_tokens_") {
			return fmt.Errorf("%w: no part of plain LoRA has this name", ErrAdapter)
		}
	}
	// What remains is a tensor of the base, whole: of modules_to_save, a bias,
	// or an embedding whose vocabulary grew.
	target := strings.ReplaceAll(name, ".base_layer.", ".")
	if other, ok := a.full[target]; ok {
		return fmt.Errorf("%q replaces the same tensor", other)
	}
	if !a.config.saves(target) && (a.config.bias == "none" || !strings.HasSuffix(target, ".bias")) {
		a.warn("tensor %q replaces one that modules_to_save doesn't name", key)
	}
	a.full[target] = key
	return nil
}

// check finds what is wrong with a pair, and in which of the two.
func (f *factors) check() (string, error) {
	switch a, b := f.a, f.b; {
	case a.Name == "":
		return b.Name, errors.New("its other half, A, is missing")
	case b.Name == "":
		return a.Name, errors.New("its other half, B, is missing")
	case len(a.Shape) != 2:
		return a.Name, fmt.Errorf("%w: shape %v is not that of a matrix", ErrAdapter, a.Shape)
	case len(b.Shape) != 2:
		return b.Name, fmt.Errorf("%w: shape %v is not that of a matrix", ErrAdapter, b.Shape)
	case a.Shape[0] != f.r:
		return a.Name, fmt.Errorf("shape %v has rank %d, %s says %d", a.Shape, a.Shape[0], adapterConfigFile, f.r)
	case b.Shape[1] != f.r:
		return b.Name, fmt.Errorf("shape %v has rank %d, %s says %d", b.Shape, b.Shape[1], adapterConfigFile, f.r)
	case !a.DType.Float() || a.DType == F64: // float64 factors wouldn't stay exact
		return a.Name, fmt.Errorf("%w: factors of %s", ErrUnsupported, a.DType)
	case !b.DType.Float() || b.DType == F64:
		return b.Name, fmt.Errorf("%w: factors of %s", ErrUnsupported, b.DType)
	}
	return "", nil
}

func (a *Adapter) warn(format string, args ...any) {
	a.warnings = append(a.warnings, fmt.Sprintf(format, args...))
}

// Close closes the adapter's file.
func (a *Adapter) Close() error { return a.file.Close() }

// File is the adapter's own tensors, under PEFT's names.
func (a *Adapter) File() *File { return a.file }

// Base is the name or path of the base model that the adapter was trained on,
// as its configuration has it; "" if it has none.
func (a *Adapter) Base() string { return a.config.base }

// Warnings lists what is odd but harmless.
func (a *Adapter) Warnings() []string { return a.warnings }

// Targets lists the tensors of the base that the adapter changes, sorted.
func (a *Adapter) Targets() []string {
	all := map[string]bool{}
	for name := range a.factors {
		all[name] = true
	}
	for name := range a.full {
		all[name] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// Full is the name, in File, of the tensor that replaces a tensor of the base
// whole, before a low-rank difference, if there is one, is added.
func (a *Adapter) Full(target string) (string, bool) {
	key, ok := a.full[target]
	return key, ok
}

// LowRank reads the low-rank difference of a tensor of the base. The cause of
// the error is ErrNoTensor if there is none.
func (a *Adapter) LowRank(target string) (*LowRank, error) {
	f, ok := a.factors[target]
	if !ok {
		return nil, &Error{Op: "read", File: filepath.Join(a.dir, adapterWeightsFile), Tensor: target, Offset: -1,
			Err: ErrNoTensor, Hint: "the adapter has no low-rank factors for it"}
	}
	l := &LowRank{Target: target, Scale: f.scale, Transposed: f.transposed}
	for _, half := range []struct {
		to   **tensor.Tensor
		name string
	}{{&l.A, f.a.Name}, {&l.B, f.b.Name}} {
		var err error
		if *half.to, err = a.file.Tensor(half.name); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// shape is that of a pair's difference, as the base stores it.
func (f *factors) shape() []int {
	if f.transposed {
		return []int{f.a.Shape[1], f.b.Shape[0]}
	}
	return []int{f.b.Shape[0], f.a.Shape[1]}
}
