package engine

import (
	"time"

	"k8s.io/apimachinery/pkg/labels"
)

// NextExpiry is when the next exemption on a cluster ends after now; the zero time where none does.
func (s *Snapshot) NextExpiry(cluster Cluster, now time.Time) (next time.Time) {
	if s == nil {
		return next
	}
	for _, e := range s.exemptions {
		if at := e.spec.Expires.Time; at.After(now) && (next.IsZero() || at.Before(next)) && e.selector.Matches(labels.Set(cluster.Labels)) {
			next = at
		}
	}
	return next
}

// Referential says that the policy compares objects with others of the cluster: data.inventory of Gatekeeper's templates.
func (p *Policy) Referential() bool { return p.constraint != nil && p.constraint.inventory }
