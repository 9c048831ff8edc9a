package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/types"
	"sigs.k8s.io/yaml"
)

// The functions by which conftest's tests read fixtures. Only tests have them, and of the formats YAML and JSON.
var (
	parseConfig     = &ast.Builtin{Name: "parse_config", Decl: types.NewFunction(types.Args(types.S, types.S), types.A)}
	parseConfigFile = &ast.Builtin{Name: "parse_config_file", Decl: types.NewFunction(types.Args(types.S), types.A)}
	parseCombined   = &ast.Builtin{Name: "parse_combined_config_files", Decl: types.NewFunction(types.Args(types.NewArray(nil, types.S)), types.A)}
)

// testCapabilities are those of policies, and fixtures.
var testCapabilities = sync.OnceValue(func() *ast.Capabilities {
	c := *capabilities()
	c.Builtins = append(slices.Clone(c.Builtins), parseConfig, parseConfigFile, parseCombined)
	return &c
})

// fixtures are the functions' implementations.
func fixtures() []*tester.Builtin {
	one := func(of *ast.Builtin, f func(bctx rego.BuiltinContext, args []*ast.Term) (any, error)) *tester.Builtin {
		return &tester.Builtin{Decl: of, Func: rego.FunctionDyn(&rego.Function{Name: of.Name, Decl: of.Decl}, func(bctx rego.BuiltinContext, args []*ast.Term) (*ast.Term, error) {
			value, err := f(bctx, args)
			if err != nil {
				return nil, topdown.Halt{Err: fmt.Errorf("%s: %w", of.Name, err)}
			}
			converted, err := ast.InterfaceToValue(value)
			return ast.NewTerm(converted), err
		})}
	}
	return []*tester.Builtin{
		one(parseConfig, func(_ rego.BuiltinContext, args []*ast.Term) (any, error) {
			format, text := string(args[0].Value.(ast.String)), string(args[1].Value.(ast.String))
			if format != "yaml" && format != "json" {
				return nil, fmt.Errorf("cannot read %s: a fixture is yaml or json", format)
			}
			return fixture([]byte(text))
		}),
		one(parseConfigFile, func(bctx rego.BuiltinContext, args []*ast.Term) (any, error) {
			return fixtureFile(bctx, string(args[0].Value.(ast.String)))
		}),
		one(parseCombined, func(bctx rego.BuiltinContext, args []*ast.Term) (any, error) {
			all := []any{}
			for _, name := range listed(args[0]) {
				path := string(name.Value.(ast.String))
				contents, err := fixtureFile(bctx, path)
				if err != nil {
					return nil, err
				}
				all = append(all, map[string]any{"path": path, "contents": contents})
			}
			return all, nil
		}),
	}
}

// fixtureFile stands beside the file that names it.
func fixtureFile(bctx rego.BuiltinContext, name string) (any, error) {
	if filepath.IsAbs(name) {
		return nil, fmt.Errorf("%q is no path beside the test", name)
	}
	data, err := os.ReadFile(filepath.Join(filepath.Dir(bctx.Location.File), name))
	if err != nil {
		return nil, err
	}
	return fixture(data)
}

// documentBreak is a line of dashes.
var documentBreak = regexp.MustCompile(`(?m)^---.*$`)

// fixture is a document, or the list of several.
func fixture(data []byte) (any, error) {
	var all []any
	for _, text := range documentBreak.Split(string(data), -1) {
		var one any
		if err := yaml.Unmarshal([]byte(text), &one); err != nil {
			return nil, err
		}
		if one != nil {
			all = append(all, one)
		}
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return all, nil
}
