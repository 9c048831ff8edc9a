package control

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/identity"
	"github.com/periplus-fleet/periplus/policies/engine"
)

func TestAdmitJoin(t *testing.T) {
	policies, refusals := engine.Load(engine.Source{Modules: []engine.File{{Path: "policies/joining.rego", Text: `# METADATA
# custom:
#   input: periplus
#   kinds: [ClusterJoin.fleet.periplus.dev]
package joining

deny contains "production joins with v2" if {
	input.cluster.labels.env == "prod"
	not startswith(input.join.agentVersion, "v2.")
}
`}}}, nil)
	if len(refusals) > 0 {
		t.Fatalf("refused: %+v", refusals)
	}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	repo := &v1alpha1.FleetRepo{ObjectMeta: metav1.ObjectMeta{Namespace: "fleet", Name: "fleet"}}
	cluster := func(env string) *v1alpha1.FleetCluster {
		return &v1alpha1.FleetCluster{ObjectMeta: metav1.ObjectMeta{Namespace: "fleet", Name: env, Labels: map[string]string{"env": env}}}
	}
	cases := map[string]struct {
		reason  string
		unread  bool
		joining identity.Joining
		want    string
		fails   bool
	}{
		"Passes":   {reason: "the agent is new enough", joining: identity.Joining{Name: "prod", AgentVersion: "v2.1.0"}},
		"Denied":   {reason: "input.join and input.cluster are there", joining: identity.Joining{Name: "prod", AgentVersion: "v1.9.0"}, want: "production joins with v2"},
		"Other":    {reason: "the cluster's labels count", joining: identity.Joining{Name: "dev", AgentVersion: "v1.9.0"}},
		"Unread":   {reason: "a hub that has not read its policies lets nobody in", unread: true, joining: identity.Joining{Name: "dev"}, fails: true},
		"Vanished": {reason: "nor one that has no FleetCluster", joining: identity.Joining{Name: "gone"}, fails: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := &Controller{client: fake.NewClientBuilder().WithScheme(scheme).WithObjects(repo, cluster("prod"), cluster("dev")).Build(),
				repos: map[client.ObjectKey]*repoState{}, policies: map[string]*engine.Snapshot{"fleet": policies}}
			if !tc.unread {
				c.repos[client.ObjectKeyFromObject(repo)] = &repoState{snapshot: &fleet.Snapshot{}}
			}
			tc.joining.Namespace = "fleet"
			got, err := c.AdmitJoin(t.Context(), tc.joining)
			if (err != nil) != tc.fails {
				t.Fatalf("%s: %v", tc.reason, err)
			}
			if (got != "") != (tc.want != "") || !strings.Contains(got, tc.want) {
				t.Errorf("%s: got %q, want %q", tc.reason, got, tc.want)
			}
		})
	}
}
