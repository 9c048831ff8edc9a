package policy

import (
	"sync"
	"time"

	"github.com/periplus-fleet/periplus/policies/engine"
)

// reviewerAge is how long time stands still for policies and exemptions.
const reviewerAge = 2 * time.Second

// Reviewers makes reviewers for the policies in force that are not older than what time-bound verdicts bear.
type Reviewers struct {
	// Point at which policies are asked.
	Point string
	Now   func() time.Time

	mu       sync.Mutex
	reviewer *engine.Reviewer
	of       *InForce
	made     time.Time
}

// For is a reviewer of the policies in force, which has a snapshot.
func (r *Reviewers) For(inForce *InForce) (*engine.Reviewer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.Now()
	if r.of == inForce && now.Sub(r.made) < reviewerAge {
		return r.reviewer, nil
	}
	reviewer, err := inForce.Snapshot.Reviewer(inForce.Cluster, "", r.Point, now)
	if err == nil {
		r.reviewer, r.of, r.made = reviewer, inForce, now
	}
	return reviewer, err
}
