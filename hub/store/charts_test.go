package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/hub/chart/record"
)

func TestChartRecords(t *testing.T) {
	each(t, func(w *world) {
		key := record.Key{Bundle: "fleet/a", Content: "one", Source: "https://charts.example.com app 1.x"}
		first := record.Resolved{Version: "1.2.0", Digest: "abc", URL: "https://charts.example.com/app-1.2.0.tgz"}
		if _, ok, err := w.ChartRecord(w.ctx(), key); ok || err != nil {
			t.Fatalf("nothing was resolved yet: got %v, %v", ok, err)
		}
		got, err := w.PutChartRecord(w.ctx(), key, first)
		w.must(err)
		if diff := cmp.Diff(first, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		other := w.another()
		got, err = other.PutChartRecord(w.ctx(), key, record.Resolved{Version: "1.3.0", Digest: "def", URL: "https://charts.example.com/app-1.3.0.tgz"})
		w.must(err)
		if diff := cmp.Diff(first, got); diff != "" {
			t.Errorf("a second process takes what the first one resolved: -want +got:\n%s", diff)
		}
		got, ok, err := other.ChartRecord(w.ctx(), key)
		w.must(err)
		if diff := cmp.Diff(first, got); !ok || diff != "" {
			t.Errorf("a record is there for all (%v): -want +got:\n%s", ok, diff)
		}

		// Two contents of the bundle are in use, one is not; another bundle's old record is none of its business.
		idle, used, foreign := key, key, key
		idle.Content, used.Content, foreign.Bundle = "idle", "used", "fleet/b"
		for _, one := range []record.Key{idle, used, foreign} {
			_, err := w.PutChartRecord(w.ctx(), one, first)
			w.must(err)
		}
		w.pass(60 * 24 * time.Hour)
		for _, one := range []record.Key{key, used} {
			_, _, err := w.ChartRecord(w.ctx(), one)
			w.must(err)
		}
		w.pass(60 * 24 * time.Hour)
		newest := key
		newest.Content = "newest"
		_, err = w.PutChartRecord(w.ctx(), newest, first)
		w.must(err)
		left := map[string]bool{}
		for _, one := range []record.Key{key, idle, used, foreign, newest} {
			_, ok, err := w.ChartRecord(w.ctx(), one)
			w.must(err)
			left[one.Bundle+" "+one.Content] = ok
		}
		want := map[string]bool{"fleet/a one": true, "fleet/a idle": false, "fleet/a used": true, "fleet/b one": true, "fleet/a newest": true}
		if diff := cmp.Diff(want, left); diff != "" {
			t.Errorf("only what nobody used for 90 days goes, and only when its own bundle resolves anew: -want +got:\n%s", diff)
		}
	})
}
