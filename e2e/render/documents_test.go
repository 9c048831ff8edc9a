package render_test

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/render"
	"github.com/periplus-fleet/periplus/hub/target"
	"github.com/periplus-fleet/periplus/hub/target/expr"
)

// fence is a block of code whose first line names the file that it is, or the bundle that it is the rendering of.
var fence = regexp.MustCompile("(?s)\n```[a-z]+\n(?:#|//) ([^\n]+)\n(.*?)```")

// TestDocumentsRender renders the bundles that the reference shows, and compares with what it says they render to.
func TestDocumentsRender(t *testing.T) {
	for _, page := range []string{"renderer-manifests", "renderer-kustomize", "renderer-helm", "renderer-jsonnet", "patches"} {
		t.Run(page, func(t *testing.T) {
			text, err := os.ReadFile("../../docs/reference/" + page + ".md")
			if err != nil {
				t.Fatal(err)
			}
			files := tree{fstest.MapFS{}}
			rendered := 0
			for _, block := range fence.FindAllStringSubmatch(string(text), -1) {
				if bundle, ok := strings.CutPrefix(block[1], "rendered of "); ok {
					rendered++
					if diff := cmp.Diff(objects(t, block[2]), renderedFor(t, files, bundle)); diff != "" {
						t.Errorf("%s: -page +rendered:\n%s", bundle, diff)
					}
					continue
				}
				files.MapFS[block[1]] = &fstest.MapFile{Data: []byte(block[2]), Mode: 0o644}
			}
			if rendered == 0 {
				t.Error("the page shows nothing rendered")
			}
		})
	}
}

// tree is a commit in memory.
type tree struct{ fstest.MapFS }

func (tree) Commit() string { return strings.Repeat("c", 40) }

func (f tree) Hash(name string) (string, error) {
	_, err := fs.Stat(f.MapFS, name)
	return strings.Repeat("h", 40), err
}

func inputsOf(t *testing.T, files tree, bundle string) (fleet.BundleDecl, target.Inputs) {
	t.Helper()
	evaluator, err := expr.New()
	if err != nil {
		t.Fatal(err)
	}
	file := path.Join("bundles", bundle, "bundle.yaml")
	declared, refused := fleet.ParseBundle(file, files.MapFS[file].Data, "fleet", evaluator)
	if len(refused) > 0 {
		t.Fatal(refused)
	}
	cluster := target.Cluster{UID: "u", Namespace: "fleet", Name: "eu-1"}
	match, ok, err := target.MatchBundle(declared, nil, cluster)
	if err != nil || !ok {
		t.Fatalf("the bundle is not for the cluster: %v", err)
	}
	resolver, err := target.NewResolver()
	if err != nil {
		t.Fatal(err)
	}
	inputs, err := resolver.Inputs(declared, match, cluster)
	if err != nil {
		t.Fatal(err)
	}
	return declared, inputs
}

func renderedFor(t *testing.T, files tree, bundle string) []string {
	t.Helper()
	declared, inputs := inputsOf(t, files, bundle)
	renderer, err := render.New(render.Config{SecretKey: []byte("key")})
	if err != nil {
		t.Fatal(err)
	}
	variant, err := renderer.Render(t.Context(), render.Input{Bundle: declared, Tree: files, Inputs: inputs})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, item := range variant.Manifest.Items {
		out = append(out, reencode(t, variant.Blobs[item.Digest]))
	}
	return out
}

func objects(t *testing.T, text string) []string {
	t.Helper()
	var out []string
	for _, document := range strings.Split(text, "\n---\n") {
		data, err := yaml.YAMLToJSON([]byte(document + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, reencode(t, data))
	}
	return out
}
