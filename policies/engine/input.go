package engine

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

// Object is an object prepared for review: converted to Rego's values once, however many policies look at it.
type Object struct {
	ID    content.ObjectID
	items [][2]*ast.Term
	// whole is the object's term.
	whole *ast.Term
	// secrets are texts that no message may show.
	secrets *strings.Replacer

	// raw is the object without status; the rest is what a request brings.
	raw, old, namespace, user map[string]any
	operation                 string
	generated                 bool
	inventory                 ast.Value
	once                      sync.Once
	reviewTerm                *ast.Term
	reviewError               error
}

// podPaths lead to the pod template of the kinds that run pods.
var podPaths = map[string][]string{
	"Pod.":                   {},
	"ReplicationController.": {"spec", "template"},
	"Deployment.apps":        {"spec", "template"},
	"StatefulSet.apps":       {"spec", "template"},
	"DaemonSet.apps":         {"spec", "template"},
	"ReplicaSet.apps":        {"spec", "template"},
	"Job.batch":              {"spec", "template"},
	"CronJob.batch":          {"spec", "jobTemplate", "spec", "template"},
}

// Prepare converts an object. defaultNamespace stands in where a namespaced object names none.
func Prepare(object map[string]any, defaultNamespace string) (*Object, error) {
	id, err := identify(object, defaultNamespace)
	if err != nil {
		return nil, err
	}
	bare := maps.Clone(object)
	delete(bare, "status")
	converted, err := ast.InterfaceToValue(bare)
	if err != nil {
		return nil, fmt.Errorf("cannot convert %s: %w", id, err)
	}
	whole, is := converted.(ast.Object)
	if !is {
		return nil, fmt.Errorf("cannot convert %s: it is no object", id)
	}
	prepared := &Object{ID: id, raw: bare, whole: ast.NewTerm(whole), items: make([][2]*ast.Term, 0, 11)}
	prepared.items = append(prepared.items, ast.Item(keyObject, prepared.whole), ast.Item(keyKind, ast.StringTerm(id.Kind)),
		ast.Item(keyGroup, ast.StringTerm(id.Group)), ast.Item(keyName, ast.StringTerm(id.Name)), ast.Item(keyNamespace, ast.StringTerm(id.Namespace)))
	where, runs := podPaths[id.Kind+"."+id.Group]
	if !runs {
		prepared.items = append(prepared.items, ast.Item(keyContainers, ast.ArrayTerm()))
	} else {
		pod := digTerm(whole, where)
		prepared.items = append(prepared.items, ast.Item(keyContainers, ast.NewTerm(containers(pod))), ast.Item(keyPod, ast.ObjectTerm(
			ast.Item(keyMetadata, objectAt(pod, keyMetadata)), ast.Item(keySpec, objectAt(pod, keySpec)))))
	}
	if id.Kind == v1alpha1.KindClusterJoin && id.Group == v1alpha1.Group {
		prepared.items = append(prepared.items, ast.Item(keyJoin, objectAt(whole, keySpec)))
	}
	if id.Group == "" && id.Kind == "Secret" {
		hidden := hiding{}
		hidden.secret(object)
		prepared.secrets = hidden.replacer()
	}
	return prepared, nil
}

// PrepareSecret converts an object that was made of secret inputs, whatever its kind: no message shows any of its values.
func PrepareSecret(object map[string]any, defaultNamespace string) (*Object, error) {
	prepared, err := Prepare(object, defaultNamespace)
	if err != nil {
		return nil, err
	}
	hidden := hiding{}
	hidden.secret(object)
	hidden.object(object)
	prepared.secrets = hidden.replacer()
	return prepared, nil
}

func identify(object map[string]any, defaultNamespace string) (content.ObjectID, error) {
	version, _ := object["apiVersion"].(string)
	kind, _ := object["kind"].(string)
	metadata, _ := object["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	namespace, _ := metadata["namespace"].(string)
	if version == "" || kind == "" {
		return content.ObjectID{}, errors.New("cannot review an object without apiVersion and kind")
	}
	group, _, grouped := strings.Cut(version, "/")
	if !grouped {
		group = ""
	}
	if namespace == "" && !clusterScoped[kind+"."+group] {
		namespace = defaultNamespace
	}
	return content.ObjectID{Group: group, Kind: kind, Namespace: namespace, Name: name}, nil
}

// clusterScoped are Kubernetes' own kinds without a namespace. Of custom kinds only a cluster knows.
var clusterScoped = map[string]bool{
	"Namespace.": true, "Node.": true, "PersistentVolume.": true,
	"CustomResourceDefinition.apiextensions.k8s.io": true, "APIService.apiregistration.k8s.io": true,
	"ClusterRole.rbac.authorization.k8s.io": true, "ClusterRoleBinding.rbac.authorization.k8s.io": true,
	"StorageClass.storage.k8s.io": true, "CSIDriver.storage.k8s.io": true, "CSINode.storage.k8s.io": true,
	"VolumeAttachment.storage.k8s.io": true, "PriorityClass.scheduling.k8s.io": true, "RuntimeClass.node.k8s.io": true,
	"IngressClass.networking.k8s.io":                                true,
	"ValidatingWebhookConfiguration.admissionregistration.k8s.io":   true,
	"MutatingWebhookConfiguration.admissionregistration.k8s.io":     true,
	"ValidatingAdmissionPolicy.admissionregistration.k8s.io":        true,
	"ValidatingAdmissionPolicyBinding.admissionregistration.k8s.io": true,
	"FlowSchema.flowcontrol.apiserver.k8s.io":                       true,
	"PriorityLevelConfiguration.flowcontrol.apiserver.k8s.io":       true,
}

func dig(object map[string]any, where []string) map[string]any {
	for _, key := range where {
		object, _ = object[key].(map[string]any)
	}
	return object
}

func orEmpty(value any) any {
	if value == nil {
		return map[string]any{}
	}
	return value
}

// Terms of the input's keys; they are never changed.
var (
	keyObject, keyKind, keyGroup, keyName = ast.StringTerm("object"), ast.StringTerm("kind"), ast.StringTerm("group"), ast.StringTerm("name")
	keyNamespace, keyContainers, keyPod   = ast.StringTerm("namespace"), ast.StringTerm("containers"), ast.StringTerm("pod")
	keyMetadata, keySpec, keyJoin         = ast.StringTerm("metadata"), ast.StringTerm("spec"), ast.StringTerm("join")
	keyParameters, keyCluster, keyCommit  = ast.StringTerm("parameters"), ast.StringTerm("cluster"), ast.StringTerm("commit")
	keysContainers                        = []*ast.Term{ast.StringTerm("initContainers"), keyContainers, ast.StringTerm("ephemeralContainers")}
)

// digTerm is dig in converted values; nil where there is no object.
func digTerm(object ast.Object, where []string) ast.Object {
	for _, key := range where {
		if object == nil {
			return nil
		}
		object = inside(object, ast.InternedTerm(key))
	}
	return object
}

func inside(object ast.Object, key *ast.Term) ast.Object {
	if object == nil {
		return nil
	}
	found := object.Get(key)
	if found == nil {
		return nil
	}
	inner, _ := found.Value.(ast.Object)
	return inner
}

// objectAt is a field as it is; an empty object where it is absent or null.
func objectAt(object ast.Object, key *ast.Term) *ast.Term {
	if object != nil {
		if found := object.Get(key); found != nil {
			if _, null := found.Value.(ast.Null); !null {
				return found
			}
		}
	}
	return ast.ObjectTerm()
}

// containers of a pod, sharing the terms of the object that it is part of.
func containers(pod ast.Object) *ast.Array {
	spec := inside(pod, keySpec)
	if spec == nil {
		return ast.NewArray()
	}
	var all []*ast.Term
	for _, key := range keysContainers {
		found := spec.Get(key)
		if found == nil {
			continue
		}
		if some, is := found.Value.(*ast.Array); is {
			some.Foreach(func(container *ast.Term) { all = append(all, container) })
		}
	}
	return ast.NewArray(all...)
}

// with completes the input for one policy on one cluster.
func (o *Object) with(parameters, cluster, commit *ast.Term) *ast.Term {
	items := make([][2]*ast.Term, 0, len(o.items)+3)
	items = append(items, o.items...)
	items = append(items, ast.Item(keyParameters, parameters), ast.Item(keyCluster, cluster), ast.Item(keyCommit, commit))
	return ast.ObjectTerm(items...)
}
