package owned_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/agent/owned"
)

const declared = `
spec:
  replicas: 2
  paused: false
  template: {spec: {containers: [{name: main, image: app:1, resources: {limits: {cpu: 1000m}}}]}}
`

func managed(manager, operation, part, fields string) string {
	text := "\n  - {manager: " + manager + ", operation: " + operation + ", time: '2026-01-02T15:04:05Z', fieldsV1: " + fields
	if part != "" {
		text += ", subresource: " + part
	}
	return text + "}"
}

func liveWith(entries, spec string) string {
	return "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app\n  managedFields:" + entries + "\nspec: " + spec + "\n"
}

const (
	ours                 = `{f:spec: {f:replicas: {}, f:template: {f:spec: {f:containers: {'k:{"name":"main"}': {.: {}, f:image: {}, f:name: {}, f:resources: {f:limits: {f:cpu: {}}}}}}}}}`
	noReplica            = `{f:spec: {f:template: {f:spec: {f:containers: {'k:{"name":"main"}': {.: {}, f:image: {}, f:name: {}, f:resources: {f:limits: {f:cpu: {}}}}}}}}}`
	containersAsDeclared = `template: {spec: {containers: [{name: main, image: app:1, resources: {limits: {cpu: "1"}}}]}}`
)

func TestChanges(t *testing.T) {
	by := func(manager, part string) string { return "by " + manager + part + " at 2026-01-02T15:04:05Z: " }
	cases := map[string]struct {
		reason  string
		live    string
		ignored []owned.Pointer
		want    string
	}{
		"Unchanged": {"a quantity in the server's words is the same",
			liveWith(managed("periplus", "Apply", "", ours), `{replicas: 2, `+containersAsDeclared+`}`), nil, ""},
		"TakenByAnother": {"", liveWith(managed("periplus", "Apply", "", noReplica)+managed("kubectl-edit", "Update", "", "{f:spec: {f:replicas: {}}}"),
			`{replicas: 3, `+containersAsDeclared+`}`), nil, by("kubectl-edit", "") + "/spec/replicas"},
		"Scaled": {"the part of the object that was written is told", liveWith(managed("periplus", "Apply", "", noReplica)+managed("kubectl", "Update", "scale", "{f:spec: {f:replicas: {}}}"),
			`{replicas: 3, `+containersAsDeclared+`}`), nil, by("kubectl", " through scale") + "/spec/replicas"},
		"OwnedTogether": {"who owns the same value with us changed nothing",
			liveWith(managed("periplus", "Apply", "", ours)+managed("other", "Apply", "", ours), `{replicas: 2, `+containersAsDeclared+`}`), nil, ""},
		"AnothersField": {"", liveWith(managed("periplus", "Apply", "", ours)+managed("other", "Update", "", "{f:spec: {f:minReadySeconds: {}}}"),
			`{replicas: 2, minReadySeconds: 3, `+containersAsDeclared+`}`), nil, ""},
		"StatusInManifest": {"", liveWith(managed("periplus", "Apply", "", ours)+managed("kube-controller-manager", "Update", "status", "{f:status: {f:replicas: {}}}"),
			`{replicas: 2, `+containersAsDeclared+`}`), nil, ""},
		"Removed": {"who removes a field leaves no trace", liveWith(managed("periplus", "Apply", "", noReplica), `{`+containersAsDeclared+`}`), nil, "removed: /spec/replicas"},
		"ItemRemoved": {"", liveWith(managed("periplus", "Apply", "", `{f:spec: {f:replicas: {}}}`)+managed("side", "Update", "", `{f:spec: {f:template: {f:spec: {f:containers: {'k:{"name":"side"}': {.: {}, f:name: {}}}}}}}`), `{replicas: 2, template: {spec: {containers: [{name: side}]}}}`), nil,
			"removed: /spec/template/spec/containers/0"},
		"InItem": {"", liveWith(managed("periplus", "Apply", "", `{f:spec: {f:replicas: {}}}`)+managed("set", "Update", "", `{f:spec: {f:template: {f:spec: {f:containers: {'k:{"name":"main"}': {f:image: {}}}}}}}`),
			`{replicas: 2, template: {spec: {containers: [{name: side}, {name: main, image: app:2, resources: {limits: {cpu: "1"}}}]}}}`), nil,
			by("set", "") + "/spec/template/spec/containers/0/image"},
		"InOurName": {"a write by another in the agent's name", liveWith(managed("periplus", "Apply", "", ours), `{replicas: 7, `+containersAsDeclared+`}`), nil, "by periplus: /spec/replicas"},
		"Ignored": {"", liveWith(managed("periplus", "Apply", "", noReplica)+managed("hpa", "Update", "", "{f:spec: {f:replicas: {}}}"),
			`{replicas: 3, `+containersAsDeclared+`}`), []owned.Pointer{owned.ParsePointer("/spec/replicas")}, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := owned.Describe(owned.Changes(parse(t, declared).Object, parse(t, c.live), c.ignored))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s: %s", c.reason, diff)
			}
		})
	}
}

func TestHeldBy(t *testing.T) {
	live := parse(t, liveWith(managed("periplus", "Apply", "", ours)+managed("keda-operator", "Update", "", "{f:spec: {f:replicas: {}}}")+
		managed("other", "Update", "", `{f:spec: {f:template: {f:spec: {f:containers: {'k:{"name":"main"}': {f:image: {}}}}}}}`), `{replicas: 2, `+containersAsDeclared+`}`))
	held := owned.HeldBy(parse(t, declared).Object, live, func(c owned.Change) bool { return owned.Matches([]string{"keda-*"}, c.Manager) })
	if len(held) != 1 || held[0].String() != "/spec/replicas" {
		t.Errorf("held are %v", held)
	}
}

func TestDescribeNamesFive(t *testing.T) {
	var changes []owned.Change
	for _, field := range strings.Split("a b~ c/ d e f g", " ") {
		changes = append(changes, owned.Change{Pointer: owned.Pointer{field}, Manager: "x"})
	}
	if got, want := owned.Describe(changes), "by x: /a, /b~0, /c~1, /d, /e; and 2 more"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := owned.What(changes), "/a, /b~0, /c~1, /d, /e and 2 more"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAutoscaled(t *testing.T) {
	for change, want := range map[string]bool{"kube-controller-manager/scale": true, "kubectl/scale": false, "kube-controller-manager/": false} {
		manager, part, _ := strings.Cut(change, "/")
		if got := (owned.Change{Manager: manager, Part: part}).Autoscaled(); got != want {
			t.Errorf("%s: %v", change, got)
		}
	}
}
