package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/labels"
)

// Sees is the text of all that verdicts for a cluster depend on besides objects and commits: policies, what bindings and
// exemptions make of them for it, and those of its fields that they read. Equal texts mean equal verdicts, so that a change of
// a cluster which no policy looks at needs no new one.
func (s *Snapshot) Sees(cluster Cluster, now time.Time) (string, error) {
	sum := sha256.New()
	writeAll(sum, s.expansionText())
	for _, p := range s.Policies() {
		effective, problem := s.Effective(p, cluster.Labels)
		seen, err := p.Reads.of(cluster, "")
		if err != nil {
			return "", fmt.Errorf("cannot encode the fields of cluster %q: %w", cluster.Name, err)
		}
		writeAll(sum, p.Name, p.Digest, string(effective.Action), encode(effective.Parameters), fmt.Sprint(problem), seen)
		if p.Reads.Time {
			writeAll(sum, now.UTC().Format("2006-01-02T15"))
		}
		for _, e := range s.exempt[p.Name] {
			if now.Before(e.spec.Expires.Time) && e.selector.Matches(labels.Set(cluster.Labels)) {
				writeAll(sum, e.name, encode(e.spec))
			}
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
