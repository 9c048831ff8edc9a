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
	group := map[string]any{"object": bare, "kind": id.Kind, "group": id.Group, "name": id.Name, "namespace": id.Namespace, "containers": []any{}}
	if where, runs := podPaths[id.Kind+"."+id.Group]; runs {
		pod := dig(bare, where)
		group["pod"] = map[string]any{"metadata": orEmpty(pod["metadata"]), "spec": orEmpty(pod["spec"])}
		group["containers"] = containers(pod)
	}
	if id.Kind == v1alpha1.KindClusterJoin && id.Group == v1alpha1.Group {
		group["join"] = orEmpty(bare["spec"])
	}
	prepared := &Object{ID: id, raw: bare}
	for _, key := range []string{"object", "kind", "group", "name", "namespace", "containers", "pod", "join"} {
		value, there := group[key]
		if !there {
			continue
		}
		converted, err := ast.InterfaceToValue(value)
		if err != nil {
			return nil, fmt.Errorf("cannot convert %s: %w", id, err)
		}
		prepared.items = append(prepared.items, ast.Item(ast.StringTerm(key), ast.NewTerm(converted)))
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

func containers(pod map[string]any) []any {
	spec, _ := pod["spec"].(map[string]any)
	all := []any{}
	for _, key := range []string{"initContainers", "containers", "ephemeralContainers"} {
		some, _ := spec[key].([]any)
		all = append(all, some...)
	}
	return all
}

// with completes the input for one policy on one cluster.
func (o *Object) with(parameters, cluster, commit *ast.Term) ast.Value {
	items := make([][2]*ast.Term, 0, len(o.items)+3)
	items = append(items, o.items...)
	items = append(items, ast.Item(ast.StringTerm("parameters"), parameters), ast.Item(ast.StringTerm("cluster"), cluster),
		ast.Item(ast.StringTerm("commit"), commit))
	return ast.NewObject(items...)
}
