package reconcile

import (
	"context"
	"time"

	"github.com/periplus-fleet/periplus/agent/diagnose"
	"github.com/periplus-fleet/periplus/agent/observe"
	"github.com/periplus-fleet/periplus/agent/query"
	"github.com/periplus-fleet/periplus/api/content"
)

const (
	// A workload that is not ready for reasonAfter is looked into, and again after reasonAgain: once by itself, after that
	// only when something else brings a pass about. Each look is a few lists in its namespace.
	reasonAfter = 5 * time.Second
	reasonAgain = 30 * time.Second
	reasonTime  = 5 * time.Second
	// reasonsTogether are looked for in one pass.
	reasonsTogether = 3
)

// reason is what was found below a workload that is not ready.
type reason struct {
	since, looked time.Time
	looks         int
	text          string
}

// due says when the workload is to be looked into.
func (r reason) due() time.Time {
	if r.looks == 0 {
		return r.since.Add(reasonAfter)
	}
	return r.looked.Add(reasonAgain)
}

// running are the kinds that pods or volumes make ready: what is wrong with them stands elsewhere.
var running = map[content.ObjectID]bool{
	{Kind: "Pod"}: true, {Kind: "ReplicationController"}: true, {Kind: "PersistentVolumeClaim"}: true,
	{Group: "apps", Kind: "Deployment"}: true, {Group: "apps", Kind: "ReplicaSet"}: true, {Group: "apps", Kind: "StatefulSet"}: true,
	{Group: "apps", Kind: "DaemonSet"}: true, {Group: "batch", Kind: "Job"}: true,
}

// lookInto finds out why workloads are not ready: which pod, which container, which event.
func (p *pass) lookInto(ctx context.Context) {
	looks := 0
	for _, item := range p.manifest.Items {
		id := p.found[item.ObjectID].id
		live, known := p.r.tracker.State(p.name, id)
		record := p.inv.Records[id]
		if !running[content.ObjectID{Group: id.Group, Kind: id.Kind}] || !known || !live.Exists || live.Health == observe.Ready || record.UID != live.UID {
			delete(p.b.reasons, id)
			continue
		}
		r, before := p.b.reasons[id]
		if !before {
			r.since = p.now
		}
		if due := r.due(); p.now.Before(due) {
			if r.looks < 2 {
				p.soon(due.Sub(p.now))
			}
		} else if looks < reasonsTogether {
			looks++
			looking, cancel := context.WithTimeout(ctx, reasonTime)
			sources, err := query.Around(looking, p.client, p.r.config.Mapper, record)
			cancel()
			r.looked = p.now
			if r.looks++; r.looks < 2 {
				p.soon(reasonAgain)
			}
			// What cannot be read is no reason; the object's own words stay.
			if found := diagnose.Explain(sources); err == nil && len(found) > 0 {
				r.text = found[0].Message
			} else if err == nil {
				r.text = ""
			}
		}
		p.b.reasons[id] = r
	}
}

// reason is the most telling that is known of why an object is not ready.
func (p *pass) reason(id content.ObjectID, own string) string {
	if text := p.b.reasons[id].text; text != "" {
		return text
	}
	return own
}
