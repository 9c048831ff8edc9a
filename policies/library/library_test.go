package library_test

import (
	"context"
	"io/fs"
	"strings"
	"testing"

	"github.com/periplus-fleet/periplus/policies/engine"
	"github.com/periplus-fleet/periplus/policies/library"
)

func files(t *testing.T) (modules, tests []engine.File) {
	t.Helper()
	names, err := fs.Glob(library.Files, "*.rego")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(library.Files, name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "_test.rego") {
			tests = append(tests, engine.File{Path: name, Text: string(text)})
		} else {
			modules = append(modules, engine.File{Path: name, Text: string(text)})
		}
	}
	return modules, tests
}

func TestLibraryLoads(t *testing.T) {
	modules, _ := files(t)
	snapshot, refusals := engine.Load(engine.Source{Modules: modules}, nil)
	if len(refusals) > 0 {
		t.Errorf("refused: %+v", refusals)
	}
	for _, p := range snapshot.Policies() {
		if p.Metadata.Title == "" || p.Metadata.Description == "" || p.Metadata.Remediation == "" {
			t.Errorf("policy %s lacks a title, a description or a remediation", p.Name)
		}
	}
}

func TestLibraryTests(t *testing.T) {
	modules, tests := files(t)
	results, err := engine.Test(context.Background(), modules, tests)
	if err != nil {
		t.Fatal(err)
	}
	tested := map[string]bool{}
	for _, r := range results {
		tested[strings.TrimSuffix(r.Package, "_test")] = true
		if !r.Passed {
			t.Errorf("%s:%d: %s: %s", r.File, r.Line, r.Name, r.Message)
		}
	}
	for _, m := range modules {
		if name := strings.TrimSuffix(m.Path, ".rego"); !tested[name] {
			t.Errorf("policy %s has no tests", name)
		}
	}
}
