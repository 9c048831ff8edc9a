package apply

import (
	"context"
	"encoding/json"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/csaupgrade"

	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/agent/owned"
)

// mend undoes a change that an apply cannot: another changed the key of a list's item, such as a Service's port, and has the
// item now as its own. An apply would only add the declared item beside it, which the API server refuses for what both
// have in common. The list is set to what is declared, and its fields become the agent's. It says whether anything was
// done, so that the apply is worth another try.
func mend(ctx context.Context, client *kube.Client, request Request) (bool, error) {
	live, err := client.Get(ctx, request.Resource, request.ID.Namespace, request.ID.Name)
	if err != nil || string(live.GetUID()) != request.UID || owned.Bundle(live, request.ID) != request.Bundle {
		return false, err
	}
	patch := lists(request.Object, live, request.Ignored)
	if len(patch) == 0 {
		return false, nil
	}
	data, err := json.Marshal(append([]operation{{Op: "test", Path: "/metadata/resourceVersion", Value: live.GetResourceVersion()}}, patch...))
	if err != nil {
		return false, err
	}
	if err := client.Patch(ctx, request.Resource, request.ID.Namespace, request.ID.Name, types.JSONPatchType, data); err != nil {
		return false, err
	}
	if live, err = client.Get(ctx, request.Resource, request.ID.Namespace, request.ID.Name); err != nil {
		return false, err
	}
	upgrade, err := csaupgrade.UpgradeManagedFieldsPatch(live, sets.New(kube.FieldManager), kube.FieldManager)
	if err != nil || len(upgrade) == 0 {
		return err == nil, err
	}
	return true, client.Patch(ctx, request.Resource, request.ID.Namespace, request.ID.Name, types.JSONPatchType, upgrade)
}

// operation of a JSON patch.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// lists replaces those declared lists of which an item is gone. Lists inside of lists are left: their place in what lives
// need not be that in what is declared.
func lists(object, live *unstructured.Unstructured, ignored []owned.Pointer) []operation {
	var operations []operation
	seen := map[string]bool{}
	for _, change := range owned.Changes(object.Object, live, ignored) {
		last := len(change.Pointer) - 1
		if change.Manager != "" || last < 1 || !index(change.Pointer[last]) {
			continue
		}
		list := change.Pointer[:last]
		declared, found := lookup(object.Object, list)
		if _, lives := lookup(live.Object, list); !found || !lives || seen[list.String()] || inList(list) {
			continue
		}
		seen[list.String()] = true
		operations = append(operations, operation{Op: "replace", Path: list.String(), Value: declared})
	}
	return operations
}

func inList(pointer owned.Pointer) bool {
	for _, segment := range pointer {
		if index(segment) {
			return true
		}
	}
	return false
}

func index(segment string) bool {
	_, err := strconv.Atoi(segment)
	return err == nil
}
