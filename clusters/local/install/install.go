// Package install puts CRDs on the hub's API server and waits until they are served: the provider's reconcilers watch them
// from the start.
package install

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// Owner is the field manager of what is installed.
const Owner = "periplus-local"

const poll = 100 * time.Millisecond

// ReadCRDs reads every YAML file of the folder as one CRD.
func ReadCRDs(files fs.FS, folder string) ([]*apiextensionsv1.CustomResourceDefinition, error) {
	entries, err := fs.ReadDir(files, folder)
	if err != nil {
		return nil, fmt.Errorf("cannot list CRDs: %w", err)
	}
	var out []*apiextensionsv1.CustomResourceDefinition
	for _, entry := range entries {
		data, err := fs.ReadFile(files, path.Join(folder, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("cannot read CRD %q: %w", entry.Name(), err)
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.Unmarshal(data, crd); err != nil {
			return nil, fmt.Errorf("cannot read CRD %q: %w", entry.Name(), err)
		}
		out = append(out, crd)
	}
	return out, nil
}

// Apply takes the fields of the object as ours. The type must be registered with the client's scheme.
func Apply(ctx context.Context, c client.Client, object client.Object) error {
	kind, err := c.GroupVersionKindFor(object)
	if err != nil {
		return err
	}
	fields, err := plain(object)
	if err != nil {
		return err
	}
	out := &unstructured.Unstructured{Object: fields}
	out.SetGroupVersionKind(kind)
	unstructured.RemoveNestedField(out.Object, "status")
	if err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(out), client.FieldOwner(Owner), client.ForceOwnership); err != nil {
		return fmt.Errorf("cannot apply %s %q: %w", kind.Kind, object.GetName(), err)
	}
	return nil
}

func plain(object client.Object) (map[string]any, error) {
	if u, ok := object.(*unstructured.Unstructured); ok {
		return runtime.DeepCopyJSON(u.Object), nil
	}
	data, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	var out map[string]any
	if err := json.Unmarshal(data, &out); err != nil {
		return nil, err
	}
	unstructured.RemoveNestedField(out, "metadata", "creationTimestamp")
	return out, nil
}

// CRDs applies CRDs and waits until all are served.
func CRDs(ctx context.Context, c client.Client, crds []*apiextensionsv1.CustomResourceDefinition) error {
	for _, crd := range crds {
		if err := Apply(ctx, c, crd); err != nil {
			return err
		}
	}
	for _, crd := range crds {
		if err := established(ctx, c, crd.Name); err != nil {
			return err
		}
	}
	return nil
}

func established(ctx context.Context, c client.Client, name string) error {
	for {
		live := &apiextensionsv1.CustomResourceDefinition{}
		err := c.Get(ctx, client.ObjectKey{Name: name}, live)
		if err == nil && isEstablished(live) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("CRD %q is not served: %w", name, ctx.Err())
		case <-time.After(poll):
		}
	}
}

func isEstablished(crd *apiextensionsv1.CustomResourceDefinition) bool {
	conditions := make([]metav1.Condition, 0, len(crd.Status.Conditions))
	for _, condition := range crd.Status.Conditions {
		conditions = append(conditions, metav1.Condition{Type: string(condition.Type), Status: metav1.ConditionStatus(condition.Status)})
	}
	return meta.IsStatusConditionTrue(conditions, string(apiextensionsv1.Established))
}
