package server

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"orrery/think/llm"
	"orrery/think/llm/llmtest"
	"orrery/think/reason"
)

// docs/http.md is held to the code: its examples are served, and every reason,
// error code, method and parameter is in it.
func TestDocs(t *testing.T) {
	data, err := os.ReadFile("../../docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	examples := regexp.MustCompile(`(?s)curl (?:-N )?localhost:8888(\S+) -d '(.*?)'`).FindAllStringSubmatch(text, -1)
	if len(examples) < 4 {
		t.Fatalf("%d examples are found", len(examples))
	}
	g := &llmtest.Scripted{Model: "builtin", Pick: func(llm.Request) llmtest.Script { return llmtest.Words(20, `so \boxed{27}`) }}
	sv := serve(t, Config{Generator: g})
	for _, e := range examples {
		status, body, _ := sv.get(e[1], e[2])
		streamed, bad := collect(strings.NewReader(string(body)))
		var r reply
		whole := json.Unmarshal(body, &r) == nil && len(r.Choices) == 1
		if status != 200 || !whole && (bad != "" || !streamed.done || streamed.reasoning == "" || streamed.usage == nil) {
			t.Errorf("the example is answered with %d %s\n%s", status, body, e[2])
		}
	}
	names := append(reason.Names(), parameterNames()...)
	for kind := range statuses {
		if kind != llm.ContextOverflow { // OpenAI has a name for it
			names = append(names, string(kind))
		}
	}
	names = append(names, literals(t)...)
	for _, name := range names {
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("docs/http.md lacks `%s`", name)
		}
	}
	for kind, status := range statuses {
		line := regexp.MustCompile("(?m)^\\| " + strconv.Itoa(status) + " \\|.*`" + string(kind) + "`")
		if kind != llm.ContextOverflow && !line.MatchString(text) && kind != llm.ModelNotFound {
			t.Errorf("docs/http.md does not list %s under %d", kind, status)
		}
	}
}

// literals are this package's own error codes and reasons, read from its source.
func literals(t *testing.T) []string {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	note := func(e ast.Expr) {
		if lit, ok := e.(*ast.BasicLit); ok {
			if s, err := strconv.Unquote(lit.Value); err == nil && s != "" {
				found[s] = true
			}
		}
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Code" {
					note(n.Value)
				}
			case *ast.AssignStmt:
				for i, left := range n.Lhs {
					if sel, ok := left.(*ast.SelectorExpr); ok && sel.Sel.Name == "Code" && i < len(n.Rhs) {
						note(n.Rhs[i])
					}
				}
			case *ast.ValueSpec:
				if name, ok := n.Type.(*ast.Ident); ok && name.Name == "Reason" {
					for _, v := range n.Values {
						note(v)
					}
				}
			}
			return true
		})
	}
	if len(found) < 20 {
		t.Fatalf("only %v are found", slices.Sorted(maps.Keys(found)))
	}
	return slices.Sorted(maps.Keys(found))
}
