package importertest

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// Kustomize builds a folder on disk with kustomize's own library.
func Kustomize(t *testing.T, folder string) []map[string]any {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		t.Fatal(err)
	}
	text, err := built.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return Decode(t, text)
}

// Helm renders a chart on disk with Helm's own library.
func Helm(t *testing.T, folder, release, namespace string, values map[string]any) []map[string]any {
	t.Helper()
	chart, err := loader.LoadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	if values == nil {
		values = map[string]any{}
	}
	if err := chartutil.ProcessDependencies(chart, values); err != nil {
		t.Fatal(err)
	}
	inputs, err := util.ToRenderValues(chart, values, common.ReleaseOptions{Name: release, Namespace: namespace, Revision: 1, IsInstall: true},
		common.DefaultCapabilities)
	if err != nil {
		t.Fatal(err)
	}
	files, err := engine.Render(chart, inputs)
	if err != nil {
		t.Fatal(err)
	}
	var out []map[string]any
	for name, text := range files {
		if !strings.HasSuffix(name, "NOTES.txt") {
			out = append(out, Decode(t, []byte(text))...)
		}
	}
	return out
}

// Manifests reads YAML files on disk.
func Manifests(t *testing.T, folder string, names ...string) []map[string]any {
	t.Helper()
	var out []map[string]any
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, Decode(t, data)...)
	}
	return out
}

// Decode reads all documents of a text.
func Decode(t *testing.T, text []byte) []map[string]any {
	t.Helper()
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	var out []map[string]any
	for {
		var object map[string]any
		err := decoder.Decode(&object)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(object) > 0 {
			out = append(out, object)
		}
	}
}

// Find returns the object of a kind and name, to be changed as the other tool would.
func Find(t *testing.T, objects []map[string]any, kind, name string) map[string]any {
	t.Helper()
	for _, object := range objects {
		if metadata, _ := object["metadata"].(map[string]any); object["kind"] == kind && metadata["name"] == name {
			return object
		}
	}
	t.Fatalf("there is no %s %s", kind, name)
	return nil
}
