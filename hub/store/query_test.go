package store_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/store"
)

// lists are all lists, each with items as text.
func lists(s *store.Store) map[string]func(context.Context, store.Query) (store.Page[string], error) {
	return map[string]func(context.Context, store.Query) (store.Page[string], error){
		"clusters": texts(s.ListClusters, func(c delivery.Cluster) string { return c.Namespace + " " + c.Name }),
		"bundles":  texts(s.ListBundles, func(b delivery.Bundle) string { return string(b.Key) }),
		"deliveries": texts(s.ListDeliveries, func(d delivery.Delivery) string {
			return fmt.Sprintf("%s %s %s %s", d.Namespace, d.Cluster, d.Bundle, d.State())
		}),
		"objects": texts(s.ListObjects, func(o delivery.Object) string { return o.ID.String() + o.State }),
		"policies": texts(s.ListPolicyResults, func(r store.PolicyResultRow) string {
			return fmt.Sprintf("%s %s %s", r.Cluster, r.Bundle, r.Policy)
		}),
		"history": texts(s.ListHistory, func(e delivery.Event) string { return fmt.Sprint(e.ID, e.Cluster, e.Bundle, e.Type) }),
		"audit":   texts(s.ListAudit, func(r store.AuditRecord) string { return r.Detail }),
	}
}

func texts[T any](list func(context.Context, store.Query) (store.Page[T], error), text func(T) string) func(context.Context, store.Query) (store.Page[string], error) {
	return func(ctx context.Context, q store.Query) (store.Page[string], error) {
		page, err := list(ctx, q)
		out := store.Page[string]{Next: page.Next, Total: page.Total}
		for _, item := range page.Items {
			out.Items = append(out.Items, text(item))
		}
		return out, err
	}
}

// sorts of each list; the first is its own.
var sorts = map[string][]string{"clusters": {"name", "seen"}, "bundles": {"name"}, "deliveries": {"cluster", "bundle", "state"},
	"objects": {"object"}, "policies": {"id"}, "history": {"time"}, "audit": {"time"}}

// fill writes thirty of everything into two namespaces, and some into a third that nobody asks for.
func (w *world) fill() {
	w.Helper()
	states := []linkv1.State{linkv1.State_STATE_READY, linkv1.State_STATE_FAILED, linkv1.State_STATE_PROGRESSING}
	var clusters []delivery.Cluster
	var bundles []delivery.Bundle
	for i := range 33 {
		namespace := []string{"blue", "green"}[i%2]
		if i >= 30 {
			namespace = "other"
		}
		clusters = append(clusters, delivery.Cluster{UID: fmt.Sprintf("u%02d", i), Namespace: namespace, Name: fmt.Sprintf("c-%d", i/3)})
		bundles = append(bundles, delivery.Bundle{Key: delivery.Key(fmt.Sprintf("%s/b-%02d", namespace, i)), Repo: fmt.Sprintf("%s/r%d", namespace, i%3), Spec: []byte("{}")})
	}
	w.must(w.UpsertClusters(w.ctx(), w.term, clusters))
	w.must(w.PutBundles(w.ctx(), w.term, bundles))
	for i, cluster := range clusters {
		bundle := delivery.Key(fmt.Sprintf("%s/b-%d", cluster.Namespace, i%4))
		w.apply(store.Change{ClusterUID: cluster.UID, Bundle: bundle, Assigned: assignment("sha256:1", ""),
			Results: &[]delivery.PolicyResult{{Policy: fmt.Sprint("p", i%5), Action: "deny", Result: "fail"}},
			Events:  []delivery.Event{{Namespace: cluster.Namespace, Cluster: cluster.Name, Bundle: fmt.Sprint("b-", i%4), Type: "Assigned"}}})
		session, err := w.ClaimSession(w.ctx(), cluster.UID, "p", "i")
		w.must(err)
		w.pass(time.Duration(i%3) * time.Second)
		reported := status(string(bundle), "sha256:1", states[i%3])
		reported.Exceptions = []*linkv1.ObjectStatus{{Id: &linkv1.ObjectId{Kind: []string{"Pod", "ConfigMap"}[i%2], Namespace: "n", Name: fmt.Sprint("o", i)}, State: "drifted"}}
		_, err = w.Report(w.ctx(), cluster.UID, session, 1, &linkv1.StatusReport{Bundles: []*linkv1.BundleStatus{reported}})
		w.must(err)
		w.must(w.Audit(w.ctx(), store.AuditRecord{Time: w.now(), Actor: fmt.Sprint("a", i%3), Verb: "confirm", Namespace: cluster.Namespace, Detail: fmt.Sprint("d", i)}))
	}
}

func TestPagesAddUpToTheWhole(t *testing.T) {
	each(t, func(w *world) {
		w.fill()
		for name, list := range lists(w.Store) {
			for _, sort := range append(sorts[name], "") {
				var ascending []string
				for _, desc := range []bool{false, true} {
					query := store.Query{Namespaces: []string{"green", "blue"}, Sort: sort, Desc: desc, Limit: 1000}
					whole, err := list(w.ctx(), query)
					if err != nil || whole.Next != "" || int(whole.Total) != len(whole.Items) || whole.Total < 30 {
						w.Fatal(name, sort, desc, whole, err)
					}
					if desc {
						slices.Reverse(ascending)
						if diff := cmp.Diff(ascending, whole.Items); diff != "" {
							w.Errorf("%s by %q: descending is not ascending turned around: %s", name, sort, diff)
						}
					}
					ascending = slices.Clone(whole.Items)
					for limit := 1; limit <= 7; limit++ {
						query.Limit = limit
						if diff := cmp.Diff(whole.Items, w.walk(list, query)); diff != "" {
							w.Errorf("%s by %q, descending %v, %d a page: %s", name, sort, desc, limit, diff)
						}
					}
				}
			}
		}
	})
}

func (w *world) walk(list func(context.Context, store.Query) (store.Page[string], error), query store.Query) (items []string) {
	w.Helper()
	for range 1000 {
		page, err := list(w.ctx(), query)
		w.must(err)
		items = append(items, page.Items...)
		if query.Cursor = page.Next; page.Next == "" {
			return items
		}
		if len(page.Items) != query.Limit {
			w.Fatalf("a page of %d items, not %d, with another after it", len(page.Items), query.Limit)
		}
	}
	w.Fatal("the pages do not end")
	return nil
}

func TestListsFilter(t *testing.T) {
	cases := map[string]struct {
		list   string
		filter map[string]string
		want   int64
	}{
		"ClusterName": {"clusters", map[string]string{"name": "c-1"}, 3}, "ClusterConnected": {"clusters", map[string]string{"connected": "true"}, 30},
		"ClusterSilent": {"clusters", map[string]string{"connected": "false"}, 0}, "BundleRepo": {"bundles", map[string]string{"repo": "blue/r0"}, 5},
		"BundleName": {"bundles", map[string]string{"name": "b-04"}, 1}, "State": {"deliveries", map[string]string{"state": "Ready"}, 10},
		"BareBundle": {"deliveries", map[string]string{"bundle": "b-1"}, 8}, "FullBundle": {"deliveries", map[string]string{"bundle": "green/b-1"}, 8},
		"OtherBundle": {"deliveries", map[string]string{"bundle": "other/b-2"}, 0}, "Both": {"deliveries", map[string]string{"cluster": "c-0", "state": "Failed"}, 1},
		"Kind": {"objects", map[string]string{"kind": "Pod"}, 15}, "ObjectBundle": {"objects", map[string]string{"bundle": "b-0", "state": "drifted"}, 8},
		"Policy": {"policies", map[string]string{"policy": "p1", "result": "fail", "action": "deny"}, 6}, "History": {"history", map[string]string{"type": "Assigned", "bundle": "b-2"}, 7},
		"Actor": {"audit", map[string]string{"actor": "a1", "verb": "confirm"}, 10}, "Odd": {"deliveries", map[string]string{"cluster": "it's \x00 ?\\"}, 0},
	}
	each(t, func(w *world) {
		w.fill()
		for name, c := range cases {
			page, err := lists(w.Store)[c.list](w.ctx(), store.Query{Namespaces: []string{"blue", "green"}, Filter: c.filter, Limit: 2})
			if err != nil || page.Total != c.want || len(page.Items) != int(min(2, c.want)) {
				w.Errorf("%s: %d of %d: %v", name, len(page.Items), page.Total, err)
			}
		}
		for name, list := range lists(w.Store) {
			if page, err := list(w.ctx(), store.Query{}); err != nil || page.Total != 0 || page.Items != nil {
				w.Errorf("%s of no namespace: %v %v", name, page, err)
			}
		}
	})
}

func TestInvalidQueries(t *testing.T) {
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	all := []string{"clusters", "bundles", "deliveries", "objects", "policies", "history", "audit"}
	cases := map[string]struct {
		lists []string
		query store.Query
	}{
		"Filter":         {all, store.Query{Filter: map[string]string{"uid; DROP TABLE clusters": "x"}}},
		"Sort":           {all, store.Query{Sort: "message"}},
		"NoBase64":       {all, store.Query{Cursor: "%%%"}},
		"NoJSON":         {all, store.Query{Cursor: encode("{")}},
		"NotAnObject":    {all, store.Query{Cursor: encode(`[1]`)}},
		"TooFew":         {all, store.Query{Cursor: encode(`{"c":[],"v":[]}`)}},
		"NoNumber":       {[]string{"policies", "history", "audit"}, store.Query{Cursor: encode(`{"c":["id"],"v":["x"]}`)}},
		"NoInteger":      {[]string{"history"}, store.Query{Cursor: encode(`{"c":["id"],"v":[1.5]}`)}},
		"HugeNumber":     {[]string{"history"}, store.Query{Cursor: encode(`{"c":["id"],"v":[99999999999999999999]}`)}},
		"NoText":         {[]string{"bundles"}, store.Query{Cursor: encode(`{"c":["namespace","name"],"v":["x",1]}`)}},
		"NestedValue":    {[]string{"bundles"}, store.Query{Cursor: encode(`{"c":["namespace","name"],"v":["x",["y"]]}`)}},
		"OtherColumns":   {[]string{"bundles"}, store.Query{Cursor: encode(`{"c":["spec","frozen"],"v":["x","y"]}`)}},
		"OtherNamespace": {[]string{"bundles"}, store.Query{Cursor: encode(`{"c":["namespace","name"],"v":["green","b"]}`)}},
		"ConnectedText":  {[]string{"clusters"}, store.Query{Filter: map[string]string{"connected": "yes"}}},
	}
	each(t, func(w *world) {
		w.fill()
		for name, c := range cases {
			for _, of := range c.lists {
				c.query.Namespaces = []string{"blue"}
				if _, err := lists(w.Store)[of](w.ctx(), c.query); !errors.Is(err, store.ErrInvalidQuery) {
					w.Errorf("%s of %s: %v", name, of, err)
				}
			}
		}
		page, err := w.ListDeliveries(w.ctx(), store.Query{Namespaces: []string{"blue"}, Limit: 1})
		w.must(err)
		if _, err := w.ListDeliveries(w.ctx(), store.Query{Namespaces: []string{"blue"}, Sort: "state", Cursor: page.Next}); !errors.Is(err, store.ErrInvalidQuery) {
			w.Error("a cursor of another order goes on:", err)
		}
		query := store.Query{Namespaces: []string{"blue"}, Cursor: encode(`{"c":["namespace","name"],"v":["blue","z\u0000\"' OR 1=1 --"]}`)}
		if page, err := w.ListBundles(w.ctx(), query); err != nil || len(page.Items) != 0 {
			w.Error("a cursor past the end:", page, err)
		}
		if page, err := w.ListDeliveries(w.ctx(), store.Query{Namespaces: []string{"blue", "green"}, Limit: 5000}); err != nil || len(page.Items) != 30 {
			w.Error("a limit above the greatest:", len(page.Items), err)
		}
	})
}

func TestCounts(t *testing.T) {
	each(t, func(w *world) {
		w.fill()
		deliveries, err := w.CountDeliveries(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		clusters, err := w.CountClusters(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for name, tc := range map[string]struct {
			counts []store.Count
			total  int64
		}{"deliveries": {deliveries, all(t, w.ListDeliveries)}, "clusters": {clusters, all(t, w.ListClusters)}} {
			var sum int64
			for _, count := range tc.counts {
				sum += count.Count
			}
			if sum != tc.total || sum == 0 {
				t.Errorf("the %s' counts sum up to %d, the list has %d: %v", name, sum, tc.total, tc.counts)
			}
		}
	})
}

// all is how many rows a list has in all namespaces.
func all[T any](t *testing.T, list func(context.Context, store.Query) (store.Page[T], error)) int64 {
	t.Helper()
	page, err := list(t.Context(), store.Query{Namespaces: []string{"blue", "green", "other"}, Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	return page.Total
}
