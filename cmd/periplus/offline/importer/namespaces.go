package importer

import (
	"reflect"
	"strings"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

// preexisting namespaces are there before anything is delivered.
var preexisting = map[string]bool{"": true, "default": true, "kube-system": true, "kube-public": true, "kube-node-lease": true}

// Namespace makes sure that a namespace is there before the bundle is: other tools create it by the way, here a bundle of its
// own holds it, so that several bundles may share it and none of them takes it away from the others.
func (r *Repo) Namespace(bundle *Bundle, namespace string, labels, annotations map[string]string) {
	if preexisting[namespace] || strings.Contains(namespace, "${{") {
		return
	}
	name := Name("namespace-" + namespace)
	made := r.Bundles[name]
	if made == nil {
		metadata := map[string]any{"name": namespace}
		if len(labels) > 0 {
			metadata["labels"] = labels
		}
		if len(annotations) > 0 {
			metadata["annotations"] = annotations
		}
		data, err := encode(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
		if err != nil {
			panic(err) // maps of strings always encode
		}
		made = &Bundle{Name: name, Files: map[string][]byte{"namespace.yaml": data}, At: bundle.At}
		made.Spec.Exclude = bundle.Spec.Exclude
		r.Bundles[name] = made
	}
	if !reflect.DeepEqual(made.Spec.Exclude, bundle.Spec.Exclude) {
		made.Spec.Exclude = nil
	}
	for _, target := range bundle.Spec.Targets {
		made.reach(target.ClusterMatch)
	}
	bundle.DependsOn(name)
}

// reach adds a target that says nothing but which clusters.
func (b *Bundle) reach(match v1alpha1.ClusterMatch) {
	for _, have := range b.Spec.Targets {
		if reflect.DeepEqual(have.ClusterMatch, match) {
			return
		}
	}
	b.Spec.Targets = append(b.Spec.Targets, v1alpha1.Target{ClusterMatch: match})
}
