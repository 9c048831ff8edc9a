// Package example_test takes examples/fleet through the hub's own stages (read, target, render, gate) and onto a real API
// server, so that what people copy from is right.
package example_test

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/periplus-fleet/periplus/e2e/testenv"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/render"
	"github.com/periplus-fleet/periplus/hub/target"
	"github.com/periplus-fleet/periplus/plugins/host"
	"github.com/periplus-fleet/periplus/plugins/host/renderers"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
	"github.com/periplus-fleet/periplus/policies/engine"
)

// tree is the example as if it were a commit.
type tree struct{ fs.FS }

func (t tree) ReadFile(name string) ([]byte, error)       { return fs.ReadFile(t.FS, name) }
func (t tree) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(t.FS, name) }
func (t tree) Stat(name string) (fs.FileInfo, error)      { return fs.Stat(t.FS, name) }
func (t tree) Hash(name string) (string, error)           { return name, nil }
func (t tree) Commit() string                             { return strings.Repeat("0", 40) }

func read(t *testing.T) *fleet.Snapshot {
	t.Helper()
	root, err := testenv.Root()
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := fleet.Read(t.Context(), fleet.ReadInput{Tree: tree{os.DirFS(filepath.Join(root, "examples/fleet"))}, Repo: "fleet/fleet", Namespace: "fleet"})
	if err != nil {
		t.Fatal(err)
	}
	for _, refused := range snapshot.Refused {
		t.Errorf("refused: %s:%d: %s: %s", refused.File, refused.Line, refused.Field, refused.Message)
	}
	return snapshot
}

func files(in []fleet.File) []engine.File {
	var out []engine.File
	for _, file := range in {
		out = append(out, engine.File{Path: file.Path, Text: string(file.Data)})
	}
	return out
}

func policies(t *testing.T, snapshot *fleet.Snapshot) *engine.Snapshot {
	t.Helper()
	source := engine.Source{Modules: files(snapshot.Policies.Modules)}
	for _, b := range snapshot.Policies.Bindings {
		source.Bindings = append(source.Bindings, engine.Binding{PolicyBinding: b.Binding, Source: fmt.Sprintf("%s:%d", b.File, b.Line)})
	}
	for _, e := range snapshot.Policies.Exemptions {
		source.Exemptions = append(source.Exemptions, engine.Exemption{PolicyExemption: e.Exemption, Source: fmt.Sprintf("%s:%d", e.File, e.Line)})
	}
	compiled, refused := engine.Load(source, nil)
	for _, r := range refused {
		t.Errorf("refused: %s:%d: %s", r.File, r.Line, r.Message)
	}
	return compiled
}

func clusters(t *testing.T, snapshot *fleet.Snapshot) []target.Cluster {
	t.Helper()
	var out []target.Cluster
	for _, declared := range snapshot.Clusters {
		cluster := target.Cluster{UID: declared.Cluster.Name, Namespace: "fleet", Name: declared.Cluster.Name, Labels: declared.Cluster.Labels,
			Variables: map[string]any{}, Version: declared.Cluster.Spec.Provision.Topology.Version}
		for name, raw := range declared.Cluster.Spec.Variables {
			value, err := fleet.DecodeJSON(&raw)
			if err != nil {
				t.Fatal(err)
			}
			cluster.Variables[name] = value
		}
		out = append(out, cluster)
	}
	return out
}

// renderAll renders every bundle for every cluster that it targets: cluster -> bundle -> variant.
func renderAll(t *testing.T, snapshot *fleet.Snapshot) map[string]map[string]*render.Variant {
	t.Helper()
	renderer, err := render.New(render.Config{Renderers: append(render.Builtin(), plugin(t, "environment")), SecretKey: []byte("key")})
	if err != nil {
		t.Fatal(err)
	}
	resolver, err := target.NewResolver()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]map[string]*render.Variant{}
	for _, cluster := range clusters(t, snapshot) {
		out[cluster.Name] = map[string]*render.Variant{}
		for _, bundle := range snapshot.Bundles {
			match, ok, err := target.MatchBundle(bundle, target.Groups(snapshot.Groups), cluster)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				continue
			}
			inputs, err := resolver.Inputs(bundle, match, cluster)
			if err != nil {
				t.Fatal(err)
			}
			variant, err := renderer.Render(t.Context(), render.Input{Bundle: bundle, Inputs: inputs, ClusterVersion: cluster.Version})
			if err != nil {
				t.Fatalf("cannot render %s for %s: %v", bundle.Key, cluster.Name, err)
			}
			out[cluster.Name][strings.TrimPrefix(string(bundle.Key), "fleet/")] = variant
		}
	}
	return out
}

// plugin builds and starts one of plugins/examples, as a hub that declares it would.
func plugin(t *testing.T, name string) renderer.Renderer {
	t.Helper()
	root, err := testenv.Root()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), name)
	build := exec.CommandContext(t.Context(), "go", "build", "-C", filepath.Join(root, "plugins/examples", name), "-o", program, ".")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build plugin %q: %v\n%s", name, err, said)
	}
	started, err := host.Start(t.Context(), host.Config{Types: []host.Type{renderers.Type()}, Log: slog.New(slog.NewTextHandler(t.Output(), nil))},
		[]host.Declaration{{Name: name, Type: renderers.Type().Name, Command: []string{program}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { started.Close(context.Background()) })
	return renderers.New(started.Plugin(name))
}

func TestTargets(t *testing.T) {
	everywhere := []string{"classification", "ingress-nginx", "ml-platform", "model-x", "monitoring", "storage-nfs", "storage-s3"}
	want := map[string][]string{"staging": append([]string{"jenkins-agents", "notebooks"}, everywhere...), "prod-eu": everywhere, "prod-us": everywhere}
	slices.Sort(want["staging"])
	got := map[string][]string{}
	for cluster, bundles := range renderAll(t, read(t)) {
		for bundle := range bundles {
			got[cluster] = append(got[cluster], bundle)
		}
		slices.Sort(got[cluster])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("bundles by cluster (-want +got):\n%s", diff)
	}
}

func TestPoliciesMeanWhatTheirTestsSay(t *testing.T) {
	snapshot := read(t)
	results, err := engine.Test(t.Context(), files(snapshot.Policies.Modules), files(snapshot.Policies.Tests))
	if err != nil {
		t.Fatal(err)
	}
	if len(results) < 4*3 {
		t.Errorf("only %d tests ran", len(results))
	}
	for _, result := range results {
		if !result.Passed {
			t.Errorf("%s:%d: %s: %s", result.File, result.Line, result.Name, result.Message)
		}
	}
}

func TestNothingIsHeldByPolicy(t *testing.T) {
	snapshot := read(t)
	compiled, variants := policies(t, snapshot), renderAll(t, snapshot)
	exempt := 0
	for _, cluster := range clusters(t, snapshot) {
		seen := engine.Cluster{Name: cluster.Name, Namespace: cluster.Namespace, Labels: cluster.Labels, Variables: cluster.Variables, Version: cluster.Version}
		for name, variant := range variants[cluster.Name] {
			objects, err := variant.Objects()
			if err != nil {
				t.Fatal(err)
			}
			for _, object := range objects {
				findings, err := compiled.Review(t.Context(), engine.Input{Object: object.Value, DefaultNamespace: variant.Manifest.DefaultNamespace, Cluster: seen}, "", engine.PointGate, time.Now())
				if err != nil {
					t.Fatal(err)
				}
				for _, finding := range findings {
					if finding.Result == "skip" {
						exempt++
						continue
					}
					t.Errorf("%s on %s: %s: %s: %s", name, cluster.Name, object.ObjectID, finding.Policy, finding.Message)
				}
			}
		}
	}
	if exempt == 0 {
		t.Error("no object is exempt: the exemption of the storage drivers matches nothing")
	}
}

// Every object is accepted by a real API server, for each cluster.
func TestEveryObjectIsAccepted(t *testing.T) {
	env := testenv.Start(t)
	snapshot := read(t)
	for cluster, bundles := range renderAll(t, snapshot) {
		t.Run(cluster, func(t *testing.T) {
			plain, err := client.New(env.NewServer(t).Config, client.Options{Scheme: runtime.NewScheme()})
			if err != nil {
				t.Fatal(err)
			}
			strict := client.WithFieldValidation(plain, metav1.FieldValidationStrict)
			for _, name := range inOrder(snapshot, bundles) {
				objects, err := bundles[name].Objects()
				if err != nil {
					t.Fatal(err)
				}
				for _, object := range objects {
					if err := apply(t, strict, object.Value, bundles[name].Manifest.DefaultNamespace); err != nil {
						t.Errorf("%s: %s: %v", name, object.ObjectID, err)
					}
				}
			}
		})
	}
}

// What is declared for the hub itself is accepted there, with Cluster API's kinds and the local provider's.
func TestEveryClusterIsAccepted(t *testing.T) {
	env := testenv.Start(t).NewServer(t)
	root, err := testenv.Root()
	if err != nil {
		t.Fatal(err)
	}
	module, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/cluster-api").Output()
	if err != nil {
		t.Fatalf("cannot find Cluster API's CRDs: %v", err)
	}
	_, err = envtest.InstallCRDs(env.Config, envtest.CRDInstallOptions{ErrorIfPathMissing: true, Paths: []string{
		filepath.Join(root, "api/crds"), filepath.Join(root, "clusters/local/crds"),
		filepath.Join(strings.TrimSpace(string(module)), "core/config/crd/bases/cluster.x-k8s.io_clusterclasses.yaml")}})
	if err != nil {
		t.Fatal(err)
	}
	plain, err := client.New(env.Config, client.Options{Scheme: runtime.NewScheme()})
	if err != nil {
		t.Fatal(err)
	}
	strict, namespace, snapshot := client.WithFieldValidation(plain, metav1.FieldValidationStrict), env.Namespace(t), read(t)
	objects := map[string]map[string]any{}
	for _, resource := range snapshot.Resources {
		objects[resource.File+" "+resource.Object.GetKind()] = resource.Object.Object
	}
	for _, cluster := range snapshot.Clusters {
		objects[cluster.File] = cluster.Object.Object
	}
	if len(objects) != 5+3 {
		t.Errorf("%d objects are declared for the hub, want a class, four templates and three clusters", len(objects))
	}
	for source, object := range objects {
		(&unstructured.Unstructured{Object: object}).SetNamespace(namespace)
		if err := apply(t, strict, object, namespace); err != nil {
			t.Errorf("%s: %v", source, err)
		}
	}
}

// inOrder puts dependencies first.
func inOrder(snapshot *fleet.Snapshot, bundles map[string]*render.Variant) []string {
	var out []string
	var visit func(name string)
	visit = func(name string) {
		if bundles[name] == nil || slices.Contains(out, name) {
			return
		}
		for _, bundle := range snapshot.Bundles {
			if string(bundle.Key) == "fleet/"+name {
				for _, needed := range bundle.Spec.DependsOn {
					visit(needed.Bundle)
				}
			}
		}
		out = append(out, name)
	}
	for _, bundle := range snapshot.Bundles {
		visit(strings.TrimPrefix(string(bundle.Key), "fleet/"))
	}
	return out
}

// apply one object; a kind that was defined a moment ago may take a second to be served.
func apply(t *testing.T, c client.Client, value map[string]any, namespace string) error {
	t.Helper()
	object := &unstructured.Unstructured{Object: value}
	deadline := time.Now().Add(20 * time.Second)
	for {
		mapping, err := c.RESTMapper().RESTMapping(object.GroupVersionKind().GroupKind(), object.GroupVersionKind().Version)
		if err == nil {
			if mapping.Scope.Name() == apimeta.RESTScopeNameNamespace && object.GetNamespace() == "" {
				object.SetNamespace(namespace)
			}
			err = c.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("test"))
		}
		if err == nil || !apimeta.IsNoMatchError(err) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}
