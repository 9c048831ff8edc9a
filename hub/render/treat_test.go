package render

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/target"
)

func TestRulesOfObjects(t *testing.T) {
	wave := func(n int) *int { return &n }
	all := v1alpha1.ObjectMatch{}
	cases := map[string]struct {
		reason, annotations string
		spec                v1alpha1.BundleSpec
		want                *content.Options
	}{
		"Bundle": {reason: "one word for all objects", annotations: "{}", spec: v1alpha1.BundleSpec{Adopt: v1alpha1.AdoptIfEqual}, want: &content.Options{Adopt: content.AdoptIfEqual}},
		"Rule":   {reason: "a rule over the bundle", annotations: "{}", spec: v1alpha1.BundleSpec{Adopt: v1alpha1.AdoptAlways, Objects: []v1alpha1.ObjectRule{{Adopt: "never"}}}},
		"Later": {reason: "a later rule over an earlier one, field by field", annotations: "{}", spec: v1alpha1.BundleSpec{Objects: []v1alpha1.ObjectRule{
			{ObjectMatch: all, Wave: wave(2), Apply: "replace", Timeout: &metav1.Duration{Duration: time.Minute}, Ignore: []string{"/data/a"}}, {ObjectMatch: v1alpha1.ObjectMatch{Kind: "ConfigMap", Name: "a*"}, Wave: wave(0)}}},
			want: &content.Options{Apply: content.ApplyReplace, Timeout: "1m0s", Ignore: []string{"/data/a"}}},
		"Annotation": {reason: "an annotation over every rule, also with the default", annotations: "{fleet.periplus.dev/wave: \"0\", fleet.periplus.dev/adopt: never}",
			spec: v1alpha1.BundleSpec{Adopt: v1alpha1.AdoptAlways, Objects: []v1alpha1.ObjectRule{{Wave: wave(2), Prune: "never"}}}, want: &content.Options{Prune: content.PruneNever}},
		"Others": {reason: "a rule of other objects", annotations: "{}", spec: v1alpha1.BundleSpec{Objects: []v1alpha1.ObjectRule{{ObjectMatch: v1alpha1.ObjectMatch{Kind: "Secret"}, Wave: wave(2)}}}},
	}
	r, err := New(Config{SecretKey: []byte("key")})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			in := input(map[string]string{"bundles/app/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  annotations: " + tc.annotations + "\n"}, target.Inputs{})
			plain, err := r.Render(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			in.Bundle.Spec.Adopt, in.Bundle.Spec.Objects = tc.spec.Adopt, tc.spec.Objects
			variant, err := r.Render(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, variant.Manifest.Items[0].Options); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.want.Required(), variant.Required); diff != "" && len(variant.Required) > 0 {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
			// The content is the base's, shared by both.
			if plain.Manifest.Items[0].Digest != variant.Manifest.Items[0].Digest || plain.Key == variant.Key {
				t.Errorf("%s: keys %q and %q", tc.reason, plain.Key, variant.Key)
			}
		})
	}
}
