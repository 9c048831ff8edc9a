package rollout

import (
	"fmt"
	"strings"

	"github.com/periplus-fleet/periplus/hub/delivery"
)

// Awaited is a bundle on a cluster that another bundle waits for. Its delivery is empty where there is none yet.
type Awaited struct {
	Cluster  string
	Delivery delivery.Delivery
}

// namedClusters bounds how many clusters a message names.
const namedClusters = 3

// Awaits says for what a bundle waits: for the dependency to be ready at its target on every cluster that is asked for. "" is
// nothing. A dependency that goes to none of them is waited for: it may be a label that is still to come.
func Awaits(dependency delivery.Key, on []Awaited) string {
	if len(on) == 0 {
		return fmt.Sprintf("waits for bundle %s, which goes to none of the clusters that clusterSelector names", dependency)
	}
	var missing []string
	for _, one := range on {
		if state := short(one.Delivery); state != "" {
			missing = append(missing, one.Cluster+" ("+state+")")
		}
	}
	if len(missing) == 0 {
		return ""
	}
	named := strings.Join(missing[:min(len(missing), namedClusters)], ", ")
	if more := len(missing) - namedClusters; more > 0 {
		named += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("waits for bundle %s to be ready on %s", dependency, named)
}

// short of ready: what a delivery is instead; "" where it is ready at its target.
func short(d delivery.Delivery) string {
	switch {
	case d.Tombstone != nil:
		return "Removing"
	case d.Target.Revision == "" || !Same(d.Target, d.Assigned):
		if state := d.State(); state == "Held" || state == "Failed" || state == "Waiting" {
			return state
		}
		return "Pending"
	case d.State() == "Ready" && d.Observed.AppliedRevision == d.Assigned.Revision:
		return ""
	case d.State() == "Ready":
		return "Pending"
	default:
		return d.State()
	}
}
