package engine

import (
	"context"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

func manifest(t testing.TB, text string) Manifest {
	t.Helper()
	var o map[string]any
	if err := yaml.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	return Manifest{Object: o, Source: "policies/g.yaml:1"}
}

func ownerTemplate(t testing.TB, rego string) Manifest {
	return manifest(t, "kind: ConstraintTemplate\nmetadata: {name: owner}\nspec:\n  crd: {spec: {names: {kind: Owner}}}\n  targets: [{target: admission.k8s.gatekeeper.sh, rego: '"+rego+"'}]\n")
}

func ownerConstraint(t testing.TB, spec string) Manifest {
	return manifest(t, "kind: Owner\nmetadata: {name: all}\nspec: "+spec+"\n")
}

const violates = `package owner violation[{"msg": "no owner"}] { not input.review.object.metadata.labels.owner }`

func TestConstraints(t *testing.T) {
	cases := map[string]struct {
		reason     string
		rego, spec string
		point      string
		want       string
	}{
		"Deny":             {"", violates, "{}", PointGate, "deny fail no owner"},
		"DryRun":           {"dryrun is audit", violates, "{enforcementAction: dryrun}", PointGate, "audit fail no owner"},
		"ScopedElsewhere":  {"the point is not named", violates, "{enforcementAction: scoped, scopedEnforcementActions: [{action: deny, enforcementPoints: [{name: audit.gatekeeper.sh}]}]}", PointGate, ""},
		"ScopedHere":       {"gator is commit and gate", violates, "{enforcementAction: scoped, scopedEnforcementActions: [{action: warn, enforcementPoints: [{name: gator.gatekeeper.sh}]}]}", PointGate, "warn warn no owner"},
		"OtherKind":        {"", violates, "{match: {kinds: [{apiGroups: [apps], kinds: [ConfigMap]}]}}", PointGate, ""},
		"AnyGroup":         {"", violates, "{match: {kinds: [{apiGroups: ['*'], kinds: [ConfigMap]}]}}", PointGate, "deny fail no owner"},
		"CoreGroup":        {"", violates, "{match: {kinds: [{apiGroups: [''], kinds: ['*']}]}}", PointGate, "deny fail no owner"},
		"ClusterScope":     {"", violates, "{match: {scope: Cluster}}", PointGate, ""},
		"Excluded":         {"a star is a prefix", violates, "{match: {excludedNamespaces: [sh*]}}", PointGate, ""},
		"OtherNamespace":   {"", violates, "{match: {namespaces: [depot]}}", PointGate, ""},
		"UnknownNamespace": {"labels that nobody knows must not let pass", violates, "{match: {namespaceSelector: {matchLabels: {a: b}}}}", PointAudit, "deny error policy"},
		"NamespaceLabels":  {"before a cluster has it, only its name is known", violates, "{match: {namespaceSelector: {matchLabels: {a: b}}}}", PointGate, ""},
		"NamespaceName":    {"", violates, "{match: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}}}", PointCommit, "deny fail no owner"},
		"NamespaceWithout": {"", violates, "{match: {namespaceSelector: {matchExpressions: [{key: a, operator: DoesNotExist}]}}}", PointGate, "deny fail no owner"},
		"InventoryBefore":  {"what a cluster holds is not known before", `package owner violation[{"msg": "no classes"}] { not data.inventory.cluster["storage.k8s.io/v1"].StorageClass }`, "{}", PointGate, ""},
		"InventoryPartly":  {"rules that need none are asked", `package owner violation[{"msg": "named"}] { input.review.name } violation[{"msg": "no classes"}] { not classes } classes { data.inventory.cluster["storage.k8s.io/v1"].StorageClass }`, "{}", PointGate, "deny fail named"},
		"InventoryUnknown": {"who does not know must not deny all", `package owner violation[{"msg": "no classes"}] { not data.inventory.cluster["storage.k8s.io/v1"].StorageClass }`, "{}", PointAdmission, "audit error policy \"owner/all\" reads data.inventory"},
		"BuiltinError":     {"an error must not pass", `package owner violation[{"msg": "x"}] { to_number(input.review.name) > 1 }`, "{}", PointGate, "deny error policy"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := load(t, Source{Gatekeeper: []Manifest{ownerConstraint(t, c.spec), ownerTemplate(t, c.rego)}})
			findings, err := s.Review(context.Background(), Input{Object: object("v1", "ConfigMap", "c", nil)}, "", c.point, now)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, f := range findings {
				got = strings.TrimPrefix(got+"\n"+string(f.Action)+" "+f.Result+" "+f.Message, "\n")
			}
			if c.want == "" && got != "" || !strings.HasPrefix(got, c.want) || strings.Contains(got, "\n") {
				t.Errorf("%s: want %q, got %q", c.reason, c.want, got)
			}
		})
	}
}

func TestConstraintsFreeze(t *testing.T) {
	good := load(t, Source{Gatekeeper: []Manifest{ownerTemplate(t, violates), ownerConstraint(t, "{}")}})
	cases := map[string][]Manifest{
		"BrokenTemplate":   {ownerTemplate(t, "package owner violation[{"), ownerConstraint(t, "{}")},
		"NoTemplate":       {ownerConstraint(t, "{}")},
		"OtherData":        {ownerTemplate(t, `package owner violation[{"msg": "x"}] { data.secrets.x }`), ownerConstraint(t, "{}")},
		"Network":          {ownerTemplate(t, `package owner violation[{"msg": "x"}] { http.send({"url": "http://x", "method": "get"}) }`), ownerConstraint(t, "{}")},
		"BrokenConstraint": {ownerTemplate(t, violates), ownerConstraint(t, "{enforcementAction: maybe}")},
	}
	for name, manifests := range cases {
		t.Run(name, func(t *testing.T) {
			next, refusals := Load(Source{Gatekeeper: manifests}, good)
			if p := next.policies["owner/all"]; len(refusals) != 1 || p == nil || p.Frozen == "" || p.Metadata.Action != v1alpha1.PolicyDeny {
				t.Errorf("want one refusal and the version before, got %+v, %+v", refusals, p)
			}
		})
	}
}
