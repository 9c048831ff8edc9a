// Package storelink gives the link and the identity service what they ask of the hub's store, in their own words.
package storelink

import (
	"context"
	"errors"
	"fmt"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/identity"
	"github.com/periplus-fleet/periplus/hub/link"
	"github.com/periplus-fleet/periplus/hub/link/session"
	"github.com/periplus-fleet/periplus/hub/store"
)

// Link is the store as the link sees it. What is named and shaped alike is the store's own.
type Link struct{ *store.Store }

// Identity is the store as the identity service sees it.
type Identity struct{ *store.Store }

var (
	_ link.Store         = Link{}
	_ identity.Asker     = Identity{}
	_ identity.Queue     = Identity{}
	_ identity.Standings = Identity{}
)

// Meta implements link.Store.
func (l Link) Meta(ctx context.Context) (link.Meta, error) {
	meta, err := l.Store.Meta(ctx)
	return link.Meta{FleetID: meta.FleetID, Epoch: meta.Epoch}, err
}

// Head implements link.Store.
func (l Link) Head(ctx context.Context, uid string) (session.Head, error) {
	cluster, err := l.Cluster(ctx, uid)
	if errors.Is(err, store.ErrNotFound) {
		err = fmt.Errorf("%w: %w", link.ErrUnknownCluster, err)
	}
	if err != nil {
		return session.Head{}, err
	}
	return session.Head{Desired: delivery.Position{Epoch: cluster.Epoch, Generation: cluster.Generation, SetHash: cluster.SetHash},
		Recorded: cluster.Accepted, Relearn: cluster.Relearn}, nil
}

// Desired implements link.Store.
func (l Link) Desired(ctx context.Context, uid string) (session.Desired, error) {
	desired, err := l.Store.Desired(ctx, uid)
	return session.Desired(desired), err
}

// Since implements link.Store.
func (l Link) Since(ctx context.Context, uid string, base delivery.Position) (session.Desired, bool, error) {
	desired, ok, err := l.Store.Since(ctx, uid, base)
	return session.Desired(desired), ok, err
}

// ClaimSession implements link.Store. What the agent says of itself is kept with the session.
func (l Link) ClaimSession(ctx context.Context, uid, process string, hello *linkv1.Hello) (uint64, error) {
	number, err := l.Store.ClaimSession(ctx, uid, process, hello.GetInstance())
	if errors.Is(err, store.ErrDuplicateIdentity) {
		err = fmt.Errorf("%w: %w", link.ErrDuplicateIdentity, err)
	}
	if err != nil {
		return 0, err
	}
	return number, l.SaveFacts(ctx, uid, number, hello)
}

// RequestCertificate implements identity.Asker.
func (i Identity) RequestCertificate(ctx context.Context, request identity.Request) error {
	return i.Store.RequestCertificate(ctx, store.IssueRequest(request))
}

// IssueAnswer implements identity.Asker.
func (i Identity) IssueAnswer(ctx context.Context, id string) (identity.Result, bool, error) {
	result, done, err := i.Store.IssueAnswer(ctx, id)
	return identity.Result(result), done, err
}

// PendingRequests implements identity.Queue.
func (i Identity) PendingRequests(ctx context.Context) ([]identity.Request, error) {
	requests, err := i.Store.PendingRequests(ctx)
	pending := make([]identity.Request, 0, len(requests))
	for _, request := range requests {
		pending = append(pending, identity.Request(request))
	}
	return pending, err
}

// ClusterOf implements identity.Queue.
func (i Identity) ClusterOf(ctx context.Context, request identity.Request) (namespace, name string, ok bool, err error) {
	return i.Store.ClusterOf(ctx, store.IssueRequest(request))
}

// Issue implements identity.Queue. A join ends what was issued to its cluster before.
func (i Identity) Issue(ctx context.Context, term uint64, id string, decide func(identity.Known) (identity.Result, identity.Record, error)) error {
	return i.Store.Issue(ctx, term, id, func(tx store.IssueTx) (store.IssueResult, store.IssueRecord, error) {
		known := identity.Known{Request: identity.Request(tx.Request), Token: (*identity.Token)(tx.Token), KeyUsedToken: tx.KeyUsedToken}
		for _, certificate := range tx.Certificates {
			known.Certificates = append(known.Certificates, identity.Certificate(certificate))
		}
		result, record, err := decide(known)
		return store.IssueResult(result), store.IssueRecord{Certificate: (*store.Certificate)(record.Certificate), CountUse: record.CountUse,
			RevokeOthers: record.RevokeOthers}, err
	})
}

// Standing implements identity.Standings.
func (i Identity) Standing(ctx context.Context, uid string) (identity.Standing, error) {
	before, known, err := i.RevokedBefore(ctx, uid)
	if err != nil || !known {
		return identity.Standing{}, err
	}
	certificates, err := i.Certificates(ctx, uid)
	standing := identity.Standing{Known: true, RevokedBefore: before, Revoked: map[string]bool{}}
	for _, certificate := range certificates {
		if certificate.Revoked {
			standing.Revoked[certificate.Serial] = true
		}
	}
	return standing, err
}
