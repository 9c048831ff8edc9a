package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// wholeCorpus is every policy that stands in this repository: the library, the templates of Suites, and conftest packages.
func wholeCorpus(t testing.TB) Source {
	source := Source{Modules: append(libraryFiles(t), File{"policies/conftest.rego", `package main

import data.kubernetes

deny_latest[msg] {
  container := kubernetes.containers[_]
  endswith(container.image, ":latest")
  msg := sprintf("%s runs latest", [container.name])
}

deny[msg] { kubernetes.kinds[input.kind]; not input.metadata.labels.app; msg := "no label app" }

warn[msg] { input.kind == "Deployment"; input.spec.replicas == data.single; msg := "one replica" }

exception[rules] { input.metadata.labels.app == "a"; rules := ["latest"] }
`}, File{"policies/kubernetes.rego", `package kubernetes

kinds := {"Pod", "Deployment", "DaemonSet"}

containers[c] { c := input.spec.containers[_] }

containers[c] { c := input.spec.template.spec.containers[_] }
`}, File{"policies/data/a.yaml", "single: 1\n"})}
	source.Gatekeeper = fleetOf(t, 5, 2, 1, "").Gatekeeper
	for _, pattern := range []string{"template", "constraint", "expansion"} {
		names, err := filepath.Glob("../suite/testdata/*/" + pattern + ".yaml")
		if err != nil || len(names) == 0 {
			t.Fatalf("no fixtures: %v", err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			m := manifest(t, string(text))
			m.Source = name + ":1"
			source.Gatekeeper = append(source.Gatekeeper, m)
		}
	}
	return source
}

// generated objects, of all kinds that policies of the corpus name, with fields that they read set, unset and odd.
func generated(random *rand.Rand, kind string) map[string]any {
	pick := func(values ...any) any { return values[random.IntN(len(values))] }
	maybe := func(fields map[string]any, name string, values ...any) {
		if random.IntN(2) == 0 {
			fields[name] = pick(values...)
		}
	}
	container := func(i int) any {
		c, security := map[string]any{"name": fmt.Sprintf("c%d", i)}, map[string]any{}
		maybe(c, "image", "nginx", "nginx:latest", "registry.example.com/a:v1", "registry.example.com/a@sha256:0a")
		maybe(security, "privileged", true, false)
		maybe(security, "allowPrivilegeEscalation", true, false, nil)
		maybe(security, "runAsNonRoot", true, false)
		maybe(security, "runAsUser", int64(0), int64(1000))
		maybe(security, "readOnlyRootFilesystem", true, false)
		maybe(security, "capabilities", map[string]any{"drop": []any{"ALL"}}, map[string]any{"add": []any{"NET_ADMIN"}}, nil)
		maybe(security, "seccompProfile", map[string]any{"type": "RuntimeDefault"}, map[string]any{"type": "Unconfined"})
		maybe(c, "securityContext", security, nil)
		maybe(c, "ports", []any{map[string]any{"containerPort": int64(80), "hostPort": int64(80)}}, []any{})
		maybe(c, "resources", map[string]any{"requests": map[string]any{"cpu": "1"}}, map[string]any{"limits": map[string]any{"memory": "1Gi"}})
		maybe(c, "readinessProbe", map[string]any{"httpGet": map[string]any{"path": "/", "host": "x"}})
		return c
	}
	spec := map[string]any{}
	for _, list := range []string{"containers", "initContainers", "ephemeralContainers"} {
		var all []any
		for i := range random.IntN(3) {
			all = append(all, container(i))
		}
		maybe(spec, list, all, nil)
	}
	for _, field := range []string{"hostNetwork", "hostPID", "hostIPC", "automountServiceAccountToken"} {
		maybe(spec, field, true, false)
	}
	maybe(spec, "volumes", []any{map[string]any{"name": "v", "hostPath": map[string]any{"path": "/etc"}}}, []any{map[string]any{"name": "v", "emptyDir": map[string]any{}}})
	maybe(spec, "securityContext", map[string]any{"runAsNonRoot": true, "sysctls": []any{map[string]any{"name": "kernel.msgmax"}}})
	version, name, _ := strings.Cut(kind, " ")
	template := map[string]any{"template": map[string]any{"spec": spec}, "replicas": int64(random.IntN(3))}
	more := map[string]any{"spec": spec}
	switch {
	case name == "CronJob":
		more["spec"] = map[string]any{"jobTemplate": map[string]any{"spec": template}}
	case strings.HasPrefix(version, "apps"), strings.HasPrefix(version, "batch"):
		more["spec"] = template
	case strings.HasPrefix(version, "rbac"):
		more = map[string]any{"rules": []any{map[string]any{"apiGroups": []any{pick("*", "")}, "resources": []any{pick("*", "pods")}, "verbs": []any{pick("*", "get", "escalate")}}},
			"roleRef": map[string]any{"kind": "ClusterRole", "name": pick("cluster-admin", "view")}}
	case name == "Ingress":
		more["spec"] = map[string]any{"rules": []any{map[string]any{"host": pick("a.example.com", "*.example.com", "")}}}
	case name == "Service":
		more["spec"] = map[string]any{"type": pick("LoadBalancer", "NodePort", "ClusterIP")}
	}
	o := object(version, name, fmt.Sprintf("%s-%d", strings.ToLower(name), random.IntN(5)), more)
	if random.IntN(2) == 0 {
		o["metadata"].(map[string]any)["labels"] = map[string]any{"app": pick("a", "b"), "owner": "me"}
	}
	return o
}

// TestIndexingChangesNothing guards against releases of OPA whose rule index misses rules, against this engine's own index, and
// against what it remembers in place of OPA. A finding that is missed is a policy that does not hold.
func TestIndexingChangesNothing(t *testing.T) {
	s := load(t, wholeCorpus(t))
	objects := corpus()
	random := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		for _, kind := range []string{"v1 Pod", "apps/v1 Deployment", "apps/v1 StatefulSet", "apps/v1 DaemonSet", "batch/v1 Job", "batch/v1 CronJob", "v1 Service", "v1 ConfigMap",
			"networking.k8s.io/v1 Ingress", "rbac.authorization.k8s.io/v1 ClusterRole", "rbac.authorization.k8s.io/v1 ClusterRoleBinding", "rbac.authorization.k8s.io/v1 Role"} {
			objects = append(objects, generated(random, kind))
		}
	}
	inventory, err := Inventory(objects[:50])
	if err != nil {
		t.Fatal(err)
	}
	asked := map[string]bool{}
	for i, o := range objects {
		prepared, err := PrepareAdmission(Admission{Object: o, Operation: "CREATE", Inventory: inventory}, "")
		if err != nil {
			t.Fatal(err)
		}
		review := func(o options) []Finding {
			r, err := s.Reviewer(Cluster{Labels: map[string]string{"env": "prod"}}, "", PointGate, now)
			if err != nil {
				t.Fatal(err)
			}
			r.options = o
			findings, err := r.Review(context.Background(), prepared, "", nil)
			if err != nil {
				t.Fatal(err)
			}
			return findings
		}
		if got, want := s.index.find(prepared.ID.Group, prepared.ID.Kind), named(s, prepared.ID.Group, prepared.ID.Kind); !slices.Equal(got, want) {
			t.Fatalf("object %d (%s): the index finds %d policies, want %d", i, prepared.ID, len(got), len(want))
		}
		with, without := review(options{}), review(options{unindexed: true, uncached: true})
		if diff := cmp.Diff(without, with); diff != "" {
			t.Fatalf("object %d (%v): -without +with index:\n%s", i, o, diff)
		}
		for _, f := range with {
			asked[f.Policy] = true
		}
	}
	if len(asked) < len(s.Policies())/2 {
		t.Errorf("%d of %d policies found anything: the corpus proves little", len(asked), len(s.Policies()))
	}
	t.Logf("%d objects, %d of %d policies found something", len(objects), len(asked), len(s.Policies()))
}

// named finds policies as the index must, by reading what each names.
func named(s *Snapshot, group, kind string) []*Policy {
	var out []*Policy
	for _, p := range s.Policies() {
		names := p.Metadata.Kinds
		if len(names) == 0 || slices.Contains(names, "*") || slices.Contains(names, "*."+group) || slices.Contains(names, strings.TrimSuffix(kind+"."+group, ".")) {
			out = append(out, p)
		}
	}
	return out
}
