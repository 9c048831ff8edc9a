package reconcile

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/periplus-fleet/periplus/agent/inventory"
	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/api/content"
)

// precious says why only a person may remove an object: with it would go what the bundle did not bring. What cannot be
// looked at counts as precious.
func (p *pass) precious(ctx context.Context, record inventory.Record, going map[content.ObjectID]bool) string {
	switch {
	case record.Group == "" && record.Kind == "PersistentVolumeClaim":
		return "a PersistentVolumeClaim holds data"
	case record.Group == "apiextensions.k8s.io" && record.Kind == "CustomResourceDefinition":
		return p.instances(ctx, record, going)
	case record.Group == "" && record.Kind == "Namespace":
		return p.foreign(ctx, record.Name, going)
	default:
		return ""
	}
}

// instances says whether a CRD has objects that the bundle does not remove itself.
func (p *pass) instances(ctx context.Context, record inventory.Record, going map[content.ObjectID]bool) string {
	crd, err := p.client.Get(ctx, record.Reach(), "", record.Name)
	if err != nil {
		return fmt.Sprintf("whether it has instances cannot be read: %v", err)
	}
	group, _, _ := unstructured.NestedString(crd.Object, "spec", "group")
	kind, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "kind")
	versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	for _, version := range versions {
		version, _ := version.(map[string]any)
		name, _ := version["name"].(string)
		if served, _ := version["served"].(bool); !served {
			continue
		}
		resource, err := p.r.config.Mapper.Find(ctx, schema.GroupVersionKind{Group: group, Version: name, Kind: kind})
		if err != nil {
			continue
		}
		other, err := p.foreignOf(ctx, resource, "", going)
		if err != nil {
			return fmt.Sprintf("whether it has instances cannot be read: %v", err)
		}
		if other != "" {
			return fmt.Sprintf("it has instances that would go with it, such as %s", other)
		}
		return ""
	}
	return ""
}

// foreign says whether a namespace holds objects that the bundle does not remove itself.
func (p *pass) foreign(ctx context.Context, namespace string, going map[content.ObjectID]bool) string {
	served, err := p.r.config.Mapper.Served(ctx)
	if err != nil {
		return fmt.Sprintf("what it holds cannot be read: %v", err)
	}
	seen := map[schema.GroupKind]bool{}
	for _, resource := range served {
		kind := schema.GroupKind{Group: resource.Group, Kind: resource.Kind}
		if !resource.Namespaced || !resource.Listable || seen[kind] || passing(resource.Resource) {
			continue
		}
		seen[kind] = true
		other, err := p.foreignOf(ctx, resource.Resource, namespace, going)
		if err != nil {
			return fmt.Sprintf("what it holds cannot be read: %v", err)
		}
		if other != "" {
			return fmt.Sprintf("it holds objects that would go with it, such as %s", other)
		}
	}
	return ""
}

// passing kinds are made and removed by the cluster itself.
func passing(resource kube.Resource) bool {
	switch resource.Kind {
	case "Event", "Endpoints", "EndpointSlice", "Lease", "PodMetrics":
		return true
	default:
		return false
	}
}

// foreignOf names an object of a kind that is neither going, nor made by a controller for another, nor the cluster's own.
func (p *pass) foreignOf(ctx context.Context, resource kube.Resource, namespace string, going map[content.ObjectID]bool) (string, error) {
	options := metav1.ListOptions{Limit: 100}
	for {
		page, err := p.client.List(ctx, resource, namespace, options)
		if err != nil {
			return "", err
		}
		for i := range page.Items {
			object := &page.Items[i]
			id := content.ObjectID{Group: resource.Group, Kind: resource.Kind, Namespace: object.GetNamespace(), Name: object.GetName()}
			if !going[id] && len(object.GetOwnerReferences()) == 0 && !clusterOwn(id) {
				return id.String(), nil
			}
		}
		if options.Continue = page.GetContinue(); options.Continue == "" {
			return "", nil
		}
	}
}

// clusterOwn are the objects that every namespace has.
func clusterOwn(id content.ObjectID) bool {
	return id.Kind == "ConfigMap" && id.Name == "kube-root-ca.crt" || id.Kind == "ServiceAccount" && id.Name == "default"
}
