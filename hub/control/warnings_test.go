package control

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/render"
	"github.com/periplus-fleet/periplus/plugins/renderer/manifests"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// warning is a renderer that warns of what the test says.
type warning struct {
	manifests.Renderer
	of *[]string
}

func (w warning) Render(ctx context.Context, request renderer.Request) (renderer.Result, error) {
	result, err := w.Renderer.Render(ctx, request)
	result.Warnings = *w.of
	return result, err
}

func TestWarningsAreKept(t *testing.T) {
	f := newTestFleet(t)
	var warned []string
	restart := func() {
		f.restart()
		made, err := render.New(render.Config{SecretKey: []byte("key"), Renderers: []renderer.Renderer{warning{of: &warned}}})
		if err != nil {
			t.Fatal(err)
		}
		f.planner.renderer = made
	}
	f.cluster("c1")
	f.cluster("c2")
	steps := []struct {
		reason  string
		warned  []string
		restart bool
		want    delivery.Warnings
	}{
		{"A bundle without warnings has none.", nil, true, delivery.Warnings{}},
		{"Two of two clusters are two, not four.", []string{"b is old", "a is old"}, false, delivery.Warnings{Count: 2, First: []string{"a is old", "b is old"}}},
		{"Of many the first are shown.", []string{"1", "2", "3", "4", "5", "6", "7"}, false, delivery.Warnings{Count: 7, First: []string{"1", "2", "3", "4", "5"}}},
		{"They end with what was warned of.", []string{"3"}, false, delivery.Warnings{Count: 1, First: []string{"3"}}},
		{"Also while the hub is away.", nil, true, delivery.Warnings{}},
	}
	for i, step := range steps {
		warned = step.warned
		files := bundleFiles("web", "{targets: [{clusterSelector: {}}]}")
		files["bundles/web/object.yaml"] = strings.Replace(object, "x: a", fmt.Sprintf("x: 'step %d'", i), 1)
		f.commit(files)
		rows, err := f.declared.rows()
		if err != nil {
			t.Fatal(err)
		}
		if err := f.store.PutBundles(t.Context(), f.term, rows); err != nil {
			t.Fatal(err)
		}
		if step.restart {
			restart()
		}
		f.plan()
		bundles, err := f.store.Bundles(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(step.want, bundles[0].Warnings); diff != "" {
			t.Errorf("%s: in the store, -want +got\n%s", step.reason, diff)
		}
		if diff := cmp.Diff(step.want, f.planner.warnings["fleet/web"]); diff != "" {
			t.Errorf("%s: in the plan, -want +got\n%s", step.reason, diff)
		}
	}
}
