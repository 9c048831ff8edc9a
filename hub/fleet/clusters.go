package fleet

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

// Groups whose classes and templates a fleet repo may bring: Cluster API's, its providers', and ours.
const clusterAPIGroup = "cluster.x-k8s.io"

// AllowedResource says whether a fleet repo may declare a kind besides those of this project. Objects that act by
// themselves (Cluster, Machine) are made from a FleetCluster only.
func AllowedResource(gk schema.GroupKind) bool {
	ours := strings.HasSuffix(gk.Group, "."+v1alpha1.Group)
	theirs := gk.Group == clusterAPIGroup || strings.HasSuffix(gk.Group, "."+clusterAPIGroup)
	if !ours && !theirs {
		return false
	}
	return strings.HasSuffix(gk.Kind, "Template") || gk.Group == clusterAPIGroup && gk.Kind == "ClusterClass"
}

// readClusterFile reads one file of clusters/.
func (r *reading) readClusterFile(file string, data []byte) (*declared, []v1alpha1.Refusal) {
	documents, refused := parseFile(file, data, r.in.Namespace)
	out := &declared{}
	for _, d := range documents {
		gv, err := schema.ParseGroupVersion(d.apiVersion)
		switch {
		case len(d.refused) > 0:
		case err != nil:
			d.refuse("apiVersion", "%v", err)
		case d.apiVersion == v1alpha1.GroupVersion.String() && d.kind == "FleetCluster":
			out.clusters = append(out.clusters, d.cluster(r.in.Namespace))
		case d.apiVersion == v1alpha1.GroupVersion.String() && d.kind == "ClusterGroup":
			out.groups = append(out.groups, d.group())
		case AllowedResource(schema.GroupKind{Group: gv.Group, Kind: d.kind}):
			out.resources = append(out.resources, ResourceDecl{Position: d.position(), Object: d.unstructured(r.in.Namespace)})
		default:
			d.refuse("kind", "%s of %s does not belong here: a file of clusters/ holds FleetClusters, ClusterGroups, ClusterClasses and templates of Cluster API", d.kind, d.apiVersion)
		}
		refused = append(refused, d.refused...)
	}
	return out, refused
}

func (d *document) unstructured(namespace string) *unstructured.Unstructured {
	object := (&unstructured.Unstructured{Object: d.object}).DeepCopy()
	object.SetNamespace(namespace)
	return object
}

func (d *document) cluster(namespace string) ClusterDecl {
	decl := ClusterDecl{Position: d.position(), Object: d.unstructured(namespace)}
	if !d.decode(&decl.Cluster) {
		return decl
	}
	decl.Cluster.Namespace = namespace
	if provision := decl.Cluster.Spec.Provision; provision != nil {
		switch {
		case provision.Topology != nil && provision.ClusterRef != nil:
			d.refuse("spec.provision", "give topology or clusterRef, not both")
		case provision.Topology == nil && provision.ClusterRef == nil:
			d.refuse("spec.provision", "give topology, or clusterRef to adopt a Cluster")
		case provision.Topology != nil && provision.Topology.Version == "":
			d.refuse("spec.provision.topology.version", "version is required")
		case provision.Topology != nil && provision.Topology.ClassRef.Name == "":
			d.refuse("spec.provision.topology.classRef.name", "classRef.name is required")
		case provision.ClusterRef != nil && provision.ClusterRef.Name == "":
			d.refuse("spec.provision.clusterRef.name", "name is required")
		}
	}
	d.clusterFacts(decl.Cluster.Spec)
	switch decl.Cluster.Spec.Deletion.Policy {
	case "", v1alpha1.DeletionDelete, v1alpha1.DeletionOrphan:
	default:
		d.refuse("spec.deletion.policy", "must be Delete or Orphan, not %q", decl.Cluster.Spec.Deletion.Policy)
	}
	return decl
}

func (d *document) group() GroupDecl {
	decl := GroupDecl{Position: d.position()}
	if !d.decode(&decl.Group) {
		return decl
	}
	if len(decl.Group.Spec.Share) > 0 {
		d.refuse("spec.share", "sharing a group with another namespace is not supported in this version")
	}
	decl.Selector = d.requiredSelector("spec.clusterSelector", &decl.Group.Spec.ClusterSelector)
	return decl
}

// requiredSelector compiles a selector that must be written down: left out, it would mean every cluster.
func (d *document) requiredSelector(field string, selector *metav1.LabelSelector) labels.Selector {
	if !d.has(strings.Split(field, ".")...) {
		d.refuse(field, "clusterSelector is required; {} is every cluster")
		return labels.Nothing()
	}
	return d.selector(field, selector)
}

func (d *document) selector(field string, selector *metav1.LabelSelector) labels.Selector {
	compiled, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		d.refuse(field, "%v", err)
		return labels.Nothing()
	}
	return compiled
}
