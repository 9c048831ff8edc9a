package charts_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	release "helm.sh/helm/v4/pkg/release/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/periplus-fleet/periplus/charts"
)

const hash = "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

// render renders the packaged chart as `helm template periplus-agent -n periplus-system` would.
func render(t *testing.T, values map[string]any) (*release.Release, []*unstructured.Unstructured, error) {
	t.Helper()
	archive, err := charts.AgentArchive()
	if err != nil {
		t.Fatal(err)
	}
	chart, err := loader.LoadArchive(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	install := action.NewInstall(action.NewConfiguration(action.ConfigurationSetLogger(slog.DiscardHandler)))
	install.DryRunStrategy = action.DryRunClient
	install.ReleaseName, install.Namespace = "periplus-agent", "periplus-system"
	install.KubeVersion = &common.KubeVersion{Version: "v1.34.0", Major: "1", Minor: "34"}
	installed, err := install.Run(chart, values)
	if err != nil {
		return nil, nil, err
	}
	rel := installed.(*release.Release)
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(rel.Manifest), 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(object); errors.Is(err, io.EOF) {
			return rel, objects, nil
		} else if err != nil {
			t.Fatalf("cannot read the rendered chart: %v\n%s", err, rel.Manifest)
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// values are the smallest that the chart takes, with tenants given as JSON.
func values(t *testing.T, tenants string) map[string]any {
	t.Helper()
	out := map[string]any{"hub": map[string]any{"endpoints": []any{"hub.example.com:7443"}, "caHash": hash}}
	if tenants != "" {
		var list []any
		if err := json.Unmarshal([]byte(tenants), &list); err != nil {
			t.Fatal(err)
		}
		out["tenants"] = list
	}
	return out
}

func names(objects []*unstructured.Unstructured) []string {
	var out []string
	for _, o := range objects {
		out = append(out, strings.Trim(o.GetKind()+" "+o.GetNamespace()+"/"+o.GetName(), "/"))
	}
	sort.Strings(out)
	return out
}

// find decodes the one object of kind and name into T.
func find[T any](t *testing.T, objects []*unstructured.Unstructured, kind, name string) T {
	t.Helper()
	var out T
	for _, o := range objects {
		if o.GetKind() == kind && o.GetName() == name {
			if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, &out, true); err != nil {
				t.Fatalf("cannot decode %s %q: %v", kind, name, err)
			}
			return out
		}
	}
	t.Fatalf("no %s %q among %v", kind, name, names(objects))
	return out
}

var ownObjects = []string{
	"ClusterRole /periplus-system:periplus-agent",
	"ClusterRoleBinding /periplus-system:periplus-agent",
	"Deployment periplus-system/periplus-agent",
	"Role periplus-system/periplus-agent",
	"RoleBinding periplus-system/periplus-agent",
	"ServiceAccount periplus-system/periplus-agent",
}

func TestGrants(t *testing.T) {
	cases := map[string]struct {
		reason      string
		tenants     string
		extra       []string
		impersonate []string
		args        []string
		notes       string
	}{
		"NoTenants": {
			reason: "an empty list grants nothing, not even the right to impersonate, and the notes say so",
			notes:  "what the hub delivers: NOTHING",
		},
		"ClusterAdmin": {
			reason:  "clusterAdmin binds cluster-admin to the tenant's ServiceAccount, never to the agent's",
			tenants: `[{"namespace":"fleet","clusterAdmin":true}]`,
			extra: []string{"ClusterRoleBinding /periplus-system:periplus-agent:periplus-tenant-fleet",
				"ServiceAccount periplus-system/periplus-tenant-fleet"},
			impersonate: []string{"periplus-tenant-fleet"},
			args:        []string{"--tenant=fleet=periplus-tenant-fleet"},
			notes:       "EVERYTHING in this cluster",
		},
		"NamespacesAndRules": {
			reason: "namespaces are admin in each, rules are a ClusterRole; both go to the named ServiceAccount",
			tenants: `[{"namespace":"team-a","serviceAccountName":"deployer","namespaces":["shop","jobs"],
				"rules":[{"apiGroups":["scheduling.k8s.io"],"resources":["priorityclasses"],"verbs":["get","patch"]}]}]`,
			extra: []string{"ClusterRole /periplus-system:periplus-agent:deployer", "ClusterRoleBinding /periplus-system:periplus-agent:deployer",
				"RoleBinding jobs/periplus-agent-deployer", "RoleBinding shop/periplus-agent-deployer", "ServiceAccount periplus-system/deployer"},
			impersonate: []string{"deployer"},
			args:        []string{"--tenant=team-a=deployer"},
			notes:       "admin in: shop, jobs",
		},
		"TwoOfOneTenant": {
			reason:  "a tenant may have several ServiceAccounts, each with its own rights",
			tenants: `[{"namespace":"fleet","namespaces":["a"]},{"namespace":"fleet","serviceAccountName":"b","namespaces":["b"]}]`,
			extra: []string{"RoleBinding a/periplus-agent-periplus-tenant-fleet", "RoleBinding b/periplus-agent-b",
				"ServiceAccount periplus-system/b", "ServiceAccount periplus-system/periplus-tenant-fleet"},
			impersonate: []string{"periplus-tenant-fleet", "b"},
			args:        []string{"--tenant=fleet=periplus-tenant-fleet", "--tenant=fleet=b"},
			notes:       "as ServiceAccount b:",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			rel, objects, err := render(t, values(t, tc.tenants))
			if err != nil {
				t.Fatalf("%s: %v", tc.reason, err)
			}
			want := append(append([]string{}, ownObjects...), tc.extra...)
			sort.Strings(want)
			if diff := cmp.Diff(want, names(objects)); diff != "" {
				t.Errorf("%s: objects (-want +got):\n%s", tc.reason, diff)
			}
			var impersonate []string
			for _, rule := range find[rbacv1.Role](t, objects, "Role", "periplus-agent").Rules {
				for _, verb := range rule.Verbs {
					if verb == "impersonate" {
						impersonate = rule.ResourceNames
					}
				}
			}
			if diff := cmp.Diff(tc.impersonate, impersonate); diff != "" {
				t.Errorf("%s: ServiceAccounts that the agent may impersonate (-want +got):\n%s", tc.reason, diff)
			}
			var args []string
			for _, arg := range find[appsv1.Deployment](t, objects, "Deployment", "periplus-agent").Spec.Template.Spec.Containers[0].Args {
				if strings.HasPrefix(arg, "--tenant=") {
					args = append(args, arg)
				}
			}
			if diff := cmp.Diff(tc.args, args); diff != "" {
				t.Errorf("%s: what the agent is told of tenants (-want +got):\n%s", tc.reason, diff)
			}
			if !strings.Contains(rel.Info.Notes, tc.notes) {
				t.Errorf("%s: notes lack %q:\n%s", tc.reason, tc.notes, rel.Info.Notes)
			}
		})
	}
}

// The agent's own rights are a closed list: a rule more is a finding of every audit.
func TestAgentsOwnRules(t *testing.T) {
	_, objects, err := render(t, values(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	role := find[rbacv1.Role](t, objects, "Role", "periplus-agent").Rules
	wantRole := []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"},
		Verbs: []string{"get", "list", "create", "update", "delete"}},
		{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{"periplus-sops"}, Verbs: []string{"watch"}}}
	if diff := cmp.Diff(wantRole, role); diff != "" {
		t.Errorf("Role (-want +got):\n%s", diff)
	}
	clusterRole := find[rbacv1.ClusterRole](t, objects, "ClusterRole", "periplus-system:periplus-agent").Rules
	wantClusterRole := []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"namespaces"},
		ResourceNames: []string{"kube-system"}, Verbs: []string{"get"}}}
	if diff := cmp.Diff(wantClusterRole, clusterRole); diff != "" {
		t.Errorf("ClusterRole (-want +got):\n%s", diff)
	}
}

func TestDeployment(t *testing.T) {
	given := values(t, "")
	given["hub"].(map[string]any)["endpoints"] = []any{"a.example.com:7443", "[::1]:7443"}
	given["image"] = map[string]any{"repository": "registry.example.com/agent", "tag": "v9"}
	_, objects, err := render(t, given)
	if err != nil {
		t.Fatal(err)
	}
	deployment := find[appsv1.Deployment](t, objects, "Deployment", "periplus-agent")
	if deployment.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		t.Errorf("strategy is %q: two agents at once are a DuplicateIdentity", deployment.Spec.Strategy.Type)
	}
	pod := deployment.Spec.Template.Spec
	wantArgs := []string{"--hub-endpoint=a.example.com:7443", "--hub-endpoint=[::1]:7443", "--hub-ca-hash=" + hash,
		"--join-secret=periplus-agent-join", "--sops-secret=periplus-sops", "--namespace=periplus-system",
		"--queries=get,diff,tree,events,logs,why", "--log-level=info"}
	if diff := cmp.Diff(wantArgs, pod.Containers[0].Args); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
	if got, want := pod.Containers[0].Image, "registry.example.com/agent:v9"; got != want {
		t.Errorf("image is %q, want %q", got, want)
	}
	if len(pod.Containers) != 1 || len(pod.Containers[0].Ports) != 0 || len(pod.Volumes) != 0 {
		t.Errorf("want one container, no port, no volume: %+v", pod)
	}
	if security := pod.Containers[0].SecurityContext; !*pod.SecurityContext.RunAsNonRoot || *security.AllowPrivilegeEscalation ||
		!*security.ReadOnlyRootFilesystem || len(security.Capabilities.Drop) != 1 || pod.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("the pod does not meet the restricted Pod Security Standard: %+v %+v", pod.SecurityContext, security)
	}
}

func TestRefuses(t *testing.T) {
	with := func(key string, value any) func(map[string]any) { return func(v map[string]any) { v[key] = value } }
	cases := map[string]struct {
		reason  string
		tenants string
		change  func(map[string]any)
		want    string
	}{
		"UnknownValue":       {reason: "the schema is closed", change: with("tenant", "x"), want: "tenant"},
		"UnknownTenantField": {reason: "the schema is closed inside too", tenants: `[{"namespace":"a","clusteradmin":true}]`, want: "clusteradmin"},
		"UnknownHubField":    {reason: "the schema is closed inside too", change: with("hub", map[string]any{"endpoint": "x:1"}), want: "endpoint"},
		"NoEndpoint":         {reason: "an agent without a hub is useless", change: with("hub", map[string]any{"caHash": hash}), want: "hub.endpoints is empty"},
		"OneSecretForBoth":   {reason: "the token may be deleted, the keys may not", change: with("sops", map[string]any{"secretName": "periplus-agent-join"}), want: "sops.secretName and join.secretName"},
		"NoCAHash":           {reason: "the token goes to nobody unknown", change: with("hub", map[string]any{"endpoints": []any{"x:1"}}), want: "hub.caHash is empty"},
		"BadCAHash":          {reason: "a cut hash is found at install", change: with("hub", map[string]any{"endpoints": []any{"x:1"}, "caHash": "sha256:12"}), want: "caHash"},
		"BadEndpoint":        {reason: "the link is not a URL", change: with("hub", map[string]any{"endpoints": []any{"https://x:1"}, "caHash": hash}), want: "endpoints"},
		"AdminAndNamespaces": {reason: "contradiction", tenants: `[{"namespace":"a","clusterAdmin":true,"namespaces":["b"]}]`, want: "tenants[0] (a): clusterAdmin contradicts"},
		"EntryWithoutGrant":  {reason: "an entry that grants nothing is a mistake", tenants: `[{"namespace":"a"}]`, want: "tenants[0] (a) grants nothing"},
		"SameAccountTwice": {reason: "two tenants must not share rights", want: "same serviceAccountName",
			tenants: `[{"namespace":"a","serviceAccountName":"x","namespaces":["a"]},{"namespace":"b","serviceAccountName":"x","namespaces":["b"]}]`},
		"AgentsOwnAccount":   {reason: "a tenant never acts as the agent", tenants: `[{"namespace":"a","serviceAccountName":"periplus-agent","namespaces":["a"]}]`, want: "the agent's own"},
		"AgentsOwnNamespace": {reason: "the identity lies there", tenants: `[{"namespace":"a","namespaces":["periplus-system"]}]`, want: "the agent's own namespace"},
		"KubeSystem":         {reason: "admin of kube-system is admin of all", tenants: `[{"namespace":"a","namespaces":["kube-system"]}]`, want: "say clusterAdmin"},
		"RuleForAll":         {reason: "everything must be said plainly", tenants: `[{"namespace":"a","rules":[{"apiGroups":["*"],"resources":["*"],"verbs":["*"]}]}]`, want: "say clusterAdmin"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			given := values(t, tc.tenants)
			if tc.change != nil {
				tc.change(given)
			}
			_, _, err := render(t, given)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: error is %v, want one with %q", tc.reason, err, tc.want)
			}
		})
	}
}

func TestArchiveIsReproducible(t *testing.T) {
	first, err := charts.AgentArchive()
	if err != nil {
		t.Fatal(err)
	}
	second, err := charts.AgentArchive()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Error("two packages of the same files differ")
	}
}

// Every object that a schema describes is closed, so that a mistyped value never passes silently.
func TestSchemaIsClosed(t *testing.T) {
	archive, err := charts.AgentArchive()
	if err != nil {
		t.Fatal(err)
	}
	chart, err := loader.LoadArchive(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	var schema any
	if err := json.Unmarshal(chart.Schema, &schema); err != nil {
		t.Fatal(err)
	}
	var walk func(path string, node any)
	walk = func(path string, node any) {
		switch node := node.(type) {
		case map[string]any:
			if node["type"] == "object" && node["additionalProperties"] != false {
				t.Errorf("%s is an object without additionalProperties: false", path)
			}
			for key, value := range node {
				walk(path+"/"+key, value)
			}
		case []any:
			for _, value := range node {
				walk(path, value)
			}
		}
	}
	walk("#", schema)
}

func TestQueriesCanBeSwitchedOff(t *testing.T) {
	given := values(t, "")
	given["queries"] = map[string]any{"logs": false}
	_, objects, err := render(t, given)
	if err != nil {
		t.Fatal(err)
	}
	args := find[appsv1.Deployment](t, objects, "Deployment", "periplus-agent").Spec.Template.Spec.Containers[0].Args
	if !slices.Contains(args, "--queries=get,diff,tree,events,why") {
		t.Errorf("arguments are %v", args)
	}
}
