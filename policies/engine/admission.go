package engine

import (
	"errors"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"k8s.io/apimachinery/pkg/labels"
)

// Admission is an AdmissionRequest's part that Gatekeeper's policies read.
type Admission struct {
	Object, OldObject map[string]any
	// Operation as in a request; "" where nothing asks, as at the gate.
	Operation string
	UserInfo  map[string]any
	// Namespace is the object's Namespace, where it is known.
	Namespace map[string]any
	// Generated says that a controller would make the object of another.
	Generated bool
	// Inventory is what else the cluster holds, in the shape of data.inventory; see Inventory.
	Inventory ast.Value
}

// PrepareAdmission converts a request. What is deleted is reviewed as it was.
func PrepareAdmission(a Admission, defaultNamespace string) (*Object, error) {
	object := a.Object
	if object == nil && a.Operation == "DELETE" {
		object = a.OldObject
	}
	if object == nil {
		return nil, errors.New("cannot review a request without an object")
	}
	o, err := Prepare(object, defaultNamespace)
	if err != nil {
		return nil, err
	}
	o.old, o.namespace, o.generated, o.operation, o.user, o.inventory = a.OldObject, a.Namespace, a.Generated, a.Operation, a.UserInfo, a.Inventory
	return o, nil
}

// review is what Gatekeeper's templates read as input.review; it is made once for all of them.
func (o *Object) review() (*ast.Term, error) {
	o.once.Do(func() {
		version, _ := o.raw["apiVersion"].(string)
		if _, after, grouped := strings.Cut(version, "/"); grouped {
			version = after
		}
		review := map[string]any{"kind": map[string]any{"group": o.ID.Group, "version": version, "kind": o.ID.Kind}, "name": o.ID.Name,
			"operation": o.operation, "object": o.raw}
		if o.ID.Namespace != "" {
			review["namespace"] = o.ID.Namespace
		}
		if o.old != nil {
			review["oldObject"] = o.old
		}
		if o.user != nil {
			review["userInfo"] = o.user
		}
		if o.namespace != nil {
			review["namespaceObject"] = o.namespace
			review["_unstable"] = map[string]any{"namespace": o.namespace}
		}
		value, err := ast.InterfaceToValue(review)
		if err != nil {
			o.reviewError = fmt.Errorf("cannot convert %s: %w", o.ID, err)
			return
		}
		o.reviewTerm = ast.NewTerm(value)
	})
	return o.reviewTerm, o.reviewError
}

// admission is the input of a Gatekeeper template.
func (o *Object) admission(t *template, parameters *ast.Term) (ast.Value, error) {
	review, err := o.review()
	if err != nil {
		return nil, err
	}
	items := [][2]*ast.Term{ast.Item(ast.StringTerm("review"), review), ast.Item(ast.StringTerm("parameters"), parameters)}
	if t.inventory && o.inventory != nil {
		items = append(items, ast.Item(ast.StringTerm("inventory"), ast.NewTerm(o.inventory)))
	}
	return ast.NewObject(items...), nil
}

func (o *Object) labels(object map[string]any) labels.Set {
	out := labels.Set{}
	all, _ := dig(object, []string{"metadata"})["labels"].(map[string]any)
	for key, value := range all {
		out[key], _ = value.(string)
	}
	return out
}

func (o *Object) generateName() string {
	name, _ := dig(o.raw, []string{"metadata"})["generateName"].(string)
	return name
}

// Inventory makes what templates read as data.inventory of objects.
func Inventory(objects []map[string]any) (ast.Value, error) {
	cluster, namespaces := map[string]any{}, map[string]any{}
	for _, object := range objects {
		id, err := identify(object, "")
		if err != nil {
			return nil, err
		}
		of := cluster
		if id.Namespace != "" {
			of = nested(namespaces, id.Namespace)
		}
		version, _ := object["apiVersion"].(string)
		nested(nested(of, version), id.Kind)[id.Name] = object
	}
	return ast.InterfaceToValue(map[string]any{"cluster": cluster, "namespace": namespaces})
}

// nested is the map at a key, made where there is none.
func nested(m map[string]any, key string) map[string]any {
	inner, ok := m[key].(map[string]any)
	if !ok {
		inner = map[string]any{}
		m[key] = inner
	}
	return inner
}
