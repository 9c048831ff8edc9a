package query

import (
	"context"

	"github.com/periplus-fleet/periplus/agent/diagnose"
	"github.com/periplus-fleet/periplus/agent/inventory"
	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/agent/observe"
	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

const (
	// maxFindings bounds the answer, maxExplained the objects that are looked into.
	maxFindings  = 100
	maxExplained = 25
)

// why says why the objects of the query are not ready: what the last apply said, else what the cluster says, down to the
// event of a pod.
func (s *scope) why(ctx context.Context, status *linkv1.BundleStatus, send func(*linkv1.QueryResult) error) error {
	told := map[content.ObjectID]*linkv1.ObjectStatus{}
	for _, exception := range status.GetExceptions() {
		told[idOf(exception.GetId())] = exception
	}
	out, explained := &linkv1.QueryResult{}, 0
	for _, t := range s.chosen() {
		findings, looked, err := s.reasons(ctx, t, told[t.id])
		if err != nil {
			return err
		}
		if looked {
			explained++
		}
		out.Findings = append(out.Findings, findings...)
		if len(out.Findings) > maxFindings || explained >= maxExplained {
			out.Findings = out.Findings[:min(len(out.Findings), maxFindings)]
			out.Truncated = true
			break
		}
	}
	if s.asked == nil && len(out.Findings) == 0 && status.GetMessage() != "" {
		// What concerns the bundle as a whole: a dependency, a hook, a right.
		out.Findings = append(out.Findings, &linkv1.Finding{Id: &linkv1.ObjectId{}, Cause: &linkv1.ObjectId{}, Message: status.GetMessage()})
	}
	return send(out)
}

// reasons why one object is not ready; none when it is. looked is true when what it owns was read.
func (s *scope) reasons(ctx context.Context, t *target, told *linkv1.ObjectStatus) (findings []*linkv1.Finding, looked bool, err error) {
	say := func(message, advice string) []*linkv1.Finding {
		return []*linkv1.Finding{{Id: wireID(t.id), Cause: wireID(t.id), Message: message, Advice: advice}}
	}
	switch told.GetState() {
	case "failed", "conflict", "missing", "pruning", "drifted":
		return say(told.GetMessage(), ""), false, nil
	}
	if t.item != nil && t.item.Hook != nil && !t.recorded {
		return nil, false, nil
	}
	live, err := s.live(ctx, t)
	if err != nil {
		if ctx.Err() != nil {
			return nil, false, ctx.Err()
		}
		return say("it cannot be read: "+err.Error(), ""), false, nil
	}
	if live == nil {
		return say("it is not there", ""), false, nil
	}
	health, message := observe.HealthOf(live)
	if health == observe.Ready {
		return nil, false, nil
	}
	sources, err := s.around(ctx, t)
	if err != nil {
		return nil, true, err
	}
	for _, found := range diagnose.Explain(sources) {
		findings = append(findings, &linkv1.Finding{Id: wireID(t.id), Cause: wireID(found.Cause), Message: found.Message, Advice: found.Advice})
	}
	if len(findings) == 0 {
		findings = say(message, "")
	}
	return findings, true, nil
}

// around reads what there is about an object: its pods, and the events of all that it owns.
func (s *scope) around(ctx context.Context, t *target) (diagnose.Sources, error) {
	one := *s
	one.asked = t
	f := one.family()
	sources := diagnose.Sources{Events: map[string][]diagnose.Event{}}
	uids := map[content.ObjectID]string{}
	err := f.walk(ctx, func(n node) error {
		if n.live == nil {
			return nil
		}
		uids[n.target.id] = string(n.live.GetUID())
		if n.target.id.Kind == "Pod" && n.target.id.Group == "" {
			sources.Pods = append(sources.Pods, n.live)
		}
		return nil
	})
	if err != nil {
		return sources, err
	}
	events, err := f.events(ctx)
	for _, e := range events {
		id := idOf(e.GetAbout())
		sources.Events[uids[id]] = append(sources.Events[uids[id]], diagnose.Event{About: id, Warning: e.GetType() == "Warning", Reason: e.GetReason(),
			Message: e.GetMessage(), LastSeen: e.GetLast().AsTime()})
	}
	return sources, err
}

// Around reads what there is about an object of the inventory, for diagnose: its pods, and the events of all that it owns.
func Around(ctx context.Context, client *kube.Client, mapper *kube.Mapper, record inventory.Record) (diagnose.Sources, error) {
	s := &scope{client: client, mapper: mapper}
	return s.around(ctx, &target{id: record.ObjectID, resource: record.Reach(), record: record, recorded: true, uid: record.UID})
}
