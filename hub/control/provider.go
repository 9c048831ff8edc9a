package control

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/target"
)

// providers find the kind of infrastructure behind provisioned clusters: by their class, or by the Cluster that was adopted.
type providers struct {
	client client.Client
	// reader asks the API itself: classes are few, and not watched.
	reader client.Reader
	kinds  map[string]string
}

func (p providers) of(ctx context.Context, cluster *v1alpha1.FleetCluster) (string, error) {
	provision := cluster.Spec.Provision
	switch {
	case provision == nil:
		return "", nil
	case provision.ClusterRef != nil:
		var adopted clusterv1.Cluster
		err := p.client.Get(ctx, client.ObjectKey{Namespace: cluster.Namespace, Name: provision.ClusterRef.Name}, &adopted)
		if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
			return "", nil
		}
		return adopted.Spec.InfrastructureRef.Kind, err
	case provision.Topology == nil:
		return "", nil
	}
	namespace := provision.Topology.ClassRef.Namespace
	if namespace == "" {
		namespace = cluster.Namespace
	}
	key := namespace + "/" + provision.Topology.ClassRef.Name
	if kind, known := p.kinds[key]; known {
		return kind, nil
	}
	class := &unstructured.Unstructured{}
	class.SetGroupVersionKind(clusterv1.GroupVersion.WithKind("ClusterClass"))
	err := p.reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: provision.Topology.ClassRef.Name}, class)
	if err != nil && !apierrors.IsNotFound(err) && !meta.IsNoMatchError(err) {
		return "", fmt.Errorf("cannot read ClusterClass %q: %w", key, err)
	}
	p.kinds[key] = target.ProviderOfClass(class)
	return p.kinds[key], nil
}
