package store_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/render/generated"
)

func TestGeneratedOnce(t *testing.T) {
	each(t, func(w *world) {
		const planted = "planted-generated-password"
		password := generated.Field{Object: content.ObjectID{Kind: "Secret", Name: "s"}, Pointer: "/data/password"}
		date := generated.Field{Object: content.ObjectID{Kind: "ConfigMap", Name: "c"}, Pointer: "/data/date"}
		value := func(text string) json.RawMessage { return json.RawMessage(`"` + text + `"`) }
		pair := generated.Pair{ClusterUID: "uid-a", Bundle: "fleet/x"}
		put := func(pair generated.Pair, values, want generated.Values) {
			w.Helper()
			got, err := w.another().PutGenerated(w.ctx(), pair, values)
			w.must(err)
			if diff := cmp.Diff(want, got); diff != "" {
				w.Errorf("put into %v: -want +got:\n%s", pair, diff)
			}
		}
		put(pair, generated.Values{password: value(planted)}, generated.Values{password: value(planted)})
		both := generated.Values{password: value(planted), date: value("today")}
		put(pair, generated.Values{password: value("second"), date: value("today")}, both)
		other := generated.Pair{ClusterUID: "uid-b", Bundle: "fleet/x"}
		put(other, generated.Values{date: value("b")}, generated.Values{date: value("b")})
		third := generated.Pair{ClusterUID: "uid-a", Bundle: "fleet/y"}
		put(third, generated.Values{date: value("y")}, generated.Values{date: value("y")})
		got, err := w.Generated(w.ctx(), pair)
		w.must(err)
		if diff := cmp.Diff(both, got); diff != "" {
			w.Error(diff)
		}
		if path, ok := strings.CutPrefix(w.url, "sqlite://"); ok {
			for _, file := range []string{path, path + "-wal"} {
				if data, err := os.ReadFile(file); err != nil || bytes.Contains(data, []byte(planted)) {
					w.Errorf("%s holds the plaintext (%v)", file, err)
				}
			}
		}
	})
}

// TestGeneratedLeaves with what it was generated for: what comes back later is made anew.
func TestGeneratedLeaves(t *testing.T) {
	each(t, func(w *world) {
		w.clusters("a", "b")
		field := generated.Field{Object: content.ObjectID{Kind: "Secret", Name: "s"}, Pointer: "/data/password"}
		pairs := []generated.Pair{{ClusterUID: "uid-a", Bundle: "fleet/x"}, {ClusterUID: "uid-a", Bundle: "fleet/y"}, {ClusterUID: "uid-b", Bundle: "fleet/x"},
			{ClusterUID: "uid-b", Bundle: "fleet/y"}}
		for _, pair := range pairs {
			_, err := w.PutGenerated(w.ctx(), pair, generated.Values{field: json.RawMessage(`"p"`)})
			w.must(err)
		}
		left := func(reason string, want ...int) {
			w.Helper()
			var got []int
			for i, pair := range pairs {
				values, err := w.Generated(w.ctx(), pair)
				w.must(err)
				if len(values) > 0 {
					got = append(got, i)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				w.Errorf("%s: -want +got:\n%s", reason, diff)
			}
		}
		w.apply(assign("a", "fleet/x", w.revision("r")))
		session := w.session("a")
		w.apply(leave("a", "fleet/x"))
		left("a bundle that is on its way out is not gone", 0, 1, 2, 3)
		w.accept("a", session)
		w.report("a", session, 1, &linkv1.StatusReport{Removed: []string{"fleet/x"}})
		left("the pair was removed", 1, 2, 3)
		w.must(w.RemoveBundle(w.ctx(), w.term, "fleet/y"))
		left("the bundle was removed", 2)
		w.must(w.RemoveCluster(w.ctx(), w.term, "uid-b"))
		left("the cluster was removed")
	})
}
