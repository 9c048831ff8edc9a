package control

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/gate"
	"github.com/periplus-fleet/periplus/hub/target"
	"github.com/periplus-fleet/periplus/policies/engine"
)

// judgeDeclarations lets the policies of a namespace decide on what its repos declare for the hub itself. What is denied is
// not applied, and so stays as it was.
func judgeDeclarations(policies *engine.Snapshot, namespace, commit string) func(context.Context, *unstructured.Unstructured, fleet.Position) (string, error) {
	return func(ctx context.Context, object *unstructured.Unstructured, at fleet.Position) (string, error) {
		cluster, err := declaredCluster(object, namespace)
		if err != nil {
			return "", err
		}
		verdict, err := gate.Declare(ctx, policies, gate.Declaration{Object: object.Object, Cluster: cluster, Commit: commit, Source: position(at), Now: time.Now()})
		return verdict.Reason, err
	}
}

// declaredCluster is what a declaration says of the cluster that it declares.
func declaredCluster(object *unstructured.Unstructured, namespace string) (engine.Cluster, error) {
	if object.GetKind() != "FleetCluster" || object.GroupVersionKind().Group != v1alpha1.Group {
		return engine.Cluster{Namespace: namespace}, nil
	}
	var declared v1alpha1.FleetCluster
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &declared); err != nil {
		return engine.Cluster{}, fmt.Errorf("cannot read FleetCluster %q: %w", object.GetName(), err)
	}
	declared.Namespace = namespace
	cluster, err := target.NewCluster(&declared, "")
	return engineCluster(cluster), err
}
