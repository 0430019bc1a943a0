package main

import (
	"path/filepath"

	"orrery/learn/nn"
	"orrery/learn/token"
)

// trained loads a model's folder in Hugging Face's form.
func trained(dir string) ([]subject, error) {
	m, err := nn.Load(dir)
	if err != nil {
		return nil, err
	}
	v, err := token.Load(dir)
	if err != nil {
		return nil, err
	}
	return []subject{{filepath.Base(dir), m, v}}, nil
}
