// Package statusapi serves everything that a person can see or do: over gRPC, and as REST under /api/v1. Users are those of
// the hub's Kubernetes cluster and their permissions are its RBAC. It reads the store and the hub's Kubernetes API, and acts
// only through records that the control role carries out, so that it can run in a process of its own.
package statusapi

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	statusv1 "github.com/periplus-fleet/periplus/api/proto/periplus/status/v1"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/store"
)

// Store is what the service needs of the store.
type Store interface {
	Meta(ctx context.Context) (store.Meta, error)
	Clusters(ctx context.Context, namespace string) ([]delivery.Cluster, error)
	Deliveries(ctx context.Context, filter store.DeliveryFilter) ([]delivery.Delivery, error)
	Revision(ctx context.Context, digest content.Digest) (content.Manifest, error)
	ListClusters(ctx context.Context, query store.Query) (store.Page[delivery.Cluster], error)
	ListBundles(ctx context.Context, query store.Query) (store.Page[delivery.Bundle], error)
	ListDeliveries(ctx context.Context, query store.Query) (store.Page[delivery.Delivery], error)
	ListHistory(ctx context.Context, query store.Query) (store.Page[delivery.Event], error)
	ListPolicyResults(ctx context.Context, query store.Query) (store.Page[store.PolicyResultRow], error)
	ListObjects(ctx context.Context, query store.Query) (store.Page[delivery.Object], error)
	ListAudit(ctx context.Context, query store.Query) (store.Page[store.AuditRecord], error)
	Audit(ctx context.Context, record store.AuditRecord) error
	PutCommand(ctx context.Context, uid string, command *linkv1.Command) error
	CommandAnswer(ctx context.Context, id string) (text string, done bool, err error)
	PutWord(ctx context.Context, word store.Word) error
	Words(ctx context.Context, namespace, kind string) (map[string]store.Word, error)
	Relearning(ctx context.Context) ([]store.Relearn, error)
	RevokeCertificates(ctx context.Context, clusterUID string, before time.Time) error
}

// Tokens makes and ends join tokens.
type Tokens interface {
	Create(ctx context.Context, namespace, cluster string, expiresIn time.Duration, rejoin bool) (name, token string, expires time.Time, err error)
	Revoke(ctx context.Context, namespace, name string) error
}

// Config of the service.
type Config struct {
	Store  Store
	Client client.Client
	Tokens Tokens
	// Asker asks the agents of clusters; nil where this process cannot.
	Asker Asker
	// Endpoints and CAHash are what a join line needs.
	Endpoints []string
	CAHash    string
	Version   string
	Commit    string
	Log       *slog.Logger
	Now       func() time.Time
}

// Service implements periplus.status.v1.Fleet.
type Service struct {
	statusv1.UnimplementedFleetServer
	cfg   Config
	authz *authorizer
}

// New makes the service.
func New(cfg Config) *Service {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Service{cfg: cfg, authz: newAuthorizer(cfg.Client)}
}

const (
	limitDefault = 100
	limitMax     = 1000
)

// query turns a list request into the store's query; fields are the filters that the list knows.
func (s *Service) query(ctx context.Context, call string, request *statusv1.ListRequest, fields ...string) (store.Query, error) {
	all, err := s.allNamespaces(ctx)
	if err != nil {
		return store.Query{}, err
	}
	namespaces, err := s.authz.namespaces(ctx, call, request.GetNamespace(), all)
	if err != nil {
		return store.Query{}, err
	}
	query := store.Query{Namespaces: namespaces, Filter: map[string]string{}, Cursor: request.GetCursor(), Limit: int(request.GetLimit())}
	query.Sort, query.Desc = strings.CutPrefix(request.GetSort(), "-")
	switch {
	case query.Limit == 0:
		query.Limit = limitDefault
	case query.Limit < 0 || query.Limit > limitMax:
		return store.Query{}, status.Errorf(codes.InvalidArgument, "limit: must be from 1 to %d", limitMax)
	}
	for _, filter := range request.GetFilter() {
		field, value, ok := strings.Cut(filter, "=")
		if !ok || !slices.Contains(fields, field) {
			return store.Query{}, status.Errorf(codes.InvalidArgument, "filter %q: want <field>=<value> with a field of: %s",
				filter, strings.Join(fields, ", "))
		}
		query.Filter[field] = value
	}
	return query, nil
}

// allNamespaces are the tenants: namespaces with a FleetRepo or a FleetCluster.
func (s *Service) allNamespaces(ctx context.Context) ([]string, error) {
	var repos v1alpha1.FleetRepoList
	if err := s.cfg.Client.List(ctx, &repos); err != nil {
		return nil, unavailable(err)
	}
	var clusters v1alpha1.FleetClusterList
	if err := s.cfg.Client.List(ctx, &clusters); err != nil {
		return nil, unavailable(err)
	}
	var out []string
	for i := range repos.Items {
		out = append(out, repos.Items[i].Namespace)
	}
	for i := range clusters.Items {
		out = append(out, clusters.Items[i].Namespace)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// audit records an imperative act before it is carried out; an act that cannot be recorded is not done.
func (s *Service) audit(ctx context.Context, verb, resource, namespace, name, detail string) error {
	err := s.cfg.Store.Audit(ctx, store.AuditRecord{Time: s.cfg.Now(), Actor: UserOf(ctx).Name, Verb: verb, Resource: resource,
		Namespace: namespace, Name: name, Detail: detail})
	if err != nil {
		return unavailable(err)
	}
	return nil
}

func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func required(field, value string) error {
	if value == "" {
		return status.Errorf(codes.InvalidArgument, "%s: required", field)
	}
	return nil
}
