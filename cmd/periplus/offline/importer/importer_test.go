package importer

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

func TestCommon(t *testing.T) {
	cases := map[string]struct {
		reason string
		all    []map[string]any
		shared map[string]any
		rest   []map[string]any
	}{
		"Same":    {"what all say is said once", []map[string]any{{"a": 1, "b": map[string]any{"c": 2}}, {"a": 1, "b": map[string]any{"c": 2}}}, map[string]any{"a": 1, "b": map[string]any{"c": 2}}, []map[string]any{{}, {}}},
		"Nested":  {"also further down", []map[string]any{{"b": map[string]any{"c": 2, "d": 3}}, {"b": map[string]any{"c": 2, "d": 4}}}, map[string]any{"b": map[string]any{"c": 2}}, []map[string]any{{"b": map[string]any{"d": 3}}, {"b": map[string]any{"d": 4}}}},
		"Missing": {"what one does not say is not shared", []map[string]any{{"a": 1}, {}}, map[string]any{}, []map[string]any{{"a": 1}, {}}},
		"Lists":   {"lists replace each other, so they are not split", []map[string]any{{"l": []any{1, 2}}, {"l": []any{1, 3}}}, map[string]any{}, []map[string]any{{"l": []any{1, 2}}, {"l": []any{1, 3}}}},
		"Kinds":   {"a mapping and a text are two things", []map[string]any{{"a": map[string]any{"b": 1}}, {"a": "b"}}, map[string]any{}, []map[string]any{{"a": map[string]any{"b": 1}}, {"a": "b"}}},
		"Empty":   {"an empty mapping is a value", []map[string]any{{"a": map[string]any{}}, {"a": map[string]any{"b": 1}}}, map[string]any{}, []map[string]any{{"a": map[string]any{}}, {"a": map[string]any{"b": 1}}}},
		"Null":    {"null unsets, and is kept", []map[string]any{{"a": nil}, {"a": nil}}, map[string]any{"a": nil}, []map[string]any{{}, {}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			shared, rest := Common(tc.all)
			if diff := cmp.Diff(tc.shared, shared) + cmp.Diff(tc.rest, rest); diff != "" {
				t.Errorf("%s\n%s", tc.reason, diff)
			}
			for i := range tc.all {
				if diff := cmp.Diff(tc.all[i], Merge(shared, rest[i])); diff != "" {
					t.Errorf("merged again, they are not the same\n%s", diff)
				}
			}
		})
	}
}

func TestName(t *testing.T) {
	cases := map[string]struct{ reason, in, want string }{
		"Plain":   {"a name stays", "web", "web"},
		"Path":    {"a path is joined", "apps/My_App.v2", "apps-my-app-v2"},
		"Nothing": {"something has to stand there", "./", "root"},
		"Long":    {"a long one keeps a part of its hash", strings.Repeat("abcdefghij", 7), ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := Name(tc.in)
			if name != "Long" && got != tc.want || len(got) > maxName {
				t.Errorf("%s: %q", tc.reason, got)
			}
		})
	}
	if Name(strings.Repeat("a", 60)+"b") == Name(strings.Repeat("a", 60)+"c") {
		t.Error("two long names became one")
	}
}

func TestCopyKustomization(t *testing.T) {
	files := fstest.MapFS{}
	for name, text := range map[string]string{
		"app/overlay/kustomization.yaml": "resources: [../base, extra.yaml]\ncomponents: [../part]\npatches: [{path: p.yaml}, {patch: 'a: b'}]\nconfigMapGenerator: [{name: c, files: [k=f.txt], envs: [e.env]}]\n",
		"app/overlay/extra.yaml":         "x", "app/overlay/p.yaml": "x", "app/overlay/f.txt": "x", "app/overlay/e.env": "x", "app/overlay/unused.yaml": "x",
		"app/base/kustomization.yaml": "resources: [a.yaml]\n", "app/base/a.yaml": "x", "app/part/kustomization.yml": "kind: Component\n",
		"remote/kustomization.yaml": "resources:\n- https://example.com/base?ref=v1\n", "chart/kustomization.yaml": "helmCharts: [{name: x}]\n",
		"out/kustomization.yaml": "resources: [../../elsewhere]\n",
	} {
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	cases := map[string]struct {
		reason, folder string
		want           []string
		unsupported    string
	}{
		"Closure": {"what is named is copied, and nothing else", "app/overlay", []string{"app/base/a.yaml", "app/base/kustomization.yaml", "app/overlay/e.env", "app/overlay/extra.yaml",
			"app/overlay/f.txt", "app/overlay/kustomization.yaml", "app/overlay/p.yaml", "app/part/kustomization.yml"}, ""},
		"Remote":  {"what would be fetched is named by file and line", "remote", nil, "remote/kustomization.yaml:2"},
		"Chart":   {"so is a chart", "chart", nil, "helmCharts"},
		"Outside": {"and what leads out of the repository", "out", nil, "leads out"},
		"Nothing": {"and a folder without a kustomization", "app", nil, "no kustomization"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := CopyKustomization(files, tc.folder)
			var unsupported *UnsupportedError
			switch {
			case tc.unsupported != "":
				if !errors.As(err, &unsupported) || !strings.Contains(err.Error(), tc.unsupported) {
					t.Errorf("%s: %v", tc.reason, err)
				}
			case err != nil:
				t.Error(err)
			default:
				names := slices.Sorted(maps.Keys(got))
				if diff := cmp.Diff(tc.want, names); diff != "" {
					t.Errorf("%s\n%s", tc.reason, diff)
				}
			}
		})
	}
}

func TestEditYAMLKeepsWhatItDoesNotChange(t *testing.T) {
	got, err := EditYAML([]byte("# why\nresources: # all\n- a.yaml\nnamePrefix: old-\ngone: 1\n"), func(object map[string]any) {
		object["namePrefix"] = "new-"
		object["images"] = []any{map[string]any{"name": "x"}}
		delete(object, "gone")
	})
	want := "# why\nresources: # all\n  - a.yaml\nnamePrefix: new-\nimages:\n  - name: x\n"
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, got)
	}
}

func TestWildcard(t *testing.T) {
	cases := map[string]struct {
		reason, in, want string
		ok               bool
	}{
		"Name":    {"a name is itself", "web", "web", true},
		"Any":     {"any text", "web-.*", "web-*", true},
		"Anchors": {"anchors go without saying", "^web$", "web", true},
		"Dot":     {"a dot is a dot", `a\.b`, "a.b", true},
		"Either":  {"alternatives cannot be said", "web|api", "", false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got, ok := Wildcard(tc.in); ok != tc.ok || ok && got != tc.want {
				t.Errorf("%s: %q, %v", tc.reason, got, ok)
			}
		})
	}
}

func TestTargets(t *testing.T) {
	helm := func(version string) *v1alpha1.BundleSource {
		return &v1alpha1.BundleSource{Helm: &v1alpha1.HelmSource{Name: "x", Version: version}}
	}
	bundle := &Bundle{Name: "b"}
	bundle.Targets([]Variant{
		{Name: "a", Match: Clusters("a"), Source: helm("1"), Values: map[string]any{"x": 1, "y": 1}},
		{Name: "b", Match: Clusters("b"), Source: helm("2"), Values: map[string]any{"x": 1, "y": 2}},
		{Name: "c", Match: Clusters("c"), Source: helm("1"), Values: map[string]any{"x": 1, "y": 1}},
	})
	if got := string(bundle.Spec.Values.Raw); got != `{"x":1}` || bundle.Spec.Source != nil {
		t.Error(got)
	}
	if len(bundle.Spec.Targets) != 2 || !slices.Equal(bundle.Spec.Targets[0].ClusterNames, []string{"a", "c"}) || string(bundle.Spec.Targets[1].Values.Raw) != `{"y":2}` ||
		bundle.Spec.Targets[1].Source.Helm.Version != "2" {
		t.Errorf("clusters that are alike share a target: %+v", bundle.Spec.Targets)
	}
}

func TestNamespaceIsSharedByItsBundles(t *testing.T) {
	repo := NewRepo()
	for _, name := range []string{"one", "two", "three"} {
		if made := repo.Bundles["namespace-team"]; made != nil && len(made.Spec.Exclude) != 1 {
			t.Error("a cluster that no bundle reaches needs no namespace")
		}
		bundle := repo.Bundle(name, Position{File: "x"})
		bundle.Targets([]Variant{{Name: name, Match: Clusters(name)}})
		bundle.Spec.Exclude = []v1alpha1.ClusterMatch{Clusters("lab")}
		if name == "three" {
			bundle.Spec.Exclude = nil
		}
		repo.Namespace(bundle, "team", map[string]string{"a": "b"}, nil)
		repo.Namespace(bundle, "kube-system", nil, nil)
	}
	made := repo.Bundles["namespace-team"]
	if len(repo.Bundles) != 4 || made == nil || len(made.Spec.Targets) != 3 || len(made.Spec.Exclude) != 0 || repo.Bundles["two"].Spec.DependsOn[0].Bundle != "namespace-team" {
		t.Errorf("%+v", repo.Bundles)
	}
	if text := string(made.Files["namespace.yaml"]); !strings.Contains(text, "name: team") || !strings.Contains(text, "a: b") {
		t.Error(text)
	}
}

func TestUnknownFieldsAreReported(t *testing.T) {
	documents, err := ParseDocuments("a.yaml", []byte("kind: Thing\nmetadata: {name: x}\nspec:\n  known: 1\n  list:\n  - new: 2\n"))
	if err != nil {
		t.Fatal(err)
	}
	var into struct {
		Kind     string `json:"kind"`
		Metadata any    `json:"metadata"`
		Spec     struct {
			Known int `json:"known"`
			List  []struct {
				Old int `json:"old"`
			} `json:"list"`
		} `json:"spec"`
	}
	report := &Report{}
	if err := documents[0].Decode(&into, report); err != nil || into.Spec.Known != 1 {
		t.Fatal(err, into)
	}
	if len(report.Entries) != 1 || report.Entries[0].Position.String() != "a.yaml:6" || !strings.Contains(report.Entries[0].What, "spec.list[0].new") {
		t.Errorf("%+v", report.Entries)
	}
}

func TestCheckOut(t *testing.T) {
	empty, full := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		reason, folder string
		force, ok      bool
	}{
		"Absent": {"a new folder is made", filepath.Join(empty, "new"), false, true},
		"Empty":  {"an empty one is taken", empty, false, true},
		"Full":   {"one that holds something is not", full, false, false},
		"Forced": {"unless it is said so", full, true, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if err := CheckOut(tc.folder, tc.force); (err == nil) != tc.ok {
				t.Errorf("%s: %v", tc.reason, err)
			}
		})
	}
}
