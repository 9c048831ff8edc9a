package chart_test

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/chart"
	"github.com/periplus-fleet/periplus/hub/chart/charttest"
	"github.com/periplus-fleet/periplus/hub/fleet"
)

func withFiles(content string, files map[string]string) fleet.BundleDecl {
	all := fstest.MapFS{}
	for name, text := range files {
		all[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fleet.BundleDecl{Key: "fleet/shop", Path: "bundles/shop", TreeHash: content, Tree: tree{all}}
}

func TestDependenciesOfAChartBeside(t *testing.T) {
	const own = "apiVersion: v2\nname: shop\nversion: 1.0.0\n"
	cases := map[string]struct {
		reason  string
		files   map[string]string
		want    []string
		refused string
	}{
		"None": {reason: "nothing is to be fetched: the chart is read where it stands", files: map[string]string{"Chart.yaml": own}},
		"Vendored": {reason: "what is in charts/ is taken, whatever its form",
			files: map[string]string{"Chart.yaml": own + "dependencies: [{name: app, version: 9.x, repository: https://charts.example.com}, {name: db, version: 1.x, repository: https://charts.example.com}]\n",
				"charts/app/Chart.yaml": "name: app\nversion: 9.0.0\n", "charts/db-1.0.0.tgz": string(charttest.Simple(t, "db", "1.0.0"))}},
		"Range": {reason: "the newest of the range", files: map[string]string{"Chart.yaml": own + "dependencies: [{name: app, version: 1.x, repository: REPOSITORY}]\n"},
			want: []string{"charts/app-1.5.0+build.7.tgz"}},
		"Locked": {reason: "what the lock file says", files: map[string]string{"Chart.yaml": own + "dependencies: [{name: app, version: 1.x, repository: REPOSITORY}]\n",
			"Chart.lock": "dependencies: [{name: app, version: 1.0.0, repository: REPOSITORY}]\n"}, want: []string{"charts/app-1.0.0.tgz"}},
		"LockIsOld": {reason: "it says what to do", files: map[string]string{"Chart.yaml": own + "dependencies: [{name: app, version: 2.x, repository: REPOSITORY}]\n",
			"Chart.lock": "dependencies: [{name: app, version: 1.0.0, repository: REPOSITORY}]\n"}, refused: "dependency \"app\" of chart \"shop\": no version of it in Chart.lock matches \"2.x\": run `helm dependency update`"},
		"OCI": {reason: "the name is added to the repository", files: map[string]string{"Chart.yaml": own + "dependencies: [{name: app, version: 1.4.0, repository: OCI}]\n"},
			want: []string{"charts/app-1.4.0.tgz"}},
		"Folder": {reason: "a chart of the same repository, with its own dependencies", files: map[string]string{"Chart.yaml": own + "dependencies: [{name: lib, version: 1.x, repository: 'file://../../../lib'}]\n",
			"/lib/Chart.yaml": "apiVersion: v2\nname: lib\nversion: 1.0.0\ndependencies: [{name: app, version: 1.0.0, repository: REPOSITORY}]\n", "/lib/templates/x.yaml": ""},
			want: []string{"charts/lib/Chart.yaml", "charts/lib/charts/app-1.0.0.tgz", "charts/lib/templates/x.yaml"}},
		"Out":    {reason: "nothing outside of the repository is read", files: map[string]string{"Chart.yaml": own + "dependencies: [{name: lib, repository: 'file://../../../../etc'}]\n"}, refused: "leads out of the Git repository"},
		"Cycle":  {reason: "it ends", files: map[string]string{"Chart.yaml": own + "dependencies: [{name: lib, repository: 'file://.'}]\n"}, refused: "chain of file:// dependencies is too long"},
		"Alias":  {reason: "it says what to do", files: map[string]string{"Chart.yaml": own + "dependencies: [{name: app, repository: '@stable'}]\n"}, refused: "write the URL, or commit charts/"},
		"NoName": {reason: "a name is not a path", files: map[string]string{"Chart.yaml": own + "dependencies: [{name: ../app, repository: REPOSITORY}]\n"}, refused: "that is no chart's name"},
		"NoURL":  {reason: "it says what to do", files: map[string]string{"Chart.yaml": own + "dependencies: [{name: app, version: 1.x}]\n"}, refused: "names no repository and is not in charts/"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.fill()
			files := map[string]string{}
			for file, text := range tc.files {
				if !strings.HasPrefix(file, "/") {
					file = "/bundles/shop/chart/" + file
				}
				files[file[1:]] = strings.NewReplacer("REPOSITORY", w.repository(), "OCI", strings.TrimSuffix(w.oci(""), "/")).Replace(text)
			}
			source := &v1alpha1.HelmSource{Chart: "chart"}
			got, id, version, err := w.charts.ForBundle(t.Context(), withFiles("one", files), source, chart.Auth{})
			if tc.refused != "" {
				if err == nil || !strings.Contains(err.Error(), tc.refused) {
					t.Errorf("%s: got %v, want %q", tc.reason, err, tc.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if (got == nil) != (tc.want == nil) || (id == "") != (tc.want == nil) || got != nil && version != "1.0.0" {
				t.Fatalf("%s: got %v, id %q, version %q", tc.reason, got, id, version)
			}
			if got == nil {
				return
			}
			var added []string
			err = fs.WalkDir(got, ".", func(file string, entry fs.DirEntry, err error) error {
				if _, own := tc.files[file]; !own && !entry.IsDir() {
					added = append(added, file)
				}
				return err
			})
			slices.Sort(added)
			if diff := cmp.Diff(tc.want, added); diff != "" || err != nil {
				t.Errorf("%s: %v, -want +got:\n%s", tc.reason, err, diff)
			}
			w.server.Count()
			if _, again, _, err := w.charts.ForBundle(t.Context(), withFiles("one", files), source, chart.Auth{}); again != id || err != nil || w.server.Count() > 0 {
				t.Errorf("the same content is the same chart, and nobody is asked: got id %q for %q, %v", again, id, err)
			}
		})
	}
}

func TestDependenciesOfAFetchedChart(t *testing.T) {
	w := newWorld(t)
	w.fill()
	w.server.Username, w.server.Password = "me", "hunter2"
	foreign := &charttest.Server{}
	foreign.Chart("db", "1.0.0", charttest.Simple(t, "db", "1.0.0"))
	away := newServer(t, foreign)
	w.server.Push("team/shop", "1.0.0", charttest.Package(t, "shop", map[string]string{"Chart.yaml": fmt.Sprintf(
		"apiVersion: v2\nname: shop\nversion: 1.0.0\ndependencies: [{name: app, version: 1.0.0, repository: %q}, {name: db, version: 1.x, repository: %q}]\n", w.repository(), away+"/charts")}))
	// The registry and the classic repository are one host here, as oci:// and http:// they are not: no credentials for it.
	_, _, _, err := w.charts.ForBundle(t.Context(), bundle("one"), &v1alpha1.HelmSource{OCI: w.oci("shop"), Version: "1.0.0"}, chart.Auth{Username: "me", Password: "hunter2"})
	if err == nil || !strings.Contains(err.Error(), `dependency "app" of chart "shop": cannot resolve`) {
		t.Errorf("credentials go to the chart's own repository only: got %v", err)
	}
	w.pass(time.Hour)
	w.server.Chart("shop", "1.0.0", charttest.Package(t, "shop", map[string]string{"Chart.yaml": fmt.Sprintf(
		"apiVersion: v2\nname: shop\nversion: 1.0.0\ndependencies: [{name: app, version: 1.0.0, repository: %q}, {name: db, version: 1.x, repository: %q}]\n", w.repository(), away+"/charts")}))
	files, _, version, err := w.charts.ForBundle(t.Context(), bundle("two"), &v1alpha1.HelmSource{Repository: w.repository(), Name: "shop"}, chart.Auth{Username: "me", Password: "hunter2"})
	if err != nil || version != "1.0.0" {
		t.Fatal(version, err)
	}
	for _, file := range []string{"charts/app-1.0.0.tgz", "charts/db-1.0.0.tgz"} {
		if _, err := fs.Stat(files, file); err != nil {
			t.Error(err)
		}
	}
	for i, sent := range foreign.Authorizations {
		if sent != "" {
			t.Errorf("%s went to another host with %q", foreign.Requests[i], sent)
		}
	}
}
