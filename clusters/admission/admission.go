// Package admission keeps hands off what Git declares, in the hub's own API server: its ValidatingAdmissionPolicies refuse
// writes of the projections (Bundle, ClusterGroup, Policy) by anyone but the hub, hand edits of the fields of a FleetCluster
// that Git declares, and the deletion of what is protected. They are a sign at the door and say where to go; the hub's own
// checks do not depend on them.
package admission

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

// FieldManager owns the policies.
const FieldManager = "periplus-admission"

const (
	// AnnotationDeclared lists which fields of a FleetCluster Git declares, such as
	// "metadata.labels.env,spec.deletion.protected,spec.provision,spec.variables.domain". Without it all count as declared.
	AnnotationDeclared = v1alpha1.Group + "/declared"
	// AnnotationWriter is the name of the ServiceAccount, in the object's namespace, that writes what Git declares.
	AnnotationWriter = v1alpha1.Group + "/writer"
	// DefaultWriter stands for AnnotationWriter where that is missing.
	DefaultWriter = "periplus-fleet"
)

// hubUsers stands in the manifests for the list of the hub's users.
const hubUsers = "HUB_USERS"

//go:embed policies.yaml
var manifests string

// Install applies the policies. users are the names by which the hub authenticates, one per role that writes.
func Install(ctx context.Context, c client.Client, users ...string) error {
	if len(users) == 0 {
		return errors.New("cannot install admission policies: no user of the hub is named")
	}
	objects, err := Objects(users...)
	if err != nil {
		return err
	}
	for _, object := range objects {
		err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner(FieldManager), client.ForceOwnership)
		if err != nil {
			return fmt.Errorf("cannot apply %s %q: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return nil
}

// Objects are the policies and their bindings.
func Objects(users ...string) ([]*unstructured.Unstructured, error) {
	quoted := make([]string, 0, len(users))
	for _, user := range users {
		quoted = append(quoted, strconv.Quote(user))
	}
	text := strings.ReplaceAll(manifests, hubUsers, "["+strings.Join(quoted, ", ")+"]")
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	var objects []*unstructured.Unstructured
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read admission policies: %w", err)
		}
		objects = append(objects, object)
	}
}

// Stamp notes in a FleetCluster, as it was read from Git and before it is applied, which fields Git declares and who writes
// them.
func Stamp(cluster *unstructured.Unstructured, serviceAccount string) {
	annotations := cluster.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[AnnotationDeclared] = strings.Join(declared(cluster), ",")
	annotations[AnnotationWriter] = serviceAccount
	cluster.SetAnnotations(annotations)
}

// declared lists what a FleetCluster names: labels, variables and the fields of deletion and identity one by one, the rest
// of the spec by its top-level fields.
func declared(cluster *unstructured.Unstructured) []string {
	var out []string
	for label := range cluster.GetLabels() {
		out = append(out, "metadata.labels."+label)
	}
	spec, _, _ := unstructured.NestedMap(cluster.Object, "spec")
	for field, value := range spec {
		parts, isMap := value.(map[string]any)
		if !isMap || !slices.Contains([]string{"variables", "deletion", "identity"}, field) {
			out = append(out, "spec."+field)
			continue
		}
		for part := range parts {
			out = append(out, "spec."+field+"."+part)
		}
	}
	slices.Sort(out)
	return out
}
