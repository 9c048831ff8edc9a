package render

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/target"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

var rich = map[string]string{
	"bundles/app/chart/Chart.yaml":            "apiVersion: v2\nname: web\nversion: 1.0.0\n",
	"bundles/app/chart/crds/x.yaml":           "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: x}\n",
	"bundles/app/chart/templates/hook.yaml":   "apiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate, annotations: {helm.sh/hook: 'pre-upgrade,pre-install', helm.sh/hook-weight: '2'}}\n",
	"bundles/app/chart/templates/config.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {host: {{ .Values.host }}, whole: \"{{ .Values.number }}\"}\nnumbers: [1, 2.5, 1000000000000]\n{{ if .Capabilities.APIVersions.Has \"x/v1\" }}x: y{{ end }}\n",
}

func richInput(host string) Input {
	return input(rich, target.Inputs{Source: &v1alpha1.BundleSource{Helm: &v1alpha1.HelmSource{Chart: "chart"}}, Namespace: "apps",
		Values: map[string]any{"host": host, "number": int64(7)}})
}

// onDisk is a renderer with a cache folder, and a count of its work.
func onDisk(t *testing.T, folder string, limit int64) *Renderer {
	t.Helper()
	r, err := New(Config{SecretKey: []byte("key"), Folder: folder, FolderBytes: limit})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustRender(t *testing.T, r *Renderer, in Input) *Variant {
	t.Helper()
	variant, err := r.Render(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return variant
}

func TestRestartRendersNothing(t *testing.T) {
	folder := t.TempDir()
	first := mustRender(t, onDisk(t, folder, 0), richInput("a"))
	r := onDisk(t, folder, 0)
	again := mustRender(t, r, richInput("a"))
	if diff := cmp.Diff(Stats{BaseHits: 1, Restored: 1, Variants: 1}, r.Stats()); diff != "" {
		t.Errorf("a restart rendered anew: %s", diff)
	}
	if diff := cmp.Diff(first, again, cmp.AllowUnexported(Variant{})); diff != "" {
		t.Errorf("what was restored is not what was rendered: %s", diff)
	}
	// Proofs are known, too: another host is rendered once.
	counter := &counting{Renderer: Builtin()[2]}
	r, err := New(Config{SecretKey: []byte("key"), Folder: folder, Renderers: []renderer.Renderer{counter}})
	if err != nil {
		t.Fatal(err)
	}
	mustRender(t, r, richInput("b"))
	if got := counter.count.Load(); got != 1 {
		t.Errorf("content that was proven before the restart was rendered %d times", got)
	}
}

func TestBrokenCacheIsAMiss(t *testing.T) {
	folder := t.TempDir()
	want := mustRender(t, onDisk(t, folder, 0), richInput("a")).Revision
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return os.WriteFile(path, []byte("broken"), 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	r := onDisk(t, folder, 0)
	if got := mustRender(t, r, richInput("a")).Revision; got != want || r.Stats().Bases != 1 {
		t.Errorf("want the base rendered anew and the same, got %s, %+v", got, r.Stats())
	}
}

func TestHeldBaseStays(t *testing.T) {
	folder := t.TempDir()
	r := onDisk(t, folder, 12_000)
	held := mustRender(t, r, richInput("held"))
	r.Hold("fleet", slices.Values([]string{held.BaseKey}))
	others := func(r *Renderer) {
		for i := range 30 {
			mustRender(t, r, richInput(fmt.Sprint(i)))
		}
	}
	others(r)
	// Between a restart and the first plan nobody says what is held.
	r = onDisk(t, folder, 12_000)
	others(r)
	r = onDisk(t, folder, 12_000)
	mustRender(t, r, richInput("held"))
	if r.Stats().Bases != 0 {
		t.Error("a base that an assignment holds was evicted")
	}
	mustRender(t, r, richInput("0"))
	if r.Stats().Bases != 1 {
		t.Error("a base that nobody holds was not evicted: the test proves nothing")
	}
}

// TestDeterministic renders 100 times from nothing, with maps in whatever order they come.
func TestDeterministic(t *testing.T) {
	revisions := map[string]bool{}
	for range 100 {
		in := richInput("a")
		in.Inputs.Labels = map[string]string{"a": "1", "b": "2", "c": "3"}
		in.Inputs.Patches = []v1alpha1.Patch{{Target: &v1alpha1.ObjectMatch{Kind: "ConfigMap"}, Patch: "data: {a: '1', b: '2', c: '3'}"}}
		variant, err := render(t, in)
		if err != nil {
			t.Fatal(err)
		}
		revisions[string(variant.Revision)] = true
	}
	if len(revisions) != 1 {
		t.Errorf("equal inputs made %d revisions", len(revisions))
	}
}
