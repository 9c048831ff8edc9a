package bootstrap

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

func TestDecide(t *testing.T) {
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	cases := map[string]struct {
		reason string
		found  found
		do     verb
		token  bool
	}{
		"Empty":       {reason: "a new cluster", do: install, token: true},
		"Running":     {reason: "nothing to do", found: found{release: "deployed", digest: "d", deployment: true, identity: true}, do: leave},
		"Changed":     {reason: "other values are rolled out", found: found{release: "deployed", digest: "old", deployment: true, identity: true}, do: upgrade},
		"Gone":        {reason: "a deleted Deployment comes again, with the identity that is there", found: found{release: "deployed", digest: "d", identity: true}, do: upgrade},
		"Interrupted": {reason: "the hub died while it installed", found: found{release: "pending-install", digest: "d", token: true, issued: now}, do: replace},
		"Failed":      {reason: "a failed installation is no installation", found: found{release: "failed", digest: "d", token: true, issued: now}, do: replace},
		"NotJoined":   {reason: "a fresh token is left for the agent to use", found: found{release: "deployed", digest: "d", deployment: true, token: true, issued: now.Add(-time.Minute)}, do: leave},
		"TokenOld":    {reason: "a token that runs out is made anew", found: found{release: "deployed", digest: "d", deployment: true, token: true, issued: now.Add(-20 * time.Minute)}, do: leave, token: true},
		"TokenUsed":   {reason: "who has an identity needs no token", found: found{release: "deployed", digest: "d", deployment: true, identity: true, token: true}, do: leave},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			do, token := decide(tc.found, "d", now, 30*time.Minute)
			if do != tc.do || token != tc.token {
				t.Errorf("%s: got %s, token %t; want %s, token %t", tc.reason, do, token, tc.do, tc.token)
			}
		})
	}
}

func TestValues(t *testing.T) {
	topology := &v1alpha1.Provision{Topology: &clusterv1.Topology{}}
	ref := &v1alpha1.Provision{ClusterRef: &corev1.LocalObjectReference{Name: "theirs"}}
	hub := Hub{Endpoints: []string{"hub:7443"}, CAHash: "sha256:00", ImageTag: "v9"}
	admin := []any{map[string]any{"namespace": "fleet", "clusterAdmin": true}}
	base := func(tenants []any) map[string]any {
		return map[string]any{"image": map[string]any{"tag": "v9"}, "hub": map[string]any{"endpoints": []any{"hub:7443"}, "caHash": "sha256:00"},
			"join": map[string]any{"secretName": "periplus-agent-join"}, "tenants": tenants}
	}
	with := func(m map[string]any, key string, value any) map[string]any { m[key] = value; return m }
	cases := map[string]struct {
		reason    string
		provision *v1alpha1.Provision
		own       string
		want      map[string]any
	}{
		"Ours":       {reason: "a cluster that we made is its tenant's", provision: topology, want: base(admin)},
		"Theirs":     {reason: "a cluster that someone else made allows nothing by itself", provision: ref, want: base([]any{})},
		"OwnTenants": {reason: "lists replace", provision: topology, own: `{"tenants":[]}`, want: base([]any{})},
		"OwnImage": {reason: "maps merge", provision: topology, own: `{"image":{"repository":"r"}}`,
			want: with(base(admin), "image", map[string]any{"tag": "v9", "repository": "r"})},
		"Unset": {reason: "null takes away", provision: topology, own: `{"image":{"tag":null}}`, want: with(base(admin), "image", map[string]any{})},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			cluster := &v1alpha1.FleetCluster{ObjectMeta: metav1.ObjectMeta{Name: "eu-1", Namespace: "fleet"}, Spec: v1alpha1.FleetClusterSpec{Provision: tc.provision}}
			if tc.own != "" {
				cluster.Spec.AgentValues = &apiextensionsv1.JSON{Raw: []byte(tc.own)}
			}
			got, err := valuesOf(hub, cluster)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// Whoever may write a kubeconfig Secret must not thereby run programs or read files on the hub.
func TestKubeconfigIsSelfContained(t *testing.T) {
	kubeconfig := func(user string) []byte {
		return []byte(`{"apiVersion":"v1","kind":"Config","current-context":"a","clusters":[{"name":"a","cluster":{"server":"https://x"}}],` +
			`"contexts":[{"name":"a","context":{"cluster":"a","user":"a"}}],"users":[{"name":"a","user":` + user + `}]}`)
	}
	cases := map[string]struct {
		reason string
		user   string
		want   string
	}{
		"Token": {reason: "stands in it", user: `{"token":"t"}`},
		"Exec":  {reason: "runs a program", user: `{"exec":{"apiVersion":"client.authentication.k8s.io/v1","command":"sh"}}`, want: "credential plugin"},
		"File":  {reason: "reads a file", user: `{"tokenFile":"/var/run/secrets/token"}`, want: "refers to files"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := newGetter(kubeconfig(tc.user))
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("%s: error is %v, want one with %q", tc.reason, err, tc.want)
			}
		})
	}
}
