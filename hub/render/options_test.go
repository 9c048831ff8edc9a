package render

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/hub/target"
)

func TestOptionsOfOneObject(t *testing.T) {
	cases := map[string]struct {
		reason, annotations string
		want                *content.Options
		required            []string
		refused             string
	}{
		"None":      {reason: "an object is pruned, applied and owned as a bundle's objects are", annotations: "{}"},
		"PruneOnly": {reason: "data outlives its bundle", annotations: "{fleet.periplus.dev/prune: never}", want: &content.Options{Prune: content.PruneNever}, required: []string{content.CapabilityOptions}},
		"All": {reason: "options do not exclude each other", annotations: "{fleet.periplus.dev/prune: never, fleet.periplus.dev/apply: create-only, fleet.periplus.dev/adopt: if-unowned}",
			want: &content.Options{Prune: content.PruneNever, Apply: content.ApplyCreateOnly, Adopt: content.AdoptIfUnowned}, required: []string{content.CapabilityOptions}},
		"Keep":    {reason: "a chart's word for data that outlives it counts", annotations: "{helm.sh/resource-policy: keep}", want: &content.Options{Prune: content.PruneNever}, required: []string{content.CapabilityOptions}},
		"KeepNot": {reason: "as nothing else does", annotations: "{helm.sh/resource-policy: delete}"},
		"Unknown": {reason: "a misspelt word must not mean the default", annotations: "{fleet.periplus.dev/prune: no}", refused: "fleet.periplus.dev/prune is \"no\", and can be never"},
		"Waves": {reason: "order, time and what is left to others are each object's own", annotations: "{fleet.periplus.dev/wave: \"3\", fleet.periplus.dev/timeout: 90s, fleet.periplus.dev/ignore: \"/data/b, /data/a\"}",
			want: &content.Options{Wave: 3, Timeout: "1m30s", Ignore: []string{"/data/a", "/data/b"}}, required: []string{content.CapabilityOptions, content.CapabilityWaves}},
		"BadWave": {reason: "a misspelt number must not mean 0", annotations: "{fleet.periplus.dev/wave: \"one\"}", refused: "fleet.periplus.dev/wave is \"one\""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r, err := New(Config{SecretKey: []byte("key")})
			if err != nil {
				t.Fatal(err)
			}
			variant, err := r.Render(t.Context(), input(map[string]string{"bundles/app/a.yaml": fmt.Sprintf(
				"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  annotations: %s\n", strings.ReplaceAll(tc.annotations, ": no}", ": \"no\"}"))}, target.Inputs{}))
			if tc.refused != "" {
				if err == nil || !strings.Contains(err.Error(), tc.refused) || !strings.Contains(err.Error(), "a.yaml:1") {
					t.Fatalf("%s: want a.yaml:1 and %q, got %v", tc.reason, tc.refused, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, variant.Manifest.Items[0].Options); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.required, variant.Required); diff != "" && len(tc.required)+len(variant.Required) > 0 {
				t.Errorf("%s: capabilities: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}
