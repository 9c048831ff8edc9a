package store

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/delivery"
)

const leadTest = time.Minute

func TestOneDeliveryFromAssignmentToRemoval(t *testing.T) {
	ctx := context.Background()
	s, err := Open(ctx, Config{URL: "sqlite://" + filepath.Join(t.TempDir(), "hub.db"), Key: bytes.Repeat([]byte{1}, KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	term, leader, err := s.Lead(ctx, "one", leadTest)
	if err != nil || !leader {
		t.Fatal(leader, err)
	}
	if _, leader, err = s.Lead(ctx, "two", leadTest); err != nil || leader {
		t.Fatal("a second process leads", err)
	}
	if err := s.UpsertClusters(ctx, term, []delivery.Cluster{{UID: "u1", Namespace: "fleet", Name: "eu-1"}}); err != nil {
		t.Fatal(err)
	}
	manifest := content.Manifest{Items: []content.Item{{ObjectID: content.ObjectID{Kind: "ConfigMap", Name: "a"}, Digest: content.Sum([]byte("{}"))}}}
	revision, err := s.PutRevision(ctx, manifest, map[content.Digest][]byte{content.Sum([]byte("{}")): []byte("{}")})
	if err != nil {
		t.Fatal(err)
	}
	target := delivery.Assignment{Revision: revision, Options: &linkv1.Options{DriftMode: "Correct"}, Commit: "abc"}
	if err := s.Apply(ctx, term, []Change{{ClusterUID: "u1", Bundle: "fleet/a", Target: &target, Assigned: &target,
		Events: []delivery.Event{{Namespace: "fleet", Type: "Assigned"}}}}); err != nil {
		t.Fatal(err)
	}
	session, err := s.ClaimSession(ctx, "u1", "p", "i")
	if err != nil {
		t.Fatal(err)
	}
	desired, err := s.Desired(ctx, "u1")
	if err != nil || len(desired.Entries) != 1 || desired.Position.SetHash != content.EntryHash(desired.Entries[0]) {
		t.Fatal(desired, err)
	}
	if err := s.Accept(ctx, "u1", session, desired.Position, nil); err != nil {
		t.Fatal(err)
	}
	applied, err := s.Report(ctx, "u1", session, 1, &linkv1.StatusReport{Bundles: []*linkv1.BundleStatus{{Bundle: "fleet/a", Revision: string(revision),
		AppliedRevision: string(revision), State: linkv1.State_STATE_READY, Counts: &linkv1.Counts{Objects: 1, Ready: 1}}}})
	if err != nil || !applied {
		t.Fatal(applied, err)
	}
	page, err := s.ListDeliveries(ctx, Query{Namespaces: []string{"fleet"}, Filter: map[string]string{"bundle": "a", "state": "Ready"}})
	if err != nil || page.Total != 1 || len(page.Items) != 1 {
		t.Fatal(page, err)
	}
	if err := s.Apply(ctx, term, []Change{{ClusterUID: "u1", Bundle: "fleet/a", Tombstone: &delivery.Tombstone{Cause: delivery.Cause{Kind: "commit", Ref: "def"}}}}); err != nil {
		t.Fatal(err)
	}
	since, ok, err := s.Since(ctx, "u1", desired.Position)
	if err != nil || !ok || len(since.Tombstones) != 1 || len(since.Entries) != 0 || since.Position.SetHash != (content.Hash{}) {
		t.Fatal(since, ok, err)
	}
	if applied, err = s.Report(ctx, "u1", session, 2, &linkv1.StatusReport{Removed: []string{"fleet/a"}}); err != nil || !applied {
		t.Fatal(applied, err)
	}
	left, err := s.Deliveries(ctx, DeliveryFilter{Namespace: "fleet"})
	if err != nil || len(left) != 0 {
		t.Fatal(left, err)
	}
	history, err := s.ListHistory(ctx, Query{Namespaces: []string{"fleet"}, Limit: 1})
	if err != nil || history.Total != 3 || history.Items[0].Type != "Removed" || history.Next == "" {
		t.Fatal(history, err)
	}
	history, err = s.ListHistory(ctx, Query{Namespaces: []string{"fleet"}, Cursor: history.Next})
	if err != nil || len(history.Items) != 2 {
		t.Fatal(history, err)
	}
}

func TestAJoinRevokesTheClusterKeysBefore(t *testing.T) {
	ctx := t.Context()
	s, err := Open(ctx, Config{URL: "sqlite://" + filepath.Join(t.TempDir(), "hub.db"), Key: bytes.Repeat([]byte{1}, KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	term, _, err := s.Lead(ctx, "one", leadTest)
	if err != nil {
		t.Fatal(err)
	}
	for i, key := range []string{"first", "second"} {
		if err := s.RequestCertificate(ctx, IssueRequest{ID: key, Kind: "join", PublicKeyHash: key, CSR: []byte{1}, ClusterUID: "u1"}); err != nil {
			t.Fatal(err)
		}
		err := s.Issue(ctx, term, key, func(IssueTx) (IssueResult, IssueRecord, error) {
			issued := time.Unix(1000+int64(i), 0)
			return IssueResult{Cluster: "fleet/eu-1"}, IssueRecord{RevokeOthers: true,
				Certificate: &Certificate{Serial: key, ClusterUID: "u1", PublicKeyHash: key, Issued: issued, Expires: issued.Add(time.Hour)}}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	certificates, err := s.Certificates(ctx, "u1")
	if err != nil || len(certificates) != 2 || !certificates[0].Revoked || certificates[1].Revoked {
		t.Error("the first key's certificate is revoked with the second's issue, and only it", certificates, err)
	}
}
