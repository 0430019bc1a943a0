package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"orrery/internal/server"
	"orrery/internal/upstream"
	"orrery/think/reason"
)

// configFile is what serve's configuration file says. Each of its entries is
// named like a flag, and means the same; besides, upstreams and keys are lists
// of servers and of API keys, with more to say of each than a flag can.
type configFile struct {
	path    string
	lines   map[string]int // of entries
	flags   map[string][]string
	servers []upstream.Server
	keys    []server.Key
}

// notInFile are flags that a file cannot say.
var notInFile = []string{"config", "check-config", "json", "help"}

// readConfig reads a file. Errors name it and the line.
func readConfig(path string, known *pflag.FlagSet) (*configFile, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, usagef("read the configuration: %w: give a readable file to --config", err)
	}
	return parseConfig(path, text, known)
}

func parseConfig(path string, text []byte, known *pflag.FlagSet) (*configFile, error) {
	c := &configFile{path: path, lines: map[string]int{}, flags: map[string][]string{}}
	d := yaml.NewDecoder(bytes.NewReader(text))
	var doc yaml.Node
	if err := d.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, usagef("%s is empty: write at least one entry", path)
	} else if err != nil {
		return nil, usagef("%s is not YAML: %s", path, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, usagef("%s holds more than one document: keep one", path)
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, c.at(root, "entries such as listen: \":8888\" are expected")
	}
	// An alias could make a small file a large one, and no entry needs one.
	if n := aliased(root); n != nil {
		return nil, c.at(n, "aliases and merges are not read: write the value out")
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		if err := c.entry(root.Content[i], root.Content[i+1], known); err != nil {
			return nil, err
		}
	}
	if line, both := c.lines["upstreams"]; both && c.lines["upstream"] > 0 {
		return nil, usagef("%s:%d: upstreams and upstream (line %d) contradict each other: keep one", path, line, c.lines["upstream"])
	}
	return c, nil
}

func aliased(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode || n.Tag == "!!merge" {
		return n
	}
	for _, child := range n.Content {
		if found := aliased(child); found != nil {
			return found
		}
	}
	return nil
}

// at is an error at a line.
func (c *configFile) at(n *yaml.Node, format string, args ...any) error {
	return usagef("%s:%d: "+format, append([]any{c.path, n.Line}, args...)...)
}

func (c *configFile) entry(key, value *yaml.Node, known *pflag.FlagSet) error {
	name := key.Value
	if line, twice := c.lines[name]; twice {
		return c.at(key, "%s was said in line %d: drop one", name, line)
	}
	c.lines[name] = key.Line
	switch name {
	case "upstreams":
		return c.list(value, "upstreams", c.server)
	case "keys":
		return c.list(value, "keys", c.key)
	case "limits":
		if value.Kind == yaml.MappingNode {
			return c.limits(value)
		}
	}
	f := known.Lookup(name)
	if f == nil || slices.Contains(notInFile, name) {
		return c.at(key, "%q is not known here: entries are upstreams, keys, and serve's flags without their dashes (orrery serve --help)", name)
	}
	var values []string
	switch {
	case value.Kind == yaml.ScalarNode && value.Tag != "!!null":
		values = []string{value.Value}
	case value.Kind == yaml.SequenceNode:
		if _, ok := f.Value.(pflag.SliceValue); !ok {
			return c.at(value, "%s is one value, not a list", name)
		}
		for _, item := range value.Content {
			if item.Kind != yaml.ScalarNode || item.Tag == "!!null" {
				return c.at(item, "%s is a list of single values", name)
			}
			values = append(values, item.Value)
		}
	default:
		return c.at(value, "%s needs a value", name)
	}
	for i := range values {
		if name == "store" {
			var err error
			if values[i], err = c.expand(value, values[i]); err != nil {
				return err
			}
		} else if strings.Contains(values[i], "${") {
			return c.at(value, "${…} is read in store, and in the urls and keys of upstreams and keys, but not in %s", name)
		}
	}
	c.flags[name] = values
	return nil
}

func (c *configFile) limits(value *yaml.Node) error {
	var l limitsEntry
	if err := c.decode(value, &l); err != nil {
		return err
	}
	var parts []string
	for name, n := range map[string]int{"requests": l.Requests, "tokens": l.Tokens, "concurrent": l.Concurrent, "budget": l.Budget} {
		if n != 0 {
			parts = append(parts, fmt.Sprintf("%s=%d", name, n))
		}
	}
	slices.Sort(parts)
	c.flags["limits"] = []string{strings.Join(parts, ",")}
	return nil
}

func (c *configFile) list(value *yaml.Node, name string, read func(*yaml.Node) error) error {
	if value.Kind != yaml.SequenceNode || len(value.Content) == 0 {
		return c.at(value, "%s is a list of at least one", name)
	}
	for _, item := range value.Content {
		if err := read(item); err != nil {
			return err
		}
	}
	return nil
}

// decode reads a node into a struct, all of whose fields are known.
func (c *configFile) decode(n *yaml.Node, into any) error {
	if n.Kind != yaml.MappingNode {
		return c.at(n, "an entry of the form NAME: VALUE is expected")
	}
	var names []string
	fields := regexp.MustCompile(`yaml:"([a-z0-9-]+)[,"]`)
	for _, m := range fields.FindAllStringSubmatch(structTags(into), -1) {
		names = append(names, m[1])
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !slices.Contains(names, n.Content[i].Value) {
			return c.at(n.Content[i], "%q is not known here: there are %s", n.Content[i].Value, strings.Join(names, ", "))
		}
	}
	if err := n.Decode(into); err != nil {
		words := strings.TrimPrefix(err.Error(), "yaml: unmarshal errors:\n")
		words = strings.TrimSpace(strings.TrimPrefix(words, "yaml: "))
		if line, rest, ok := strings.Cut(strings.TrimPrefix(words, "line "), ": "); ok && words != line {
			return usagef("%s:%s: %s", c.path, line, strings.ReplaceAll(rest, "!!", ""))
		}
		return c.at(n, "%s", words)
	}
	return nil
}

var variable = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// expand puts environment variables in the place of ${NAME}.
func (c *configFile) expand(n *yaml.Node, s string) (string, error) {
	var unset string
	s = variable.ReplaceAllStringFunc(s, func(m string) string {
		name := m[2 : len(m)-1]
		v, ok := os.LookupEnv(name)
		if !ok || v == "" {
			unset = name
		}
		return v
	})
	if unset != "" {
		return "", c.at(n, "the environment variable %s is not set", unset)
	}
	return s, nil
}

// upstreamEntry is one of upstreams.
type upstreamEntry struct {
	URL      string  `yaml:"url"`
	Name     string  `yaml:"name"`
	Key      string  `yaml:"key"`
	KeyFile  string  `yaml:"key-file"`
	Weight   float64 `yaml:"weight"`
	Parallel int     `yaml:"parallel"`
	Drain    bool    `yaml:"drain"`
}

func (c *configFile) server(n *yaml.Node) error {
	var e upstreamEntry
	if err := c.decode(n, &e); err != nil {
		return err
	}
	for _, s := range []*string{&e.URL, &e.Key} {
		var err error
		if *s, err = c.expand(n, *s); err != nil {
			return err
		}
	}
	switch {
	case e.URL == "":
		return c.at(n, "an upstream needs a url")
	case e.Key != "" && e.KeyFile != "":
		return c.at(n, "key and key-file contradict each other: keep one")
	case e.Weight < 0 || e.Parallel < 0:
		return c.at(n, "weight and parallel are above 0, or left out")
	}
	if e.KeyFile != "" {
		b, err := os.ReadFile(e.KeyFile)
		if err != nil {
			return c.at(n, "read the upstream's key: %w", err)
		}
		e.Key = strings.TrimSpace(string(b))
	}
	cfg := upstream.Config{URL: e.URL, APIKey: e.Key, MaxParallel: e.Parallel}
	if _, err := upstream.New(cfg); err != nil {
		return c.at(n, "%w", err)
	}
	c.servers = append(c.servers, upstream.Server{Config: cfg, Name: e.Name, Weight: e.Weight, Drained: e.Drain})
	return nil
}

// limitsEntry is the limits of a key.
type limitsEntry struct {
	Requests   int `yaml:"requests,omitempty"`
	Tokens     int `yaml:"tokens,omitempty"`
	Concurrent int `yaml:"concurrent,omitempty"`
	Budget     int `yaml:"budget,omitempty"`
}

// keyEntry is one of keys.
type keyEntry struct {
	Name    string      `yaml:"name"`
	Key     string      `yaml:"key"`
	Limits  limitsEntry `yaml:"limits"`
	Methods []string    `yaml:"methods"`
	Sees    string      `yaml:"sees"`
}

func (c *configFile) key(n *yaml.Node) error {
	var e keyEntry
	if err := c.decode(n, &e); err != nil {
		return err
	}
	for i, child := range n.Content[1:] {
		if i%2 == 0 && n.Content[i].Value == "limits" {
			if err := c.decode(child, &e.Limits); err != nil { // for its own unknown fields
				return err
			}
		}
	}
	secret, err := c.expand(n, e.Key)
	switch {
	case err != nil:
		return err
	case e.Name == "" || secret == "":
		return c.at(n, "a key needs a name and a key: the key itself, %sHEX, or ${VARIABLE}", hashMark)
	case e.Sees != "" && e.Sees != "own" && e.Sees != "all":
		return c.at(n, "sees is %q: there are own and all", e.Sees)
	case slices.ContainsFunc(c.keys, func(k server.Key) bool { return k.Name == e.Name }):
		return c.at(n, "two keys are named %s: give each its own name", e.Name)
	}
	for _, m := range e.Methods {
		if _, err := reason.Lookup(m); err != nil {
			return c.at(n, "%w", err)
		}
	}
	k, err := parseKey(e.Name, secret)
	if err != nil {
		return c.at(n, "%w", err)
	}
	k.Limits, k.Methods, k.SeesAll = server.Limits(e.Limits), e.Methods, e.Sees == "all"
	c.keys = append(c.keys, k)
	return nil
}

// apply sets the flags that the command line does not.
func (c *configFile) apply(f *pflag.FlagSet) error {
	given := map[string]bool{}
	f.Visit(func(f *pflag.Flag) { given[f.Name] = true })
	for _, name := range slices.Sorted(maps.Keys(c.flags)) {
		if given[name] {
			continue
		}
		values := c.flags[name]
		var err error
		if list, ok := f.Lookup(name).Value.(pflag.SliceValue); ok {
			err = list.Replace(values)
			f.Lookup(name).Changed = true
		} else {
			err = f.Set(name, values[0])
		}
		if err != nil {
			return usagef("%s:%d: %s is %q: %s", c.path, c.lines[name], name, values[0], lastWords(err))
		}
	}
	return nil
}

// lastWords are an error's own, without the functions that pass it on.
func lastWords(err error) string {
	for errors.Unwrap(err) != nil {
		err = errors.Unwrap(err)
	}
	return err.Error()
}

var flagName = regexp.MustCompile(`--([a-z][a-z-]*)`)

// located puts the line in front of an error about flags that came from the file.
func (c *configFile) located(err error, given func(string) bool) error {
	if c == nil || err == nil {
		return err
	}
	for _, m := range flagName.FindAllStringSubmatch(err.Error(), -1) {
		if line := c.lines[m[1]]; line > 0 && !given(m[1]) {
			return usagef("%s:%d: %w", c.path, line, err)
		}
	}
	return err
}
