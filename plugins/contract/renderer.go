package contract

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/plugins/host"
	"github.com/periplus-fleet/periplus/plugins/host/renderers"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

const (
	// folder that the fixture lies in, as a bundle lies in a repository.
	folder = "bundles/fixture"
	// repetitions of one request.
	repetitions = 20
)

func testRenderer(t *testing.T, plugin Plugin, process *host.Plugin) {
	tested := renderers.New(process)
	t.Run("EmptyFolder", func(t *testing.T) {
		tree := fstest.MapFS{folder: {Mode: fs.ModeDir | 0o755}}
		_, err := tested.Render(t.Context(), plugin.request(tree, ""))
		atFileOrFine(t, err)
	})
	if plugin.Fixture == nil {
		t.Log("there is no fixture: what the plugin makes is not tested")
		return
	}
	tree, err := load(plugin.Fixture)
	if err != nil {
		t.Fatal(err)
	}
	want, err := tested.Render(t.Context(), plugin.request(tree, ""))
	if err != nil {
		t.Fatalf("the fixture is refused: %v", err)
	}
	t.Run("Objects", func(t *testing.T) { checkObjects(t, tree, want) })
	t.Run("Deterministic", func(t *testing.T) { checkDeterministic(t, plugin, tested, tree, want) })
	t.Run("KeepsContentsApart", func(t *testing.T) { checkContents(t, plugin, tested, tree, want) })
	t.Run("DamagedFiles", func(t *testing.T) {
		for name := range tree {
			damaged := without(tree, name)
			damaged[name] = &fstest.MapFile{Data: []byte("{{ \x00: [\n\t- }")}
			_, err := tested.Render(t.Context(), plugin.request(damaged, ""))
			atFileOrFine(t, err)
		}
	})
}

func (p Plugin) request(tree fs.FS, contentID string) renderer.Request {
	return renderer.Request{FS: tree, ContentID: contentID, Dir: folder, Path: p.Path, Config: p.Source, ReleaseName: "fixture", Namespace: "fixture",
		Capabilities: renderer.Capabilities{KubeVersion: "v1.36.0", APIVersions: []string{"apps/v1", "apps/v1/Deployment", "v1", "v1/ConfigMap"}}}
}

// load copies the fixture into the folder of a repository.
func load(fixture fs.FS) (fstest.MapFS, error) {
	tree := fstest.MapFS{}
	err := fs.WalkDir(fixture, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(fixture, name)
		tree[path.Join(folder, name)] = &fstest.MapFile{Data: data}
		return err
	})
	return tree, err
}

func without(tree fstest.MapFS, name string) fstest.MapFS {
	out := fstest.MapFS{}
	for other, file := range tree {
		if other != name {
			out[other] = file
		}
	}
	return out
}

// atFileOrFine wants an error to be about a file, which a person can mend.
func atFileOrFine(t *testing.T, err error) {
	t.Helper()
	var refused *renderer.Error
	if err != nil && !errors.As(err, &refused) {
		t.Errorf("a mistake in a file must be a *renderer.Error, which names it; got: %v", err)
	}
}

func checkObjects(t *testing.T, tree fs.FS, result renderer.Result) {
	if len(result.Objects) == 0 {
		t.Error("the fixture makes no objects")
	}
	seen := map[string]bool{}
	for i, object := range result.Objects {
		metadata, _ := object.Value["metadata"].(map[string]any)
		identity := fmt.Sprint(object.Value["apiVersion"], " ", object.Value["kind"], " ", metadata["namespace"], "/", metadata["name"])
		for _, field := range []any{object.Value["apiVersion"], object.Value["kind"], metadata["name"]} {
			if text, ok := field.(string); !ok || text == "" {
				t.Errorf("object %d lacks apiVersion, kind or metadata.name: %s", i+1, identity)
			}
		}
		if seen[identity] && object.Hook == nil {
			t.Errorf("object %d is there twice: %s", i+1, identity)
		}
		seen[identity] = true
		file := object.Source
		if at := strings.LastIndexByte(file, ':'); at >= 0 {
			if _, err := strconv.Atoi(file[at+1:]); err == nil {
				file = file[:at]
			}
		}
		if _, err := fs.Stat(tree, file); err != nil {
			t.Errorf("object %d names the source %q, which is no file of the repository: %s", i+1, object.Source, identity)
		}
	}
}

// checkDeterministic asks several processes at once, many times.
func checkDeterministic(t *testing.T, plugin Plugin, tested renderer.Renderer, tree fs.FS, want renderer.Result) {
	var group sync.WaitGroup
	results, errs := make([]renderer.Result, repetitions), make([]error, repetitions)
	for i := range repetitions {
		group.Go(func() { results[i], errs[i] = tested.Render(t.Context(), plugin.request(tree, "")) })
	}
	group.Wait()
	for i := range repetitions {
		if errs[i] != nil {
			t.Fatalf("the same request failed later: %v", errs[i])
		}
		if diff := cmp.Diff(want, results[i]); diff != "" {
			t.Fatalf("equal requests gave different results (-first +later):\n%s", diff)
		}
	}
}

// checkContents renders other files under other ids: what is kept of one may not show in the other.
func checkContents(t *testing.T, plugin Plugin, tested renderer.Renderer, tree fstest.MapFS, want renderer.Result) {
	for range 2 {
		got, err := tested.Render(t.Context(), plugin.request(tree, "first"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("with a content id the result is another (-without +with):\n%s", diff)
		}
	}
	for name := range tree {
		less := without(tree, name)
		plain, plainErr := tested.Render(t.Context(), plugin.request(less, ""))
		kept, keptErr := tested.Render(t.Context(), plugin.request(less, "without "+name))
		if (plainErr == nil) != (keptErr == nil) {
			t.Errorf("without %s: error %v, with a content id: %v", name, plainErr, keptErr)
		}
		if diff := cmp.Diff(plain, kept); diff != "" {
			t.Errorf("without %s what was kept of other content shows (-want +got):\n%s", name, diff)
		}
	}
}
