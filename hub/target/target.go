// Package target decides which bundle goes to which cluster and with what inputs: selectors and groups, first match, layered
// values, expressions over the cluster. It stands between fleet, which reads the declarations, and render. It is pure: what
// one cluster lacks is an error of that pair alone.
package target

import (
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/fleet"
)

// Cluster is what targeting and expressions see of a FleetCluster: declared facts only.
type Cluster struct {
	UID       string
	Namespace string
	Name      string
	Labels    map[string]string
	// Variables hold JSON values.
	Variables map[string]any
	// Version of Kubernetes as declared; "" where the declaration names none.
	Version string
}

// Group is a compiled ClusterGroup.
type Group struct {
	Name     string
	selector labels.Selector
}

// NewGroup takes the compiled selector of a declaration.
func NewGroup(decl fleet.GroupDecl) *Group {
	return &Group{Name: decl.Group.Name, selector: decl.Selector}
}

// Groups by name.
func Groups(decls []fleet.GroupDecl) map[string]*Group {
	groups := make(map[string]*Group, len(decls))
	for _, decl := range decls {
		groups[decl.Group.Name] = NewGroup(decl)
	}
	return groups
}

// Has says whether a cluster with these labels is in the group.
func (g *Group) Has(cluster Cluster) bool { return g.selector.Matches(labels.Set(cluster.Labels)) }

// Match is the target of a bundle that chose a cluster.
type Match struct {
	Index int
	// Name of the target, or its index as text.
	Name   string
	Target *v1alpha1.Target
}

// Error is a mistake that shows for one cluster only.
type Error struct {
	File    string
	Line    int
	Field   string
	Cluster string
	Err     error
}

// Error is "file:line: field: for cluster "name": cause".
func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d: %s: for cluster %q: %v", e.File, e.Line, e.Field, e.Cluster, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

func mistake(bundle fleet.BundleDecl, cluster Cluster, field string, err error) error {
	return &Error{File: bundle.File, Line: bundle.LineOf(field), Field: field, Cluster: cluster.Name, Err: err}
}

// MatchBundle returns the first target that chooses the cluster; ok is false when none does, and the bundle does not go
// there. A group that nobody declares is an error: what it held is unknown, so nobody leaves because of it.
func MatchBundle(bundle fleet.BundleDecl, groups map[string]*Group, cluster Cluster) (match Match, ok bool, err error) {
	for i := range bundle.Spec.Targets {
		target := &bundle.Spec.Targets[i]
		chosen := false
		if target.ClusterGroup != "" {
			group, known := groups[target.ClusterGroup]
			if !known {
				return Match{}, false, mistake(bundle, cluster, fmt.Sprintf("spec.targets[%d].clusterGroup", i),
					fmt.Errorf("there is no ClusterGroup %q", target.ClusterGroup))
			}
			chosen = group.Has(cluster)
		} else {
			chosen = bundle.Selectors[i].Matches(labels.Set(cluster.Labels))
		}
		if chosen {
			name := target.Name
			if name == "" {
				name = strconv.Itoa(i)
			}
			return Match{Index: i, Name: name, Target: target}, true, nil
		}
	}
	return Match{}, false, nil
}
