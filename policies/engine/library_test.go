package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/rego"
)

func libraryFiles(t testing.TB) []File {
	t.Helper()
	names, err := filepath.Glob("../library/*.rego")
	if err != nil || len(names) == 0 {
		t.Fatalf("no library: %v", err)
	}
	var files []File
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, File{Path: filepath.Base(name), Text: string(text)})
	}
	return files
}

func corpus() []map[string]any {
	good := map[string]any{"name": "a", "image": "registry.example.com/a", "resources": map[string]any{
		"requests": map[string]any{"cpu": "1", "memory": "1Gi"}, "limits": map[string]any{"memory": "1Gi"}}}
	bad := map[string]any{"name": "b", "image": "docker.io/b", "securityContext": map[string]any{"privileged": true}}
	var all []map[string]any
	for _, containers := range [][]any{{good}, {bad}, {good, bad}, {}} {
		spec := map[string]any{"containers": containers, "initContainers": []any{bad}, "hostPID": true,
			"volumes": []any{map[string]any{"name": "v", "hostPath": map[string]any{"path": "/etc"}}}}
		template := map[string]any{"template": map[string]any{"spec": spec}}
		all = append(all, object("v1", "Pod", "p", map[string]any{"spec": spec}),
			object("apps/v1", "Deployment", "d", map[string]any{"spec": template}),
			object("batch/v1", "CronJob", "c", map[string]any{"spec": map[string]any{"jobTemplate": map[string]any{"spec": template}}}),
			object("apps/v1", "Deployment", "empty", nil), object("v1", "ConfigMap", "m", nil))
	}
	return all
}

// TestIndexingChangesNothing guards against releases of OPA whose rule index misses rules, and the snapshot's own index.
func TestIndexingChangesNothing(t *testing.T) {
	s := load(t, Source{Modules: libraryFiles(t)})
	found := 0
	for i, o := range corpus() {
		prepared, err := Prepare(o, "")
		if err != nil {
			t.Fatal(err)
		}
		review := func(options ...rego.EvalOption) []Finding {
			r, err := s.Reviewer(Cluster{}, "", PointGate, now)
			if err != nil {
				t.Fatal(err)
			}
			r.options = options
			findings, err := r.Review(context.Background(), prepared, "", nil)
			if err != nil {
				t.Fatal(err)
			}
			return findings
		}
		with, without := review(), review(rego.EvalRuleIndexing(false), rego.EvalEarlyExit(false))
		if diff := cmp.Diff(without, with); diff != "" {
			t.Errorf("object %d: -without +with index:\n%s", i, diff)
		}
		if diff := cmp.Diff(with, review()); diff != "" {
			t.Errorf("object %d: a second review differs:\n%s", i, diff)
		}
		found += len(with)
	}
	if found < 50 {
		t.Errorf("the corpus has %d findings only: it proves nothing", found)
	}
}

// BenchmarkReview is policy/review: a Pod against 50 policies of which 10 can match, with 200 bindings.
func BenchmarkReview(b *testing.B) {
	var source Source
	for i := range 50 {
		kind := "[ConfigMap]"
		if i%5 == 0 {
			kind = "[Pod]"
		}
		name := fmt.Sprintf("p%d", i)
		source.Modules = append(source.Modules, policy(name, strings.Join([]string{
			"deny contains msg if {", "\tsome c in input.containers", "\tnot approved(c.image)",
			"\tmsg := sprintf(\"image %q\", [c.image])", "}", "",
			"approved(image) if {", "\tsome prefix in input.parameters.registries", "\tstartswith(image, prefix)", "}"}, "\n"),
			"kinds: "+kind, "parameters: {registries: [registry.example.com/]}"))
		for j := range 4 {
			source.Bindings = append(source.Bindings, bind(fmt.Sprintf("b%d-%d", i, j), name, map[string]string{"n": fmt.Sprint(j)}, "warn", nil))
		}
	}
	s, refusals := Load(source, nil)
	if len(refusals) > 0 {
		b.Fatal(refusals)
	}
	r, err := s.Reviewer(Cluster{Labels: map[string]string{"n": "1"}}, "", PointGate, now)
	if err != nil {
		b.Fatal(err)
	}
	pod := corpus()[0]
	b.ReportAllocs()
	var took []time.Duration
	for b.Loop() {
		started := time.Now()
		prepared, err := Prepare(pod, "")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.Review(context.Background(), prepared, "", nil); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(started))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100]), "p99-ns")
}
