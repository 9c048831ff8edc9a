package apply_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/e2e/testenv"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/fleet/apply"
)

func object(text string) *unstructured.Unstructured {
	out := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &out.Object); err != nil {
		panic(err)
	}
	return out
}

func TestHold(t *testing.T) {
	source := "metadata: {name: x, annotations: {fleet.periplus.dev/source: clusters/x.yaml}}\n"
	cluster := "kind: FleetCluster\n" + source
	cases := map[string]struct {
		reason string
		live   string
		frozen fleet.Frozen
		holds  bool
	}{
		"Joined":      {reason: "A joined cluster is not protected by default.", live: cluster},
		"Provisioned": {reason: "A provisioned one is.", live: cluster + "spec: {provision: {topology: {version: v1}}}\n", holds: true},
		"Unprotected": {reason: "Until a commit says otherwise.", live: cluster + "spec: {provision: {topology: {version: v1}}, deletion: {protected: false}}\n"},
		"Protected":   {reason: "A joined one may be protected too.", live: cluster + "spec: {deletion: {protected: true}}\n", holds: true},
		"Adopted":     {reason: "What someone else provisioned is not ours to lose.", live: cluster + "spec: {provision: {clusterRef: {name: x}}}\n"},
		"FrozenFile":  {reason: "Its file cannot be read.", live: cluster, frozen: fleet.Frozen{Files: map[string]bool{"clusters/x.yaml": true}}, holds: true},
		"FrozenName":  {reason: "Its name was refused.", live: cluster, frozen: fleet.Frozen{Objects: map[string]bool{"FleetCluster/x": true}}, holds: true},
		"Unknown":     {reason: "Some file may declare it.", live: cluster, frozen: fleet.Frozen{Unknown: "clusters/y.yaml"}, holds: true},
		"Template":    {reason: "Templates are not protected.", live: "kind: XTemplate\n" + source},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if why := apply.Hold(&fleet.Snapshot{Frozen: tc.frozen}, object(tc.live)); (why != "") != tc.holds {
				t.Errorf("%s\nwant held %t, got %q", tc.reason, tc.holds, why)
			}
		})
	}
}

// hub is the hub's API with the account of one FleetRepo.
type hub struct {
	t         *testing.T
	admin     client.Client
	applier   *apply.Applier
	namespace string
	// denied names the clusters that policy denies.
	denied string
}

func newHub(t *testing.T) *hub {
	t.Helper()
	env := testenv.Start(t)
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, corev1.AddToScheme, rbacv1.AddToScheme, apiextensionsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	admin, err := client.New(env.Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	h := &hub{t: t, admin: admin, applier: apply.New(env.Config), namespace: env.Namespace(t)}
	data, err := os.ReadFile("../../../api/crds/fleet.periplus.dev_fleetclusters.yaml")
	if err != nil {
		t.Fatal(err)
	}
	crd := object(string(data))
	if err := client.IgnoreAlreadyExists(admin.Create(t.Context(), crd)); err != nil {
		t.Fatal(err)
	}
	h.eventually("the CRD is served", func() bool {
		return admin.List(t.Context(), &v1alpha1.FleetClusterList{}, client.InNamespace(h.namespace)) == nil
	})
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: h.namespace, Name: "repo"}, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{v1alpha1.Group}, Resources: []string{"fleetclusters"}, Verbs: []string{"get", "list", "create", "patch", "delete"}}}}
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: h.namespace, Name: "repo"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "repo"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: h.namespace, Name: "periplus-fleet"}}}
	for _, made := range []client.Object{role, binding} {
		if err := admin.Create(t.Context(), made); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func (h *hub) eventually(what string, done func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); {
		if time.Now().After(deadline) {
			h.t.Fatalf("not in time: %s", what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (h *hub) apply(repo, commit string, clusters ...string) apply.Result {
	h.t.Helper()
	snapshot := &fleet.Snapshot{Commit: commit}
	for i, text := range clusters {
		one := object("apiVersion: fleet.periplus.dev/v1alpha1\nkind: FleetCluster\n" + text)
		snapshot.Clusters = append(snapshot.Clusters, fleet.ClusterDecl{Position: fleet.Position{File: "clusters/" + one.GetName() + ".yaml", Line: i + 1}, Object: one})
	}
	var result apply.Result
	h.eventually("the apply", func() bool {
		var err error
		result, err = h.applier.Apply(h.t.Context(), apply.Input{Repo: client.ObjectKey{Namespace: h.namespace, Name: repo},
			ServiceAccount: "periplus-fleet", Snapshot: snapshot, Judge: h.judge})
		// The authorizer learns of a new binding a moment later.
		return err == nil && (len(result.Refused) == 0 || !strings.Contains(result.Refused[0].Message, "forbidden"))
	})
	return result
}

func (h *hub) judge(_ context.Context, one *unstructured.Unstructured, _ fleet.Position) (string, error) {
	if one.GetName() == h.denied {
		return "policy p denies it", nil
	}
	return "", nil
}

func (h *hub) get(name string) *v1alpha1.FleetCluster {
	h.t.Helper()
	cluster := &v1alpha1.FleetCluster{}
	err := h.admin.Get(h.t.Context(), client.ObjectKey{Namespace: h.namespace, Name: name}, cluster)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return cluster
}

func refusals(result apply.Result) []string {
	var out []string
	for _, refused := range result.Refused {
		out = append(out, refused.File)
	}
	return out
}

func TestApply(t *testing.T) {
	h := newHub(t)
	const a = "metadata: {name: a, labels: {env: prod}}\nspec: {variables: {x: 1}}\n"
	const protected = "metadata: {name: p}\nspec: {deletion: {protected: true}}\n"
	if result := h.apply("one", "c1", a, protected); len(result.Refused) > 0 {
		t.Fatal(result.Refused)
	}
	first := h.get("a")
	got := []string{first.Labels["env"], first.Labels[v1alpha1.LabelRepo], first.Annotations[v1alpha1.AnnotationSource],
		first.Annotations[v1alpha1.AnnotationCommit], first.ManagedFields[0].Manager}
	want := []string{"prod", "one", "clusters/a.yaml", "c1", "periplus-repo-" + h.namespace + "-one"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}

	// What did not change is not written, and keeps the commit that changed it.
	h.apply("one", "c2", a, protected)
	if same := h.get("a"); same.ResourceVersion != first.ResourceVersion {
		t.Errorf("an unchanged cluster was written: %v", same.Annotations)
	}

	// Another repo does not take it, and does not remove it either.
	result := h.apply("two", "d1", a, "metadata: {name: b}\n")
	if diff := cmp.Diff([]string{"clusters/a.yaml"}, refusals(result)); diff != "" {
		t.Error(diff)
	}
	if h.get("b") == nil || h.get("a").Labels[v1alpha1.LabelRepo] != "one" {
		t.Error("a belongs to one, b to two")
	}

	// A copy that carries the labels and annotations of what the repo brought is not the repo's.
	copied := &v1alpha1.FleetCluster{ObjectMeta: metav1.ObjectMeta{Namespace: h.namespace, Name: "copy", Labels: first.Labels, Annotations: first.Annotations}}
	if err := h.admin.Create(t.Context(), copied); err != nil {
		t.Fatal(err)
	}

	// What nobody declares any more goes; what is protected stays, until a commit unprotected it.
	result = h.apply("one", "c3")
	if diff := cmp.Diff([]string{"clusters/p.yaml"}, refusals(result)); diff != "" || result.Removed != 1 {
		t.Errorf("removed %d\n%s", result.Removed, diff)
	}
	if h.get("a") != nil || h.get("p") == nil || h.get("b") == nil || h.get("copy") == nil {
		t.Error("a goes, p is protected, b belongs to another repo, copy to nobody")
	}
	h.apply("one", "c4", strings.Replace(protected, "true", "false", 1))
	if result = h.apply("one", "c5"); len(result.Refused) > 0 || h.get("p") != nil {
		t.Errorf("an unprotected cluster goes: %v", result.Refused)
	}

	// One that was made by hand is nobody's to take.
	if err := h.admin.Create(t.Context(), &v1alpha1.FleetCluster{ObjectMeta: metav1.ObjectMeta{Namespace: h.namespace, Name: "hand"}}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"clusters/hand.yaml"}, refusals(h.apply("one", "c6", "metadata: {name: hand}\n"))); diff != "" {
		t.Error(diff)
	}
	// What the API server refuses is told, and stops nothing else.
	result = h.apply("one", "c7", "metadata: {name: bad}\nspec: {deletion: {policy: Never}}\n", a)
	if diff := cmp.Diff([]string{"clusters/bad.yaml"}, refusals(result)); diff != "" || h.get("a") == nil {
		t.Error(diff)
	}
}

func TestDenied(t *testing.T) {
	h := newHub(t)
	const before, after = "metadata: {name: a}\nspec: {variables: {x: 1}}\n", "metadata: {name: a}\nspec: {variables: {x: 2}}\n"
	h.apply("fleet", "1", before)
	h.denied = "a"
	want := []string{"clusters/a.yaml"}
	if diff := cmp.Diff(want, refusals(h.apply("fleet", "2", after, "metadata: {name: b}\n"))); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
	if a := h.get("a"); a == nil || string(a.Spec.Variables["x"].Raw) != "1" {
		t.Errorf("a denied change left %+v", a)
	}
	if h.get("b") == nil {
		t.Error("a denial of one cluster stopped another")
	}
	h.denied = "c"
	h.apply("fleet", "3", before, "metadata: {name: b}\n", "metadata: {name: c}\n")
	if h.get("c") != nil {
		t.Error("a denied cluster was made")
	}
}
