package local

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"orrery/learn/latent"
	"orrery/learn/nn"
	"orrery/learn/token"
)

// builtin holds the built-in model as a Hugging Face folder, made by the
// recipe of the same name; its README.md is the model card.
//
//go:embed builtin
var builtin embed.FS

// Builtin returns the model that is part of the program.
func Builtin(o Options) (*Generator, error) {
	return open("builtin", BuiltinFiles(), o)
}

// Open returns the model of a folder that a training run made: config.json,
// model.safetensors and tokenizer.json.
func Open(dir string, o Options) (*Generator, error) {
	if info, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("open model: %w: give the folder of a trained model, such as runs/NAME/final", err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("open model %s: it is a file: give the folder that holds config.json and model.safetensors", dir)
	}
	if o.Name == "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return nil, err
		}
		o.Name = filepath.Base(abs)
	}
	return open(dir, os.DirFS(dir), o)
}

// Load reads a folder's model and vocabulary.
func Load(files fs.FS) (*nn.Model, *token.Vocab, error) {
	m, err := nn.LoadFS(files)
	if err != nil {
		return nil, nil, err
	}
	b, err := fs.ReadFile(files, "tokenizer.json")
	if err != nil {
		return nil, nil, err
	}
	v, err := token.Parse("tokenizer.json", b)
	return m, v, err
}

// BuiltinFiles is the built-in model's folder, for export.
func BuiltinFiles() fs.FS {
	files, err := fs.Sub(builtin, "builtin")
	if err != nil {
		panic(err) // the folder is embedded
	}
	return files
}

// superposition holds the shipped latent model, made by the recipe of the same
// name; its README.md is the model card.
//
//go:embed superposition
var superposition embed.FS

// Latent returns the latent model that is part of the program: graph questions,
// in symbols or in ProsQA's sentences.
func Latent(o Options) (*Generator, error) {
	files, err := fs.Sub(superposition, "superposition")
	if err != nil {
		panic(err) // the folder is embedded
	}
	if _, err := fs.Stat(files, latent.SymbolsFile); err != nil {
		return nil, errors.New("open the shipped latent model: this build of the program has none: give a folder with --model, such as one made by 'orrery train superposition'")
	}
	if o.Name == "" {
		o.Name = "superposition"
	}
	return open("superposition", files, o)
}

func open(name string, files fs.FS, o Options) (*Generator, error) {
	g, err := openAny(files, o)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: a model folder holds config.json, model.safetensors and tokenizer.json; is the training finished?", err)
	}
	if _, bad := errors.AsType[*json.SyntaxError](err); bad {
		err = fmt.Errorf("%w: the file is damaged; fetch it again, or train the model again", err)
	}
	if err != nil {
		return nil, fmt.Errorf("open model %s: %w", name, err)
	}
	return g, nil
}

// openAny finds out what kind of model a folder holds: latent.json and
// symbols.json say that it is a latent one.
func openAny(files fs.FS, o Options) (*Generator, error) {
	info, err := latent.Read(files)
	if !errors.Is(err, fs.ErrNotExist) {
		if err != nil {
			return nil, err
		}
		return openLatent(files, info, o)
	}
	reach, err := latent.ReadSymbols(files)
	if !errors.Is(err, fs.ErrNotExist) {
		if err != nil {
			return nil, err
		}
		return openSymbols(files, reach, o)
	}
	m, v, err := Load(files)
	if err != nil {
		return nil, err
	}
	return New(m, v, o)
}
