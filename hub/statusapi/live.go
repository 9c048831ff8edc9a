package statusapi

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	statusv1 "github.com/periplus-fleet/periplus/api/proto/periplus/status/v1"
	"github.com/periplus-fleet/periplus/hub/ask"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/link"
)

const (
	liveTime = 30 * time.Second
	// followTime bounds logs that are followed.
	followTime = time.Hour
	// answerMax bounds what one unary answer may hold, in bytes of the agent's parts.
	answerMax = 32 << 20
)

// Asker asks the agents of clusters; package ask has it.
type Asker interface {
	Ask(ctx context.Context, clusterUID string, query *linkv1.Query, take func(*linkv1.QueryResult) error) error
}

// live is a question about a delivery, and the cluster that it goes to.
type live struct {
	cluster  delivery.Cluster
	delivery delivery.Delivery
	query    *linkv1.Query
}

// object names what a question is about.
type object interface {
	GetNamespace() string
	GetCluster() string
	GetBundle() string
	GetGroup() string
	GetKind() string
	GetObjectNamespace() string
	GetName() string
}

// about authorises a question and finds where it goes.
func (s *Service) about(ctx context.Context, call string, request object, query *linkv1.Query, limit time.Duration) (live, error) {
	d, row, err := s.pair(ctx, call, request.GetNamespace(), request.GetCluster(), request.GetBundle())
	if err != nil {
		return live{}, err
	}
	if (request.GetKind() == "") != (request.GetName() == "") {
		return live{}, status.Error(codes.InvalidArgument, "kind and name: both or neither")
	}
	query.Id, query.Actor, query.Bundle = uuid.NewString(), UserOf(ctx).Name, string(d.Bundle)
	query.Deadline = timestamppb.New(s.cfg.Now().Add(limit))
	if request.GetKind() != "" {
		query.Object = &linkv1.ObjectId{Group: request.GetGroup(), Kind: request.GetKind(), Namespace: request.GetObjectNamespace(), Name: request.GetName()}
	}
	return live{cluster: row, delivery: d, query: query}, nil
}

// ask puts the question, and hands the parts of the answer to take.
func (s *Service) ask(ctx context.Context, l live, take func(*linkv1.QueryResult) error) error {
	if s.cfg.Asker == nil {
		return status.Error(codes.Unavailable, "this hub process cannot ask agents")
	}
	ctx, cancel := context.WithDeadline(ctx, l.query.GetDeadline().AsTime())
	defer cancel()
	size := 0
	err := s.cfg.Asker.Ask(ctx, l.cluster.UID, l.query, func(part *linkv1.QueryResult) error {
		if failure := part.GetError(); failure != nil {
			return status.Error(liveCode(failure.GetCode()), failure.GetMessage())
		}
		if size += proto.Size(part); size > answerMax && l.query.GetLogs() == nil {
			return status.Error(codes.ResourceExhausted, "the answer is too long: ask about one object")
		}
		return take(part)
	})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ask.ErrOffline):
		return s.away(l.cluster)
	case errors.Is(err, link.ErrCannotAnswer):
		return status.Errorf(codes.FailedPrecondition, "cluster %q: %v", l.cluster.Name, err)
	case errors.Is(err, context.DeadlineExceeded):
		return status.Errorf(codes.DeadlineExceeded, "the agent of cluster %q did not answer in time", l.cluster.Name)
	case ctx.Err() != nil:
		return status.FromContextError(ctx.Err()).Err()
	}
	if _, known := status.FromError(err); known {
		return err
	}
	return status.Errorf(codes.Unavailable, "cannot ask cluster %q: %v", l.cluster.Name, err)
}

// away says that a cluster cannot be asked, and since when.
func (s *Service) away(cluster delivery.Cluster) error {
	if cluster.LastSeen.IsZero() {
		return status.Errorf(codes.Unavailable, "cluster %q never connected: its agent cannot be asked", cluster.Name)
	}
	return status.Errorf(codes.Unavailable, "cluster %q is away since %s: its agent cannot be asked", cluster.Name, cluster.LastSeen.UTC().Format(time.RFC3339))
}

func liveCode(code string) codes.Code {
	switch code {
	case "not-found":
		return codes.NotFound
	case "forbidden", "disabled":
		return codes.PermissionDenied
	case "invalid":
		return codes.InvalidArgument
	case "deadline":
		return codes.DeadlineExceeded
	default:
		return codes.Unavailable
	}
}

// GetLiveObject shows one object as it lives, as it is desired and as it was last applied.
func (s *Service) GetLiveObject(ctx context.Context, request *statusv1.LiveRequest) (*statusv1.LiveObject, error) {
	l, err := s.about(ctx, "GetLiveObject", request, &linkv1.Query{Query: &linkv1.Query_Get{Get: &linkv1.GetQuery{}}}, liveTime)
	if err != nil {
		return nil, err
	}
	if err := required("kind", request.GetKind()); err != nil {
		return nil, err
	}
	if err := s.auditLive(ctx, "get", "objects/content", request); err != nil {
		return nil, err
	}
	out := &statusv1.LiveObject{}
	err = s.ask(ctx, l, func(part *linkv1.QueryResult) error {
		for _, view := range part.GetObjects() {
			out.Object = liveRef(view.GetId())
			for _, state := range []struct {
				into **structpb.Struct
				data []byte
			}{{&out.Live, view.GetLive()}, {&out.Desired, view.GetDesired()}, {&out.LastApplied, view.GetLastApplied()}} {
				var err error
				if *state.into, err = structOf(state.data); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DiffLive shows what an apply would change now.
func (s *Service) DiffLive(ctx context.Context, request *statusv1.LiveRequest) (*statusv1.LiveDiffs, error) {
	l, err := s.about(ctx, "DiffLive", request, &linkv1.Query{Query: &linkv1.Query_Diff{Diff: &linkv1.DiffQuery{}}}, liveTime)
	if err != nil {
		return nil, err
	}
	if err := s.auditLive(ctx, "diff", "objects/content", request); err != nil {
		return nil, err
	}
	out := &statusv1.LiveDiffs{}
	err = s.ask(ctx, l, func(part *linkv1.QueryResult) error {
		out.Truncated = out.GetTruncated() || part.GetTruncated()
		for _, one := range part.GetDiffs() {
			before, err := structOf(one.GetBefore())
			if err != nil {
				return err
			}
			after, err := structOf(one.GetAfter())
			if err != nil {
				return err
			}
			out.Items = append(out.Items, &statusv1.LiveDiff{Object: liveRef(one.GetId()), Action: one.GetAction(), Message: one.GetMessage(), Before: before, After: after})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// GetLiveTree shows objects with what they own; of a cluster that is away what was last known.
func (s *Service) GetLiveTree(ctx context.Context, request *statusv1.LiveRequest) (*statusv1.LiveTree, error) {
	l, err := s.about(ctx, "GetLiveTree", request, &linkv1.Query{Query: &linkv1.Query_Tree{Tree: &linkv1.TreeQuery{}}}, liveTime)
	if err != nil {
		return nil, err
	}
	out, depth := &statusv1.LiveTree{}, map[string]int32{}
	err = s.ask(ctx, l, func(part *linkv1.QueryResult) error {
		out.Truncated = out.GetTruncated() || part.GetTruncated()
		for _, node := range part.GetNodes() {
			at := int32(0)
			if node.GetParent() != "" {
				at = depth[node.GetParent()] + 1
			}
			depth[node.GetUid()] = at
			out.Items = append(out.Items, &statusv1.LiveNode{Object: liveRef(node.GetId()), Depth: at, Health: node.GetHealth(), Message: node.GetMessage(), Created: node.GetCreated()})
		}
		return nil
	})
	if err == nil {
		return out, nil
	}
	known, ok, err := s.lastKnown(ctx, l, request, err)
	if !ok {
		return nil, err
	}
	out = &statusv1.LiveTree{StaleSeconds: s.stale(l.cluster)}
	for _, one := range known {
		out.Items = append(out.Items, &statusv1.LiveNode{Object: &statusv1.LiveRef{Group: one.GetGroup(), Kind: one.GetKind(), Namespace: one.GetNamespace(), Name: one.GetName()},
			Health: healthOf(one.GetState()), Message: one.GetMessage()})
	}
	return out, nil
}

// ListLiveEvents shows the events of objects and of what they own.
func (s *Service) ListLiveEvents(ctx context.Context, request *statusv1.LiveRequest) (*statusv1.LiveEvents, error) {
	l, err := s.about(ctx, "ListLiveEvents", request, &linkv1.Query{Query: &linkv1.Query_Events{Events: &linkv1.EventsQuery{Limit: request.GetLimit()}}}, liveTime)
	if err != nil {
		return nil, err
	}
	out := &statusv1.LiveEvents{}
	err = s.ask(ctx, l, func(part *linkv1.QueryResult) error {
		out.Truncated = out.GetTruncated() || part.GetTruncated()
		for _, e := range part.GetEvents() {
			out.Items = append(out.Items, &statusv1.LiveEvent{Object: liveRef(e.GetAbout()), Type: e.GetType(), Reason: e.GetReason(), Message: e.GetMessage(),
				Count: e.GetCount(), First: e.GetFirst(), Last: e.GetLast(), Source: e.GetSource()})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// ExplainLive shows why objects are not ready; of a cluster that is away what was last known.
func (s *Service) ExplainLive(ctx context.Context, request *statusv1.LiveRequest) (*statusv1.LiveFindings, error) {
	l, err := s.about(ctx, "ExplainLive", request, &linkv1.Query{Query: &linkv1.Query_Why{Why: &linkv1.WhyQuery{}}}, liveTime)
	if err != nil {
		return nil, err
	}
	out := &statusv1.LiveFindings{}
	err = s.ask(ctx, l, func(part *linkv1.QueryResult) error {
		out.Truncated = out.GetTruncated() || part.GetTruncated()
		for _, f := range part.GetFindings() {
			out.Items = append(out.Items, &statusv1.LiveFinding{Object: liveRef(f.GetId()), Cause: liveRef(f.GetCause()), Message: f.GetMessage(), Advice: f.GetAdvice()})
		}
		return nil
	})
	if err == nil {
		return out, nil
	}
	known, ok, err := s.lastKnown(ctx, l, request, err)
	if !ok {
		return nil, err
	}
	out = &statusv1.LiveFindings{StaleSeconds: s.stale(l.cluster)}
	for _, one := range known {
		if one.GetState() == "current" {
			continue
		}
		ref := &statusv1.LiveRef{Group: one.GetGroup(), Kind: one.GetKind(), Namespace: one.GetNamespace(), Name: one.GetName()}
		out.Items = append(out.Items, &statusv1.LiveFinding{Object: ref, Cause: ref, Message: one.GetMessage()})
	}
	return out, nil
}

// StreamLogs shows the logs of an object's pods as they come.
func (s *Service) StreamLogs(request *statusv1.LogsRequest, stream statusv1.Fleet_StreamLogsServer) error {
	return s.logs(stream.Context(), request, stream.Send)
}

func (s *Service) logs(ctx context.Context, request *statusv1.LogsRequest, send func(*statusv1.LogLines) error) error {
	query := &linkv1.LogsQuery{Container: request.GetContainer(), Follow: request.GetFollow(), Previous: request.GetPrevious(), TailLines: request.GetTail()}
	if text := request.GetSince(); text != "" {
		since, err := time.ParseDuration(text)
		if err != nil || since <= 0 {
			return status.Errorf(codes.InvalidArgument, "since %q: want a duration such as 10m", text)
		}
		query.Since = durationpb.New(since)
	}
	limit := liveTime
	if request.GetFollow() {
		limit = followTime
	}
	l, err := s.about(ctx, "StreamLogs", request, &linkv1.Query{Query: &linkv1.Query_Logs{Logs: query}}, limit)
	if err != nil {
		return err
	}
	if err := required("kind", request.GetKind()); err != nil {
		return err
	}
	if err := s.auditLive(ctx, "get", "objects/logs", request); err != nil {
		return err
	}
	return s.ask(ctx, l, func(part *linkv1.QueryResult) error {
		if len(part.GetLines()) == 0 {
			return nil
		}
		out := &statusv1.LogLines{}
		for _, line := range part.GetLines() {
			out.Lines = append(out.Lines, &statusv1.LogLine{Pod: line.GetPod(), Container: line.GetContainer(), Time: line.GetTime(), Text: line.GetText()})
		}
		return send(out)
	})
}

// AbortDelivery ends what a delivery's revision waits for in the cluster.
func (s *Service) AbortDelivery(ctx context.Context, request *statusv1.PairRequest) (*statusv1.AbortDeliveryResponse, error) {
	d, row, err := s.pair(ctx, "AbortDelivery", request.GetNamespace(), request.GetCluster(), request.GetBundle())
	if err != nil {
		return nil, err
	}
	if err := s.audit(ctx, "abort", "deliveries", request.GetNamespace(), request.GetCluster()+"/"+request.GetBundle(), ""); err != nil {
		return nil, err
	}
	err = s.command(ctx, row.UID, &linkv1.Command{Command: &linkv1.Command_Abort{Abort: &linkv1.Abort{Bundle: string(d.Bundle), Actor: UserOf(ctx).Name}}})
	if err != nil {
		return nil, err
	}
	return &statusv1.AbortDeliveryResponse{}, nil
}

func (s *Service) auditLive(ctx context.Context, verb, resource string, request object) error {
	return s.audit(ctx, verb, resource, request.GetNamespace(), request.GetCluster()+"/"+request.GetBundle(), request.GetKind()+" "+request.GetName())
}

// lastKnown is what the store has of a delivery whose cluster is away; ok is false when failed is of another sort.
func (s *Service) lastKnown(ctx context.Context, l live, request object, failed error) (known []*statusv1.Object, ok bool, err error) {
	if status.Code(failed) != codes.Unavailable || l.cluster.Connected || l.cluster.LastSeen.IsZero() {
		return nil, false, failed
	}
	list, err := s.objects(ctx, l.delivery, 0, limitMax)
	if err != nil {
		return nil, false, err
	}
	for _, one := range list.GetItems() {
		if request.GetKind() == "" || one.GetKind() == request.GetKind() && one.GetName() == request.GetName() &&
			(request.GetGroup() == "" || one.GetGroup() == request.GetGroup()) {
			known = append(known, one)
		}
	}
	return known, true, nil
}

func (s *Service) stale(cluster delivery.Cluster) int64 {
	return max(1, int64(s.cfg.Now().Sub(cluster.LastSeen).Seconds()))
}

// healthOf is an object's recorded state as a tree's word.
func healthOf(state string) string {
	switch state {
	case "current", "drifted":
		return "ready"
	case "missing":
		return "missing"
	case "progressing", "pruning":
		return "progressing"
	default:
		return "failed"
	}
}

func liveRef(id *linkv1.ObjectId) *statusv1.LiveRef {
	return &statusv1.LiveRef{Group: id.GetGroup(), Kind: id.GetKind(), Namespace: id.GetNamespace(), Name: id.GetName()}
}

func structOf(data []byte) (*structpb.Struct, error) {
	if len(data) == 0 {
		return nil, nil
	}
	var value map[string]any
	if err := json.Unmarshal(data, &value); err != nil {
		return nil, status.Errorf(codes.Internal, "the agent sent something that is no object: %v", err)
	}
	return structpb.NewStruct(value)
}
