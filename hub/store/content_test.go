package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/store"
	"github.com/periplus-fleet/periplus/hub/store/storetest"
)

func TestRevisionsComeBackAsTheyWere(t *testing.T) {
	each(t, func(w *world) {
		secret, plain := []byte(`{"password":"s3cr3t"}`), []byte("{\"a\":\"\x00 ' ? \\\"}")
		manifest := content.Manifest{DefaultNamespace: "d", Items: []content.Item{
			{ObjectID: content.ObjectID{Kind: "ConfigMap", Name: "a"}, Digest: content.Sum(plain)},
			{ObjectID: content.ObjectID{Kind: "ConfigMap", Name: "b"}, Digest: content.Sum(plain)},
			{ObjectID: content.ObjectID{Kind: "Secret", Name: "c"}, Digest: content.SumSecret([]byte("k"), secret)}}}
		blobs := map[content.Digest][]byte{content.Sum(plain): plain, content.SumSecret([]byte("k"), secret): secret}
		if _, err := w.PutRevision(w.ctx(), manifest, map[content.Digest][]byte{}); err == nil {
			w.Error("a revision without its content was written")
		}
		digest, err := w.PutRevision(w.ctx(), manifest, blobs)
		w.must(err)
		mark := w.mark()
		if again, err := w.PutRevision(w.ctx(), manifest, blobs); err != nil || again != digest || w.mark() != mark {
			w.Error("a revision that is there was written again", err)
		}
		got, err := w.Revision(w.ctx(), digest)
		w.must(err)
		if diff := cmp.Diff(manifest, got); diff != "" {
			w.Error(diff)
		}
		encoded, err := manifest.Encode()
		w.must(err)
		blobs[digest] = encoded
		read, err := w.Blobs(w.ctx(), []content.Digest{digest, content.Sum(plain), content.SumSecret([]byte("k"), secret), "sha256:none"})
		w.must(err)
		if diff := cmp.Diff(blobs, read); diff != "" {
			w.Error(diff)
		}
		if _, err := w.Revision(w.ctx(), "sha256:none"); !errors.Is(err, store.ErrNotFound) {
			w.Error(err)
		}
	})
}

// TestSecretsAreNotInTheDatabase looks for a Secret's content where a thief of the disk would.
func TestSecretsAreNotInTheDatabase(t *testing.T) {
	const canary = "correct-horse-battery-staple"
	secret, plain := fmt.Appendf(nil, `{"data":%q}`, canary), []byte(`{"data":"plain-and-to-be-found"}`)
	manifest := content.Manifest{Items: []content.Item{
		{ObjectID: content.ObjectID{Kind: "Secret", Name: "c"}, Digest: content.SumSecret([]byte("k"), secret)},
		{ObjectID: content.ObjectID{Kind: "ConfigMap", Name: "p"}, Phase: 9, Digest: content.Sum(plain)}}}
	each(t, func(w *world) {
		_, err := w.PutRevision(w.ctx(), manifest, map[content.Digest][]byte{manifest.Items[0].Digest: secret, manifest.Items[1].Digest: plain})
		w.must(err)
		raw := w.raw()
		if !bytes.Contains(raw, []byte("plain-and-to-be-found")) {
			w.Error("this test does not see what the database holds")
		}
		if bytes.Contains(raw, []byte(canary)) {
			w.Error("a Secret's content is in the database as it is")
		}
		thief, err := store.Open(w.ctx(), store.Config{URL: w.url, Key: bytes.Repeat([]byte{9}, store.KeySize)})
		w.must(err)
		defer thief.Close()
		if read, err := thief.Blobs(w.ctx(), []content.Digest{manifest.Items[0].Digest}); err == nil {
			w.Errorf("another key reads the Secret: %s", read)
		}
	})
}

// raw is all that the database keeps on its disk: SQLite's files, PostgreSQL's stored content.
func (w *world) raw() []byte {
	w.Helper()
	if path, ok := strings.CutPrefix(w.url, "sqlite://"); ok {
		files, err := filepath.Glob(path + "*")
		w.must(err)
		var out []byte
		for _, file := range files {
			data, err := os.ReadFile(file)
			w.must(err)
			out = append(out, data...)
		}
		return out
	}
	conn, err := pgx.Connect(w.ctx(), w.url)
	w.must(err)
	defer conn.Close(w.ctx())
	var out []byte
	w.must(conn.QueryRow(w.ctx(), "SELECT string_agg(data, '') FROM blobs").Scan(&out))
	return out
}

func TestSweepNeverDropsWhatADeliveryHolds(t *testing.T) {
	each(t, func(w *world) {
		w.clusters("a")
		names := []string{"target", "assigned", "previous", "applied", "gone"}
		revisions := map[string]content.Digest{}
		for _, name := range names {
			revisions[name] = w.revision(name)
		}
		session := w.session("a")
		w.apply(assign("a", "fleet/x", revisions["previous"]))
		w.report("a", session, 1, &linkv1.StatusReport{Bundles: []*linkv1.BundleStatus{status("fleet/x", revisions["previous"], linkv1.State_STATE_READY)}})
		w.apply(store.Change{ClusterUID: "uid-a", Bundle: "fleet/x", Target: assignment(revisions["target"], ""), Assigned: assignment(revisions["assigned"], "")})
		w.report("a", session, 2, &linkv1.StatusReport{Bundles: []*linkv1.BundleStatus{status("fleet/x", revisions["applied"], linkv1.State_STATE_READY)}})
		if dropped, err := w.Sweep(w.ctx(), 24*time.Hour); err != nil || dropped != 0 {
			w.Error("what is fresh was dropped:", dropped, err)
		}
		w.pass(25 * time.Hour)
		w.revision("fresh")
		again := w.revision("gone")
		if dropped, err := w.Sweep(w.ctx(), 24*time.Hour); err != nil || dropped != 0 {
			w.Error("what was put again just now was dropped before it could be assigned:", dropped, err)
		}
		w.pass(23 * time.Hour)
		fresh := w.revision("fresh")
		w.pass(2 * time.Hour)
		// The manifest and its one object.
		if dropped, err := w.Sweep(w.ctx(), 24*time.Hour); err != nil || dropped != 2 {
			w.Error("dropped", dropped, err)
		}
		for _, name := range names {
			has, err := w.HasRevision(w.ctx(), revisions[name])
			w.must(err)
			if want := name != "gone"; has != want {
				w.Errorf("has %s: %v", name, has)
			}
			if has {
				manifest, err := w.Revision(w.ctx(), revisions[name])
				w.must(err)
				blobs, err := w.Blobs(w.ctx(), []content.Digest{manifest.Items[0].Digest})
				if err != nil || len(blobs) != 1 {
					w.Errorf("the content of %s is gone: %v", name, err)
				}
			}
		}
		if has, err := w.HasRevision(w.ctx(), fresh); err != nil || !has {
			w.Error("a revision that was put within the age is gone", err)
		}
		if back := w.revision("gone"); back != again {
			w.Error("a swept revision does not come back")
		}
		if _, err := w.Revision(w.ctx(), again); err != nil {
			w.Error(err)
		}
	})
}

// TestSweepAndPutShareContent lets revisions that share an object come while others that hold it are swept.
func TestSweepAndPutShareContent(t *testing.T) {
	each(t, func(w *world) {
		shared := []byte(`{"shared":true}`)
		put := func(i int) content.Digest {
			own := fmt.Appendf(nil, `{"own":%d}`, i)
			digest, err := w.PutRevision(context.Background(), content.Manifest{Items: []content.Item{
				{ObjectID: content.ObjectID{Kind: "ConfigMap", Name: "own"}, Digest: content.Sum(own)},
				{ObjectID: content.ObjectID{Kind: "ConfigMap", Name: "shared"}, Digest: content.Sum(shared)}}},
				map[content.Digest][]byte{content.Sum(own): own, content.Sum(shared): shared})
			if err != nil {
				w.Error(err)
			}
			return digest
		}
		for i := range 30 {
			put(i)
			w.pass(25 * time.Hour)
			var group sync.WaitGroup
			group.Go(func() {
				if _, err := w.Sweep(context.Background(), 24*time.Hour); err != nil {
					w.Error(err)
				}
			})
			group.Go(func() { put(1000 + i) })
			group.Wait()
			blobs, err := w.Blobs(w.ctx(), []content.Digest{content.Sum(shared)})
			if err != nil || len(blobs) != 1 {
				w.Fatal("content that a new revision holds was swept", err)
			}
		}
	})
}

func TestWhatIsEqualIsNotWritten(t *testing.T) {
	each(t, func(w *world) {
		bundle := delivery.Bundle{Key: "fleet/x", Repo: "fleet/r", Path: "p", Commit: "c", TreeHash: "h", Spec: []byte(`{"a":1}`), Frozen: "f.yaml:1"}
		clusters := []delivery.Cluster{{UID: "u1", Namespace: "fleet", Name: "a", Labels: map[string]string{"k": "v"}}, {UID: "u2", Namespace: "fleet", Name: "b"}}
		w.must(w.PutBundles(w.ctx(), w.term, []delivery.Bundle{bundle}))
		w.must(w.UpsertClusters(w.ctx(), w.term, clusters))
		mark := w.mark()
		w.must(w.PutBundles(w.ctx(), w.term, []delivery.Bundle{bundle}))
		w.must(w.UpsertClusters(w.ctx(), w.term, clusters))
		if w.mark() != mark {
			w.Error("what is equal was written")
		}
		for field, change := range map[string]func(*delivery.Bundle){
			"repo": func(b *delivery.Bundle) { b.Repo = "fleet/q" }, "path": func(b *delivery.Bundle) { b.Path = "q" },
			"commit": func(b *delivery.Bundle) { b.Commit = "d" }, "tree": func(b *delivery.Bundle) { b.TreeHash = "i" },
			"spec": func(b *delivery.Bundle) { b.Spec = []byte(`{}`) }, "frozen": func(b *delivery.Bundle) { b.Frozen = "" },
		} {
			change(&bundle)
			w.must(w.PutBundles(w.ctx(), w.term, []delivery.Bundle{bundle}))
			got, err := w.Bundles(w.ctx(), bundle.Repo)
			w.must(err)
			if diff := cmp.Diff([]delivery.Bundle{bundle}, got); diff != "" {
				w.Errorf("%s: %s", field, diff)
			}
		}
		clusters[0].Labels = map[string]string{"k": "w"}
		w.must(w.UpsertClusters(w.ctx(), w.term, clusters))
		if got, err := w.Cluster(w.ctx(), "u1"); err != nil || got.Labels["k"] != "w" || got.Generation != 1 {
			w.Error(got, err)
		}
		w.must(w.RemoveBundle(w.ctx(), w.term, "fleet/x"))
		if got, err := w.Bundles(w.ctx(), ""); err != nil || len(got) != 0 {
			w.Error(got, err)
		}
	})
}

func TestAnOddPathIsTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a#b%20c?d", "hub.db")
	storetest.Open(t, store.Config{URL: "sqlite://" + path})
	for _, name := range []string{path, path + "-wal"} {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
}

func TestAClosedStoreRefuses(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		s, err := store.Open(t.Context(), store.Config{URL: url, Key: storetest.Key})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Touch(context.Background(), map[string]time.Time{"u": time.Now()}); err == nil {
			t.Error("a closed store writes")
		}
	})
}
