package statusapi

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	statusv1 "github.com/periplus-fleet/periplus/api/proto/periplus/status/v1"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/projection"
	"github.com/periplus-fleet/periplus/hub/store"
)

// ListRepos lists FleetRepos by namespace and name; they are few, so one page holds them.
func (s *Service) ListRepos(ctx context.Context, request *statusv1.ListRequest) (*statusv1.ListReposResponse, error) {
	query, err := s.query(ctx, "ListRepos", request)
	if err != nil {
		return nil, err
	}
	var list v1alpha1.FleetRepoList
	if err := s.cfg.Client.List(ctx, &list); err != nil {
		return nil, unavailable(err)
	}
	response := &statusv1.ListReposResponse{}
	for i := range list.Items {
		if slices.Contains(query.Namespaces, list.Items[i].Namespace) {
			response.Items = append(response.Items, repoView(&list.Items[i]))
		}
	}
	slices.SortFunc(response.Items, func(a, b *statusv1.Repo) int {
		return strings.Compare(a.GetNamespace()+"/"+a.GetName(), b.GetNamespace()+"/"+b.GetName())
	})
	response.Total = int64(len(response.Items))
	return response, nil
}

// GetRepo shows one FleetRepo.
func (s *Service) GetRepo(ctx context.Context, request *statusv1.GetRequest) (*statusv1.Repo, error) {
	if err := s.authz.require(ctx, "GetRepo", request.GetNamespace()); err != nil {
		return nil, err
	}
	var repo v1alpha1.FleetRepo
	if err := s.cfg.Client.Get(ctx, client.ObjectKey{Namespace: request.GetNamespace(), Name: request.GetName()}, &repo); err != nil {
		return nil, unavailable(err)
	}
	return repoView(&repo), nil
}

func repoView(repo *v1alpha1.FleetRepo) *statusv1.Repo {
	ref := repo.Spec.Ref.Branch + repo.Spec.Ref.Tag + repo.Spec.Ref.Commit
	if ref == "" {
		ref = "main"
	}
	view := &statusv1.Repo{Namespace: repo.Namespace, Name: repo.Name, Url: repo.Spec.URL, Ref: ref, Commit: repo.Status.Commit,
		FetchedCommit: repo.Status.FetchedCommit, Conditions: conditionViews(repo.Status.Conditions)}
	if repo.Status.LastFetch != nil {
		view.LastFetch = stamp(repo.Status.LastFetch.Time)
	}
	for _, refusal := range repo.Status.Refused {
		view.Refused = append(view.Refused, &statusv1.Refusal{File: refusal.File, Line: refusal.Line, Field: refusal.Field, Message: refusal.Message})
	}
	return view
}

func conditionViews(conditions []metav1.Condition) []*statusv1.Condition {
	var out []*statusv1.Condition
	for _, condition := range conditions {
		out = append(out, &statusv1.Condition{Type: condition.Type, Status: string(condition.Status), Reason: condition.Reason,
			Message: condition.Message, Since: stamp(condition.LastTransitionTime.Time)})
	}
	return out
}

// ListClusters lists clusters as the store knows them, with what their FleetClusters say.
func (s *Service) ListClusters(ctx context.Context, request *statusv1.ListRequest) (*statusv1.ListClustersResponse, error) {
	query, err := s.query(ctx, "ListClusters", request, "name", "connected")
	if err != nil {
		return nil, err
	}
	page, err := s.cfg.Store.ListClusters(ctx, query)
	if err != nil {
		return nil, unavailable(err)
	}
	response := &statusv1.ListClustersResponse{Next: page.Next, Total: page.Total}
	for _, row := range page.Items {
		view, err := s.clusterView(ctx, row)
		if err != nil {
			return nil, err
		}
		response.Items = append(response.Items, view)
	}
	return response, nil
}

// GetCluster shows one cluster.
func (s *Service) GetCluster(ctx context.Context, request *statusv1.GetRequest) (*statusv1.Cluster, error) {
	if err := s.authz.require(ctx, "GetCluster", request.GetNamespace()); err != nil {
		return nil, err
	}
	row, err := s.cluster(ctx, request.GetNamespace(), request.GetName())
	if err != nil {
		return nil, err
	}
	return s.clusterView(ctx, row)
}

// cluster finds the row of the FleetCluster that has the name now.
func (s *Service) cluster(ctx context.Context, namespace, name string) (delivery.Cluster, error) {
	var object v1alpha1.FleetCluster
	if err := s.cfg.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &object); err != nil {
		return delivery.Cluster{}, unavailable(err)
	}
	rows, err := s.cfg.Store.Clusters(ctx, namespace)
	if err != nil {
		return delivery.Cluster{}, unavailable(err)
	}
	for _, row := range rows {
		if row.UID == string(object.UID) {
			return row, nil
		}
	}
	return delivery.Cluster{UID: string(object.UID), Namespace: namespace, Name: name, Labels: object.Labels}, nil
}

func (s *Service) clusterView(ctx context.Context, row delivery.Cluster) (*statusv1.Cluster, error) {
	view := &statusv1.Cluster{Namespace: row.Namespace, Name: row.Name, Uid: row.UID, Labels: row.Labels, Connected: row.Connected,
		LastSeen: stamp(row.LastSeen), AgentVersion: row.AgentVersion, KubernetesVersion: row.KubernetesVersion,
		Generation: row.Generation, AcceptedGeneration: row.Accepted.Generation}
	var object v1alpha1.FleetCluster
	err := s.cfg.Client.Get(ctx, client.ObjectKey{Namespace: row.Namespace, Name: row.Name}, &object)
	if client.IgnoreNotFound(err) != nil {
		return nil, unavailable(err)
	}
	view.Conditions = conditionViews(object.Status.Conditions)
	if object.Status.Version != "" {
		view.KubernetesVersion = object.Status.Version
	}
	if counts := object.Status.Bundles; counts != nil {
		view.Deliveries = &statusv1.Totals{Total: counts.Total, Ready: counts.Ready, Held: counts.Held, Failed: counts.Failed}
	}
	view.State = clusterState(row, &object)
	return view, nil
}

// clusterState is the cluster's state in one word.
func clusterState(row delivery.Cluster, object *v1alpha1.FleetCluster) string {
	switch {
	case object.DeletionTimestamp != nil:
		return "Removing"
	case row.Relearn:
		return "Relearning"
	case !row.Connected && !row.LastSeen.IsZero():
		return "Unknown"
	}
	for _, condition := range object.Status.Conditions {
		switch {
		case condition.Type == v1alpha1.ConditionStalled && condition.Status == metav1.ConditionTrue:
			return "Failed"
		case condition.Type == v1alpha1.ConditionProvisioned && condition.Status != metav1.ConditionTrue:
			return "Provisioning"
		}
	}
	if !row.Connected {
		return "Joining"
	}
	return "Ready"
}

// ListBundles lists bundles in force.
func (s *Service) ListBundles(ctx context.Context, request *statusv1.ListRequest) (*statusv1.ListBundlesResponse, error) {
	query, err := s.query(ctx, "ListBundles", request, "name", "repo")
	if err != nil {
		return nil, err
	}
	page, err := s.cfg.Store.ListBundles(ctx, query)
	if err != nil {
		return nil, unavailable(err)
	}
	response := &statusv1.ListBundlesResponse{Next: page.Next, Total: page.Total}
	for _, bundle := range page.Items {
		view, err := s.bundleView(ctx, bundle)
		if err != nil {
			return nil, err
		}
		response.Items = append(response.Items, view)
	}
	return response, nil
}

// GetBundle shows one bundle.
func (s *Service) GetBundle(ctx context.Context, request *statusv1.GetRequest) (*statusv1.Bundle, error) {
	if err := s.authz.require(ctx, "GetBundle", request.GetNamespace()); err != nil {
		return nil, err
	}
	page, err := s.cfg.Store.ListBundles(ctx, store.Query{Namespaces: []string{request.GetNamespace()},
		Filter: map[string]string{"name": request.GetName()}, Limit: 1})
	if err != nil {
		return nil, unavailable(err)
	}
	if len(page.Items) == 0 {
		return nil, status.Errorf(codes.NotFound, "no bundle %q in namespace %s", request.GetName(), request.GetNamespace())
	}
	return s.bundleView(ctx, page.Items[0])
}

func (s *Service) bundleView(ctx context.Context, bundle delivery.Bundle) (*statusv1.Bundle, error) {
	namespace, name, _ := strings.Cut(string(bundle.Key), "/")
	view := &statusv1.Bundle{Namespace: namespace, Name: name, Repo: bundle.Repo, Path: bundle.Path, Commit: bundle.Commit, Frozen: bundle.Frozen,
		Warnings: bundle.Warnings.First, WarningCount: int32(bundle.Warnings.Count)}
	deliveries, err := s.cfg.Store.Deliveries(ctx, store.DeliveryFilter{Bundle: bundle.Key})
	if err != nil {
		return nil, unavailable(err)
	}
	var tally projection.Tally
	for _, d := range deliveries {
		tally.Add(d, d.Cluster)
	}
	view.Deliveries = &statusv1.Totals{Total: tally.Count.Total, Ready: tally.Count.Ready, Held: tally.Count.Held, Failed: tally.Count.Failed}
	return view, nil
}

// ListHistory lists what happened, newest first.
func (s *Service) ListHistory(ctx context.Context, request *statusv1.ListRequest) (*statusv1.ListHistoryResponse, error) {
	query, err := s.query(ctx, "ListHistory", request, "cluster", "bundle", "type")
	if err != nil {
		return nil, err
	}
	page, err := s.cfg.Store.ListHistory(ctx, query)
	if err != nil {
		return nil, unavailable(err)
	}
	response := &statusv1.ListHistoryResponse{Next: page.Next, Total: page.Total}
	for _, event := range page.Items {
		response.Items = append(response.Items, &statusv1.Event{Id: event.ID, Time: stamp(event.Time), Namespace: event.Namespace,
			Cluster: event.Cluster, Bundle: event.Bundle, Type: event.Type, From: event.From, To: event.To, Commit: event.Commit,
			Actor: event.Actor, Message: event.Message})
	}
	return response, nil
}

// ListPolicyResults lists the gate's findings about target revisions, and agents' about what runs.
func (s *Service) ListPolicyResults(ctx context.Context, request *statusv1.ListRequest) (*statusv1.ListPolicyResultsResponse, error) {
	query, err := s.query(ctx, "ListPolicyResults", request, "cluster", "bundle", "policy", "action", "result", "point", "kind")
	if err != nil {
		return nil, err
	}
	page, err := s.cfg.Store.ListPolicyResults(ctx, query)
	if err != nil {
		return nil, unavailable(err)
	}
	response := &statusv1.ListPolicyResultsResponse{Next: page.Next, Total: page.Total}
	for _, row := range page.Items {
		response.Items = append(response.Items, policyView(row))
	}
	return response, nil
}

func policyView(row store.PolicyResultRow) *statusv1.PolicyResult {
	return &statusv1.PolicyResult{Namespace: row.Namespace, Cluster: row.Cluster, Bundle: string(row.Bundle), Policy: row.Policy,
		Action: row.Action, Result: row.Result, Object: row.Object.String(), Message: row.Message, Source: row.Source,
		PolicySource: row.PolicySource, Exemption: row.Exemption, Point: row.Point, Revision: row.Revision, Time: stamp(row.Time)}
}

// ListAudit lists imperative acts, newest first.
func (s *Service) ListAudit(ctx context.Context, request *statusv1.ListRequest) (*statusv1.ListAuditResponse, error) {
	query, err := s.query(ctx, "ListAudit", request, "actor", "verb")
	if err != nil {
		return nil, err
	}
	page, err := s.cfg.Store.ListAudit(ctx, query)
	if err != nil {
		return nil, unavailable(err)
	}
	response := &statusv1.ListAuditResponse{Next: page.Next, Total: page.Total}
	for _, record := range page.Items {
		response.Items = append(response.Items, &statusv1.AuditRecord{Time: stamp(record.Time), Actor: record.Actor, Verb: record.Verb,
			Resource: record.Resource, Namespace: record.Namespace, Name: record.Name, Detail: record.Detail})
	}
	return response, nil
}
