package apply

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/periplus-fleet/periplus/api/content"
)

func TestAdopts(t *testing.T) {
	cases := map[string]struct {
		reason, policy, keeper string
		changes                []string
		// want is part of the refusal, "" for none.
		want []string
	}{
		"Never":           {reason: "nothing is taken unasked, and the words that would take it are named", want: []string{"is not managed by us: ", "adopt: if-unowned"}},
		"NeverOfATool":    {reason: "who has it is named", keeper: `Helm release "a/b"`, want: []string{`not managed by us but by Helm release "a/b"`, "adopt: always"}},
		"Unowned":         {reason: "nobody loses it", policy: content.AdoptIfUnowned},
		"UnownedOfATool":  {reason: "two tools would fight over it", policy: content.AdoptIfUnowned, keeper: `Helm release "a/b"`, want: []string{`managed by Helm release "a/b"`, "adopt: always"}},
		"Equal":           {reason: "nothing changes", policy: content.AdoptIfEqual},
		"EqualOfATool":    {reason: "nothing changes but who has it", policy: content.AdoptIfEqual, keeper: "x"},
		"NotEqual":        {reason: "the fields are named", policy: content.AdoptIfEqual, changes: []string{"data.a", "data.b"}, want: []string{"change in data.a, data.b", "adopt: if-unowned"}},
		"NotEqualOfATool": {reason: "and who has it", policy: content.AdoptIfEqual, keeper: "x", changes: []string{"a", "b", "c", "d", "e", "f", "g"}, want: []string{"but by x", "e and 2 more", "adopt: always"}},
		"Always":          {reason: "a person said so", policy: content.AdoptAlways, keeper: "x", changes: []string{"data.a"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			err := adopts(c.policy, c.keeper, func() ([]string, error) { return c.changes, nil })
			if len(c.want) == 0 && err != nil || len(c.want) > 0 && !errors.Is(err, ErrConflict) {
				t.Fatalf("%s: %v", c.reason, err)
			}
			for _, text := range c.want {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("%s: want %q in %q", c.reason, text, err)
				}
			}
		})
	}
	unread := errors.New("unread")
	if err := adopts(content.AdoptIfEqual, "", func() ([]string, error) { return nil, unread }); !errors.Is(err, unread) {
		t.Errorf("what cannot be compared is adopted: %v", err)
	}
}

func TestKeeper(t *testing.T) {
	labels := func(key, value string) map[string]any { return map[string]any{"labels": map[string]any{key: value}} }
	annotations := func(key, value string) map[string]any {
		return map[string]any{"annotations": map[string]any{key: value}}
	}
	cases := map[string]struct {
		reason   string
		metadata map[string]any
		want     string
	}{
		"Nobody":      {"a label of everyone's says nothing", labels("app.kubernetes.io/instance", "web"), ""},
		"Helm":        {"", map[string]any{"annotations": map[string]any{"meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": "shop"}}, `Helm release "shop/web"`},
		"Argo":        {"", annotations("argocd.argoproj.io/tracking-id", "web:apps/Deployment:shop/web"), `Argo CD application "web"`},
		"ArgoLabel":   {"", labels("argocd.argoproj.io/instance", "web"), `Argo CD application "web"`},
		"Flux":        {"", map[string]any{"labels": map[string]any{"kustomize.toolkit.fluxcd.io/name": "web", "kustomize.toolkit.fluxcd.io/namespace": "flux"}}, `Flux Kustomization "flux/web"`},
		"FluxRelease": {"Flux' Helm charts bear both marks, and Flux is who acts", map[string]any{"labels": map[string]any{"helm.toolkit.fluxcd.io/name": "web"}}, `Flux HelmRelease "web"`},
		"Fleet":       {"", annotations("objectset.rio.cattle.io/id", "default-web"), `Fleet bundle "default-web"`},
		"Controller": {"", map[string]any{"ownerReferences": []any{map[string]any{"kind": "ReplicaSet", "name": "web-1", "controller": true, "apiVersion": "apps/v1", "uid": "1"}}},
			`its controller, ReplicaSet "web-1"`},
		"Owner": {"an owner that is no controller only decides when it goes", map[string]any{"ownerReferences": []any{map[string]any{"kind": "A", "name": "a", "apiVersion": "v1", "uid": "1"}}}, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, Keeper(&unstructured.Unstructured{Object: map[string]any{"metadata": c.metadata}})); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

func TestCompare(t *testing.T) {
	before := map[string]any{"a": int64(1), "b": map[string]any{"c": "x", "gone": "y"}, "same": []any{"z"}}
	after := map[string]any{"a": int64(2), "b": map[string]any{"c": "x", "new": "y"}, "same": []any{"z"}, "empty": map[string]any{}}
	found := map[string]bool{}
	compare(before, after, nil, found)
	if diff := cmp.Diff(map[string]bool{"a": true, "b.gone": true, "b.new": true}, found); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
