package gate_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/hub/gate"
	"github.com/periplus-fleet/periplus/policies/engine"
)

func snapshot(t *testing.T, body string) *engine.Snapshot {
	t.Helper()
	text := "# METADATA\n# custom:\n#   input: periplus\n#   kinds: [ConfigMap]\npackage p\n\n" + body + "\n"
	s, refusals := engine.Load(engine.Source{Modules: []engine.File{{Path: "policies/p.rego", Text: text}}}, nil)
	if len(refusals) > 0 {
		t.Fatalf("refused: %+v", refusals)
	}
	return s
}

func request(t *testing.T, s *engine.Snapshot, names ...string) gate.Request {
	t.Helper()
	blobs := map[content.Digest][]byte{}
	manifest := content.Manifest{DefaultNamespace: "shop"}
	for i, name := range names {
		blob := []byte(fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q}}`, name))
		blobs[content.Sum(blob)] = blob
		manifest.Items = append(manifest.Items, content.Item{ObjectID: content.ObjectID{Kind: "ConfigMap", Name: name},
			Digest: content.Sum(blob), Source: fmt.Sprintf("bundles/b/m.yaml:%d", i+1)})
	}
	return gate.Request{Snapshot: s, Bundle: "fleet/b", Manifest: manifest, Now: time.Unix(0, 0), Cluster: engine.Cluster{Name: "a"},
		Load: func(context.Context, []content.Digest) (map[content.Digest][]byte, error) { return blobs, nil }}
}

func TestCheck(t *testing.T) {
	s := snapshot(t, `deny contains "starts with bad" if startswith(input.name, "bad")`)
	cases := map[string]struct {
		names  []string
		denied bool
		reason string
	}{
		"Passes": {[]string{"good"}, false, ""},
		"Denied": {[]string{"good", "bad"}, true, "policy p denies ConfigMap shop/bad: starts with bad (policies/p.rego:7)"},
		"More":   {[]string{"bad1", "bad2"}, true, "policy p denies ConfigMap shop/bad1: starts with bad (policies/p.rego:7) and 1 more"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			v, err := gate.New(gate.Config{}).Check(context.Background(), request(t, s, c.names...))
			if err != nil {
				t.Fatal(err)
			}
			if v.Denied != c.denied || v.Reason != c.reason {
				t.Errorf("got %v %q, want %v %q", v.Denied, v.Reason, c.denied, c.reason)
			}
			for _, r := range v.Results {
				if r.Source == "" || r.PolicySource != "policies/p.rego:7" {
					t.Errorf("result without its places: %+v", r)
				}
			}
		})
	}
}

func TestVerdictsAreShared(t *testing.T) {
	clusters := []engine.Cluster{{Name: "a", Labels: map[string]string{"env": "prod"}}, {Name: "b", Labels: map[string]string{"env": "prod"}},
		{Name: "c", Labels: map[string]string{"env": "dev"}}}
	cases := map[string]struct {
		reason string
		body   string
		want   gate.Stats
	}{
		"AllClusters": {"nothing of the cluster is read", `deny contains input.name`, gate.Stats{Evaluations: 1, Hits: 2}},
		"ByLabel":     {"two look the same", `deny contains "p" if input.cluster.labels.env == "prod"`, gate.Stats{Evaluations: 2, Hits: 1}},
		"ByName":      {"each is another", `deny contains input.cluster.name`, gate.Stats{Evaluations: 3}},
		"ByTime":      {"a verdict that depends on the clock is not kept", `deny contains "late" if time.now_ns() > 1`, gate.Stats{}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s, g := snapshot(t, c.body), gate.New(gate.Config{})
			for _, cluster := range clusters {
				req := request(t, s, "x")
				req.Cluster = cluster
				got, err := g.Check(context.Background(), req)
				if err != nil {
					t.Fatal(err)
				}
				alone, err := gate.New(gate.Config{}).Check(context.Background(), req)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(alone, got); diff != "" {
					t.Errorf("a shared verdict differs for cluster %s: -alone +shared:\n%s", cluster.Name, diff)
				}
			}
			if diff := cmp.Diff(c.want, g.Stats()); diff != "" {
				t.Errorf("%s: -want +got:\n%s", c.reason, diff)
			}
		})
	}
}

func TestCacheIsBounded(t *testing.T) {
	s, g := snapshot(t, `deny contains input.name`), gate.New(gate.Config{CacheSize: 2})
	for _, name := range []string{"a", "b", "c", "a"} {
		if _, err := g.Check(context.Background(), request(t, s, name)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(gate.Stats{Evaluations: 4}, g.Stats()); diff != "" {
		t.Errorf("a must have been dropped: -want +got:\n%s", diff)
	}
}

func TestMissingContentIsNoVerdict(t *testing.T) {
	req := request(t, snapshot(t, `deny contains input.name`), "x")
	req.Load = func(context.Context, []content.Digest) (map[content.Digest][]byte, error) { return nil, nil }
	if _, err := gate.New(gate.Config{}).Check(context.Background(), req); err == nil || !strings.Contains(err.Error(), "ConfigMap x is missing") {
		t.Errorf("want an error that names the object, got %v", err)
	}
}

// TestSecretRevisionIsMasked lets a policy quote an object of no secret kind that was made of secret inputs.
func TestSecretRevisionIsMasked(t *testing.T) {
	s := snapshot(t, `deny contains sprintf("%v %v %v", [input.object.data, input.object.data.url, input.name])`)
	blob := []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"url":"postgres://hunter2@db","conf":"user: app\npassword: \"opensesame\"\n"}}`)
	for digest, shows := range map[content.Digest]bool{content.Sum(blob): true, content.SumSecret([]byte("key"), blob): false} {
		in := request(t, s)
		in.Manifest.Items = []content.Item{{ObjectID: content.ObjectID{Kind: "ConfigMap", Name: "c"}, Digest: digest}}
		in.Load = func(context.Context, []content.Digest) (map[content.Digest][]byte, error) {
			return map[content.Digest][]byte{digest: blob}, nil
		}
		v, err := gate.New(gate.Config{}).Check(context.Background(), in)
		if err != nil || !v.Denied {
			t.Fatal(v, err)
		}
		for _, text := range []string{v.Reason, v.Results[0].Message} {
			if strings.Contains(text, "hunter2") != shows || strings.Contains(text, "opensesame") != shows || !strings.Contains(text, "c") {
				t.Errorf("%s: want values shown: %v, got %q", digest, shows, text)
			}
		}
	}
}

// TestNamespaceOfTheSameRevision: a selector of namespaces sees the labels of those that the revision itself makes.
func TestNamespaceOfTheSameRevision(t *testing.T) {
	template := map[string]any{"apiVersion": "templates.gatekeeper.sh/v1", "kind": "ConstraintTemplate", "metadata": map[string]any{"name": "no"}, "spec": map[string]any{
		"crd":     map[string]any{"spec": map[string]any{"names": map[string]any{"kind": "No"}}},
		"targets": []any{map[string]any{"target": "admission.k8s.gatekeeper.sh", "rego": "package no\nviolation[{\"msg\": msg}] { msg := sprintf(\"%v\", [input.review.namespaceObject.metadata.labels.tier]) }"}}}}
	constraint := map[string]any{"apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": "No", "metadata": map[string]any{"name": "no"}, "spec": map[string]any{
		"match": map[string]any{"namespaceSelector": map[string]any{"matchLabels": map[string]any{"env": "prod"}}, "kinds": []any{map[string]any{"apiGroups": []any{""}, "kinds": []any{"ConfigMap"}}}}}}
	s, refusals := engine.Load(engine.Source{Gatekeeper: []engine.Manifest{{Object: template, Source: "t.yaml:1"}, {Object: constraint, Source: "c.yaml:1"}}}, nil)
	if len(refusals) > 0 {
		t.Fatal(refusals)
	}
	g := gate.New(gate.Config{})
	for labels, want := range map[string]string{
		"": "", `"env":"dev"`: "", `"env":"prod","tier":"a"`: "policy no/no denies ConfigMap shop/c: a (c.yaml:1)", `"env":"prod","tier":"b"`: "policy no/no denies ConfigMap shop/c: b (c.yaml:1)",
	} {
		req := request(t, s, "c")
		if labels != "" {
			blob := []byte(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop","labels":{` + labels + `}}}`)
			blobs, _ := req.Load(context.Background(), nil)
			blobs[content.Sum(blob)] = blob
			req.Manifest.Items = append(req.Manifest.Items, content.Item{ObjectID: content.ObjectID{Kind: "Namespace", Name: "shop"}, Digest: content.Sum(blob)})
		}
		v, err := g.Check(context.Background(), req)
		if err != nil || v.Reason != want {
			t.Errorf("labels %s: want %q, got %q, %v", labels, want, v.Reason, err)
		}
	}
}
