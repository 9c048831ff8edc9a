package engine

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// A template reads what else a cluster holds as data.inventory. Where nobody knows that, as before objects reach a cluster, a rule
// that finds nothing there may take everything for missing. Only the violation rules that do not depend on it are asked then.

// blinded compiles a template without the violation rules that depend on the inventory; nil where none is left.
func blinded(whole *ast.Compiler, modules map[string]*ast.Module, entry *ast.Package, version ast.RegoVersion) ([]query, error) {
	seeing := map[place]bool{}
	for _, m := range whole.Modules {
		for _, rule := range m.Rules {
			if ruleName(rule) == "violation" && m.Package.Equal(entry) && reachesInventory(whole, rule) {
				seeing[placeOf(rule)] = true
			}
		}
	}
	left, kept := map[string]*ast.Module{}, 0
	for path, m := range modules {
		some := m.Copy()
		some.Rules = slices.DeleteFunc(some.Rules, func(r *ast.Rule) bool { return seeing[placeOf(r)] })
		for _, rule := range some.Rules {
			if ruleName(rule) == "violation" && m.Package.Equal(entry) {
				kept++
			}
		}
		left[path] = some
	}
	if kept == 0 {
		return nil, nil
	}
	compiler := ast.NewCompiler().WithCapabilities(capabilities()).WithDefaultRegoVersion(version)
	if compiler.Compile(left); compiler.Failed() {
		return nil, compiler.Errors
	}
	q, err := newQuery(compiler, entry.Path, "violation")
	return []query{q}, err
}

// place of a rule, which compiling does not change.
type place struct {
	file     string
	row, col int
}

func placeOf(r *ast.Rule) place { return place{r.Location.File, r.Location.Row, r.Location.Col} }

// reachesInventory says whether a rule, or one that it depends on, reads the inventory or may.
func reachesInventory(compiler *ast.Compiler, rule *ast.Rule) bool {
	visited, found := map[*ast.Rule]bool{}, false
	var visit func(r *ast.Rule)
	visit = func(r *ast.Rule) {
		if visited[r] || found {
			return
		}
		visited[r] = true
		ast.WalkRefs(r, func(ref ast.Ref) bool {
			if ref.HasPrefix(ast.InputRootRef) {
				field, known := constant(ref, 1)
				// A rule that takes the input as a whole may hand the inventory on, as object.get(input, ...) of parameters does not.
				found = found || known && field == "inventory"
			}
			return found
		})
		for dependency := range compiler.Graph.Dependencies(r) {
			if next, is := dependency.(*ast.Rule); is {
				visit(next)
			}
		}
	}
	visit(rule)
	return found
}
