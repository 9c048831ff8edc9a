// Package fakequeue is the store's part of identity in memory: tokens, certificates and the queue between the link, which
// asks for certificates, and the control role, which signs them. It behaves like hub/store.
package fakequeue

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/periplus-fleet/periplus/hub/identity"
)

// Queue is the fake.
type Queue struct {
	mu           sync.Mutex
	tokens       map[string]*identity.Token
	users        map[string]map[string]bool // keys that used a token
	requests     map[string]identity.Request
	answers      map[string]identity.Result
	certificates []identity.Certificate
	clusters     map[string]identity.Current // by uid
}

// New makes an empty Queue.
func New() *Queue {
	return &Queue{tokens: map[string]*identity.Token{}, users: map[string]map[string]bool{}, requests: map[string]identity.Request{},
		answers: map[string]identity.Result{}, clusters: map[string]identity.Current{}}
}

// PutToken adds a token.
func (q *Queue) PutToken(token identity.Token) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tokens[token.Hash] = &token
}

// PutCluster adds or changes a FleetCluster.
func (q *Queue) PutCluster(cluster identity.Current) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.clusters[cluster.UID] = cluster
}

// Revoke ends all certificates of a cluster.
func (q *Queue) Revoke(uid string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.certificates {
		if q.certificates[i].ClusterUID == uid {
			q.certificates[i].Revoked = true
		}
	}
}

// CurrentCluster implements identity.Clusters.
func (q *Queue) CurrentCluster(_ context.Context, namespace, name string) (*identity.Current, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, cluster := range q.clusters {
		if cluster.Namespace == namespace && cluster.Name == name {
			return &cluster, nil
		}
	}
	return nil, nil
}

// RequestCertificate implements identity.Asker.
func (q *Queue) RequestCertificate(_ context.Context, request identity.Request) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.requests[request.ID] = request
	return nil
}

// IssueAnswer implements identity.Asker.
func (q *Queue) IssueAnswer(_ context.Context, id string) (identity.Result, bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	result, done := q.answers[id]
	return result, done, nil
}

// PendingRequests implements identity.Queue.
func (q *Queue) PendingRequests(context.Context) ([]identity.Request, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var pending []identity.Request
	for _, id := range slices.Sorted(maps.Keys(q.requests)) {
		if _, done := q.answers[id]; !done {
			pending = append(pending, q.requests[id])
		}
	}
	return pending, nil
}

// ClusterOf implements identity.Queue.
func (q *Queue) ClusterOf(_ context.Context, request identity.Request) (namespace, name string, ok bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if request.Kind == identity.KindJoin {
		token := q.tokens[request.TokenHash]
		if token == nil {
			return "", "", false, nil
		}
		return token.Namespace, token.Cluster, true, nil
	}
	cluster, ok := q.clusters[request.ClusterUID]
	return cluster.Namespace, cluster.Name, ok, nil
}

// Issue implements identity.Queue.
func (q *Queue) Issue(_ context.Context, _ uint64, id string, decide func(identity.Known) (identity.Result, identity.Record, error)) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, done := q.answers[id]; done {
		return nil
	}
	request := q.requests[id]
	known := identity.Known{Request: request, Certificates: slices.Clone(q.certificates)}
	if token := q.tokens[request.TokenHash]; token != nil {
		copied := *token
		known.Token, known.KeyUsedToken = &copied, q.users[token.Hash][request.PublicKeyHash]
	}
	result, record, err := decide(known)
	if err != nil {
		return err
	}
	if record.CountUse && !known.KeyUsedToken {
		q.tokens[request.TokenHash].Used++
		if q.users[request.TokenHash] == nil {
			q.users[request.TokenHash] = map[string]bool{}
		}
		q.users[request.TokenHash][request.PublicKeyHash] = true
	}
	if certificate := record.Certificate; certificate != nil {
		for i := range q.certificates {
			other := &q.certificates[i]
			if record.RevokeOthers && other.ClusterUID == certificate.ClusterUID && other.PublicKeyHash != certificate.PublicKeyHash {
				other.Revoked = true
			}
		}
		q.certificates = append(q.certificates, *certificate)
	}
	q.answers[id] = result
	return nil
}

// Standing implements identity.Standings.
func (q *Queue) Standing(_ context.Context, uid string) (identity.Standing, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	cluster, known := q.clusters[uid]
	standing := identity.Standing{Known: known, Revoked: map[string]bool{}, RevokedBefore: cluster.NotBefore}
	for _, certificate := range q.certificates {
		if certificate.ClusterUID == uid && certificate.Revoked {
			standing.Revoked[certificate.Serial] = true
		}
	}
	return standing, nil
}
