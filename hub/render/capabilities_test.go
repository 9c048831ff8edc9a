package render

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/target"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// curious renders one ConfigMap that says what it was told, by a function.
type curious struct {
	do     func(renderer.Request) (data string, used renderer.Used, err error)
	count  atomic.Int32
	active sync.Map
	twice  atomic.Bool
}

func (*curious) Name() string      { return "curious" }
func (*curious) Version() string   { return "1" }
func (*curious) TakesValues() bool { return true }

func (c *curious) Render(_ context.Context, request renderer.Request) (renderer.Result, error) {
	c.count.Add(1)
	if _, active := c.active.LoadOrStore("", true); active {
		c.twice.Store(true)
	}
	defer c.active.Delete("")
	data, used, err := c.do(request)
	if err != nil {
		return renderer.Result{}, err
	}
	return renderer.Result{Used: used, Warnings: []string{"warned"}, Objects: []renderer.Object{{Source: "a.yaml:1", Value: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "x"}, "data": map[string]any{"told": data}}}}}, nil
}

func (c *curious) input(version string, apis ...string) Input {
	in := input(map[string]string{"bundles/app/a.txt": "a"}, target.Inputs{Source: &v1alpha1.BundleSource{Plugin: &v1alpha1.PluginSource{Name: "curious"}}})
	in.ClusterVersion, in.APIVersions = version, apis
	return in
}

func (c *curious) renderer(t *testing.T, folder string) *Renderer {
	t.Helper()
	r, err := New(Config{SecretKey: []byte("key"), Renderers: []renderer.Renderer{c}, Folder: folder})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func told(t *testing.T, variant *Variant) string {
	t.Helper()
	objects, err := variant.Objects()
	if err != nil {
		t.Fatal(err)
	}
	return objects[0].Value["data"].(map[string]any)["told"].(string)
}

// clusters differ in everything that may be asked for.
func (c *curious) clusters() []Input {
	return []Input{c.input("v1.35.0", "apps/v1/Deployment"), c.input("v1.36.0", "apps/v1/Deployment", "monitoring.coreos.com/v1/ServiceMonitor"),
		c.input("v1.36.0", "apps/v1/Deployment"), c.input("v1.36.0")}
}

func TestCapabilitiesInTheKey(t *testing.T) {
	const monitor = "monitoring.coreos.com/v1"
	cases := map[string]struct {
		reason string
		do     func(renderer.Request) (string, renderer.Used, error)
		// bases that four clusters need.
		bases uint64
	}{
		"Nothing": {reason: "what was not asked is not part of the key", bases: 1,
			do: func(renderer.Request) (string, renderer.Used, error) { return "", renderer.Used{}, nil }},
		"Version": {reason: "two versions, whatever else differs", bases: 2,
			do: func(r renderer.Request) (string, renderer.Used, error) {
				return r.Capabilities.KubeVersion, renderer.Used{KubeVersion: true}, nil
			}},
		"API": {reason: "served, not served, never heard; a group/version is served where a kind of it is", bases: 3,
			do: func(r renderer.Request) (string, renderer.Used, error) {
				return fmt.Sprint(len(r.Capabilities.APIVersions) == 0, slices.Contains(r.Capabilities.APIVersions, monitor)), renderer.Used{APIVersions: []string{monitor}}, nil
			}},
		"All": {reason: "the whole list", bases: 3,
			do: func(r renderer.Request) (string, renderer.Used, error) {
				return fmt.Sprint(r.Capabilities.APIVersions), renderer.Used{AllAPIVersions: true}, nil
			}},
		"Branches": {reason: "what is asked next depends on the answer before", bases: 4,
			do: func(r renderer.Request) (string, renderer.Used, error) {
				if r.Capabilities.KubeVersion == "v1.35.0" {
					return "old", renderer.Used{KubeVersion: true}, nil
				}
				return fmt.Sprint(slices.Contains(r.Capabilities.APIVersions, monitor), len(r.Capabilities.APIVersions) == 0),
					renderer.Used{KubeVersion: true, APIVersions: []string{monitor}}, nil
			}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := &curious{do: tc.do}
			folder := t.TempDir()
			r := c.renderer(t, folder)
			want := map[int]string{}
			for i, in := range c.clusters() {
				fresh, err := c.renderer(t, "").Render(t.Context(), in)
				if err != nil {
					t.Fatal(err)
				}
				want[i] = told(t, fresh)
			}
			for range 2 {
				for i, in := range c.clusters() {
					variant, err := r.Render(t.Context(), in)
					if err != nil {
						t.Fatal(err)
					}
					if got := told(t, variant); got != want[i] {
						t.Errorf("%s: cluster %d got what another would: %q, want %q", tc.reason, i, got, want[i])
					}
				}
			}
			if got := r.Stats().Bases; got != tc.bases {
				t.Errorf("%s: want %d bases, got %d", tc.reason, tc.bases, got)
			}
			// What was asked is known after a restart, too.
			r = c.renderer(t, folder)
			for i, in := range c.clusters() {
				if variant, err := r.Render(t.Context(), in); err != nil || told(t, variant) != want[i] {
					t.Errorf("cluster %d after a restart: %v", i, err)
				}
			}
			if got := r.Stats().Bases; got != 0 {
				t.Errorf("%d bases were rendered anew after a restart", got)
			}
		})
	}
}

// TestMistakeOfOneCluster stays its own, though others wait for the same rendering.
func TestMistakeOfOneCluster(t *testing.T) {
	c := &curious{}
	c.do = func(r renderer.Request) (string, renderer.Used, error) {
		if r.Capabilities.KubeVersion == "v1.20.0" {
			return "", renderer.Used{}, renderer.Refuse("chart/Chart.yaml", 3, "the cluster is too old")
		}
		return "new", renderer.Used{KubeVersion: true}, nil
	}
	r := c.renderer(t, "")
	var group sync.WaitGroup
	for i := range 40 {
		group.Go(func() {
			version := []string{"v1.20.0", "v1.36.0"}[i%2]
			variant, err := r.Render(t.Context(), c.input(version))
			refused := new(renderer.Error)
			switch {
			case i%2 == 0 && (!errors.As(err, &refused) || refused.Line != 3):
				t.Errorf("want the old cluster's mistake by file and line, got %v", err)
			case i%2 == 1 && (err != nil || told(t, variant) != "new"):
				t.Errorf("a cluster got another's mistake: %v", err)
			}
		})
	}
	group.Wait()
	if c.twice.Load() {
		t.Error("one key was rendered twice at a time")
	}
	if got := c.count.Load(); got != 3 {
		t.Errorf("want one mistake and one rendering that is proven, got %d renderings", got)
	}
}

func TestWithVersions(t *testing.T) {
	got := withVersions([]string{"apps/v1/Deployment", "apps/v1/StatefulSet", "v1/Pod", "x.io/v1"})
	if diff := cmp.Diff([]string{"apps/v1", "apps/v1/Deployment", "apps/v1/StatefulSet", "v1", "v1/Pod", "x.io/v1"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestPluginGetsItsConfig(t *testing.T) {
	c := &curious{do: func(r renderer.Request) (string, renderer.Used, error) {
		return fmt.Sprintf("%v %s %v %q", r.Config, r.Path, r.Values, r.ContentID), renderer.Used{}, nil
	}}
	in := c.input("")
	in.Inputs.Source.Plugin.Path = "sub"
	in.Inputs.Source.Plugin.Config = &apiextensionsv1.JSON{Raw: []byte(`{"a":{"b":1}}`)}
	in.Inputs.Values = map[string]any{"v": "1"}
	variant, err := c.renderer(t, "").Render(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := contentHash(in)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := told(t, variant), fmt.Sprintf("map[a:map[b:1]] sub map[v:1] %q", hash); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if diff := cmp.Diff([]string{"warned"}, variant.Warnings); diff != "" {
		t.Error("warnings reach the author:", diff)
	}
}
