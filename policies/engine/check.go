package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/tester"
)

// TestResult is one test_ rule of a *_test.rego file.
type TestResult struct {
	Package, Name string
	File          string
	Line          int
	Passed        bool
	// Message says why it did not pass.
	Message string
}

// Test runs the test_ rules of tests on modules, with the same built-in functions that policies have.
func Test(ctx context.Context, modules, tests []File) ([]TestResult, error) {
	parsed := map[string]*ast.Module{}
	for _, file := range slices.Concat(modules, tests) {
		if parsed[file.Path] != nil {
			continue
		}
		m, err := parse(file)
		if err != nil {
			return nil, located(err)
		}
		parsed[file.Path] = m.parsed
	}
	compiler := ast.NewCompiler().WithCapabilities(capabilities()).WithStrict(true).WithEnablePrintStatements(true)
	results, err := tester.NewRunner().SetCompiler(compiler).SetModules(parsed).CapturePrintOutput(true).RaiseBuiltinErrors(true).RunTests(ctx, nil)
	if err != nil {
		return nil, located(regoRefusal("", err))
	}
	var all []TestResult
	for result := range results {
		r := TestResult{Package: strings.TrimPrefix(result.Package, "data."), Name: result.Name, Passed: result.Pass()}
		if result.Location != nil {
			r.File, r.Line = result.Location.File, result.Location.Row
		}
		switch {
		case result.Error != nil:
			r.Message = result.Error.Error()
		case result.Skip:
			r.Message = "skipped"
		case !r.Passed:
			r.Message = strings.TrimSpace("failed\n" + string(result.Output))
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b TestResult) int { return strings.Compare(a.Package+"."+a.Name, b.Package+"."+b.Name) })
	return all, ctx.Err()
}

func located(err error) error {
	var r refused
	if errors.As(err, &r) {
		return fmt.Errorf("%s", describeRefusal(r.Refusal))
	}
	return err
}
