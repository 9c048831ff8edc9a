package engine

import (
	"path"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

// exemption is a PolicyExemption that was read.
type exemption struct {
	name     string
	declared Exemption
	spec     v1alpha1.PolicyExemptionSpec
	selector labels.Selector
}

func (s *Snapshot) loadExemptions(declared []Exemption, previous *Snapshot, refusals *refusalList) {
	seen := map[string]bool{}
	for _, d := range declared {
		name := d.Metadata.Name
		e, err := s.readExemption(d)
		if err == nil && seen[name] {
			err = refuseAt(d.Source, "metadata.name", "PolicyExemption %q stands twice", name)
		}
		if err != nil {
			refusals.add(err)
			if old := previous.exemptions[name]; old != nil && !seen[name] {
				s.exemptions[name] = old
			}
		} else {
			s.exemptions[name] = e
		}
		seen[name] = true
	}
}

func (s *Snapshot) readExemption(d Exemption) (*exemption, error) {
	spec := d.Spec
	for _, required := range []struct {
		field string
		empty bool
	}{
		{"metadata.name", d.Metadata.Name == ""}, {"spec.policy", spec.Policy == ""}, {"spec.objects", len(spec.Objects) == 0},
		{"spec.reason", spec.Reason == ""}, {"spec.owner", spec.Owner == ""}, {"spec.expires", spec.Expires.IsZero()},
	} {
		if required.empty {
			return nil, refuseAt(d.Source, required.field, "PolicyExemption %q needs %s", d.Metadata.Name, required.field)
		}
	}
	if s.policies[spec.Policy] == nil {
		return nil, refuseAt(d.Source, "spec.policy", "PolicyExemption %q names policy %q, which is not in force", d.Metadata.Name, spec.Policy)
	}
	selector, err := metav1.LabelSelectorAsSelector(&spec.ClusterSelector)
	if err != nil {
		return nil, refuseAt(d.Source, "spec.clusterSelector", "cannot read the selector of PolicyExemption %q: %v", d.Metadata.Name, err)
	}
	for _, object := range spec.Objects {
		if _, err := path.Match(object.Name, ""); err != nil {
			return nil, refuseAt(d.Source, "spec.objects", "cannot read name %q of PolicyExemption %q: %v", object.Name, d.Metadata.Name, err)
		}
	}
	return &exemption{name: d.Metadata.Name, declared: d, spec: spec, selector: selector}, nil
}

// exemptionFor is the name of the first exemption that lets a policy's findings on an object pass, "" for none.
func (s *Snapshot) exemptionFor(policy string, id content.ObjectID, cluster Cluster, now time.Time) string {
	for _, e := range s.exempt[policy] {
		if now.Before(e.spec.Expires.Time) && e.selector.Matches(labels.Set(cluster.Labels)) && e.covers(id) {
			return e.name
		}
	}
	return ""
}

func (e *exemption) covers(id content.ObjectID) bool {
	for _, o := range e.spec.Objects {
		named, err := path.Match(o.Name, id.Name)
		if (o.Name == "" || err == nil && named) && (o.Kind == "" || o.Kind == id.Kind && o.Group == id.Group) &&
			(o.Group == "" || o.Group == id.Group) && (o.Namespace == "" || o.Namespace == id.Namespace) {
			return true
		}
	}
	return false
}
