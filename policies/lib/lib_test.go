package lib_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/periplus-fleet/periplus/policies/engine"
)

func TestLibraries(t *testing.T) {
	var modules, tests []engine.File
	names, err := filepath.Glob("*.rego")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if name == "lib_test.rego" {
			tests = append(tests, engine.File{Path: name, Text: string(text)})
		} else {
			modules = append(modules, engine.File{Path: name, Text: string(text)})
		}
	}
	results, coverage, err := engine.TestCovered(context.Background(), modules, tests)
	if err != nil || len(results) < 5 {
		t.Fatal(results, err)
	}
	for _, r := range results {
		if !r.Passed {
			t.Errorf("%s:%d: %s: %s", r.File, r.Line, r.Name, r.Message)
		}
	}
	if coverage.Percent < 100 {
		t.Errorf("want every line tested, got %+v", coverage)
	}
}
