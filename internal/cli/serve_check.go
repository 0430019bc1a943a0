package cli

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"orrery/internal/server"
)

// structTags are the tags of a struct's fields, one after the other.
func structTags(p any) string {
	t := reflect.TypeOf(p).Elem()
	var out strings.Builder
	for i := range t.NumField() {
		out.WriteString(string(t.Field(i).Tag) + " ")
	}
	return out.String()
}

// printConfig prints what would be served, as a configuration that says the
// same, with secrets masked.
func (sv *serving) printConfig(f *pflag.FlagSet, keys []server.Key) error {
	out := &yaml.Node{Kind: yaml.MappingNode}
	add := func(name string, v any) error {
		var n yaml.Node
		if err := n.Encode(v); err != nil {
			return err
		}
		out.Content = append(out.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: name}, &n)
		return nil
	}
	var err error
	f.VisitAll(func(f *pflag.Flag) {
		if err != nil || slices.Contains(notInFile, f.Name) || !f.Changed && f.Name != "listen" || f.Name == "upstream" {
			return
		}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			err = add(f.Name, list.GetSlice())
		} else {
			err = add(f.Name, maskURL(f.Value.String()))
		}
	})
	if err != nil {
		return err
	}
	if err := sv.printUpstreams(add); err != nil {
		return err
	}
	if len(keys) > 0 {
		var entries []map[string]any
		for _, k := range keys {
			e := map[string]any{"name": k.Name, "key": hashMark + hex.EncodeToString(k.Hash[:4]) + "…", "sees": map[bool]string{true: "all", false: "own"}[k.SeesAll]}
			if k.Limits != (server.Limits{}) {
				e["limits"] = limitsEntry(k.Limits)
			}
			if k.Methods != nil {
				e["methods"] = k.Methods
			}
			entries = append(entries, e)
		}
		if err := add("keys", entries); err != nil {
			return err
		}
	}
	e := yaml.NewEncoder(sv.out)
	e.SetIndent(2)
	if err := e.Encode(out); err != nil {
		return err
	}
	return e.Close()
}

func (sv *serving) printUpstreams(add func(string, any) error) error {
	servers, err := sv.src.pooled()
	if err != nil || sv.src.upstream == "" {
		return err
	}
	var entries []map[string]any
	for _, s := range servers {
		e := map[string]any{"url": maskURL(s.URL)}
		if s.APIKey != "" {
			e["key"] = masked
		}
		if s.Name != "" {
			e["name"] = s.Name
		}
		if s.Weight != 0 {
			e["weight"] = s.Weight
		}
		if s.MaxParallel != 0 {
			e["parallel"] = s.MaxParallel
		}
		if s.Drained {
			e["drain"] = true
		}
		entries = append(entries, e)
	}
	return add("upstreams", entries)
}

// masked stands for a secret.
const masked = "(hidden)"

// maskURL hides a URL's password and the values of its query.
func maskURL(s string) string {
	if !strings.Contains(s, "://") {
		return s
	}
	u, err := url.Parse(s)
	if err != nil {
		return masked
	}
	query := ""
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range u.Query() {
			if !yield(name) {
				return
			}
		}
	}) {
		query += fmt.Sprintf("&%s=%s", name, masked)
	}
	user := ""
	if u.User != nil {
		user = u.User.Username() + ":" + masked + "@"
	}
	u.User, u.RawQuery = nil, ""
	out := u.Scheme + "://" + user + strings.TrimPrefix(strings.TrimPrefix(u.String(), u.Scheme+":"), "//") // none where all is left out
	if query != "" {
		out += "?" + query[1:]
	}
	return out
}
