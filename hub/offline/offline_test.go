package offline_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/offline"
	"github.com/periplus-fleet/periplus/hub/offline/offlinetest"
	"github.com/periplus-fleet/periplus/hub/offline/place"
)

// small is a fleet repo with mistakes of every stage.
func small() map[string]string {
	return map[string]string{
		"clusters/all.yaml": offlinetest.Cluster + "metadata: {name: eu-1, labels: {env: prod}}\nspec: {variables: {host: eu}}\n---\n" +
			offlinetest.Cluster + "metadata: {name: eu-2, labels: {env: prod}}\n---\n" + offlinetest.Cluster + "metadata: {name: dev, labels: {env: dev}}\n",
		"bundles/same/bundle.yaml": offlinetest.Bundle + "metadata: {name: same}\nspec:\n  targets: [{clusterSelector: {}}]\n",
		"bundles/same/a.yaml":      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
		"bundles/own/bundle.yaml": offlinetest.Bundle + "metadata: {name: own}\nspec:\n  set:\n  - target: {}\n    pointer: /data/host\n    value: ${{ cluster.variables.host }}\n" +
			"  targets: [{clusterSelector: {matchLabels: {env: prod}}}]\n",
		"bundles/own/a.yaml":      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: y}\n",
		"bundles/bad/bundle.yaml": offlinetest.Bundle + "metadata: {name: bad}\nspec:\n  targts: []\n",
	}
}

func read(t *testing.T, tree fleet.Tree, root string) *offline.Fleet {
	t.Helper()
	f, err := offline.Read(t.Context(), offline.Config{Tree: tree, Root: root})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func stages(t *testing.T) *offline.Stages {
	t.Helper()
	s, err := offline.NewStages(offline.StagesConfig{ChartFolder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRender(t *testing.T) {
	folder := t.TempDir()
	offlinetest.Write(t, folder, small())
	at, err := place.Find(filepath.Join(folder, "bundles", "own"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := at.Files()
	if err != nil {
		t.Fatal(err)
	}
	f := read(t, files, at.Root)
	pairs, err := f.Pairs(offline.Selection{})
	if err != nil {
		t.Fatal(err)
	}
	s := stages(t)
	result, err := s.Render(t.Context(), f, pairs, nil)
	if err != nil {
		t.Fatal(err)
	}
	type shown struct{ Revisions, Failures, Skipped, Refused []string }
	got := shown{}
	for _, revision := range offline.Revisions(result.Deliveries) {
		got.Revisions = append(got.Revisions, offline.Name(revision.Bundle)+": "+strings.Join(revision.Clusters, ","))
	}
	for _, failure := range result.Failures {
		got.Failures = append(got.Failures, failure.Err.Error())
	}
	for _, skipped := range result.Skipped {
		got.Skipped = append(got.Skipped, skipped.Why)
	}
	for _, refused := range f.Refused {
		got.Refused = append(got.Refused, fleet.Describe(refused))
	}
	want := shown{
		Revisions: []string{"own: eu-1", "same: dev,eu-1,eu-2"},
		Failures:  []string{`bundles/own/bundle.yaml:8: spec.set[0].value: for cluster "eu-2": expression "cluster.variables.host": no such key: host`},
		Skipped:   []string{"no target matches cluster dev"},
		Refused:   []string{`bundles/bad/bundle.yaml:5: spec.targts: unknown field`},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("one mistake must stop no other (-want +got):\n%s", diff)
	}
	if stats := s.Stats(); stats.Bases != 2 {
		t.Errorf("%d base renderings, want one for each of the two contents", stats.Bases)
	}
}

func TestPairs(t *testing.T) {
	folder := t.TempDir()
	offlinetest.Write(t, folder, small())
	at, err := place.Find(folder)
	if err != nil {
		t.Fatal(err)
	}
	files, err := at.Files()
	if err != nil {
		t.Fatal(err)
	}
	f := read(t, files, at.Root)
	cases := map[string]struct {
		reason    string
		selection offline.Selection
		want      []string
		err       string
	}{
		"All":           {"Nothing said means all.", offline.Selection{}, []string{"own dev", "own eu-1", "own eu-2", "same dev", "same eu-1", "same eu-2"}, ""},
		"One":           {"Names are anded.", offline.Selection{Bundles: []string{"same"}, Clusters: []string{"dev"}}, []string{"same dev"}, ""},
		"First":         {"The bundles behind the one that was asked for are not meant.", offline.Selection{Bundles: []string{"own"}, Clusters: []string{"dev"}}, []string{"own dev"}, ""},
		"Below":         {"A bundle's folder means it.", offline.Selection{Below: "bundles/own", Clusters: []string{"eu-1"}}, []string{"own eu-1"}, ""},
		"NearCluster":   {"A slip is suggested.", offline.Selection{Clusters: []string{"eu-3"}}, nil, `there is no cluster "eu-3"; did you mean eu-1 or eu-2?`},
		"NearBundle":    {"A slip is suggested.", offline.Selection{Bundles: []string{"sane"}}, nil, `there is no bundle "sane"; did you mean same?`},
		"Unlike":        {"What is like nothing gets the list.", offline.Selection{Bundles: []string{"zzzzzz"}}, nil, `there is no bundle "zzzzzz"; there are own, same`},
		"RefusedBundle": {"A bundle that was refused is not unknown.", offline.Selection{Bundles: []string{"bad"}}, nil, "bundle \"bad\" was refused: bundles/bad/bundle.yaml:5: spec.targts: unknown field"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			pairs, err := f.Pairs(tc.selection)
			var got []string
			for _, pair := range pairs {
				got = append(got, offline.Name(pair.Bundle)+" "+pair.Cluster.Name)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\nPairs (-want +got):\n%s", tc.reason, diff)
			}
			if (err == nil) != (tc.err == "") || err != nil && err.Error() != tc.err {
				t.Errorf("%s\nPairs: %v, want %q", tc.reason, err, tc.err)
			}
		})
	}
}

// TestExampleEqualsCommit holds the working tree to what the same files give as a commit, which is what a hub reads: equal
// content hashes and equal revisions, pair by pair.
func TestExampleEqualsCommit(t *testing.T) {
	folder := t.TempDir()
	if err := os.CopyFS(filepath.Join(folder, "fleet"), os.DirFS(filepath.Join("..", "..", "examples", "fleet"))); err != nil {
		t.Fatal(err)
	}
	hash := offlinetest.Commit(t, folder)
	at, err := place.Find(filepath.Join(folder, "fleet"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := at.Files()
	if err != nil {
		t.Fatal(err)
	}
	committed, err := at.Commit(hash)
	if err != nil {
		t.Fatal(err)
	}
	var revisions [2]map[string]string
	for i, tree := range []fleet.Tree{files, committed} {
		f := read(t, tree, at.Root)
		for _, refused := range f.Refused {
			t.Error(fleet.Describe(refused))
		}
		pairs, err := f.Pairs(offline.Selection{})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		result, err := stages(t).Render(t.Context(), f, pairs, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d pairs, %d deliveries in %v", tree.Commit(), len(pairs), len(result.Deliveries), time.Since(began))
		revisions[i] = map[string]string{}
		for _, failure := range result.Failures {
			revisions[i][offline.Name(failure.Bundle)+" "+failure.Cluster.Name] = failure.Err.Error()
		}
		for _, one := range result.Deliveries {
			revisions[i][offline.Name(one.Bundle)+" "+one.Cluster.Name] = one.Bundle.TreeHash + " " + offline.Revisions([]offline.Delivery{one})[0].Digest()
		}
	}
	if len(revisions[0]) < 20 {
		t.Errorf("only %d pairs: %v", len(revisions[0]), revisions[0])
	}
	if diff := cmp.Diff(revisions[1], revisions[0]); diff != "" {
		t.Errorf("the working tree renders to something else than its commit (-commit +tree):\n%s", diff)
	}
}
