package render

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/render/generated"
	"github.com/periplus-fleet/periplus/hub/target"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// keeper keeps in memory what the store keeps in a table.
type keeper struct {
	mu   sync.Mutex
	kept map[generated.Pair]generated.Values
}

func (k *keeper) Generated(_ context.Context, pair generated.Pair) (generated.Values, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.kept[pair]), nil
}

func (k *keeper) PutGenerated(_ context.Context, pair generated.Pair, values generated.Values) (generated.Values, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := maps.Clone(values)
	maps.Copy(all, k.kept[pair])
	k.kept[pair] = all
	return maps.Clone(all), nil
}

// random holds everything that charts make up.
var random = map[string]string{
	"bundles/app/chart/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n",
	"bundles/app/chart/templates/all.yaml": `{{- $ca := genCA "ca" 365 }}
{{- $cert := genSignedCert "web" nil (list "web.apps.svc") 365 $ca }}
apiVersion: v1
kind: Secret
metadata: {name: tls}
data:
  ca.crt: {{ $ca.Cert | b64enc }}
  tls.crt: {{ $cert.Cert | b64enc }}
  tls.key: {{ $cert.Key | b64enc }}
  fixed: {{ "fixed" | b64enc }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: made-up}
data:
  password: {{ randAlphaNum 20 | quote }}
  id: {{ uuidv4 | quote }}
  date: {{ now | unixEpoch | quote }}
  nano: {{ now | date "05.000000000" | quote }}
  host: {{ .Values.host | default "h" | quote }}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: hook}
webhooks:
- name: a.example.com
  clientConfig: {caBundle: {{ $ca.Cert | b64enc }}}
`,
}

var onceRules = []v1alpha1.FieldRule{
	{ObjectMatch: v1alpha1.ObjectMatch{Kind: "Secret", Name: "t*"}, Pointers: []string{"/data/ca.crt", "/data/tls.crt", "/data/tls.key"}},
	{ObjectMatch: v1alpha1.ObjectMatch{Kind: "ConfigMap"}, Pointers: []string{"/data/date", "/data/id", "/data/password", "/data/nano", "/data/not-there"}},
	{ObjectMatch: v1alpha1.ObjectMatch{Name: "hook"}, Pointers: []string{"/webhooks/0/clientConfig/caBundle"}},
}

func randomInput(cluster string, rules []v1alpha1.FieldRule) Input {
	in := input(random, target.Inputs{Source: &v1alpha1.BundleSource{Helm: &v1alpha1.HelmSource{Chart: "chart"}}})
	in.Bundle.Spec.Generate.Once, in.ClusterUID = rules, cluster
	return in
}

func TestGeneratedIsRefused(t *testing.T) {
	cases := map[string]struct {
		reason string
		rules  []v1alpha1.FieldRule
		says   []string
	}{
		"Nothing": {reason: "what differs is named with the way out", says: []string{"/data/ca.crt", "/data/tls.key",
			"generate: {once: [{kind: Secret, name: tls, pointers: [/data/ca.crt, /data/tls.crt, /data/tls.key]}]}"}},
		"Some":  {reason: "what is named may differ, what is not may not", rules: onceRules[:1], says: []string{"ConfigMap made-up", "/data/password", "/data/id"}},
		"Lists": {reason: "fields in lists are named by their place", rules: onceRules[:2], says: []string{"/webhooks/0/clientConfig/caBundle"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := render(t, randomInput("uid", tc.rules))
			refused := new(renderer.Error)
			if !errors.As(err, &refused) || !strings.HasPrefix(refused.File, "bundles/app/chart/templates/all.yaml") {
				t.Fatalf("%s: want a refusal by file, got %v", tc.reason, err)
			}
			for _, text := range tc.says {
				if !strings.Contains(refused.Message, text) {
					t.Errorf("%s: want %q in %q", tc.reason, text, refused.Message)
				}
			}
			if strings.Contains(refused.Message, "/data/fixed") || strings.Contains(refused.Message, "/data/host") {
				t.Errorf("what is the same is named: %s", refused.Message)
			}
		})
	}
}

func TestGeneratedOnceForACluster(t *testing.T) {
	kept := &keeper{kept: map[generated.Pair]generated.Values{}}
	// A renderer without a cache on disk renders anew, with other values, as after a cache was lost.
	fresh := func() *Renderer {
		r, err := New(Config{SecretKey: []byte("key"), Generated: kept})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := mustRender(t, fresh(), randomInput("one", onceRules))
	if again := mustRender(t, fresh(), randomInput("one", onceRules)); again.Revision != first.Revision {
		t.Error("a second rendering made another revision of what is generated once")
	}
	other := mustRender(t, fresh(), randomInput("two", onceRules))
	if other.Revision == first.Revision {
		t.Error("two clusters share one password")
	}
	changed := randomInput("one", onceRules)
	changed.Inputs.Values = map[string]any{"host": "other"}
	next := mustRender(t, fresh(), changed)
	if next.Revision == first.Revision || next.Blobs[next.Manifest.Items[0].Digest] == nil {
		t.Error("another value is another revision")
	}
	password := func(v *Variant) string {
		objects, err := v.Objects()
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range objects {
			if object.Kind == "ConfigMap" {
				return object.Value["data"].(map[string]any)["password"].(string)
			}
		}
		return ""
	}
	if password(next) != password(first) || password(next) == "" || password(first) == password(other) {
		t.Errorf("a password is one cluster's for good: %q, then %q, elsewhere %q", password(first), password(next), password(other))
	}
	once := map[string][]string{}
	for _, item := range first.Manifest.Items {
		once[item.Name] = item.Once
	}
	want := map[string][]string{"tls": {"/data/ca.crt", "/data/tls.crt", "/data/tls.key"}, "made-up": {"/data/date", "/data/id", "/data/nano", "/data/password"},
		"hook": {"/webhooks/0/clientConfig/caBundle"}}
	if diff := cmp.Diff(want, once); diff != "" {
		t.Errorf("the agent must know what not to overwrite: -want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{content.CapabilityOnce}, first.Required); diff != "" {
		t.Error(diff)
	}

	// Once the pair is gone, what comes back is new, though caches remember the old.
	r := fresh()
	mustRender(t, r, randomInput("one", onceRules))
	kept.kept = map[generated.Pair]generated.Values{}
	back := mustRender(t, r, randomInput("one", onceRules))
	if again := mustRender(t, r, randomInput("one", onceRules)); again.Revision != back.Revision {
		t.Error("what came back does not stay")
	}
}

func TestGeneratedNeedsACluster(t *testing.T) {
	r, err := New(Config{SecretKey: []byte("key"), Generated: &keeper{kept: map[generated.Pair]generated.Values{}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Render(t.Context(), randomInput("", onceRules)); err == nil {
		t.Error("values were generated for no cluster")
	}
}

func TestPointersOf(t *testing.T) {
	rules := []v1alpha1.FieldRule{{Pointers: []string{"/data/b", "/data/b/c", "/data/bc"}}, {ObjectMatch: v1alpha1.ObjectMatch{Kind: "Other"}, Pointers: []string{"/x"}},
		{ObjectMatch: v1alpha1.ObjectMatch{Name: "x"}, Pointers: []string{"/data/a", "/data/b"}}}
	object := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "x"}}
	if diff := cmp.Diff([]string{"/data/a", "/data/b", "/data/bc"}, pointersOf(rules, object)); diff != "" {
		t.Errorf("rules that match, each field once: %s", diff)
	}
}

func TestHooks(t *testing.T) {
	variant, err := render(t, richInput("a"))
	if err != nil {
		t.Fatal(err)
	}
	var hooks []content.Item
	for _, item := range variant.Manifest.Items {
		if item.Hook != nil {
			hooks = append(hooks, item)
		}
	}
	if len(hooks) != 1 || hooks[0].Name != "migrate" || hooks[0].Hook.Weight != 2 {
		t.Fatalf("want one hook, got %+v", hooks)
	}
	if diff := cmp.Diff([]string{content.HookPreInstall, content.HookPreUpgrade}, hooks[0].Hook.Events); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{content.CapabilityHooks}, variant.Required); diff != "" {
		t.Errorf("an agent that runs no hooks must refuse: %s", diff)
	}
}
