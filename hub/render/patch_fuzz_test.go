package render

import (
	"testing"

	"github.com/periplus-fleet/periplus/hub/target"
)

// FuzzPatch holds the merge of others' code to not ending the process, whatever a patch says.
func FuzzPatch(f *testing.F) {
	for _, seed := range []string{
		"spec: {template: {spec: {containers: [{name: b, $patch: delete}, {name: c}], volumes: [{$patch: replace}]}}}",
		"spec: {$retainKeys: [replicas], replicas: 1, strategy: {$retainKeys: [type], type: Recreate}}",
		"metadata: {$deleteFromPrimitiveList/finalizers: [a], $setElementOrder/finalizers: [b, a], finalizers: [b]}",
		"spec: {template: {spec: {$setElementOrder/containers: [{name: b}, {name: a}], containers: [{name: a, ports: [{containerPort: 1}]}]}}}",
		"$patch: replace\nspec: null\n", "$patch: 1", "$patch: delete", "spec: {template: {spec: {containers: [1, {name: 2}, [a]]}}}",
		"[{op: add, path: /spec/template/spec/containers/-, value: 1}, {op: move, from: /spec, path: /x}, {op: test, path: '', value: 1}]",
		"[{op: copy, from: '', path: /spec/x}, {op: replace, path: '', value: []}, {op: remove, path: /spec/template/spec/containers/-1}]",
	} {
		f.Add(seed)
	}
	base := "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x, finalizers: [a, b]}\nspec: {replicas: 2, strategy: {type: RollingUpdate, rollingUpdate: {}}, template: {spec: {containers: [{name: a, ports: [{containerPort: 1}, {containerPort: 2}]}, {name: b}], volumes: [{name: v}]}}}\n"
	sealed := base + "sops: {mac: x}\n"
	f.Fuzz(func(t *testing.T, text string) {
		in := Input{Inputs: target.Inputs{Patches: anyPatch(text), Labels: map[string]string{"a": "b"}}}
		for _, object := range []string{base, sealed} {
			objects, err := post(in, decoded(t, object))
			if err != nil {
				continue
			}
			for _, one := range objects {
				if _, problem := identify(one.Value); problem != "" {
					t.Fatalf("a patch took away what names the object: %s", problem)
				}
				if one.Sealed != nil {
					_, _ = sealedContent(in, one) // may refuse, must not crash
				}
			}
		}
	})
}
