package gate

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/target"
	"github.com/periplus-fleet/periplus/policies/engine"
)

// Source is what fleet repos say of policy together, as the engine loads it.
func Source(repos ...fleet.PolicySources) engine.Source {
	var source engine.Source
	for _, repo := range repos {
		for _, module := range repo.Modules {
			source.Modules = append(source.Modules, engine.File{Path: module.Path, Text: string(module.Data)})
		}
		for _, b := range repo.Bindings {
			source.Bindings = append(source.Bindings, engine.Binding{PolicyBinding: b.Binding, Source: place(b.Position)})
		}
		for _, g := range repo.Gatekeeper {
			source.Gatekeeper = append(source.Gatekeeper, engine.Manifest{Object: g.Object, Source: place(g.Position)})
		}
		for _, e := range repo.Exemptions {
			source.Exemptions = append(source.Exemptions, engine.Exemption{PolicyExemption: e.Exemption, Source: place(e.Position)})
		}
	}
	return source
}

func place(p fleet.Position) string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// Cluster is a cluster as policies see it.
func Cluster(c target.Cluster) engine.Cluster {
	return engine.Cluster{Name: c.Name, Namespace: c.Namespace, Labels: c.Labels, Variables: c.Variables, Version: c.Version}
}

// DeclaredCluster is what a declaration says of the cluster that it declares; of other declarations only the namespace is known.
func DeclaredCluster(object *unstructured.Unstructured, namespace string) (engine.Cluster, error) {
	if object.GetKind() != "FleetCluster" || object.GroupVersionKind().Group != v1alpha1.Group {
		return engine.Cluster{Namespace: namespace}, nil
	}
	var declared v1alpha1.FleetCluster
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &declared); err != nil {
		return engine.Cluster{}, fmt.Errorf("cannot read FleetCluster %q: %w", object.GetName(), err)
	}
	declared.Namespace = namespace
	cluster, err := target.NewCluster(&declared, "")
	return Cluster(cluster), err
}
