package query

import (
	"cmp"
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

const (
	defaultEvents = 100
	mostEvents    = 1000
)

// events gives what the cluster tells of the objects and of what they own, the latest last.
func (s *scope) events(ctx context.Context, asked *linkv1.EventsQuery, send func(*linkv1.QueryResult) error) error {
	f := s.family()
	found, err := f.events(ctx)
	if err != nil {
		return err
	}
	limit := int(asked.GetLimit())
	if limit <= 0 {
		limit = defaultEvents
	}
	limit = min(limit, mostEvents)
	truncated := f.truncated || len(found) > limit
	found = found[max(0, len(found)-limit):]
	for chunk := range slices.Chunk(found, partNodes) {
		if err := send(&linkv1.QueryResult{Events: chunk}); err != nil {
			return err
		}
	}
	return send(&linkv1.QueryResult{Truncated: truncated})
}

// events of all objects of the family, by time.
func (f *family) events(ctx context.Context) ([]*linkv1.ClusterEvent, error) {
	ids, namespaces := map[string]content.ObjectID{}, map[string]bool{}
	err := f.walk(ctx, func(n node) error {
		if n.live == nil {
			return nil
		}
		ids[string(n.live.GetUID())] = n.target.id
		namespace := n.live.GetNamespace()
		if namespace == "" {
			// Events of cluster-scoped objects lie in the namespace default.
			namespace = "default"
		}
		namespaces[namespace] = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	var out []*linkv1.ClusterEvent
	for namespace := range namespaces {
		events, err := f.list(ctx, groupKind{"", "Event"}, namespace)
		if err != nil {
			return nil, err
		}
		for _, event := range events {
			uid, _, _ := unstructured.NestedString(event.Object, "involvedObject", "uid")
			if id, ours := ids[uid]; ours {
				out = append(out, wireEvent(event, id))
			}
		}
	}
	slices.SortStableFunc(out, func(a, b *linkv1.ClusterEvent) int {
		return cmp.Or(a.GetLast().AsTime().Compare(b.GetLast().AsTime()), cmp.Compare(a.GetReason(), b.GetReason()))
	})
	return out, nil
}

func wireEvent(event *unstructured.Unstructured, about content.ObjectID) *linkv1.ClusterEvent {
	text := func(path ...string) string {
		value, _, _ := unstructured.NestedString(event.Object, path...)
		return value
	}
	moment := func(paths ...[]string) *timestamppb.Timestamp {
		for _, path := range paths {
			if at, err := time.Parse(time.RFC3339Nano, text(path...)); err == nil {
				return timestamppb.New(at)
			}
		}
		return timestamppb.New(event.GetCreationTimestamp().Time)
	}
	count, _, _ := unstructured.NestedInt64(event.Object, "count")
	if series, ok, _ := unstructured.NestedInt64(event.Object, "series", "count"); ok {
		count = series
	}
	return &linkv1.ClusterEvent{About: wireID(about), Type: text("type"), Reason: text("reason"), Message: text("message"), Count: int32(max(count, 1)),
		First:  moment([]string{"firstTimestamp"}, []string{"eventTime"}),
		Last:   moment([]string{"series", "lastObservedTime"}, []string{"lastTimestamp"}, []string{"eventTime"}),
		Source: cmp.Or(text("reportingComponent"), text("source", "component"))}
}
