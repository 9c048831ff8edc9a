// Package render_test holds the renderers to the programs that users know: the same files must give the same objects as
// `helm template` and `kustomize build`, built from their own modules.
package render_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/chart/common"
	"sigs.k8s.io/yaml"

	"github.com/periplus-fleet/periplus/hub/chart/charttest"
	"github.com/periplus-fleet/periplus/plugins/renderer/helm"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// moreCharts is a list of folders, separated by colons, whose charts are compared as well.
const moreCharts = "PERIPLUS_CHARTS"

// served is an API that the compared cluster serves beside Kubernetes' own.
const served = "monitoring.coreos.com/v1"

// verdict of all comparisons, printed as one line.
type verdict struct {
	Same    int               `json:"same"`
	Differs []string          `json:"differs"`
	Skipped map[string]string `json:"skipped"`
}

// TestHelmTemplate compares every chart of testdata, those of Helm's own tests, and those of PERIPLUS_CHARTS, with each of
// their values files.
func TestHelmTemplate(t *testing.T) {
	upstream := tool(t, "helm")
	testdata := own(t)
	all := verdict{Differs: []string{}, Skipped: map[string]string{}}
	for _, chart := range charts(t, testdata) {
		for _, values := range valuesOf(t, chart.folder) {
			name := chart.name
			if values != "" {
				name += "/" + strings.TrimSuffix(filepath.Base(values), ".yaml")
			}
			t.Run(name, func(t *testing.T) {
				want, refused := template(t, upstream, chart.folder, values)
				got, err := ours(t, chart.folder, values)
				if mean := strings.Contains(name, "refused-"); strings.HasPrefix(chart.folder, testdata) && mean != (refused != nil) {
					t.Errorf("our own chart is to be refused: %v, and Helm says %v", mean, refused)
				}
				switch {
				case refused != nil && err != nil:
					t.Logf("both refuse it:\nhelm:     %v\nperiplus: %v", refused, err)
					all.Same++
				case refused != nil || err != nil:
					t.Errorf("one of both refuses it:\nhelm:     %v\nperiplus: %v", refused, err)
					all.Differs = append(all.Differs, name)
				case slices.Equal(want, got):
					all.Same++
				default:
					if again, _ := template(t, upstream, chart.folder, values); !slices.Equal(want, again) {
						all.Skipped[name] = "Helm's own output differs each time"
						t.Skip(all.Skipped[name])
					}
					t.Errorf("-helm +periplus:\n%s", cmp.Diff(want, got))
					all.Differs = append(all.Differs, name)
				}
			})
		}
	}
	line, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("helm template: %s\n", line)
}

// tool builds an upstream program from its own module.
func tool(t *testing.T, name string) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	build := exec.Command("sh", filepath.Join(root, "e2e/tools/build.sh"), name)
	build.Stderr = os.Stderr
	folder, err := build.Output()
	if err != nil {
		t.Fatalf("cannot build e2e/tools/%s: %v", name, err)
	}
	return filepath.Join(strings.TrimSpace(string(folder)), name)
}

type oneChart struct{ name, folder string }

func charts(t *testing.T, testdata string) []oneChart {
	t.Helper()
	var out []oneChart
	for _, root := range []string{testdata, filepath.Join(helmModule(t), "pkg/cmd/testdata/testcharts"), filepath.Join(helmModule(t), "pkg/action/testdata/charts"),
		filepath.Join(helmModule(t), "pkg/chart/v2/util/testdata"), filepath.Join(helmModule(t), "pkg/chart/v2/loader/testdata")} {
		out = append(out, below(t, root)...)
	}
	for _, root := range filepath.SplitList(os.Getenv(moreCharts)) {
		out = append(out, below(t, root)...)
	}
	return out
}

// below finds the charts in a folder, which are not in one another.
func below(t *testing.T, root string) []oneChart {
	t.Helper()
	var out []oneChart
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		if _, err := os.Stat(filepath.Join(path, "Chart.yaml")); err != nil {
			return nil
		}
		relative, err := filepath.Rel(filepath.Dir(root), path)
		if err != nil {
			return err
		}
		out = append(out, oneChart{relative, path})
		return filepath.SkipDir
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// own copies our charts, and packages into charts/ what stands in their pack/: an archive cannot be read in a review.
func own(t *testing.T) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "charts")
	if err := os.CopyFS(root, os.DirFS("testdata/charts")); err != nil {
		t.Fatal(err)
	}
	packs, err := filepath.Glob(filepath.Join(root, "*/pack/*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, pack := range packs {
		files := map[string]string{}
		err := filepath.WalkDir(pack, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			files[strings.TrimPrefix(path, pack+"/")] = string(data)
			return err
		})
		target := filepath.Join(filepath.Dir(filepath.Dir(pack)), "charts")
		if err == nil {
			err = os.MkdirAll(target, 0o755)
		}
		name := filepath.Base(pack)
		if err == nil {
			err = os.WriteFile(filepath.Join(target, name+".tgz"), charttest.Package(t, name, files), 0o600)
		}
		if err == nil {
			err = os.RemoveAll(pack)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func helmModule(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "helm.sh/helm/v4").Output()
	if err != nil {
		t.Fatalf("cannot find Helm's module: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// valuesOf a chart: none, and each of its ci/*.yaml, as chart authors keep them.
func valuesOf(t *testing.T, folder string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(folder, "ci/*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{""}, found...)
}

// template is what upstream makes of a chart: its objects, and those of Lists, in one order.
func template(t *testing.T, upstream, folder, values string) ([]string, error) {
	t.Helper()
	args := []string{"template", "shop", folder, "--namespace", "team", "--include-crds", "--kube-version", "v1.36.3", "--api-versions", served}
	if values != "" {
		args = append(args, "--values", values)
	}
	command := exec.Command(upstream, args...)
	command.Env = []string{"HOME=" + t.TempDir(), "PATH=/usr/bin:/bin"}
	var out, problem bytes.Buffer
	command.Stdout, command.Stderr = &out, &problem
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, problem.String())
	}
	var objects []string
	for _, text := range strings.Split("\n"+out.String(), "\n---") {
		data, err := yaml.YAMLToJSON([]byte(text))
		if err != nil {
			return nil, err
		}
		var object map[string]any
		if err := json.Unmarshal(data, &object); err != nil {
			return nil, err
		}
		objects = append(objects, expand(t, object)...)
	}
	slices.Sort(objects)
	// A dependency under two names has its CRDs twice in Helm's output.
	return slices.CompactFunc(objects, func(a, b string) bool { return a == b && strings.Contains(a, `"kind":"CustomResourceDefinition"`) }), nil
}

func expand(t *testing.T, object map[string]any) []string {
	t.Helper()
	if len(object) == 0 {
		return nil
	}
	items, isList := object["items"].([]any)
	if kind, _ := object["kind"].(string); isList && strings.HasSuffix(kind, "List") {
		var out []string
		for _, item := range items {
			out = append(out, expand(t, item.(map[string]any))...)
		}
		return out
	}
	return []string{encode(t, object)}
}

func encode(t *testing.T, object map[string]any) string {
	t.Helper()
	data, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func ours(t *testing.T, folder, values string) ([]string, error) {
	t.Helper()
	request := renderer.Request{FS: os.DirFS(filepath.Dir(folder)), Dir: filepath.Base(folder), ReleaseName: "shop", Namespace: "team", Config: map[string]any{"tests": true},
		Capabilities: renderer.Capabilities{KubeVersion: "v1.36.3", APIVersions: append(slices.Clone(common.DefaultVersionSet), served)}}
	if values != "" {
		relative, err := filepath.Rel(folder, values)
		if err != nil {
			t.Fatal(err)
		}
		request.ValuesFiles = []string{relative}
	}
	result, err := helm.New().Render(context.WithoutCancel(t.Context()), request)
	if err != nil {
		return nil, err
	}
	var objects []string
	for _, object := range result.Objects {
		// As numbers without a kind, as upstream's are read here.
		var value map[string]any
		if err := json.Unmarshal([]byte(encode(t, object.Value)), &value); err != nil {
			t.Fatal(err)
		}
		objects = append(objects, encode(t, value))
	}
	slices.Sort(objects)
	return objects, nil
}
