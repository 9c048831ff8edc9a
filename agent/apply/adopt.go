package apply

import (
	"context"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/csaupgrade"

	"github.com/periplus-fleet/periplus/agent/kube"
)

// appliers are the field managers of tools that applied what they were given whole, as this agent does: an object that it
// adopts came from one of them, and what they own goes over to it. Controllers that own single fields are none of them.
var appliers = []string{"kubectl", "helm", "kustomize-controller", "helm-controller", "flux", "argocd", "fleet", "rancher"}

// adopt takes over an object that no bundle has, with the fields that other tools applied: what the content leaves out then
// goes, instead of staying for ever as nobody's.
func adopt(ctx context.Context, client *kube.Client, request Request, live *unstructured.Unstructured) (Result, error) {
	if err := takeUpdated(ctx, client, request, live); err != nil {
		return Result{}, Explain(err, client.Account, request)
	}
	request.UID = string(live.GetUID())
	result, err := update(ctx, client, request, live)
	if err != nil {
		return result, err
	}
	for _, manager := range managersOf(live, metav1.ManagedFieldsOperationApply) {
		if err := client.LetGo(ctx, request.Resource, bare(request, live), manager); err != nil {
			return Result{}, Explain(err, client.Account, request)
		}
	}
	if result.Live, err = client.Get(ctx, request.Resource, request.ID.Namespace, request.ID.Name); err != nil {
		return Result{}, Explain(err, client.Account, request)
	}
	result.Adopted = true
	return result, nil
}

// takeUpdated makes the agent the owner of what those tools wrote by other ways than server-side apply.
func takeUpdated(ctx context.Context, client *kube.Client, request Request, live *unstructured.Unstructured) error {
	managers := managersOf(live, metav1.ManagedFieldsOperationUpdate)
	if len(managers) == 0 {
		return nil
	}
	// It names the resource version that it was made from, so that no other change is lost.
	patch, err := csaupgrade.UpgradeManagedFieldsPatch(live, sets.New(managers...), kube.FieldManager)
	if err != nil || len(patch) == 0 {
		return err
	}
	return client.Patch(ctx, request.Resource, request.ID.Namespace, request.ID.Name, types.JSONPatchType, patch)
}

func managersOf(live *unstructured.Unstructured, operation metav1.ManagedFieldsOperationType) []string {
	var managers []string
	for _, entry := range live.GetManagedFields() {
		if entry.Subresource == "" && entry.Operation == operation && isApplier(entry.Manager) {
			managers = append(managers, entry.Manager)
		}
	}
	return managers
}

// Shares says whether one of those tools is among the managers of an object.
func Shares(managers []string) bool { return slices.ContainsFunc(managers, isApplier) }

func isApplier(manager string) bool {
	manager = strings.ToLower(manager)
	for _, known := range appliers {
		// kubectl-client-side-apply, kubectl-create, argocd-controller, fleet-agent, ...
		if manager == known || strings.HasPrefix(manager, known+"-") {
			return true
		}
	}
	return false
}
