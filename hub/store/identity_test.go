package store_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/hub/store"
)

// issue decides as control does: a token's uses bound how many keys join with it.
func (w *world) issue(s *store.Store, id, token, key string) {
	w.Helper()
	w.must(w.RequestCertificate(w.ctx(), store.IssueRequest{ID: id, Kind: "join", TokenHash: token, PublicKeyHash: key, CSR: []byte("csr")}))
	w.must(s.Issue(w.ctx(), w.term, id, func(tx store.IssueTx) (store.IssueResult, store.IssueRecord, error) {
		if tx.Token == nil || (!tx.KeyUsedToken && tx.Token.Used >= tx.Token.Uses) {
			return store.IssueResult{ErrorCode: "Unauthenticated"}, store.IssueRecord{}, nil
		}
		return store.IssueResult{Certificate: []byte("cert " + id)}, store.IssueRecord{CountUse: true, Certificate: &store.Certificate{
			Serial: "serial-" + id, ClusterUID: tx.Token.ClusterUID, PublicKeyHash: key, Issued: w.now(), Expires: w.now().Add(time.Hour)}}, nil
	}))
}

func (w *world) answer(id string) string {
	w.Helper()
	result, done, err := w.IssueAnswer(w.ctx(), id)
	if err != nil || !done {
		w.Fatal(done, err)
	}
	return string(result.Certificate) + result.ErrorCode
}

func TestTokensCountKeys(t *testing.T) {
	each(t, func(w *world) {
		w.clusters("a")
		token := store.Token{Hash: "t", Namespace: "fleet", Cluster: "a", ClusterUID: "uid-a", Expires: w.now().Add(time.Hour), Uses: 1}
		w.must(w.PutToken(w.ctx(), token))
		w.issue(w.Store, "1", "t", "key1")
		w.issue(w.Store, "2", "t", "key1")
		w.issue(w.Store, "3", "t", "key2")
		w.issue(w.Store, "4", "unknown", "key1")
		for id, want := range map[string]string{"1": "cert 1", "2": "cert 2", "3": "Unauthenticated", "4": "Unauthenticated"} {
			if got := w.answer(id); got != want {
				w.Errorf("request %s is answered %q, not %q", id, got, want)
			}
		}
		mark := w.mark()
		w.must(w.PutToken(w.ctx(), token))
		if w.mark() != mark {
			w.Error("an equal token was written")
		}
		token.Uses, token.Used = 5, 1
		w.must(w.PutToken(w.ctx(), token))
		tokens, err := w.Tokens(w.ctx(), "fleet")
		w.must(err)
		if diff := cmp.Diff([]store.Token{token}, tokens); diff != "" {
			w.Error(diff)
		}
		namespace, name, ok, err := w.ClusterOf(w.ctx(), store.IssueRequest{TokenHash: "t"})
		if err != nil || !ok || namespace+"/"+name != "fleet/a" {
			w.Error(namespace, name, ok, err)
		}
		w.must(w.RevokeToken(w.ctx(), "t"))
		if tokens, err = w.Tokens(w.ctx(), "fleet"); err != nil || len(tokens) != 0 {
			w.Error("a token that was revoked", tokens, err)
		}
	})
}

func TestTokenUsesAreCountedOneAfterTheOther(t *testing.T) {
	each(t, func(w *world) {
		w.clusters("a")
		w.must(w.PutToken(w.ctx(), store.Token{Hash: "t", Namespace: "fleet", Cluster: "a", ClusterUID: "uid-a", Expires: w.now().Add(time.Hour), Uses: 3}))
		processes := []*store.Store{w.Store, w.another()}
		var group sync.WaitGroup
		for i := range 16 {
			group.Go(func() { w.issue(processes[i%2], fmt.Sprint(i), "t", fmt.Sprint("key", i)) })
		}
		group.Wait()
		issued, err := w.Certificates(w.ctx(), "uid-a")
		if err != nil || len(issued) != 3 {
			w.Errorf("%d keys joined with a token of 3 uses: %v", len(issued), err)
		}
	})
}

func TestIssueAnswersOnce(t *testing.T) {
	each(t, func(w *world) {
		w.clusters("a")
		w.must(w.RequestCertificate(w.ctx(), store.IssueRequest{ID: "r", Kind: "renew", PublicKeyHash: "k", CSR: []byte("csr"), ClusterUID: "uid-a", OldSerial: "s0"}))
		if _, done, err := w.IssueAnswer(w.ctx(), "r"); err != nil || done {
			w.Error("answered before it was decided", err)
		}
		pending, err := w.PendingRequests(w.ctx())
		if err != nil || len(pending) != 1 || pending[0].OldSerial != "s0" || string(pending[0].CSR) != "csr" {
			w.Error(pending, err)
		}
		broken := errors.New("no key")
		err = w.Issue(w.ctx(), w.term, "r", func(store.IssueTx) (store.IssueResult, store.IssueRecord, error) {
			return store.IssueResult{}, store.IssueRecord{}, broken
		})
		if !errors.Is(err, broken) {
			w.Error("what failed is lost:", err)
		}
		// As long as a chain of certificates, and as hard to compress: PostgreSQL's indexes hold no value of that size.
		chain := make([]byte, 8<<10)
		rand.Read(chain)
		decided := 0
		for range 2 {
			w.must(w.Issue(w.ctx(), w.term, "r", func(store.IssueTx) (store.IssueResult, store.IssueRecord, error) {
				decided++
				return store.IssueResult{Certificate: chain, Endpoints: []string{"hub:1"}, Cluster: "fleet/a"},
					store.IssueRecord{Certificate: &store.Certificate{Serial: fmt.Sprint("s", decided), ClusterUID: "uid-a"}}, nil
			}))
		}
		if result, done, err := w.IssueAnswer(w.ctx(), "r"); err != nil || !done || !bytes.Equal(result.Certificate, chain) || result.Cluster != "fleet/a" {
			w.Error("the answer is not what was decided", done, err)
		}
		issued, err := w.Certificates(w.ctx(), "uid-a")
		if err != nil || decided != 1 || len(issued) != 1 {
			w.Error("a request was decided", decided, "times:", issued, err)
		}
		if pending, err = w.PendingRequests(w.ctx()); err != nil || len(pending) != 0 {
			w.Error("an answered request is pending", err)
		}
		if _, _, err := w.IssueAnswer(w.ctx(), "unknown"); !errors.Is(err, store.ErrNotFound) {
			w.Error(err)
		}
		if err := w.Issue(w.ctx(), w.term, "unknown", nil); !errors.Is(err, store.ErrNotFound) {
			w.Error(err)
		}
		w.must(w.RequestCertificate(w.ctx(), store.IssueRequest{ID: "late", Kind: "join", CSR: []byte("csr")}))
		w.pass(6 * time.Minute)
		if pending, err = w.PendingRequests(w.ctx()); err != nil || len(pending) != 0 {
			w.Error("a request that nobody waits for is pending", err)
		}
	})
}

func TestRevokeCertificates(t *testing.T) {
	each(t, func(w *world) {
		w.clusters("a")
		w.must(w.PutToken(w.ctx(), store.Token{Hash: "t", Namespace: "fleet", Cluster: "a", ClusterUID: "uid-a", Uses: 9}))
		w.issue(w.Store, "1", "t", "key1")
		w.pass(time.Minute)
		at := w.now()
		w.issue(w.Store, "2", "t", "key2")
		w.must(w.RevokeCertificates(w.ctx(), "uid-a", at))
		w.must(w.RevokeCertificates(w.ctx(), "uid-a", at.Add(-time.Hour)))
		issued, err := w.Certificates(w.ctx(), "uid-a")
		if err != nil || len(issued) != 2 || !issued[0].Revoked || issued[1].Revoked {
			w.Error(issued, err)
		}
		if before, ok, err := w.RevokedBefore(w.ctx(), "uid-a"); err != nil || !ok || !before.Equal(at) {
			w.Error(before, ok, err)
		}
		w.must(w.RemoveCluster(w.ctx(), w.term, "uid-a"))
		if _, ok, err := w.RevokedBefore(w.ctx(), "uid-a"); err != nil || ok {
			w.Error("a cluster that is gone may connect", err)
		}
	})
}

func TestWords(t *testing.T) {
	each(t, func(w *world) {
		word := store.Word{Namespace: "fleet", Kind: store.WordRecover, Subject: "a", Decision: "accept", Actor: "p", Time: w.now()}
		w.must(w.PutWord(w.ctx(), word))
		word.Decision = "orphan"
		w.must(w.PutWord(w.ctx(), word))
		w.must(w.PutWord(w.ctx(), store.Word{Namespace: "other", Kind: store.WordRecover, Subject: "a"}))
		w.must(w.PutWord(w.ctx(), store.Word{Namespace: "fleet", Kind: store.WordConfirm, Subject: "a"}))
		words, err := w.Words(w.ctx(), "fleet", store.WordRecover)
		w.must(err)
		if diff := cmp.Diff(map[string]store.Word{"a": word}, words); diff != "" {
			w.Error(diff)
		}
		w.must(w.ForgetWord(w.ctx(), "fleet", store.WordRecover, "a"))
		if words, err = w.Words(w.ctx(), "fleet", store.WordRecover); err != nil || len(words) != 0 {
			w.Error("a word that was carried out", words, err)
		}
	})
}
