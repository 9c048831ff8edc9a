package parcel_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/policies/engine"
	"github.com/periplus-fleet/periplus/policies/parcel"
)

// library is the product's own policies, a template of Gatekeeper's, and what binds and exempts.
func library(t *testing.T) engine.Source {
	t.Helper()
	var source engine.Source
	err := fs.WalkDir(os.DirFS("../library"), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".rego") || strings.HasSuffix(path, "_test.rego") {
			return err
		}
		text, err := os.ReadFile("../library/" + path)
		source.Modules = append(source.Modules, engine.File{Path: "policies/" + path, Text: string(text)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	source.Modules = append(source.Modules, engine.File{Path: "policies/gate.rego", Text: `# METADATA
# title: Only at the gate
# custom: {input: periplus, kinds: [ConfigMap], points: [gate]}
package only_gate

deny contains "no" if input.name == "x"
`}, engine.File{Path: "policies/name.rego", Text: `# METADATA
# title: Names
# custom: {input: periplus, kinds: [ConfigMap], parameters: {name: a}}
package names

deny contains msg if {
	input.name == input.parameters.name
	msg := sprintf("%s on %s", [input.name, input.cluster.variables.tier])
}
`})
	template := map[string]any{"apiVersion": "templates.gatekeeper.sh/v1", "kind": "ConstraintTemplate", "metadata": map[string]any{"name": "k8sno"},
		"spec": map[string]any{"crd": map[string]any{"spec": map[string]any{"names": map[string]any{"kind": "K8sNo"}}}, "targets": []any{map[string]any{
			"target": "admission.k8s.gatekeeper.sh", "rego": "package k8sno\nviolation[{\"msg\": \"gatekeeper says no\"}] { input.review.object.data.no }"}}}}
	constraint := map[string]any{"apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": "K8sNo", "metadata": map[string]any{"name": "no"},
		"spec": map[string]any{"match": map[string]any{"kinds": []any{map[string]any{"apiGroups": []any{""}, "kinds": []any{"ConfigMap"}}}}}}
	source.Gatekeeper = []engine.Manifest{{Object: template, Source: "policies/k.yaml:1"}, {Object: constraint, Source: "policies/k.yaml:20"}}
	for name, env := range map[string]string{"prod": "prod", "dev": "dev"} {
		b := engine.Binding{Source: "policies/b.yaml:1", PolicyBinding: v1alpha1.PolicyBinding{Spec: v1alpha1.PolicyBindingSpec{Policy: "names",
			Action: v1alpha1.PolicyWarn, ClusterSelector: metav1.LabelSelector{MatchLabels: map[string]string{"env": env}}}}}
		b.Metadata.Name = name
		source.Bindings = append(source.Bindings, b)
	}
	return source
}

func load(t *testing.T, source engine.Source) *engine.Snapshot {
	t.Helper()
	snapshot, refused := engine.Load(source, nil)
	if len(refused) > 0 {
		t.Fatalf("refused: %+v", refused)
	}
	return snapshot
}

var prod = engine.Cluster{Name: "eu", Namespace: "fleet", Labels: map[string]string{"env": "prod"}, Variables: map[string]any{"tier": "gold", "secret": "x"}}

// What an agent unpacks says what the hub says, word for word.
func TestWhatArrivesSaysTheSame(t *testing.T) {
	hub := load(t, library(t))
	source := hub.For(prod, time.Now(), engine.PointAdmission)
	if len(source.Bindings) != 1 || source.Bindings[0].Metadata.Name != "prod" {
		t.Errorf("only what binds on the cluster goes along: %+v", source.Bindings)
	}
	for _, file := range source.Modules {
		if file.Path == "policies/gate.rego" {
			t.Error("a policy that is asked at the gate alone goes nowhere")
		}
	}
	manifest, blobs, err := parcel.Pack(source)
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := parcel.Unpack(manifest, blobs)
	if err != nil {
		t.Fatal(err)
	}
	agent := load(t, unpacked)
	seen := hub.Seen(prod)
	if seen.Variables["tier"] != "gold" || seen.Variables["secret"] != nil {
		t.Errorf("of a cluster's variables those that policies read go along: %v", seen.Variables)
	}
	for _, object := range []map[string]any{
		{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "a", "namespace": "shop"}, "data": map[string]any{"no": "x"}},
		{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "p", "namespace": "shop"}, "spec": map[string]any{"hostNetwork": true,
			"containers": []any{map[string]any{"name": "c", "image": "x:latest", "securityContext": map[string]any{"privileged": true}}}}},
	} {
		say := func(s *engine.Snapshot, cluster engine.Cluster) []string {
			findings, err := s.Review(t.Context(), engine.Input{Object: object, Cluster: cluster}, "", engine.PointAdmission, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			var out []string
			for _, f := range findings {
				out = append(out, string(f.Action)+" "+f.Result+" "+f.Message+" "+f.File)
			}
			return out
		}
		want, got := say(hub, prod), say(agent, seen)
		if len(want) < 2 || strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("the agent says %q, the hub %q", got, want)
		}
	}
}

// Clusters on which the same binds share one revision; one whose content was changed is none.
func TestEqualPoliciesAreOneRevision(t *testing.T) {
	hub := load(t, library(t))
	other := prod
	other.Name = "us"
	digest := func(c engine.Cluster) string {
		manifest, _, err := parcel.Pack(hub.For(c, time.Now(), engine.PointAudit))
		if err != nil {
			t.Fatal(err)
		}
		d, err := manifest.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return string(d)
	}
	dev := prod
	dev.Labels = map[string]string{"env": "dev"}
	if digest(prod) != digest(other) {
		t.Error("two clusters of one group have two revisions")
	}
	if digest(prod) == digest(dev) {
		t.Error("another binding makes no other revision")
	}
}

func TestSignature(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	addressed, err := parcel.Address("sha256:1", prod, private)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := parcel.Open("sha256:1", addressed, public); err != nil || got.Labels["env"] != "prod" {
		t.Errorf("what the hub signed is taken: got %+v, %v", got, err)
	}
	if _, err := parcel.Open("sha256:2", addressed, public); !errors.Is(err, parcel.ErrSignature) {
		t.Errorf("another revision is refused: got %v", err)
	}
	addressed.Cluster = []byte(strings.Replace(string(addressed.GetCluster()), "prod", "dev1", 1))
	if _, err := parcel.Open("sha256:1", addressed, public); !errors.Is(err, parcel.ErrSignature) {
		t.Errorf("another cluster's labels are refused: got %v", err)
	}
	unsigned, err := parcel.Address("sha256:1", prod, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parcel.Open("sha256:1", unsigned, public); !errors.Is(err, parcel.ErrSignature) {
		t.Errorf("unsigned policies are refused where a key is known: got %v", err)
	}
	if _, err := parcel.Open("sha256:1", unsigned, nil); err != nil {
		t.Errorf("and taken where none is: got %v", err)
	}
}
