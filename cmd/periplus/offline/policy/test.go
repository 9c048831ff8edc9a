package policy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/periplus-fleet/periplus/cmd/periplus/client"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/junit"
	"github.com/periplus-fleet/periplus/cmd/periplus/output"
	"github.com/periplus-fleet/periplus/policies/engine"
	"github.com/periplus-fleet/periplus/policies/suite"
)

type options struct {
	format    string
	coverage  bool
	threshold float64
}

// outcome is one test of either kind.
type outcome struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Name    string `json:"name"`
	Result  string `json:"result"`
	Message string `json:"message,omitempty"`
}

const (
	pass = "pass"
	fail = "fail"
	skip = "skip"
)

// report of a run.
type report struct {
	Passed   int                   `json:"passed"`
	Failed   int                   `json:"failed"`
	Skipped  int                   `json:"skipped"`
	Tests    []outcome             `json:"tests"`
	Coverage *float64              `json:"coverage,omitempty"`
	Files    []engine.FileCoverage `json:"files,omitempty"`
}

func testCommand(now func() time.Time) *cobra.Command {
	o := options{}
	cmd := &cobra.Command{
		Use: "test [PATH ...]", Short: "Run the tests of policies: test rules in Rego, and Gatekeeper's Suites",
		Long: `test finds tests below files and folders (default: the folder policies) and runs them with the engine that the hub uses:
the test_ rules of *_test.rego (Rego v0 and v1, with data and fixtures as conftest has them), and Gatekeeper's Suites (suite.yaml) with
their samples. The Rego of each PATH is one whole.

Exit codes: 0 all pass, 1 a test fails, cannot be read, or coverage is below the threshold, 2 wrong usage.`,
		Example: `  periplus policy test
  periplus policy test policies/library --coverage
  periplus policy test --threshold 90 -o junit > policies.xml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"policies"}
			}
			return o.run(cmd, args, now())
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&o.format, "output", "o", "table", "table, json or junit")
	flags.BoolVar(&o.coverage, "coverage", false, "say which lines of the Rego no test reaches")
	flags.Float64Var(&o.threshold, "threshold", 0, "fail when tests reach less than this percentage of the Rego")
	return cmd
}

func (o options) run(cmd *cobra.Command, paths []string, now time.Time) error {
	writers := map[string]func(io.Writer, *report) error{"table": o.table, "json": writeJSON, "junit": writeJUnit}
	write := writers[o.format]
	switch {
	case write == nil:
		return client.Usage("-o %q: want table, json or junit", o.format)
	case o.threshold < 0 || o.threshold > 100:
		return client.Usage("--threshold %v: want a percentage", o.threshold)
	}
	all, covered := &report{Tests: []outcome{}}, []engine.Coverage{}
	for _, path := range paths {
		coverage, err := o.test(cmd.Context(), path, now, all)
		if err != nil {
			return err
		}
		covered = append(covered, coverage)
	}
	if o.coverage || o.threshold > 0 {
		all.cover(covered)
	}
	if err := write(cmd.OutOrStdout(), all); err != nil {
		return err
	}
	summary := fmt.Sprintf("%d passed, %d failed, %d skipped", all.Passed, all.Failed, all.Skipped)
	if all.Coverage != nil {
		summary += fmt.Sprintf(", %.1f%% covered", *all.Coverage)
	}
	fmt.Fprintln(cmd.ErrOrStderr(), summary)
	switch {
	case len(all.Tests) == 0:
		return fmt.Errorf("there are no tests in %s: they are *_test.rego files and Suites", strings.Join(paths, ", "))
	case all.Failed > 0:
		return client.Exit(client.ExitFailed)
	case all.Coverage != nil && *all.Coverage < o.threshold:
		return fmt.Errorf("the tests cover %.1f%% of the Rego, less than %v%%", *all.Coverage, o.threshold)
	}
	return nil
}

// test runs all that lies below one path.
func (o options) test(ctx context.Context, path string, now time.Time, all *report) (engine.Coverage, error) {
	found, err := find(path)
	if err != nil {
		return engine.Coverage{}, err
	}
	var coverage engine.Coverage
	if len(found.tests) > 0 {
		var results []engine.TestResult
		if results, coverage, err = engine.TestCovered(ctx, found.modules, found.tests); err != nil {
			return coverage, err
		}
		for _, r := range results {
			one := outcome{File: r.File, Line: r.Line, Name: r.Package + "." + r.Name, Result: fail, Message: r.Message}
			switch {
			case r.Passed:
				one.Result, one.Message = pass, ""
			case r.Message == "skipped":
				one.Result = skip
			}
			all.add(one)
		}
	}
	for _, file := range found.suites {
		results, err := suite.Run(ctx, found.tree, file, now)
		if err != nil {
			return coverage, err
		}
		for _, r := range results {
			one := outcome{File: found.name(file), Name: strings.TrimSuffix(r.Test+"/"+r.Case, "/"), Result: fail, Message: r.Message}
			switch {
			case r.Passed:
				one.Result = pass
			case r.Skipped:
				one.Result = skip
			}
			all.add(one)
		}
	}
	return coverage, nil
}

func (r *report) add(one outcome) {
	switch one.Result {
	case pass:
		r.Passed++
	case skip:
		r.Skipped++
	default:
		r.Failed++
	}
	r.Tests = append(r.Tests, one)
}

// cover sums up what the paths' tests reach, each file counted alike.
func (r *report) cover(all []engine.Coverage) {
	sum := 0.0
	for _, coverage := range all {
		r.Files = append(r.Files, coverage.Files...)
		for _, file := range coverage.Files {
			sum += file.Percent
		}
	}
	if len(r.Files) > 0 {
		sum /= float64(len(r.Files))
	}
	r.Coverage = &sum
}

// table prints what did not pass, and with --coverage the files that are not covered whole.
func (o options) table(out io.Writer, r *report) error {
	p, err := output.New(out, io.Discard, "")
	if err != nil {
		return err
	}
	var rows [][]string
	for _, t := range r.Tests {
		if t.Result != pass {
			rows = append(rows, []string{place(t), t.Result, t.Name, strings.Join(strings.Fields(t.Message), " ")})
		}
	}
	if len(rows) > 0 {
		if err := p.Table([]string{"SOURCE", "RESULT", "TEST", "MESSAGE"}, rows); err != nil {
			return err
		}
	}
	if !o.coverage {
		return nil
	}
	rows = nil
	for _, file := range r.Files {
		if len(file.Missed) > 0 {
			rows = append(rows, []string{file.File, fmt.Sprintf("%.1f%%", file.Percent), lines(file.Missed)})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return p.Table([]string{"FILE", "COVERED", "LINES THAT NO TEST REACHES"}, rows)
}

func place(t outcome) string {
	if t.Line == 0 {
		return t.File
	}
	return fmt.Sprintf("%s:%d", t.File, t.Line)
}

func lines(numbers []int) string {
	texts := make([]string, len(numbers))
	for i, number := range numbers {
		texts[i] = strconv.Itoa(number)
	}
	return strings.Join(texts, ",")
}

func writeJSON(out io.Writer, r *report) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

func writeJUnit(out io.Writer, r *report) error {
	var all junit.Suites
	at := map[string]int{}
	var suites []junit.Suite
	for _, t := range r.Tests {
		i, known := at[t.File]
		if !known {
			i = len(suites)
			at[t.File] = i
			suites = append(suites, junit.Suite{Name: t.File})
		}
		one := junit.Case{Name: t.Name, Class: t.File}
		switch t.Result {
		case fail:
			one.Failure = &junit.Note{Message: t.Message, Text: place(t)}
		case skip:
			one.Skipped = &junit.Note{Message: t.Message}
		}
		suites[i].Cases = append(suites[i].Cases, one)
	}
	for _, s := range suites {
		all.Add(s)
	}
	return all.Write(out)
}
