package control

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/gate"
	"github.com/periplus-fleet/periplus/policies/engine"
)

// judgeDeclarations lets the policies of a namespace decide on what its repos declare for the hub itself. What is denied is
// not applied, and so stays as it was.
func judgeDeclarations(policies *engine.Snapshot, namespace, commit string) func(context.Context, *unstructured.Unstructured, fleet.Position) (string, error) {
	return func(ctx context.Context, object *unstructured.Unstructured, at fleet.Position) (string, error) {
		cluster, err := gate.DeclaredCluster(object, namespace)
		if err != nil {
			return "", err
		}
		verdict, err := gate.Declare(ctx, policies, gate.Declaration{Object: object.Object, Cluster: cluster, Commit: commit, Source: position(at), Now: time.Now()})
		return verdict.Reason, err
	}
}
