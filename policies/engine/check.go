package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/open-policy-agent/opa/v1/topdown"
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

// Coverage of modules by tests, in percent of their expressions.
type Coverage struct {
	Percent float64        `json:"percent"`
	Files   []FileCoverage `json:"files"`
}

// FileCoverage is one file's, with the lines that no test reached.
type FileCoverage struct {
	File    string  `json:"file"`
	Percent float64 `json:"percent"`
	Missed  []int   `json:"missed,omitempty"`
}

// Test runs the test_ rules of tests on modules, with the same built-in functions that policies have.
func Test(ctx context.Context, modules, tests []File) ([]TestResult, error) {
	results, _, err := runTests(ctx, modules, tests, nil)
	return results, err
}

// TestCovered is Test, and says which lines of the modules the tests reached.
func TestCovered(ctx context.Context, modules, tests []File) ([]TestResult, Coverage, error) {
	tracer := cover.New()
	results, parsed, err := runTests(ctx, modules, tests, tracer)
	if err != nil {
		return results, Coverage{}, err
	}
	maps.DeleteFunc(parsed, func(file string, _ *ast.Module) bool {
		return strings.HasSuffix(file, "_test.rego") || strings.HasPrefix(file, shippedFolder)
	})
	report := tracer.Report(parsed)
	out := Coverage{Percent: report.Coverage}
	for _, file := range slices.Sorted(maps.Keys(report.Files)) {
		of := report.Files[file]
		one := FileCoverage{File: file, Percent: of.Coverage}
		for _, missed := range of.NotCovered {
			for row := missed.Start.Row; row <= missed.End.Row; row++ {
				one.Missed = append(one.Missed, row)
			}
		}
		out.Files = append(out.Files, one)
	}
	return results, out, nil
}

func runTests(ctx context.Context, modules, tests []File, tracer topdown.QueryTracer) ([]TestResult, map[string]*ast.Module, error) {
	parsed, data, strict := map[string]*ast.Module{}, newDocuments(), true
	for _, file := range slices.Concat(modules, tests) {
		if IsDocument(file.Path) {
			if err := data.add(file); err != nil {
				return nil, nil, located(err)
			}
			continue
		}
		if parsed[file.Path] != nil {
			continue
		}
		m, err := parse(file)
		if err != nil {
			return nil, nil, located(err)
		}
		parsed[file.Path] = m.parsed
		// As Load does: only policies with METADATA are compiled strictly.
		strict = strict && m.old == nil && !isConftest([]*module{m})
	}
	given := map[string]bool{}
	for _, m := range parsed {
		given[packageName(m)] = true
	}
	for _, m := range shipped() {
		if !given[packageName(m.parsed)] {
			parsed[m.Path] = m.parsed.Copy()
		}
	}
	compiler := ast.NewCompiler().WithCapabilities(testCapabilities()).WithStrict(strict).WithEnablePrintStatements(true)
	runner := tester.NewRunner().SetCompiler(compiler).SetModules(parsed).CapturePrintOutput(true).RaiseBuiltinErrors(true).
		SetStore(baseOf(data.values).store).AddCustomBuiltins(fixtures())
	if tracer != nil {
		runner = runner.SetCoverageQueryTracer(tracer)
	}
	results, err := runner.RunTests(ctx, nil)
	if err != nil {
		return nil, nil, located(regoRefusal("", err))
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
	return all, parsed, ctx.Err()
}

func located(err error) error {
	var r refused
	if errors.As(err, &r) {
		return fmt.Errorf("%s", describeRefusal(r.Refusal))
	}
	return err
}
