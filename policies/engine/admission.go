package engine

import (
	"errors"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	corev1 "k8s.io/api/core/v1"
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

// review is what Gatekeeper's templates read as input.review; it is made once for all of them, around the object as it was
// converted already.
func (o *Object) review() (*ast.Term, error) {
	o.once.Do(func() { o.reviewTerm, o.reviewError = o.request() })
	return o.reviewTerm, o.reviewError
}

// version of the object's API, without its group.
func (o *Object) version() string {
	version, _ := o.raw["apiVersion"].(string)
	if _, after, grouped := strings.Cut(version, "/"); grouped {
		return after
	}
	return version
}

func (o *Object) request() (*ast.Term, error) {
	review := ast.NewObject(ast.Item(keyKind, ast.ObjectTerm(ast.Item(keyGroup, ast.StringTerm(o.ID.Group)), ast.Item(keyVersion, ast.StringTerm(o.version())),
		ast.Item(keyKind, ast.StringTerm(o.ID.Kind)))), ast.Item(keyName, ast.StringTerm(o.ID.Name)), ast.Item(keyOperation, ast.StringTerm(o.operation)),
		ast.Item(keyObject, o.whole))
	if o.ID.Namespace != "" {
		review.Insert(keyNamespace, ast.StringTerm(o.ID.Namespace))
	}
	for _, more := range []struct {
		key   *ast.Term
		value map[string]any
	}{{keyOldObject, o.old}, {keyUserInfo, o.user}, {keyNamespaceObject, o.namespace}} {
		if more.value == nil {
			continue
		}
		converted, err := ast.InterfaceToValue(more.value)
		if err != nil {
			return nil, fmt.Errorf("cannot convert the request for %s: %w", o.ID, err)
		}
		review.Insert(more.key, ast.NewTerm(converted))
		if more.key == keyNamespaceObject {
			review.Insert(keyUnstable, ast.ObjectTerm(ast.Item(keyNamespace, ast.NewTerm(converted))))
		}
	}
	return ast.NewTerm(review), nil
}

var (
	keyVersion, keyOperation, keyOldObject = ast.StringTerm("version"), ast.StringTerm("operation"), ast.StringTerm("oldObject")
	keyUserInfo, keyNamespaceObject        = ast.StringTerm("userInfo"), ast.StringTerm("namespaceObject")
	keyUnstable, keyReview, keyInventory   = ast.StringTerm("_unstable"), ast.StringTerm("review"), ast.StringTerm("inventory")
)

// admission is the input of a Gatekeeper template.
func (o *Object) admission(t *template, parameters *ast.Term) (*ast.Term, error) {
	review, err := o.review()
	if err != nil {
		return nil, err
	}
	items := [][2]*ast.Term{ast.Item(keyReview, review), ast.Item(keyParameters, parameters)}
	if t.inventory && o.inventory != nil {
		items = append(items, ast.Item(keyInventory, ast.NewTerm(o.inventory)))
	}
	return ast.ObjectTerm(items...), nil
}

func (o *Object) labels(object map[string]any) labels.Set {
	out := labels.Set{}
	all, _ := dig(object, []string{"metadata"})["labels"].(map[string]any)
	for key, value := range all {
		out[key], _ = value.(string)
	}
	return out
}

// namespaceLabels are a Namespace's labels, with the one that API servers add.
func (o *Object) namespaceLabels(namespace map[string]any, name string) labels.Set {
	out := o.labels(namespace)
	out[corev1.LabelMetadataName] = name
	return out
}

// InNamespace tells the object's Namespace, where one is known. It must not be called after a review began.
func (o *Object) InNamespace(namespace map[string]any) {
	o.namespace = namespace
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
