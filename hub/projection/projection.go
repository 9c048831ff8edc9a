// Package projection shows what Git declares in the hub's Kubernetes API: Bundles, ClusterGroups and Policies, with Ready,
// Reconciling and Stalled, so that kubectl tells how the fleet is. The objects cause nothing: deleting them all changes no
// cluster, and the next pass writes them again.
package projection

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

// View is what a namespace's projections shall show.
type View struct {
	Namespace string
	Bundles   []v1alpha1.Bundle
	Groups    []v1alpha1.ClusterGroup
	Policies  []v1alpha1.Policy
}

// Writer keeps the projections of namespaces as their views say.
type Writer struct {
	Client client.Client
}

// Write makes the namespace's projections equal to the view; what already is costs no write.
func (w Writer) Write(ctx context.Context, view View) error {
	var errs []error
	wanted := map[string]bool{}
	for i := range view.Bundles {
		wanted["Bundle/"+view.Bundles[i].Name] = true
		errs = append(errs, w.writeBundle(ctx, &view.Bundles[i]))
	}
	for i := range view.Groups {
		wanted["ClusterGroup/"+view.Groups[i].Name] = true
		errs = append(errs, w.writeGroup(ctx, &view.Groups[i]))
	}
	for i := range view.Policies {
		wanted["Policy/"+view.Policies[i].Name] = true
		errs = append(errs, w.writePolicy(ctx, &view.Policies[i]))
	}
	errs = append(errs, w.prune(ctx, view.Namespace, wanted))
	return errors.Join(errs...)
}

func (w Writer) writeBundle(ctx context.Context, want *v1alpha1.Bundle) error {
	have := &v1alpha1.Bundle{}
	if done, err := w.sync(ctx, want, have, func() bool {
		same := reflect.DeepEqual(have.Spec, want.Spec)
		have.Spec = want.Spec
		return same
	}); done || err != nil {
		return err
	}
	keepTransitions(want.Status.Conditions, have.Status.Conditions)
	if reflect.DeepEqual(have.Status, want.Status) {
		return nil
	}
	have.Status = want.Status
	return w.status(ctx, have)
}

func (w Writer) writeGroup(ctx context.Context, want *v1alpha1.ClusterGroup) error {
	have := &v1alpha1.ClusterGroup{}
	if done, err := w.sync(ctx, want, have, func() bool {
		same := reflect.DeepEqual(have.Spec, want.Spec)
		have.Spec = want.Spec
		return same
	}); done || err != nil {
		return err
	}
	if have.Status == want.Status {
		return nil
	}
	have.Status = want.Status
	return w.status(ctx, have)
}

func (w Writer) writePolicy(ctx context.Context, want *v1alpha1.Policy) error {
	have := &v1alpha1.Policy{}
	if done, err := w.sync(ctx, want, have, func() bool {
		same := reflect.DeepEqual(have.Spec, want.Spec)
		have.Spec = want.Spec
		return same
	}); done || err != nil {
		return err
	}
	if have.Status == want.Status {
		return nil
	}
	have.Status = want.Status
	return w.status(ctx, have)
}

// sync reads have, or creates it from want; takeSpec copies want's spec into have and says whether it was the same. done is
// true when another writer was first, which the next pass sees.
func (w Writer) sync(ctx context.Context, want, have client.Object, takeSpec func() bool) (done bool, err error) {
	have.SetNamespace(want.GetNamespace())
	have.SetName(want.GetName())
	err = w.Client.Get(ctx, client.ObjectKeyFromObject(want), have)
	if apierrors.IsNotFound(err) {
		takeSpec()
		have.SetNamespace(want.GetNamespace())
		have.SetName(want.GetName())
		have.SetLabels(want.GetLabels())
		have.SetAnnotations(want.GetAnnotations())
		err = w.Client.Create(ctx, have)
		if apierrors.IsAlreadyExists(err) {
			return true, nil
		}
		return false, wrap("create", want, err)
	}
	if err != nil {
		return false, wrap("read", want, err)
	}
	same := takeSpec()
	if same && contains(have.GetLabels(), want.GetLabels()) && contains(have.GetAnnotations(), want.GetAnnotations()) {
		return false, nil
	}
	have.SetLabels(merged(have.GetLabels(), want.GetLabels()))
	have.SetAnnotations(merged(have.GetAnnotations(), want.GetAnnotations()))
	err = w.Client.Update(ctx, have)
	if apierrors.IsConflict(err) {
		return true, nil
	}
	return false, wrap("update", want, err)
}

func (w Writer) status(ctx context.Context, object client.Object) error {
	err := w.Client.Status().Update(ctx, object)
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil
	}
	return wrap("update status of", object, err)
}

// prune deletes projections that nothing declares; it touches only objects that carry a repo's label.
func (w Writer) prune(ctx context.Context, namespace string, wanted map[string]bool) error {
	var errs []error
	var bundles v1alpha1.BundleList
	var groups v1alpha1.ClusterGroupList
	var policies v1alpha1.PolicyList
	for _, list := range []client.ObjectList{&bundles, &groups, &policies} {
		if err := w.Client.List(ctx, list, client.InNamespace(namespace), client.HasLabels{v1alpha1.LabelRepo}); err != nil {
			return fmt.Errorf("cannot list projections: %w", err)
		}
	}
	drop := func(kind string, object client.Object) {
		if !wanted[kind+"/"+object.GetName()] {
			errs = append(errs, client.IgnoreNotFound(w.Client.Delete(ctx, object)))
		}
	}
	for i := range bundles.Items {
		drop("Bundle", &bundles.Items[i])
	}
	for i := range groups.Items {
		drop("ClusterGroup", &groups.Items[i])
	}
	for i := range policies.Items {
		drop("Policy", &policies.Items[i])
	}
	return errors.Join(errs...)
}

// keepTransitions carries over the time of conditions whose status did not change.
func keepTransitions(want, have []metav1.Condition) {
	for i := range want {
		want[i].LastTransitionTime = metav1.Now().Rfc3339Copy()
		for _, old := range have {
			if old.Type == want[i].Type && old.Status == want[i].Status {
				want[i].LastTransitionTime = old.LastTransitionTime
			}
		}
	}
}

func contains(have, want map[string]string) bool {
	for key, value := range want {
		if have[key] != value {
			return false
		}
	}
	return true
}

func merged(have, want map[string]string) map[string]string {
	out := map[string]string{}
	for key, value := range have {
		out[key] = value
	}
	for key, value := range want {
		out[key] = value
	}
	return out
}

func wrap(verb string, object client.Object, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("cannot %s projection %T %q: %w", verb, object, object.GetNamespace()+"/"+object.GetName(), err)
}
