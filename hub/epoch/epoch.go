// Package epoch notices that the hub's SQL store or its Kubernetes API was put back to an older copy. The store's epoch and
// its write mark are kept twice, in SQL and in a Kubernetes Lease; when the two no longer fit, a new epoch begins, and every
// cluster is relearned before anything is removed from it.
package epoch

import (
	"context"
	"fmt"
	"strconv"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/store"
)

// LeaseName is the Lease in the hub's namespace.
const LeaseName = "periplus-epoch"

const (
	annotationFleet = v1alpha1.Group + "/fleet-id"
	annotationEpoch = v1alpha1.Group + "/epoch"
	annotationMark  = v1alpha1.Group + "/write-mark"
)

// Verdict says what the comparison of the two copies means.
type Verdict struct {
	// NewEpoch is true when a new life of the store begins.
	NewEpoch bool
	// FleetID that the store must take over, when it has another.
	FleetID string
	Reason  string
}

// Judge compares the store's record with the Lease's; lease is nil where there is none. known is how many clusters the store has.
func Judge(meta store.Meta, lease *store.Meta, known int) Verdict {
	switch {
	case lease == nil && known == 0:
		return Verdict{}
	case lease == nil:
		return Verdict{NewEpoch: true, Reason: "the hub's Kubernetes API does not know the store's epoch: it was restored or replaced"}
	case lease.FleetID != meta.FleetID:
		return Verdict{NewEpoch: true, FleetID: lease.FleetID, Reason: "the store was replaced: it belongs to another or a new fleet"}
	case lease.Epoch != meta.Epoch:
		return Verdict{NewEpoch: true, Reason: "the store and the hub's Kubernetes API are of different epochs: one of them was restored"}
	case meta.WriteMark < lease.WriteMark:
		return Verdict{NewEpoch: true, Reason: fmt.Sprintf("the store was restored: it is %d writes behind", lease.WriteMark-meta.WriteMark)}
	default:
		return Verdict{}
	}
}

// Keeper reads and writes the Lease.
type Keeper struct {
	Client    client.Client
	Namespace string
}

// Load reads the Lease's record; nil where there is none.
func (k Keeper) Load(ctx context.Context) (*store.Meta, error) {
	var lease coordinationv1.Lease
	err := k.Client.Get(ctx, client.ObjectKey{Namespace: k.Namespace, Name: LeaseName}, &lease)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read lease %q: %w", LeaseName, err)
	}
	mark, err := strconv.ParseUint(lease.Annotations[annotationMark], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("cannot read lease %q: annotation %s: %w", LeaseName, annotationMark, err)
	}
	return &store.Meta{FleetID: lease.Annotations[annotationFleet], Epoch: lease.Annotations[annotationEpoch], WriteMark: mark}, nil
}

// Save writes the store's record into the Lease.
func (k Keeper) Save(ctx context.Context, meta store.Meta) error {
	now := metav1.NowMicro()
	want := map[string]string{annotationFleet: meta.FleetID, annotationEpoch: meta.Epoch, annotationMark: strconv.FormatUint(meta.WriteMark, 10)}
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: k.Namespace, Name: LeaseName}}
	err := k.Client.Get(ctx, client.ObjectKeyFromObject(lease), lease)
	switch {
	case apierrors.IsNotFound(err):
		lease.Annotations = want
		lease.Spec.RenewTime = &now
		err = k.Client.Create(ctx, lease)
	case err == nil:
		if lease.Annotations == nil {
			lease.Annotations = map[string]string{}
		}
		for key, value := range want {
			lease.Annotations[key] = value
		}
		lease.Spec.RenewTime = &now
		err = k.Client.Update(ctx, lease)
	}
	if err != nil {
		return fmt.Errorf("cannot write lease %q: %w", LeaseName, err)
	}
	return nil
}
