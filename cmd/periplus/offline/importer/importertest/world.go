// Package importertest holds what the importers' tests share: it reads an import's result as the hub would, renders it for a
// cluster, and builds the original with the libraries that the other tool uses, so that both can be compared.
package importertest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/importer"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/render"
	"github.com/periplus-fleet/periplus/hub/target"
)

// tree is files in memory, as a commit.
type tree struct{ fstest.MapFS }

func (*tree) Commit() string { return strings.Repeat("c", 40) }

func (t *tree) Hash(name string) (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(t.MapFS, name, func(file string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			fmt.Fprintf(sum, "%s %s\n", file, t.MapFS[file].Data)
		}
		return err
	})
	return hex.EncodeToString(sum.Sum(nil)), err
}

// World is a fleet repo that was read.
type World struct {
	snapshot *fleet.Snapshot
	files    map[string][]byte
	resolver *target.Resolver
	renderer *render.Renderer
}

// Read reads what an import made; a refusal fails the test.
func Read(t *testing.T, repo *importer.Repo) *World {
	t.Helper()
	files, err := repo.Files("test")
	if err != nil {
		t.Fatal(err)
	}
	memory := &tree{fstest.MapFS{}}
	for name, data := range files {
		memory.MapFS[name] = &fstest.MapFile{Data: data, Mode: 0o644}
	}
	snapshot, err := fleet.Read(t.Context(), fleet.ReadInput{Tree: memory, Repo: "fleet/fleet", Namespace: "fleet"})
	if err != nil {
		t.Fatal(err)
	}
	for _, refused := range snapshot.Refused {
		t.Errorf("refused: %s\n%s", fleet.Describe(refused), files[refused.File])
	}
	if t.Failed() {
		t.FailNow()
	}
	resolver, err := target.NewResolver()
	if err != nil {
		t.Fatal(err)
	}
	renderer, err := render.New(render.Config{SecretKey: []byte("key")})
	if err != nil {
		t.Fatal(err)
	}
	return &World{snapshot: snapshot, files: files, resolver: resolver, renderer: renderer}
}

// File of the fleet repo.
func (w *World) File(name string) string { return string(w.files[name]) }

// Bundles of the fleet repo, by name without namespace.
func (w *World) Bundles() []string {
	var out []string
	for _, bundle := range w.snapshot.Bundles {
		_, name, _ := strings.Cut(string(bundle.Key), "/")
		out = append(out, name)
	}
	return out
}

// Declared is a cluster that the import wrote.
func (w *World) Declared(t *testing.T, name string) target.Cluster {
	t.Helper()
	for _, decl := range w.snapshot.Clusters {
		if decl.Cluster.Name != name {
			continue
		}
		out, err := target.NewCluster(&decl.Cluster, "")
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	t.Fatalf("no FleetCluster %q was written", name)
	return target.Cluster{}
}

// Cluster with labels that a test gives.
func Cluster(name string, labels map[string]string) target.Cluster {
	return target.Cluster{UID: name, Namespace: "fleet", Name: name, Labels: labels}
}

// Render gives the objects of a bundle that the cluster gets, by identity, in canonical JSON; nil where it gets none.
func (w *World) Render(t *testing.T, cluster target.Cluster, name string) map[string]string {
	t.Helper()
	for _, bundle := range w.snapshot.Bundles {
		if string(bundle.Key) != "fleet/"+name {
			continue
		}
		match, ok, err := target.MatchBundle(bundle, target.Groups(w.snapshot.Groups), cluster)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return nil
		}
		inputs, err := w.resolver.Inputs(bundle, match, cluster)
		if err != nil {
			t.Fatal(err)
		}
		variant, err := w.renderer.Render(t.Context(), render.Input{Bundle: bundle, Inputs: inputs, ClusterVersion: cluster.Version})
		if err != nil {
			t.Fatalf("%v\n%s", err, w.files[bundle.File])
		}
		var objects []map[string]any
		for _, item := range variant.Manifest.Items {
			var object map[string]any
			if err := json.Unmarshal(variant.Blobs[item.Digest], &object); err != nil {
				t.Fatal(err)
			}
			objects = append(objects, object)
		}
		return Set(t, variant.Manifest.DefaultNamespace, objects)
	}
	t.Fatalf("there is no bundle %q, only %v", name, w.Bundles())
	return nil
}

// Set brings objects into one form: canonical JSON by identity, with the default namespace where none is named, and without
// what an API server drops.
func Set(t *testing.T, namespace string, objects []map[string]any) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, object := range objects {
		metadata, _ := object["metadata"].(map[string]any)
		if metadata == nil {
			t.Fatalf("an object without metadata: %v", object)
		}
		if metadata["namespace"] == nil && object["kind"] != "Namespace" {
			metadata["namespace"] = namespace
		}
		delete(metadata, "creationTimestamp")
		delete(object, "status")
		data, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		var plain any
		if err := json.Unmarshal(data, &plain); err != nil {
			t.Fatal(err)
		}
		canonical, err := content.CanonicalJSON(plain)
		if err != nil {
			t.Fatal(err)
		}
		out[fmt.Sprintf("%v/%v %v/%v", object["apiVersion"], object["kind"], metadata["namespace"], metadata["name"])] = string(canonical)
	}
	return out
}

// Expect finds each of these in a text; one that starts with ! must not be there.
func Expect(t *testing.T, reason, text string, wants []string) {
	t.Helper()
	for _, want := range wants {
		bare, absent := strings.CutPrefix(want, "!")
		if strings.Contains(text, bare) == absent {
			t.Errorf("%s: %q in\n%s", reason, want, text)
		}
	}
}
