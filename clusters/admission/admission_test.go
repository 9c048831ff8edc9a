package admission_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/periplus-fleet/periplus/clusters/admission"
	"github.com/periplus-fleet/periplus/e2e/testenv"
)

const hubUser = "system:serviceaccount:periplus-system:periplus-hub"

type world struct {
	t         *testing.T
	namespace string
	hub       client.Client // the hub
	repo      client.Client // the ServiceAccount that writes what Git declares
	person    client.Client // anyone else, with every right
}

func start(t *testing.T) *world {
	t.Helper()
	// A server of its own: the policies would be felt by other tests.
	env := testenv.Start(t).NewServer(t)
	root, err := testenv.Root()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := envtest.InstallCRDs(env.Config, envtest.CRDInstallOptions{ErrorIfPathMissing: true, Paths: []string{filepath.Join(root, "api/crds")}}); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, namespace: env.Namespace(t)}
	as := func(user string) client.Client {
		c, err := client.New(env.User(t, user, "system:masters"), client.Options{Scheme: runtime.NewScheme()})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	w.hub, w.repo, w.person = as(hubUser), as("system:serviceaccount:"+w.namespace+":fleet-writer"), as("someone")
	if err := admission.Install(t.Context(), w.hub, hubUser); err != nil {
		t.Fatal(err)
	}
	// A policy holds some moments after it was made: wait until the first refusal.
	deadline := time.Now().Add(time.Minute)
	for {
		err := w.person.Create(t.Context(), w.object("kind: ClusterGroup\nmetadata: {name: probe}\nspec: {clusterSelector: {}}"), client.DryRunAll)
		if apierrors.IsForbidden(err) {
			return w
		}
		if time.Now().After(deadline) {
			t.Fatalf("the policies do not hold: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (w *world) object(text string) *unstructured.Unstructured {
	w.t.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte("apiVersion: fleet.periplus.dev/v1alpha1\n"+text), &object.Object); err != nil {
		w.t.Fatal(err)
	}
	object.SetNamespace(w.namespace)
	return object
}

func (w *world) expect(what string, err error, refusal string) {
	w.t.Helper()
	if refusal == "" && err != nil {
		w.t.Errorf("%s: %v", what, err)
	}
	if refusal != "" && (!apierrors.IsForbidden(err) || !strings.Contains(err.Error(), refusal)) {
		w.t.Errorf("%s: error is %v, want a refusal with %q", what, err, refusal)
	}
}

func TestProjections(t *testing.T) {
	w := start(t)
	bundle := func() *unstructured.Unstructured {
		return w.object("kind: Bundle\nmetadata: {name: ingress, annotations: {fleet.periplus.dev/source: fleet/bundles/ingress/bundle.yaml}}\nspec: {targets: [{clusterSelector: {}}]}")
	}
	ctx := t.Context()
	w.expect("a person makes a Bundle", w.person.Create(ctx, bundle()), "Bundles come from Git: declare it in the fleet repo and push")
	w.expect("the hub makes a Bundle", w.hub.Create(ctx, bundle()), "")
	label := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"a":"b"}}}`))
	status := client.RawPatch("application/merge-patch+json", []byte(`{"status":{"commit":"x"}}`))
	w.expect("a person changes a Bundle", w.person.Patch(ctx, bundle(), label), "Bundles come from Git: fleet/bundles/ingress/bundle.yaml")
	w.expect("a person changes its status", w.person.Status().Patch(ctx, bundle(), status), "Bundles come from Git: fleet/bundles/ingress/bundle.yaml")
	w.expect("a person deletes a Bundle", w.person.Delete(ctx, bundle()), "Bundles come from Git: fleet/bundles/ingress/bundle.yaml")
	w.expect("the hub changes its status", w.hub.Status().Patch(ctx, bundle(), status), "")
	w.expect("the hub deletes a Bundle", w.hub.Delete(ctx, bundle()), "")
	policy := w.object("kind: Policy\nmetadata: {name: registries}\nspec: {}")
	w.expect("a person makes a Policy", w.person.Create(ctx, policy), "Policies come from Git")
}

func TestFieldsThatGitDeclares(t *testing.T) {
	w := start(t)
	ctx := t.Context()
	cluster := w.object(`kind: FleetCluster
metadata:
  name: eu-1
  labels: {env: prod, fleet.periplus.dev/repo: fleet}
  annotations: {fleet.periplus.dev/source: clusters/eu-1.yaml}
spec:
  variables: {domain: eu.example.com}
  provision: {clusterRef: {name: eu-1}}
  deletion: {protected: true}`)
	admission.Stamp(cluster, "fleet-writer")
	if err := w.repo.Create(ctx, cluster.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		reason  string
		patch   string
		refusal string
	}{
		"DeclaredLabel":      {reason: "targets follow it", patch: `{"metadata":{"labels":{"env":"x"}}}`, refusal: "these labels are declared in Git: change them in fleet/clusters/eu-1.yaml"},
		"DeclaredLabelGone":  {reason: "taking away is a change", patch: `{"metadata":{"labels":{"env":null}}}`, refusal: "these labels"},
		"OwnLabel":           {reason: "Git does not name it", patch: `{"metadata":{"labels":{"mine":"x"}}}`},
		"DeclaredVariable":   {reason: "bundles read it", patch: `{"spec":{"variables":{"domain":"x"}}}`, refusal: "spec.deletion or spec.variables are declared in Git"},
		"OwnVariable":        {reason: "Git does not name it", patch: `{"spec":{"variables":{"mine":1}}}`},
		"Provision":          {reason: "machines follow it", patch: `{"spec":{"provision":{"clusterRef":{"name":"x"}}}}`, refusal: "spec.provision and spec.agentValues are declared in Git"},
		"Unprotect":          {reason: "that takes a commit", patch: `{"spec":{"deletion":{"protected":false}}}`, refusal: "declared in Git"},
		"DeletionPolicy":     {reason: "Git does not name it", patch: `{"spec":{"deletion":{"policy":"Orphan"}}}`},
		"Revoke":             {reason: "an emergency does not wait for a commit", patch: `{"spec":{"identity":{"notBefore":"2027-01-01T00:00:00Z"}}}`},
		"DisownByLabel":      {reason: "the way around", patch: `{"metadata":{"labels":{"fleet.periplus.dev/repo":null}}}`, refusal: "are the hub's"},
		"DisownByAnnotation": {reason: "the way around", patch: `{"metadata":{"annotations":{"fleet.periplus.dev/declared":""}}}`, refusal: "are the hub's"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			patch := client.RawPatch("application/merge-patch+json", []byte(tc.patch))
			w.expect(tc.reason, w.person.Patch(ctx, cluster.DeepCopy(), patch), tc.refusal)
			if tc.refusal != "" {
				w.expect(tc.reason+", by the repo's writer", w.repo.Patch(ctx, cluster.DeepCopy(), patch, client.DryRunAll), "")
				w.expect(tc.reason+", by the hub", w.hub.Patch(ctx, cluster.DeepCopy(), patch, client.DryRunAll), "")
			}
		})
	}
}

func TestDeletion(t *testing.T) {
	w := start(t)
	ctx := t.Context()
	make := func(name, labels, spec string) *unstructured.Unstructured {
		t.Helper()
		cluster := w.object("kind: FleetCluster\nmetadata: {name: " + name + ", labels: {" + labels + "}, annotations: {fleet.periplus.dev/source: clusters/x.yaml, fleet.periplus.dev/writer: fleet-writer}}\nspec: " + spec)
		if err := w.repo.Create(ctx, cluster); err != nil {
			t.Fatal(err)
		}
		return cluster
	}
	topology := "{provision: {topology: {classRef: {name: standard}, version: v1.36.3}}}"
	unprotected := "{provision: {topology: {classRef: {name: standard}, version: v1.36.3}}, deletion: {protected: false}}"
	cases := map[string]struct {
		reason  string
		labels  string
		spec    string
		by      client.Client
		refusal string
	}{
		"ProtectedByDefault": {reason: "where we provision", spec: topology, by: w.person, refusal: "is protected: first set spec.deletion.protected to false, then"},
		"ProtectedInGit": {reason: "it says where to unprotect it", labels: "fleet.periplus.dev/repo: fleet", spec: topology, by: w.repo,
			refusal: "is protected: first set spec.deletion.protected to false in fleet/clusters/x.yaml, in a commit of its own, then"},
		"ProtectedFromHub": {reason: "from everyone", spec: topology, by: w.hub, refusal: "is protected"},
		"Unprotected":      {reason: "a person's own cluster", spec: unprotected, by: w.person},
		"JoinedByDefault":  {reason: "nothing is lost with it", spec: "{}", by: w.person},
		"GitsByPerson":     {reason: "Git would make it again", labels: "fleet.periplus.dev/repo: fleet", spec: unprotected, by: w.person, refusal: "comes from Git: remove it from fleet/clusters/x.yaml"},
		"GitsByWriter":     {reason: "a commit removed it", labels: "fleet.periplus.dev/repo: fleet", spec: unprotected, by: w.repo},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			cluster := make(strings.ToLower(name), tc.labels, tc.spec)
			w.expect(tc.reason, tc.by.Delete(ctx, cluster), tc.refusal)
		})
	}
}
