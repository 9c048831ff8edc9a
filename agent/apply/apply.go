package apply

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/agent/owned"
	"github.com/periplus-fleet/periplus/api/content"
)

// ErrConflict says that an object is another's: the agent leaves it alone.
var ErrConflict = errors.New("conflict")

// Request is one object to apply.
type Request struct {
	Bundle string
	ID     content.ObjectID
	// Object as Prepare made it; it is changed.
	Object   *unstructured.Unstructured
	Resource kube.Resource
	// UID of the object as the inventory has it; "" for one that is to be created.
	UID     string
	Ignored []owned.Pointer
	// Managers whose fields are left to them; Scaled says that an autoscaler has some.
	Managers []string
	Scaled   bool
	// Repair says that nothing but what others changed is applied.
	Repair bool
	// From is the bundle that hands the object over, with the UID it has there; "" when none does.
	From string
	// Adopt says when the object is taken over where it exists and no bundle of this cluster has it (content.AdoptIfUnowned
	// and so on); Known says which bundles there are.
	Adopt string
	// Shared says that another tool applied what lives, too: what is declared no more is taken from it.
	Shared bool
	Known  func(bundle string) bool
	// Sealed content is a secret whatever its kind: what the API server says of it is not told.
	Sealed bool
}

// Result of an apply.
type Result struct {
	Live    *unstructured.Unstructured
	Created bool
	// Taken is true when the object was another bundle's, Adopted when it was nobody's.
	Taken   bool
	Adopted bool
}

// Do applies one object. The error says what to do about it; ErrConflict when the object is not the bundle's.
func Do(ctx context.Context, client *kube.Client, request Request) (Result, error) {
	result, err := do(ctx, client, request)
	if !request.Repair || !errors.Is(err, errInvalid) {
		return result, err
	}
	if mended, failed := mend(ctx, client, request); failed != nil || !mended {
		return result, err
	}
	return do(ctx, client, request)
}

func do(ctx context.Context, client *kube.Client, request Request) (Result, error) {
	if request.UID != "" && !request.looks() {
		result, err := update(ctx, client, request, nil)
		if !isOther(err) {
			return result, err
		}
		// Gone, or another object by now: looked at as if it were new.
	}
	live, err := client.Get(ctx, request.Resource, request.ID.Namespace, request.ID.Name)
	if apierrors.IsNotFound(err) {
		return create(ctx, client, request)
	}
	if err != nil {
		return Result{}, Explain(err, client.Account, request)
	}
	owner := owned.Bundle(live, request.ID)
	switch {
	case string(live.GetUID()) == request.UID && (owner == request.Bundle || owner == ""):
		return update(ctx, client, request, live)
	case owner == request.Bundle:
		// The agent made it and did not get to write its UID down.
		request.UID = string(live.GetUID())
		return update(ctx, client, request, live)
	case owner != "" && owner == request.From:
		request.UID = string(live.GetUID())
		result, err := update(ctx, client, request, live)
		result.Taken = err == nil
		return result, err
	case owner != "" && (request.Adopt == "" || request.Known(owner)):
		// What a bundle left behind that went is nobody's.
		return Result{Live: live}, fmt.Errorf("%w: it belongs to bundle %s", ErrConflict, owner)
	case request.UID != "" && request.Adopt == "":
		return Result{Live: live}, fmt.Errorf("%w: it was replaced by another object, which is not managed by us: delete that to have it made anew", ErrConflict)
	}
	err = adopts(request.Adopt, Keeper(live), func() ([]string, error) { return differences(ctx, client, request, live) })
	if err != nil {
		return Result{Live: live}, err
	}
	return adopt(ctx, client, request, live)
}

// create applies without force, and only a creation counts: an object that came between the look and the apply is left.
func create(ctx context.Context, client *kube.Client, request Request) (Result, error) {
	live, created, err := client.Apply(ctx, request.Resource, request.Object, false)
	if apierrors.IsConflict(err) {
		return Result{}, fmt.Errorf("%w: it was made by another at this moment and is not managed by us: %s", ErrConflict, contested(err))
	}
	if err != nil {
		return Result{}, Explain(err, client.Account, request)
	}
	if !created {
		if err := letGo(ctx, client, request, live); err != nil {
			return Result{}, err
		}
		return Result{}, fmt.Errorf("%w: it was made by another at this moment and is not managed by us", ErrConflict)
	}
	return Result{Live: live, Created: true}, nil
}

// letGo takes back what an apply put into an object that turned out to be another's.
func letGo(ctx context.Context, client *kube.Client, request Request, live *unstructured.Unstructured) error {
	if err := client.LetGo(ctx, request.Resource, bare(request, live), kube.FieldManager); err != nil {
		return fmt.Errorf("cannot let go of %s, which another made at this moment: %w", request.ID, err)
	}
	return nil
}

// bare is an object's identity and nothing else.
func bare(request Request, live *unstructured.Unstructured) *unstructured.Unstructured {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(request.Object.GroupVersionKind())
	object.SetName(request.ID.Name)
	object.SetNamespace(request.ID.Namespace)
	object.SetUID(live.GetUID())
	return object
}

// update applies to the object with the request's UID and to no other.
func update(ctx context.Context, client *kube.Client, request Request, live *unstructured.Unstructured) (Result, error) {
	object := request.Object
	if live != nil {
		object = object.DeepCopy()
		leaveToOthers(object, live, request.Ignored)
		leaveToManagers(object, live, request.Managers)
	}
	object.SetUID(types.UID(request.UID))
	after, _, err := client.Apply(ctx, request.Resource, object, true)
	unstructured.RemoveNestedField(request.Object.Object, "metadata", "uid")
	if isOther(err) {
		return Result{}, err
	}
	if err != nil {
		return Result{}, Explain(err, client.Account, request)
	}
	if live == nil || !request.Shared {
		return Result{Live: after}, nil
	}
	if again, err := release(ctx, client, request, live, after); err != nil || !again {
		return Result{Live: after}, Explain(err, client.Account, request)
	}
	if after, _, err = client.Apply(ctx, request.Resource, object, true); err != nil {
		return Result{}, Explain(err, client.Account, request)
	}
	return Result{Live: after}, nil
}

// isOther says that an apply failed because the object with the named UID is not there: with force there is no other
// conflict, but for a UID that cannot be changed.
func isOther(err error) bool {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return true
	}
	for _, cause := range causes(err) {
		if cause.Field == "metadata.uid" {
			return true
		}
	}
	return false
}

const (
	establishTimeout = 30 * time.Second
	establishPoll    = 100 * time.Millisecond
)

// Established waits until a CustomResourceDefinition is served, and makes the mapper ask anew for its group.
func Established(ctx context.Context, client *kube.Client, mapper *kube.Mapper, request Request) error {
	ctx, cancel := context.WithTimeout(ctx, establishTimeout)
	defer cancel()
	defer mapper.Forget(crdGroup(request.ID.Name))
	for {
		live, err := client.Get(ctx, request.Resource, "", request.ID.Name)
		if err == nil && established(live) {
			return nil
		}
		select {
		case <-ctx.Done():
			if err == nil {
				err = errors.New("it is not established after 30 s")
			}
			return fmt.Errorf("cannot wait for %s: %w", request.ID, err)
		case <-time.After(establishPoll):
		}
	}
}

func established(live *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(live.Object, "status", "conditions")
	for _, condition := range conditions {
		condition, _ := condition.(map[string]any)
		if condition["type"] == "Established" && condition["status"] == "True" {
			return true
		}
	}
	return false
}
