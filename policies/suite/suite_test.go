package suite_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/periplus-fleet/periplus/policies/suite"
)

// TestSuites runs templates of every shape: Rego v0 with libs, defaults and requests; v1 beside CEL with inventory, scoped
// actions and a selector of namespaces; expansion.
func TestSuites(t *testing.T) {
	files, err := filepath.Glob("testdata/*/suite.yaml")
	if err != nil || len(files) != 3 {
		t.Fatalf("want 3 Suites, got %v, %v", files, err)
	}
	for _, file := range files {
		results, err := suite.Run(context.Background(), os.DirFS("."), filepath.ToSlash(file), time.Unix(1, 0))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			if !r.Passed && !r.Skipped {
				t.Errorf("%s: %s: %s: %s", r.File, r.Test, r.Case, r.Message)
			}
		}
	}
}

// TestSuiteFails: a Suite that cannot fail proves nothing.
func TestSuiteFails(t *testing.T) {
	cases := map[string]struct{ assertion, want string }{
		"No":      {"violations: no", "want no violations, got 1"},
		"Count":   {"violations: 2", "want 2 violations, got 1"},
		"Message": {"message: other", `want violations like "other", got 0`},
		"Word":    {"violations: maybe", "neither yes, no nor a number"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			tree := fstest.MapFS{"suite.yaml": {Data: []byte("kind: Suite\napiVersion: test.gatekeeper.sh/v1alpha1\ntests:\n" +
				"- {name: t, template: template.yaml, constraint: constraint.yaml, cases: [{name: c, object: bare.yaml, assertions: [{" + c.assertion + "}]}]}\n")}}
			for _, file := range []string{"template.yaml", "constraint.yaml", "bare.yaml"} {
				data, err := os.ReadFile("testdata/owner/" + file)
				if err != nil {
					t.Fatal(err)
				}
				tree[file] = &fstest.MapFile{Data: data}
			}
			results, err := suite.Run(context.Background(), tree, "suite.yaml", time.Unix(1, 0))
			if err != nil || len(results) != 1 || results[0].Passed || !strings.Contains(results[0].Message, c.want) {
				t.Errorf("want a failure that says %q, got %+v, %v", c.want, results, err)
			}
		})
	}
}
