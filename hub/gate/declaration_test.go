package gate_test

import (
	"context"
	"testing"
	"time"

	"github.com/periplus-fleet/periplus/hub/gate"
	"github.com/periplus-fleet/periplus/policies/engine"
)

func TestDeclare(t *testing.T) {
	text := `# METADATA
# custom:
#   input: periplus
#   kinds: [FleetCluster.fleet.periplus.dev]
package versions

deny contains "production runs v1.36" if {
	input.cluster.labels.env == "prod"
	not startswith(input.object.spec.provision.topology.version, "v1.36.")
}
`
	s, refusals := engine.Load(engine.Source{Modules: []engine.File{{Path: "policies/versions.rego", Text: text}}}, nil)
	if len(refusals) > 0 {
		t.Fatalf("refused: %+v", refusals)
	}
	cases := map[string]struct {
		reason  string
		kind    string
		env     string
		version string
		want    string
	}{
		"Good":      {"", "FleetCluster", "prod", "v1.36.3", ""},
		"Denied":    {"the reason names policy, cluster and line", "FleetCluster", "prod", "v1.35.0", "policy versions denies FleetCluster.fleet.periplus.dev fleet/eu-1: production runs v1.36 (policies/versions.rego:7)"},
		"OtherEnv":  {"the cluster's own labels count", "FleetCluster", "dev", "v1.35.0", ""},
		"OtherKind": {"a class is no cluster", "ClusterClass", "prod", "v1.35.0", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			group := map[string]string{"FleetCluster": "fleet.periplus.dev/v1alpha1", "ClusterClass": "cluster.x-k8s.io/v1beta2"}[c.kind]
			verdict, err := gate.Declare(context.Background(), s, gate.Declaration{
				Object: map[string]any{"apiVersion": group, "kind": c.kind, "metadata": map[string]any{"name": "eu-1"},
					"spec": map[string]any{"provision": map[string]any{"topology": map[string]any{"version": c.version}}}},
				Cluster: engine.Cluster{Name: "eu-1", Namespace: "fleet", Labels: map[string]string{"env": c.env}},
				Source:  "clusters/eu-1.yaml:1", Now: time.Unix(0, 0)})
			if err != nil {
				t.Fatal(err)
			}
			if verdict.Reason != c.want || verdict.Denied != (c.want != "") {
				t.Errorf("%s: got %q, want %q", c.reason, verdict.Reason, c.want)
			}
		})
	}
}
