package apply

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/fleet"
)

var clusterKind = v1alpha1.GroupVersion.WithKind("FleetCluster")

// remove takes away what this repo brought and no longer declares: clusters before the classes that they use.
func (a *Applier) remove(ctx context.Context, acting client.Client, in Input, declared []declaration, result *Result) error {
	if in.Snapshot.Frozen.Unknown != "" {
		// The file's refusal is in the snapshot; it may declare anything, so nothing is known to be gone.
		return nil
	}
	kinds, err := a.kinds()
	if err != nil {
		return err
	}
	keep := map[string]bool{}
	for _, one := range declared {
		keep[identity(one.object)] = true
	}
	for _, kind := range kinds {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		err := acting.List(ctx, list, client.InNamespace(in.Repo.Namespace), client.MatchingLabels{v1alpha1.LabelRepo: labelValue(in.Repo.Name)})
		if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
			// What the ServiceAccount may not list it may not have brought either.
			continue
		}
		if err != nil {
			return fmt.Errorf("cannot list %s: %w", kind.Kind, err)
		}
		for i := range list.Items {
			if err := removeOne(ctx, acting, in, &list.Items[i], keep, result); err != nil {
				return err
			}
		}
	}
	return nil
}

func removeOne(ctx context.Context, acting client.Client, in Input, live *unstructured.Unstructured, keep map[string]bool, result *Result) error {
	if keep[identity(live)] || live.GetDeletionTimestamp() != nil || !broughtBy(in.Repo, live) {
		return nil
	}
	file := live.GetAnnotations()[v1alpha1.AnnotationSource]
	one := declaration{fleet.Position{File: file}, live}
	if why := Hold(in.Snapshot, live); why != "" {
		result.Refused = append(result.Refused, *refuse(one, "%s", why))
		return nil
	}
	uid, version := live.GetUID(), live.GetResourceVersion()
	// The version too: an object that was protected meanwhile is looked at again.
	err := acting.Delete(ctx, live, client.Preconditions{UID: &uid, ResourceVersion: &version}, client.PropagationPolicy(metav1.DeletePropagationBackground))
	if apierrors.IsNotFound(err) {
		return nil
	}
	if apierrors.IsConflict(err) {
		return fmt.Errorf("cannot remove %s %q: it changed meanwhile: %w", live.GetKind(), live.GetName(), err)
	}
	refused, err := judge(one, "remove", err)
	if err != nil {
		return err
	}
	if refused != nil {
		result.Refused = append(result.Refused, *refused)
		return nil
	}
	result.Removed++
	return nil
}

// broughtBy says whether the repo itself applied the object. Its label is no proof: Cluster API copies the labels of a template
// to what it makes from it.
func broughtBy(repo client.ObjectKey, live *unstructured.Unstructured) bool {
	return slices.ContainsFunc(live.GetManagedFields(), func(entry metav1.ManagedFieldsEntry) bool {
		return entry.Manager == FieldManager(repo) && entry.Operation == metav1.ManagedFieldsOperationApply
	})
}

// Hold says why an object that the snapshot does not declare is not removed; "" when it is.
func Hold(snapshot *fleet.Snapshot, live *unstructured.Unstructured) string {
	file := live.GetAnnotations()[v1alpha1.AnnotationSource]
	switch {
	case snapshot.Frozen.Unknown != "":
		return "it is kept: " + snapshot.Frozen.Unknown + " cannot be read and may declare it"
	case snapshot.Frozen.Files[file]:
		return "it is kept as it was: the file cannot be read"
	case snapshot.Frozen.Objects[fleet.ObjectKey(live.GetKind(), live.GetName())]:
		return "it is kept as it was: its declaration was refused"
	case live.GetKind() == clusterKind.Kind && protected(live):
		return "the cluster is protected and is kept: first set deletion.protected: false, then remove it in a later commit (a rename is a removal too)"
	default:
		return ""
	}
}

// protected follows the default of the API: true where we provision.
func protected(live *unstructured.Unstructured) bool {
	if given, found, err := unstructured.NestedBool(live.Object, "spec", "deletion", "protected"); err == nil && found {
		return given
	}
	topology, found, err := unstructured.NestedMap(live.Object, "spec", "provision", "topology")
	return err != nil || found && topology != nil
}

func identity(object *unstructured.Unstructured) string {
	gvk := object.GroupVersionKind()
	return strings.Join([]string{gvk.Group, gvk.Kind, object.GetName()}, "/")
}

// kinds that a fleet repo may have brought, FleetClusters first, then classes, then templates. A group that cannot be
// discovered just now is left for the next time.
func (a *Applier) kinds() ([]schema.GroupVersionKind, error) {
	found, err := discovery.NewDiscoveryClientForConfig(a.cfg)
	if err != nil {
		return nil, err
	}
	lists, err := found.ServerPreferredNamespacedResources()
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		return nil, fmt.Errorf("cannot discover the hub's kinds: %w", err)
	}
	kinds := []schema.GroupVersionKind{clusterKind}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			continue
		}
		for _, resource := range list.APIResources {
			gvk := gv.WithKind(resource.Kind)
			if !strings.Contains(resource.Name, "/") && slices.Contains(resource.Verbs, "list") && fleet.AllowedResource(gvk.GroupKind()) {
				kinds = append(kinds, gvk)
			}
		}
	}
	slices.SortStableFunc(kinds, func(a, b schema.GroupVersionKind) int { return rank(b) - rank(a) })
	return kinds, nil
}
