package audit_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/periplus-fleet/periplus/agent/audit"
	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/agent/policy"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/e2e/testenv"
	"github.com/periplus-fleet/periplus/policies/engine"
)

// rule is a policy about ConfigMaps of one namespace: tests share an API server.
func rule(name, namespace, key string) engine.File {
	return engine.File{Path: "policies/" + name + ".rego", Text: fmt.Sprintf(`# METADATA
# title: %s
# custom:
#   input: periplus
#   kinds: [ConfigMap]
#   points: [audit]
package %s

deny contains msg if {
	input.namespace == %q
	input.object.data[%q]
	msg := sprintf("%%s has %s", [input.name])
}
`, name, name, namespace, key, key)}
}

func load(t *testing.T, source engine.Source) policy.InForce {
	t.Helper()
	snapshot, refused := engine.Load(source, nil)
	if len(refused) > 0 {
		t.Fatalf("refused: %+v", refused)
	}
	return policy.InForce{Snapshot: snapshot, Cluster: engine.Cluster{Name: "c", Namespace: "fleet"}, Revision: "sha256:1"}
}

// hub holds what it was told.
type hub struct {
	mu       sync.Mutex
	found    map[string]string
	problems []string
}

func (h *hub) tell(report *linkv1.PolicyReport) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if report.GetFull() || h.found == nil {
		h.found = map[string]string{}
	}
	for _, r := range report.GetUpserts() {
		h.found[r.GetKey().GetObject().GetName()+" "+r.GetKey().GetId()] = r.GetResult() + " " + r.GetMessage()
	}
	for _, key := range report.GetGone() {
		delete(h.found, key.GetObject().GetName()+" "+key.GetId())
	}
	h.problems = report.GetProblems()
}

// says waits until the hub was told exactly this.
func (h *hub) says(t *testing.T, reason string, want ...string) {
	t.Helper()
	var got []string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		h.mu.Lock()
		got = nil
		for _, text := range h.found {
			got = append(got, text)
		}
		h.mu.Unlock()
		if len(got) == len(want) && strings.Join(sorted(got), "\n") == strings.Join(sorted(want), "\n") {
			return
		}
	}
	t.Fatalf("%s: the hub was told %q, want %q", reason, got, want)
}

func sorted(in []string) []string { return slices.Sorted(slices.Values(in)) }

func start(t *testing.T, env *testenv.Env, user string, inForce policy.InForce) (*audit.Auditor, *hub) {
	t.Helper()
	config := env.Config
	if user != "" {
		config = env.User(t, user)
	}
	cluster := kube.New(config, "periplus-system")
	client, err := cluster.As("")
	if err != nil {
		t.Fatal(err)
	}
	auditor := audit.New(audit.Config{Client: client, Kinds: kube.NewMapper(client), Namespace: "periplus-system", Log: slog.New(slog.DiscardHandler)})
	told := &hub{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- auditor.Run(ctx, told.tell) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	auditor.Use(inForce)
	return auditor, told
}

func configMap(namespace, name, key string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Data: map[string]string{key: "x"}}
}

// What was there before, what comes, what is mended and what goes is told; other policies are asked about all of it.
func TestFollowsObjectsAndPolicies(t *testing.T) {
	env := testenv.Start(t)
	space := env.Namespace(t)
	maps := kubernetes.NewForConfigOrDie(env.Config).CoreV1().ConfigMaps(space)
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(maps.Create(t.Context(), configMap(space, "older", "bad"), metav1.CreateOptions{}))
	auditor, told := start(t, env, "", load(t, engine.Source{Modules: []engine.File{rule("one", space, "bad")}}))
	told.says(t, "an object that is older than the policy is found", "fail older has bad")
	must(maps.Create(t.Context(), configMap(space, "newer", "bad"), metav1.CreateOptions{}))
	told.says(t, "so is one that comes", "fail newer has bad", "fail older has bad")
	must(maps.Update(t.Context(), configMap(space, "newer", "good"), metav1.UpdateOptions{}))
	told.says(t, "what is mended is no longer told", "fail older has bad")
	auditor.Use(load(t, engine.Source{Modules: []engine.File{rule("one", space, "bad"), rule("two", space, "good")}}))
	told.says(t, "another policy is asked about what is there", "fail newer has good", "fail older has bad")
	must(nil, maps.Delete(t.Context(), "older", metav1.DeleteOptions{}))
	told.says(t, "what is gone is not told", "fail newer has good")
	auditor.Use(policy.InForce{})
	told.says(t, "without policies nothing is wrong")
}

// An exemption lets pass until it ends, by the clock of the agent.
func TestExemptionEnds(t *testing.T) {
	env := testenv.Start(t)
	space := env.Namespace(t)
	if _, err := kubernetes.NewForConfigOrDie(env.Config).CoreV1().ConfigMaps(space).Create(t.Context(), configMap(space, "old", "bad"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	exemption := engine.Exemption{Source: "policies/e.yaml:1", PolicyExemption: v1alpha1.PolicyExemption{Spec: v1alpha1.PolicyExemptionSpec{Policy: "one", Reason: "it is old", Owner: "team",
		Objects: []v1alpha1.ObjectMatch{{Kind: "ConfigMap", Namespace: space}}, Expires: metav1.NewTime(time.Now().Add(4 * time.Second))}}}
	exemption.Metadata.Name = "legacy"
	_, told := start(t, env, "", load(t, engine.Source{Modules: []engine.File{rule("one", space, "bad")}, Exemptions: []engine.Exemption{exemption}}))
	told.says(t, "it passes while the exemption lasts", "skip old has bad")
	told.says(t, "and is told when it has ended", "fail old has bad")
}

// A kind that may not be read is named, with what grants it; the others are looked at.
func TestRefusedKind(t *testing.T) {
	env := testenv.Start(t)
	space := env.Namespace(t)
	admin := kubernetes.NewForConfigOrDie(env.Config)
	if _, err := admin.CoreV1().ConfigMaps(space).Create(t.Context(), configMap(space, "old", "bad"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	user := "auditor-" + space
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: user}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"configmaps", "namespaces"}, Verbs: []string{"get", "list", "watch"}}}}
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: user}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: user},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}}}
	if _, err := admin.RbacV1().ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	secrets := rule("two", space, "x")
	secrets.Text = strings.Replace(secrets.Text, "kinds: [ConfigMap]", "kinds: [Secret]", 1)
	_, told := start(t, env, user, load(t, engine.Source{Modules: []engine.File{rule("one", space, "bad"), secrets}}))
	told.says(t, "what may be read is", "fail old has bad")
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		told.mu.Lock()
		problems := strings.Join(told.problems, "\n")
		told.mu.Unlock()
		if want := "cannot audit Secret: the agent may not list and watch secrets: grant it in policy.audit.rules of the agent's chart"; problems == want {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("problems are %q, want %q", problems, want)
		}
	}
}
