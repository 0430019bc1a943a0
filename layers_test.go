package orrery_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// layers is the house's policy: each package and the packages of this module
// that its non-test files may import. A package that is not listed may import
// nothing and fails the test. Change the code, not the table; where the table
// must change, docs/decisions says why.
var layers = map[string][]string{
	".":          {},
	"cmd/orrery": {"internal/cli"},

	"think/answer":      {},
	"think/confidence":  {},
	"think/vote":        {"think/answer", "think/confidence"},
	"think/llm":         {},
	"think/llm/llmtest": {"think/llm"},
	"think/reason":      {"think/answer", "think/confidence", "think/vote", "think/llm"},

	"learn/tensor":     {},
	"learn/grad":       {"learn/tensor"},
	"learn/checkpoint": {"learn/tensor"},
	"learn/nn":         {"learn/tensor", "learn/grad", "learn/checkpoint"},
	"learn/token":      {},
	"learn/sample":     {"learn/tensor"},
	"learn/export":     {"learn/tensor", "learn/checkpoint", "learn/nn", "learn/token"},
	"learn/train":      {"learn/tensor", "learn/grad", "learn/checkpoint", "learn/nn", "learn/token", "learn/sample", "task"},
	"learn/latent":     {"learn/nn", "learn/token", "task"},
	"learn/recipe":     {"learn/latent", "learn/train", "learn/nn", "learn/token", "task"},

	"look/audit":   {"learn/tensor", "learn/checkpoint", "look/spectrum", "look/delta", "report"},
	"look/delta":   {"learn/checkpoint"},
	"look/probe":   {"learn/nn", "learn/grad", "learn/tensor", "look/cogs", "report", "task"},
	"look/grok":    {"learn/tensor", "learn/train", "learn/recipe", "learn/checkpoint", "look/cogs", "look/group", "look/li2", "report"},
	"look/cogs":    {"report"},
	"look/circuit": {"learn/tensor", "learn/grad", "learn/nn", "learn/recipe", "learn/train", "learn/checkpoint", "look/grok", "look/group", "report"},
	"look/group":   {},
	"look/li2":     {"look/group", "learn/tensor", "report"},

	"look/coconut":  {"learn/latent", "learn/nn", "learn/token", "look/cogs", "task", "report"},
	"look/spectrum": {"learn/tensor"},

	"task":   {"think/answer"},
	"report": {},

	"record":            {},
	"record/recordtest": {"record"},

	"internal/upstream": {"think/llm"},
	"internal/local":    {"think/llm", "learn/tensor", "learn/nn", "learn/latent", "task", "learn/token", "learn/sample", "learn/checkpoint"},
	"internal/server":   {"think/llm", "think/reason"},
	"internal/metrics":  {"internal/server", "internal/upstream", "think/llm", "think/reason", "think/vote"},
	"internal/tracing":  {"internal/server", "think/llm", "think/reason", "think/vote"},
	"internal/web":      {"learn/checkpoint", "record", "internal/journal", "think/llm", "think/reason", "think/vote", "think/confidence", "internal/server"},
	"internal/eval":     {"think/llm", "think/reason", "think/vote", "think/confidence", "think/answer", "task", "report"},
	"internal/sweep":    {"learn/tensor", "learn/train", "learn/recipe", "learn/checkpoint", "look/group", "look/grok", "look/li2", "look/cogs", "report"},
	"internal/journal":  {"record", "internal/server", "think/llm", "think/reason", "think/vote", "think/confidence", "think/answer"},
	"scripts/soak":      {},    // its tests run a server with everything
	"internal/cli":      {"*"}, // wires everything; nothing imports it but main
}

// goPackages maps each package folder of this module to its parsed non-test
// files. Nested modules (generators, comparison scripts) are not part of it.
func goPackages(t *testing.T) map[string][]*ast.File {
	t.Helper()
	pkgs := map[string][]*ast.File{}
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			name := d.Name()
			if path != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules" || name == "runs") {
				return filepath.SkipDir
			}
			if path != "." && exists(filepath.Join(path, "go.mod")) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		pkgs[dir] = append(pkgs[dir], f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return pkgs
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

func TestLayers(t *testing.T) {
	for dir, files := range goPackages(t) {
		allowed, listed := layers[dir]
		if !listed {
			t.Errorf("package %s is not in the layer table", dir)
			continue
		}
		for _, f := range files {
			for _, imp := range f.Imports {
				path, _ := strconv.Unquote(imp.Path.Value)
				rel, ours := strings.CutPrefix(path, "orrery/")
				if !ours {
					continue
				}
				if rel == "internal/cli" && dir != "cmd/orrery" {
					t.Errorf("%s imports internal/cli; only main may", dir)
				}
				if !slices.Contains(allowed, rel) && !slices.Contains(allowed, "*") {
					t.Errorf("%s imports %s, which the layer table does not allow", dir, rel)
				}
			}
		}
	}
}

// TestLayersHaveNoCycleOrGhost keeps the table itself honest: every name in it
// exists in the table, and the wings do not know each other.
func TestLayersHaveNoCycleOrGhost(t *testing.T) {
	for dir, allowed := range layers {
		for _, a := range allowed {
			if a == "*" {
				continue
			}
			if _, ok := layers[a]; !ok {
				t.Errorf("%s may import %s, which is not in the table", dir, a)
			}
			if strings.HasPrefix(dir, "think/") && !strings.HasPrefix(a, "think/") {
				t.Errorf("%s may import %s: think knows no other wing", dir, a)
			}
			if strings.HasPrefix(dir, "learn/") && strings.HasPrefix(a, "think/") {
				t.Errorf("%s may import %s: learn knows no server and no method", dir, a)
			}
		}
	}
}

func TestEveryPackageHasAComment(t *testing.T) {
	for dir, files := range goPackages(t) {
		documented := false
		for _, f := range files {
			documented = documented || f.Doc != nil && len(f.Doc.Text()) > 40
		}
		if !documented {
			t.Errorf("package %s has no package comment that says what it is for", dir)
		}
	}
}
