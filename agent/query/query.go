// Package query answers what people ask about the cluster through the hub: an object as it lives, what an apply would
// change, what belongs to it, its events and logs, and why it is not ready. It reads with the rights of the ServiceAccount
// that the bundle is applied as, speaks of the bundle's objects and of what these own and of nothing else, and never gives
// away a Secret's values. It stands beside the reconciler, from whose inventory and desired set it takes what is the bundle's.
package query

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/periplus-fleet/periplus/agent/apply"
	"github.com/periplus-fleet/periplus/agent/desired"
	"github.com/periplus-fleet/periplus/agent/inventory"
	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/agent/tenancy"
	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// Words for kinds of queries: in the agent's flag, the chart's value queries, and errors.
const (
	Get    = "get"
	Diff   = "diff"
	Tree   = "tree"
	Events = "events"
	Logs   = "logs"
	Why    = "why"
)

// Kinds are all kinds of queries.
var Kinds = []string{Get, Diff, Tree, Events, Logs, Why}

// Codes of a QueryError.
const (
	codeNotFound    = "not-found"
	codeForbidden   = "forbidden"
	codeDisabled    = "disabled"
	codeInvalid     = "invalid"
	codeUnavailable = "unavailable"
	codeDeadline    = "deadline"
)

const (
	// maxTime bounds every query but logs that are followed.
	maxTime = 30 * time.Second
	// maxOwners is how far up the owners of an object are followed.
	maxOwners = 6
)

// Desired is the accepted set with its content.
type Desired interface {
	Accepted() desired.Set
	Manifest(ctx context.Context, revision content.Digest) (content.Manifest, error)
	Content(ctx context.Context, digests []content.Digest) (map[content.Digest][]byte, error)
}

// Config of an Answerer.
type Config struct {
	Cluster   *kube.Cluster
	Mapper    *kube.Mapper
	Desired   Desired
	Inventory *inventory.Store
	Tenants   tenancy.Accounts
	// Status is what the reconciler last said of a bundle; nil where it said nothing.
	Status func(bundle string) *linkv1.BundleStatus
	// Allowed are the kinds of queries that the cluster's owner lets through.
	Allowed map[string]bool
	Log     *slog.Logger
}

// Answerer answers queries. It is safe for concurrent use.
type Answerer struct{ config Config }

// New makes an Answerer.
func New(config Config) *Answerer { return &Answerer{config: config} }

// failure is an answer that there is none.
type failure struct{ code, message string }

func (f *failure) Error() string { return f.message }

func failf(code, format string, args ...any) error {
	return &failure{code: code, message: fmt.Sprintf(format, args...)}
}

// Answer implements link.Queries.
func (a *Answerer) Answer(ctx context.Context, query *linkv1.Query, send func(*linkv1.QueryResult) error) *linkv1.QueryError {
	kind := kindOf(query)
	a.config.Log.Info("query", "kind", kind, "actor", query.GetActor(), "bundle", query.GetBundle(), "object", idOf(query.GetObject()).String())
	if query.GetLogs() == nil || !query.GetLogs().GetFollow() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, maxTime)
		defer cancel()
	}
	err := a.answer(ctx, kind, query, send)
	var known *failure
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return &linkv1.QueryError{Code: known.code, Message: known.message}
	case ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded):
		return &linkv1.QueryError{Code: codeDeadline, Message: "the answer took too long"}
	case apierrors.IsForbidden(err):
		return &linkv1.QueryError{Code: codeForbidden, Message: apply.Explain(err, a.account(query.GetBundle()), apply.Request{Bundle: query.GetBundle()}).Error()}
	default:
		return &linkv1.QueryError{Code: codeUnavailable, Message: err.Error()}
	}
}

func (a *Answerer) answer(ctx context.Context, kind string, query *linkv1.Query, send func(*linkv1.QueryResult) error) error {
	switch {
	case kind == "":
		return failf(codeInvalid, "this agent does not know this kind of query: upgrade it")
	case !a.config.Allowed[kind]:
		return failf(codeDisabled, "the cluster's owner has switched off queries of kind %s: the agent chart's value queries.%s allows them", kind, kind)
	}
	s, err := a.scope(ctx, query)
	if err != nil {
		return err
	}
	switch kind {
	case Get:
		return s.get(ctx, send)
	case Diff:
		return s.diff(ctx, send)
	case Tree:
		return s.tree(ctx, send)
	case Events:
		return s.events(ctx, query.GetEvents(), send)
	case Logs:
		return s.logs(ctx, query.GetLogs(), send)
	default:
		return s.why(ctx, a.config.Status(query.GetBundle()), send)
	}
}

func kindOf(query *linkv1.Query) string {
	switch query.GetQuery().(type) {
	case *linkv1.Query_Get:
		return Get
	case *linkv1.Query_Diff:
		return Diff
	case *linkv1.Query_Tree:
		return Tree
	case *linkv1.Query_Events:
		return Events
	case *linkv1.Query_Logs:
		return Logs
	case *linkv1.Query_Why:
		return Why
	default:
		return ""
	}
}

// scope is what one query may see.
type scope struct {
	client   *kube.Client
	mapper   *kube.Mapper
	desired  Desired
	bundle   string
	entry    *linkv1.Entry
	manifest content.Manifest
	inv      inventory.Inventory
	// asked is the object that the query names; nil for all of the bundle.
	asked *target
}

// target is an object that a query is about.
type target struct {
	id       content.ObjectID
	resource kube.Resource
	// item of the assigned revision, nil where it holds none; record of the inventory, if recorded.
	item     *content.Item
	record   inventory.Record
	recorded bool
	// uid that the object must have, where it is known.
	uid string
}

// secret says that the object's values are nobody's to see.
func (t *target) secret() bool {
	return t.id.Group == "" && t.id.Kind == "Secret" || t.record.Digest.Secret() || t.item != nil && (t.item.Sealed || t.item.Digest.Secret())
}

func (a *Answerer) account(bundle string) string {
	entry := a.config.Desired.Accepted().Entries[bundle]
	account, err := a.config.Tenants.Allow(bundle, entry.GetOptions().GetServiceAccountName())
	if err != nil {
		return entry.GetOptions().GetServiceAccountName()
	}
	return account
}

func (a *Answerer) scope(ctx context.Context, query *linkv1.Query) (*scope, error) {
	set := a.config.Desired.Accepted()
	s := &scope{mapper: a.config.Mapper, desired: a.config.Desired, bundle: query.GetBundle(), entry: set.Entries[query.GetBundle()],
		inv: a.config.Inventory.Get(query.GetBundle())}
	if s.entry == nil && len(s.inv.Records) == 0 {
		return nil, failf(codeNotFound, "bundle %q is not on this cluster", query.GetBundle())
	}
	account := s.entry.GetOptions().GetServiceAccountName()
	if s.entry == nil {
		account = s.inv.Account
	}
	account, err := a.config.Tenants.Allow(s.bundle, account)
	if err != nil {
		return nil, failf(codeForbidden, "%v", err)
	}
	if s.client, err = a.config.Cluster.As(account); err != nil {
		return nil, err
	}
	if s.entry != nil {
		if s.manifest, err = a.config.Desired.Manifest(ctx, content.Digest(s.entry.GetRevision())); err != nil {
			return nil, fmt.Errorf("cannot read the assigned revision: %w", err)
		}
	}
	if query.GetObject().GetKind() == "" {
		return s, nil
	}
	s.asked, err = s.find(ctx, idOf(query.GetObject()))
	return s, err
}

func idOf(id *linkv1.ObjectId) content.ObjectID {
	return content.ObjectID{Group: id.GetGroup(), Kind: id.GetKind(), Namespace: id.GetNamespace(), Name: id.GetName()}
}

func wireID(id content.ObjectID) *linkv1.ObjectId {
	return &linkv1.ObjectId{Group: id.Group, Kind: id.Kind, Namespace: id.Namespace, Name: id.Name}
}

// targets are the bundle's objects, in the order of the apply; those that are still to be removed last.
func (s *scope) targets() []*target {
	var all []*target
	seen := map[content.ObjectID]bool{}
	for i := range s.manifest.Items {
		item := &s.manifest.Items[i]
		t := &target{id: item.ObjectID, item: item}
		if t.record, t.recorded = s.inv.Find(item.ObjectID, s.manifest.DefaultNamespace); t.recorded {
			t.id, t.resource, t.uid = t.record.ObjectID, t.record.Reach(), t.record.UID
		}
		seen[t.id] = true
		all = append(all, t)
	}
	for _, record := range s.inv.Sorted() {
		if !seen[record.ObjectID] {
			all = append(all, &target{id: record.ObjectID, resource: record.Reach(), record: record, recorded: true, uid: record.UID})
		}
	}
	return all
}

// find is the object that a query names: one of the bundle's, or one that such an object owns.
func (s *scope) find(ctx context.Context, id content.ObjectID) (*target, error) {
	if id.Name == "" {
		return nil, failf(codeInvalid, "the object's name is missing")
	}
	var several []string
	var found *target
	for _, t := range s.targets() {
		if t.id.Kind != id.Kind || t.id.Name != id.Name || id.Group != "" && t.id.Group != id.Group || id.Namespace != "" && t.id.Namespace != id.Namespace {
			continue
		}
		found = t
		several = append(several, t.id.String())
	}
	switch {
	case len(several) > 1:
		return nil, failf(codeInvalid, "several objects of the bundle are meant: name one of %s", strings.Join(several, ", "))
	case found != nil:
		return found, s.reach(ctx, found)
	}
	t := &target{id: id}
	if err := s.reach(ctx, t); err != nil {
		return nil, err
	}
	live, err := s.client.Get(ctx, t.resource, t.id.Namespace, t.id.Name)
	if apierrors.IsNotFound(err) {
		return nil, failf(codeNotFound, "%s is not there", id)
	}
	if err != nil {
		return nil, err
	}
	if owned, err := s.owns(ctx, live); err != nil || !owned {
		return nil, failf(codeNotFound, "%s is no object of bundle %s, and none of its objects owns it", id, s.bundle)
	}
	t.uid = string(live.GetUID())
	return t, nil
}

// reach finds out how an object's kind is served.
func (s *scope) reach(ctx context.Context, t *target) error {
	if t.resource.Kind != "" {
		return nil
	}
	resource, err := s.mapper.Prefer(ctx, t.id.Group, t.id.Kind)
	if errors.Is(err, kube.ErrNotServed) {
		return failf(codeNotFound, "%s: this cluster does not serve its kind", t.id)
	}
	if err != nil {
		return err
	}
	t.resource = resource
	if resource.Namespaced && t.id.Namespace == "" {
		t.id.Namespace = inventory.DefaultNamespace(s.manifest.DefaultNamespace)
	}
	return nil
}

// owns says whether an object is the bundle's, or owned by one that is, however far up.
func (s *scope) owns(ctx context.Context, live *unstructured.Unstructured) (bool, error) {
	uids := map[string]bool{}
	for _, record := range s.inv.Records {
		if record.Settled() {
			uids[record.UID] = true
		}
	}
	for range maxOwners {
		if uids[string(live.GetUID())] {
			return true, nil
		}
		owner := metav1.GetControllerOf(live)
		if owner == nil && len(live.GetOwnerReferences()) > 0 {
			owner = &live.GetOwnerReferences()[0]
		}
		if owner == nil {
			return false, nil
		}
		if uids[string(owner.UID)] {
			return true, nil
		}
		version, err := schema.ParseGroupVersion(owner.APIVersion)
		if err != nil {
			return false, err
		}
		resource, err := s.mapper.Find(ctx, version.WithKind(owner.Kind))
		if err != nil {
			return false, err
		}
		next, err := s.client.Get(ctx, resource, live.GetNamespace(), owner.Name)
		if err != nil || next.GetUID() != owner.UID {
			return false, err
		}
		live = next
	}
	return false, nil
}

// live reads an object; nil where it is not there, or is another one by now.
func (s *scope) live(ctx context.Context, t *target) (*unstructured.Unstructured, error) {
	if err := s.reach(ctx, t); err != nil {
		return nil, err
	}
	live, err := s.client.Get(ctx, t.resource, t.id.Namespace, t.id.Name)
	if apierrors.IsNotFound(err) || err == nil && t.uid != "" && string(live.GetUID()) != t.uid {
		return nil, nil
	}
	return live, err
}

// chosen are the objects that the query is about.
func (s *scope) chosen() []*target {
	if s.asked != nil {
		return []*target{s.asked}
	}
	return s.targets()
}
