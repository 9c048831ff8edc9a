// Package sealed opens the sealed objects of a revision: SOPS-encrypted manifests that travel word for word from the fleet
// repo to the cluster, whose keys no other party holds. What is open lives in memory, from here to the one request that
// applies it: no store, log, status or event of the agent holds any of it, and so no error of this package does.
package sealed

import (
	"encoding/json"
	"errors"
	"fmt"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/api/sops"
)

// Open decrypts the content of a sealed item and does to it what the hub said: patches, then values. The
// object must be the one that the item names, since that is what policy judged.
func Open(data []byte, item content.Item, keys *sops.Keys) (*unstructured.Unstructured, error) {
	var sealed content.SealedObject
	if err := json.Unmarshal(data, &sealed); err != nil {
		return nil, errors.New("cannot read the sealed manifest: it is no sealed object")
	}
	opened, err := sops.Open([]byte(sealed.Document), sops.Format(sealed.Format), keys)
	if err != nil {
		return nil, fmt.Errorf("cannot open the sealed manifest: %w", err)
	}
	object := &unstructured.Unstructured{Object: opened}
	if object, err = patch(object, sealed.Patches); err != nil {
		return nil, err
	}
	for _, set := range sealed.Set {
		if err := content.SetPointer(object.Object, set.Pointer, set.Value); err != nil {
			return nil, fmt.Errorf("cannot set a value of the opened manifest: %w", err)
		}
	}
	return object, check(object, item)
}

// patch applies JSON 6902 patches. An error names the operation, as the library's words may hold values.
func patch(object *unstructured.Unstructured, patches []string) (*unstructured.Unstructured, error) {
	if len(patches) == 0 {
		return object, nil
	}
	data, err := object.MarshalJSON()
	if err != nil {
		return nil, errors.New("cannot open the sealed manifest: what it holds is no object")
	}
	for i, text := range patches {
		operations, err := jsonpatch.DecodePatch([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("cannot patch the opened manifest: patch %d is no JSON 6902 patch", i)
		}
		for j, operation := range operations {
			if data, err = (jsonpatch.Patch{operation}).Apply(data); err != nil {
				path, _ := operation.Path()
				return nil, fmt.Errorf("cannot patch the opened manifest: patch %d, operation %d: %s %s does not apply", i, j, operation.Kind(), path)
			}
		}
	}
	patched := &unstructured.Unstructured{}
	if err := patched.UnmarshalJSON(data); err != nil {
		return nil, errors.New("cannot patch the opened manifest: what the patches leave is no object")
	}
	return patched, nil
}

func check(object *unstructured.Unstructured, item content.Item) error {
	kind := object.GroupVersionKind()
	id := content.ObjectID{Group: kind.Group, Kind: kind.Kind, Namespace: object.GetNamespace(), Name: object.GetName()}
	if id != item.ObjectID {
		return fmt.Errorf("cannot open the sealed manifest: it holds %s, not %s", id, item.ObjectID)
	}
	return nil
}
