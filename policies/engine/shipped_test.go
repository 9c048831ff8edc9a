package engine

import (
	"context"
	"testing"
)

func TestShippedLibraries(t *testing.T) {
	user := policy("p", "import data.lib.periplus.image\n\ndeny contains image.registry(c.image) if some c in input.containers")
	pod := object("v1", "Pod", "p", map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"image": "r.example.com/a:v1"}}}})
	s := load(t, Source{Modules: []File{user}})
	if got := said(t, s, pod, nil, PointGate); got != "deny fail deny: r.example.com" {
		t.Errorf("got %q", got)
	}
	part := s.For(Cluster{}, now, PointGate)
	if again := load(t, part); len(part.Modules) != 2 || again.Digest != s.Digest {
		t.Errorf("a library travels with its user, got %+v", part.Modules)
	}
	own := File{"policies/lib/image.rego", "package lib.periplus.image\n\nregistry(_) := \"own\""}
	if got := said(t, load(t, Source{Modules: []File{user, own}}), pod, nil, PointGate); got != "deny fail deny: own" {
		t.Errorf("a source's own package comes first, got %q", got)
	}
	if len(shipped()) != 4 {
		t.Errorf("want 4 libraries, got %d", len(shipped()))
	}
	results, err := Test(context.Background(), []File{user}, []File{{"p_test.rego", "package p_test\n\nimport data.p\n\ntest_p if p.deny == {\"docker.io\"} with input as {\"containers\": [{\"image\": \"a\"}]}\n"}})
	if err != nil || len(results) != 1 || !results[0].Passed {
		t.Errorf("tests have the libraries, too: %+v, %v", results, err)
	}
}

// TestWorkloads: a policy sees containers wherever a kind has its pods.
func TestWorkloads(t *testing.T) {
	pod := map[string]any{"spec": map[string]any{"initContainers": []any{map[string]any{"name": "i"}}, "containers": []any{map[string]any{"name": "c"}}, "ephemeralContainers": []any{map[string]any{"name": "e"}}}}
	template := map[string]any{"spec": map[string]any{"template": pod}}
	s := load(t, Source{Modules: []File{policy("p", "deny contains concat(\",\", [c.name | some c in input.containers]) if count(input.pod.spec.containers) == 1")}})
	for kind, more := range map[[2]string]map[string]any{
		{"v1", "Pod"}: pod, {"v1", "ReplicationController"}: template, {"apps/v1", "Deployment"}: template, {"apps/v1", "StatefulSet"}: template, {"apps/v1", "DaemonSet"}: template,
		{"apps/v1", "ReplicaSet"}: template, {"batch/v1", "Job"}: template, {"batch/v1", "CronJob"}: {"spec": map[string]any{"jobTemplate": template}},
	} {
		if got := said(t, s, object(kind[0], kind[1], "x", more), nil, PointGate); got != "deny fail deny: i,c,e" {
			t.Errorf("%s: got %q", kind[1], got)
		}
	}
}
