package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParse(t *testing.T) {
	cases := map[string]struct {
		reason, out string
		want        map[string]float64
		cpu         string
	}{
		"Metrics": {reason: "every pair of number and unit is a metric", cpu: "Some CPU",
			out:  "goos: linux\ncpu: Some CPU\nBenchmarkRest-2   \t       1\t92260062116 ns/op\t        33.61 rss-MiB\t         0 writes\nPASS\n",
			want: map[string]float64{"ns/op": 92260062116, "rss-MiB": 33.61, "writes": 0}},
		"Others": {reason: "another benchmark's line is not this one's", out: "BenchmarkOther-2 \t 1\t 5 ns/op\n"},
		"Failed": {reason: "a line without figures is none", out: "BenchmarkRest-2\n--- FAIL: BenchmarkRest\n"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			metrics, cpu := parse([]byte(c.out), "BenchmarkRest")
			if diff := cmp.Diff(c.want, metrics, cmpopts.EquateEmpty()); diff != "" || cpu != c.cpu {
				t.Errorf("%s: processor %q (-want +got):\n%s", c.reason, cpu, diff)
			}
		})
	}
}

// TestBudgetsHaveNamesOfTheirOwn guards lines that would shadow each other, and figures without a name.
func TestBudgetsHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, b := range budgets {
		if seen[b.name] || b.name == "" || b.metric == "" || b.unit == "" || b.better == "" {
			t.Errorf("budget %+v is there twice, or not whole", b)
		}
		seen[b.name] = true
	}
}
