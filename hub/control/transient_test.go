package control

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/hub/render"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// moody renders like a plugin that fails for a while.
type moody struct {
	failure error
	asked   int
}

func (*moody) Name() string      { return "manifests" }
func (*moody) Version() string   { return "1" }
func (*moody) TakesValues() bool { return false }

func (m *moody) Render(context.Context, renderer.Request) (renderer.Result, error) {
	m.asked++
	if m.failure != nil {
		return renderer.Result{}, m.failure
	}
	return renderer.Result{Objects: []renderer.Object{{Source: "a.yaml:1", Value: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "a", "namespace": "default"}}}}}, nil
}

// crashed is a failure of the plugin, not of what it was given.
type crashed struct{ error }

func (crashed) Transient() bool { return true }

func TestRenderingIsTriedAgain(t *testing.T) {
	cases := map[string]struct {
		reason  string
		failure error
		want    []string
	}{
		"Crash":   {reason: "a plugin that crashed may work the next time, though nothing was committed", failure: crashed{errors.New("signal: killed")}, want: []string{"c web"}},
		"Mistake": {reason: "what is wrong with the input stays wrong until a commit mends it", failure: errors.New("no such field"), want: []string{"c web RenderFailed unassigned"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := newTestFleet(t)
			plugin := &moody{failure: tc.failure}
			var err error
			if f.planner.renderer, err = render.New(render.Config{Renderers: []renderer.Renderer{plugin}, SecretKey: []byte("key")}); err != nil {
				t.Fatal(err)
			}
			f.cluster("c")
			f.commit(bundleFiles("web", "{targets: [{clusterSelector: {}}]}"))
			f.plan()
			if diff := cmp.Diff([]string{"c web RenderFailed unassigned"}, f.state()); diff != "" {
				t.Fatalf("while it fails: -want +got:\n%s", diff)
			}
			asked := plugin.asked
			plugin.failure = nil
			f.plan()
			if plugin.asked != asked {
				t.Error("it was asked again at once: a plugin that crashes needs a pause")
			}
			f.now = f.now.Add(faultAgain + time.Second)
			f.plan()
			if diff := cmp.Diff(tc.want, f.state()); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}
