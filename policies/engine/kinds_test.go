package engine

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestKinds(t *testing.T) {
	pods, deployments := schema.GroupKind{Kind: "Pod"}, schema.GroupKind{Group: "apps", Kind: "Deployment"}
	both := policy("p", always, "kinds: [Deployment.apps, Pod]")
	audited := policy("q", always, "kinds: ['*.batch', Pod]", "points: [audit]")
	cases := map[string]struct {
		reason string
		source Source
		point  string
		want   []schema.GroupKind
		all    bool
	}{
		"Named":      {"sorted by group", Source{Modules: []File{both}}, PointAudit, []schema.GroupKind{pods, deployments}, false},
		"Union":      {"a kind stands once, a group with a star", Source{Modules: []File{both, audited}}, PointAudit, []schema.GroupKind{pods, deployments, {Group: "batch", Kind: "*"}}, false},
		"Elsewhere":  {"a policy that is not asked at the point names nothing", Source{Modules: []File{audited}}, PointAdmission, nil, false},
		"Every":      {"no kinds are all kinds", Source{Modules: []File{policy("r", always), both}}, PointGate, []schema.GroupKind{pods, deployments}, true},
		"Constraint": {"", Source{Gatekeeper: []Manifest{ownerTemplate(t, violates), ownerConstraint(t, "{match: {kinds: [{apiGroups: [''], kinds: [Pod]}]}}")}}, PointAudit, []schema.GroupKind{pods}, false},
		"AnyGroup": {"a star for groups is every kind", Source{Gatekeeper: []Manifest{ownerTemplate(t, violates), ownerConstraint(t, "{match: {kinds: [{apiGroups: ['*'], kinds: [Pod]}]}}")}},
			PointAudit, nil, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, all := load(t, c.source).Kinds(c.point)
			if diff := cmp.Diff(c.want, got); diff != "" || all != c.all {
				t.Errorf("%s: all %v, -want +got:\n%s", c.reason, all, diff)
			}
		})
	}
	if got, all := (*Snapshot)(nil).Kinds(PointAudit); len(got) > 0 || all {
		t.Errorf("no snapshot names no kind, got %v, %v", got, all)
	}
}

func TestBuiltins(t *testing.T) {
	s := load(t, Source{Modules: []File{policy("p", `deny contains upper(input.name)`), policy("q", `deny contains sprintf("%s", [lower(input.name)])`)},
		Gatekeeper: []Manifest{ownerTemplate(t, `package owner violation[{"msg": "x"}] { startswith(input.review.name, "x") }`), ownerConstraint(t, "{}")}})
	names := s.Builtins()
	if diff := cmp.Diff([]string{"eq", "lower", "sprintf", "startswith", "upper"}, names); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if missing := MissingBuiltins(append(names, "http.send", "time.machine")); !cmp.Equal(missing, []string{"http.send", "time.machine"}) {
		t.Errorf("want those that policies may not call and those that do not exist, got %v", missing)
	}
}
