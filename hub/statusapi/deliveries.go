package statusapi

import (
	"context"
	"strconv"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/periplus-fleet/periplus/api/content"
	statusv1 "github.com/periplus-fleet/periplus/api/proto/periplus/status/v1"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/store"
)

// ListDeliveries lists cluster x bundle pairs.
func (s *Service) ListDeliveries(ctx context.Context, request *statusv1.ListRequest) (*statusv1.ListDeliveriesResponse, error) {
	query, err := s.query(ctx, "ListDeliveries", request, "cluster", "bundle", "state", "reason")
	if err != nil {
		return nil, err
	}
	page, err := s.cfg.Store.ListDeliveries(ctx, query)
	if err != nil {
		return nil, unavailable(err)
	}
	connected, err := s.clusters(ctx)
	if err != nil {
		return nil, err
	}
	response := &statusv1.ListDeliveriesResponse{Next: page.Next, Total: page.Total}
	for _, d := range page.Items {
		response.Items = append(response.Items, s.deliveryView(d, connected[d.ClusterUID]))
	}
	return response, nil
}

// GetDelivery shows one pair with what policy found.
func (s *Service) GetDelivery(ctx context.Context, request *statusv1.PairRequest) (*statusv1.Delivery, error) {
	d, row, err := s.pair(ctx, "GetDelivery", request.GetNamespace(), request.GetCluster(), request.GetBundle())
	if err != nil {
		return nil, err
	}
	view := s.deliveryView(d, row)
	page, err := s.cfg.Store.ListPolicyResults(ctx, store.Query{Namespaces: []string{request.GetNamespace()}, Limit: limitMax,
		Filter: map[string]string{"cluster": request.GetCluster(), "bundle": request.GetBundle()}})
	if err != nil {
		return nil, unavailable(err)
	}
	for _, result := range page.Items {
		view.Policy = append(view.Policy, policyView(result))
	}
	return view, nil
}

// pair finds the delivery of a cluster and a bundle, both by name.
func (s *Service) pair(ctx context.Context, call, namespace, cluster, bundle string) (delivery.Delivery, delivery.Cluster, error) {
	if err := s.authz.require(ctx, call, namespace); err != nil {
		return delivery.Delivery{}, delivery.Cluster{}, err
	}
	row, err := s.cluster(ctx, namespace, cluster)
	if err != nil {
		return delivery.Delivery{}, delivery.Cluster{}, err
	}
	found, err := s.cfg.Store.Deliveries(ctx, store.DeliveryFilter{ClusterUID: row.UID, Bundle: delivery.Key(namespace + "/" + bundle)})
	if err != nil {
		return delivery.Delivery{}, delivery.Cluster{}, unavailable(err)
	}
	if len(found) == 0 {
		return delivery.Delivery{}, row, status.Errorf(codes.NotFound, "bundle %q is not delivered to cluster %q: no target of it matches the cluster",
			bundle, cluster)
	}
	return found[0], row, nil
}

func (s *Service) clusters(ctx context.Context) (map[string]delivery.Cluster, error) {
	rows, err := s.cfg.Store.Clusters(ctx, "")
	if err != nil {
		return nil, unavailable(err)
	}
	out := make(map[string]delivery.Cluster, len(rows))
	for _, row := range rows {
		out[row.UID] = row
	}
	return out, nil
}

func (s *Service) deliveryView(d delivery.Delivery, row delivery.Cluster) *statusv1.Delivery {
	view := &statusv1.Delivery{Namespace: d.Namespace, Cluster: d.Cluster, Bundle: string(d.Bundle),
		TargetRevision: string(d.Target.Revision), AssignedRevision: string(d.Assigned.Revision), PreviousRevision: string(d.Previous.Revision),
		AppliedRevision: string(d.Observed.AppliedRevision), TargetCommit: d.Target.Commit, AssignedCommit: d.Assigned.Commit,
		Target: d.Target.TargetName, State: d.State(), Reason: d.Reason, Message: d.Message, Changed: stamp(d.Observed.ChangedAt),
		Counts: &statusv1.Counts{Objects: d.Observed.Counts.Objects, Applied: d.Observed.Counts.Applied, Ready: d.Observed.Counts.Ready,
			Drifted: d.Observed.Counts.Drifted, Failed: d.Observed.Counts.Failed, PrunePending: d.Observed.Counts.PrunePending}}
	if view.GetMessage() == "" {
		view.Message = d.Observed.Message
	}
	if d.Observed.PruneHold != nil {
		view.PruneHold = d.Observed.PruneHold.ID
	}
	if !row.Connected && !row.LastSeen.IsZero() {
		view.StaleSeconds = int64(s.cfg.Now().Sub(row.LastSeen).Seconds())
		if view.GetReason() == "" {
			view.State = "Unknown"
		}
	}
	return view
}

// ListObjects lists the objects of a pair's assigned revision, each with its state: current unless the agent reported another.
func (s *Service) ListObjects(ctx context.Context, request *statusv1.PairListRequest) (*statusv1.ListObjectsResponse, error) {
	d, _, err := s.pair(ctx, "ListObjects", request.GetNamespace(), request.GetCluster(), request.GetBundle())
	if err != nil {
		return nil, err
	}
	start, limit := 0, int(request.GetLimit())
	if limit <= 0 || limit > limitMax {
		limit = limitDefault
	}
	if request.GetCursor() != "" {
		if start, err = strconv.Atoi(request.GetCursor()); err != nil || start < 0 {
			return nil, status.Error(codes.InvalidArgument, "cursor: not one that this list gave")
		}
	}
	return s.objects(ctx, d, start, limit)
}

// objects are those of a pair's assigned revision from start on, with what was last reported of each.
func (s *Service) objects(ctx context.Context, d delivery.Delivery, start, limit int) (*statusv1.ListObjectsResponse, error) {
	if d.Assigned.Revision == "" {
		return &statusv1.ListObjectsResponse{}, nil
	}
	manifest, err := s.cfg.Store.Revision(ctx, d.Assigned.Revision)
	if err != nil {
		return nil, unavailable(err)
	}
	exceptions, err := s.exceptions(ctx, d)
	if err != nil {
		return nil, err
	}
	if start > len(manifest.Items) {
		return nil, status.Error(codes.InvalidArgument, "cursor: not one that this list gave")
	}
	end := min(start+limit, len(manifest.Items))
	response := &statusv1.ListObjectsResponse{Total: int64(len(manifest.Items))}
	if end < len(manifest.Items) {
		response.Next = strconv.Itoa(end)
	}
	for _, item := range manifest.Items[start:end] {
		id := item.ObjectID
		view := &statusv1.Object{Group: id.Group, Kind: id.Kind, Namespace: id.Namespace, Name: id.Name, State: "current",
			Digest: string(item.Digest), Source: item.Source}
		if view.GetNamespace() == "" {
			id.Namespace = manifest.DefaultNamespace
		}
		exception, found := exceptions[item.ObjectID]
		if !found {
			exception, found = exceptions[id]
		}
		switch {
		case found:
			view.State, view.Message, view.Since = exception.State, exception.Message, stamp(exception.Since)
		case d.Observed.AppliedRevision != d.Assigned.Revision:
			view.State = "pending"
		}
		response.Items = append(response.Items, view)
	}
	return response, nil
}

func (s *Service) exceptions(ctx context.Context, d delivery.Delivery) (map[content.ObjectID]delivery.Object, error) {
	out := map[content.ObjectID]delivery.Object{}
	query := store.Query{Namespaces: []string{d.Namespace}, Limit: limitMax,
		Filter: map[string]string{"cluster": d.Cluster, "bundle": string(d.Bundle)}}
	for {
		page, err := s.cfg.Store.ListObjects(ctx, query)
		if err != nil {
			return nil, unavailable(err)
		}
		for _, object := range page.Items {
			out[object.ID] = object
		}
		if query.Cursor = page.Next; query.Cursor == "" {
			return out, nil
		}
	}
}
