package task

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// FieldError says which field of which item of a problem file is at fault.
type FieldError struct {
	Task  string // its name
	Item  int    // position in the list, from 0; -1 for a problem that isn't from a list
	Field string // JSON key; empty if the item as a whole is meant
	Err   error
}

func (e *FieldError) Error() string {
	var b strings.Builder
	b.WriteString(e.Task)
	if e.Item >= 0 {
		fmt.Fprintf(&b, " item %d", e.Item)
	}
	if e.Field != "" {
		fmt.Fprintf(&b, ", field %q", e.Field)
	}
	return b.String() + ": " + e.Err.Error()
}

func (e *FieldError) Unwrap() error { return e.Err }

func fieldf(field, format string, args ...any) *FieldError {
	return &FieldError{Item: -1, Field: field, Err: fmt.Errorf(format, args...)}
}

// fields is one item of a file, undecoded.
type fields map[string]json.RawMessage

// get decodes a field that must be there.
func (f fields) get(name string, to any) *FieldError {
	raw, ok := f[name]
	if !ok || string(raw) == "null" {
		return fieldf(name, "is missing")
	}
	if err := json.Unmarshal(raw, to); err != nil {
		return &FieldError{Item: -1, Field: name, Err: err}
	}
	return nil
}

// problem decodes what every item of a list has: question, answer and steps.
func (f fields) problem() (p Problem, bad *FieldError) {
	for _, field := range []struct {
		name string
		to   any
	}{{"question", &p.Question}, {"answer", &p.Answer}, {"steps", &p.Steps}} {
		if bad = f.get(field.name, field.to); bad != nil {
			return p, bad
		}
	}
	p.Question, p.Answer = strings.TrimSpace(p.Question), strings.TrimSpace(p.Answer)
	for i, s := range p.Steps {
		p.Steps[i] = strings.TrimSpace(s)
	}
	if strings.Contains(p.Question, "\n") {
		return p, fieldf("question", "has a line break; it must be one paragraph")
	}
	if i := slices.IndexFunc(p.Steps, func(s string) bool { return strings.Contains(s, "\n") }); i >= 0 {
		return p, fieldf("steps", "step %d has a line break; a step is one line", i)
	}
	return p, nil
}

// readList reads a JSON list of items; read makes a problem of one. Errors are
// *FieldError; nothing is returned beside one.
func readList(r io.Reader, task string, read func(fields) (Problem, *FieldError)) ([]Problem, error) {
	dec := json.NewDecoder(r)
	whole := func(item int, err error) ([]Problem, error) {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, &FieldError{Task: task, Item: item, Err: err}
	}
	if open, err := dec.Token(); err != nil {
		return whole(0, fmt.Errorf("read the start of the list: %w", err))
	} else if open != json.Delim('[') {
		return whole(0, fmt.Errorf("the file starts with %v, not with a JSON list", open))
	}
	var problems []Problem
	for i := 0; dec.More(); i++ {
		var f fields
		if err := dec.Decode(&f); err != nil {
			return whole(i, fmt.Errorf("read as a JSON object: %w", err))
		}
		p, bad := read(f)
		if bad != nil {
			bad.Task, bad.Item = task, i
			return nil, bad
		}
		p.Task = task
		problems = append(problems, p)
	}
	if _, err := dec.Token(); err != nil {
		return whole(len(problems), fmt.Errorf("read the end of the list: %w", err))
	}
	if _, err := dec.Token(); err != io.EOF {
		return whole(len(problems), errors.New("something follows the list; a file holds one JSON list"))
	}
	return problems, nil
}
