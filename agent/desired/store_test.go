package desired_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/periplus-fleet/periplus/agent/desired"
	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/e2e/testenv"
)

// member is a store in a namespace of its own.
type member struct {
	t         *testing.T
	namespace string
	client    kubernetes.Interface
	secrets   *kube.Secrets
	store     *desired.Store
	set       desired.Set
}

func newMember(t *testing.T) *member {
	env := testenv.Start(t)
	m := &member{t: t, namespace: env.Namespace(t), client: kubernetes.NewForConfigOrDie(env.Config), set: desired.Set{FleetID: "f"}.Clone()}
	secrets, err := kube.New(env.Config, m.namespace).Secrets()
	m.must(err)
	m.secrets = secrets
	m.open("here")
	return m
}

func (m *member) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *member) open(fingerprint string) {
	m.t.Helper()
	store, err := desired.Open(context.Background(), desired.Config{Secrets: m.secrets, Fingerprint: fingerprint, Log: slog.New(slog.DiscardHandler)})
	m.must(err)
	m.store = store
}

// give stores a bundle of blobs the way the link does, and returns what it asked for.
func (m *member) give(bundle string, blobs ...[]byte) (asked int) {
	m.t.Helper()
	ctx := context.Background()
	var manifest content.Manifest
	held := map[string][]byte{}
	for i, blob := range blobs {
		digest := content.Sum(blob)
		held[string(digest)] = blob
		manifest.Items = append(manifest.Items, content.Item{ObjectID: content.ObjectID{Kind: "ConfigMap", Name: fmt.Sprintf("c%04d", i)}, Digest: digest})
	}
	encoded, err := manifest.Encode()
	m.must(err)
	held[string(content.Sum(encoded))] = encoded
	entry := &linkv1.Entry{Bundle: bundle, Revision: string(content.Sum(encoded))}
	for {
		missing, err := m.store.Missing(ctx, entry)
		m.must(err)
		if len(missing) == 0 {
			break
		}
		asked += len(missing)
		for _, digest := range missing {
			m.must(m.store.Put(ctx, map[string][]byte{digest: held[digest]}))
		}
	}
	m.set = m.set.Clone()
	m.set.Entries[bundle] = entry
	return asked
}

func (m *member) accept() {
	m.t.Helper()
	m.set.Position = desired.Position{Epoch: "e", Generation: m.set.Position.Generation + 1, Hash: content.SetHash(m.set.Entries)}
	m.must(m.store.Accept(context.Background(), m.set))
}

// read returns all blobs of a bundle.
func (m *member) read(bundle string) [][]byte {
	m.t.Helper()
	ctx := context.Background()
	manifest, err := m.store.Manifest(ctx, content.Digest(m.store.Accepted().Entries[bundle].GetRevision()))
	m.must(err)
	var digests []content.Digest
	for _, item := range manifest.Items {
		digests = append(digests, item.Digest)
	}
	found, err := m.store.Content(ctx, digests)
	m.must(err)
	var blobs [][]byte
	for _, digest := range digests {
		blobs = append(blobs, found[digest])
	}
	return blobs
}

func (m *member) packs() int {
	m.t.Helper()
	list, err := m.client.CoreV1().Secrets(m.namespace).List(context.Background(), metav1.ListOptions{LabelSelector: kube.PartLabel + "=content"})
	m.must(err)
	for _, secret := range list.Items {
		if secret.Labels["velero.io/exclude-from-backup"] != "true" || secret.Immutable == nil || !*secret.Immutable {
			m.t.Errorf("Secret %s is %v, immutable %v", secret.Name, secret.Labels, secret.Immutable)
		}
		if size := len(secret.Data["data"]); size > 512<<10 {
			m.t.Errorf("Secret %s holds %d bytes", secret.Name, size)
		}
	}
	return len(list.Items)
}

func noise(size int) []byte {
	blob := make([]byte, size)
	_, _ = rand.Read(blob)
	return blob
}

func TestAcceptedSetOutlivesARestart(t *testing.T) {
	m := newMember(t)
	// One blob larger than a Secret, and many small ones.
	blobs := [][]byte{noise(3 << 20)}
	for range 1200 {
		blobs = append(blobs, noise(100))
	}
	m.give("fleet/a", blobs...)
	m.set.Tombstones["fleet/gone"] = &linkv1.Tombstone{Bundle: "fleet/gone", Generation: 7}
	m.accept()
	m.open("here")
	got := m.store.Accepted()
	if got.Position != m.set.Position || got.FleetID != "f" || got.Tombstones["fleet/gone"].GetGeneration() != 7 {
		t.Errorf("the set is %v", got)
	}
	if diff := cmp.Diff(blobs, m.read("fleet/a")); diff != "" {
		t.Errorf("content differs")
	}
	if asked := m.give("fleet/a", blobs...); asked != 0 {
		t.Errorf("%d blobs that are held were asked for", asked)
	}
	m.packs()
}

func TestOnlyTwoSetsAreKept(t *testing.T) {
	m := newMember(t)
	stays := []byte("stays")
	for i := range 6 {
		m.give("fleet/a", stays, []byte(fmt.Sprint("changes ", i)))
		m.accept()
	}
	ctx, held := context.Background(), map[int]bool{}
	for i := range 6 {
		if _, err := m.store.Content(ctx, []content.Digest{content.Sum([]byte(fmt.Sprint("changes ", i)))}); err == nil {
			held[i] = true
		}
	}
	// The first lies in a pack of which half is needed still.
	if diff := cmp.Diff(map[int]bool{0: true, 4: true, 5: true}, held); diff != "" {
		t.Errorf("what is held (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([][]byte{stays, []byte("changes 5")}, m.read("fleet/a")); diff != "" {
		t.Error(diff)
	}
}

func TestManySmallChangesDoNotMakeManySecrets(t *testing.T) {
	m := newMember(t)
	for i := range 60 {
		m.give(fmt.Sprintf("fleet/b%d", i), []byte(fmt.Sprint("blob ", i)))
		m.accept()
	}
	if packs := m.packs(); packs > 52 {
		t.Errorf("60 bundles take %d Secrets", packs)
	}
	m.open("here")
	for i := range 60 {
		if got := string(m.read(fmt.Sprintf("fleet/b%d", i))[0]); got != fmt.Sprint("blob ", i) {
			t.Errorf("bundle %d holds %q", i, got)
		}
	}
}

func TestAnotherClustersSetIsRelearned(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", []byte("one"))
	m.set.Tombstones["fleet/gone"] = &linkv1.Tombstone{Bundle: "fleet/gone"}
	m.accept()
	m.open("elsewhere")
	got := m.store.Accepted()
	if !got.Relearning || got.Position != (desired.Position{}) || len(got.Tombstones) != 0 || len(got.Entries) != 1 {
		t.Errorf("the set is %v", got)
	}
}

func TestTamperedContentIsRefused(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", []byte("one"))
	m.accept()
	ctx := context.Background()
	list, err := m.client.CoreV1().Secrets(m.namespace).List(ctx, metav1.ListOptions{LabelSelector: kube.PartLabel + "=content"})
	m.must(err)
	evil, err := desired.Compress([]byte("\x03two"))
	m.must(err)
	for _, secret := range list.Items {
		if secret.Labels["fleet.periplus.dev/manifests"] == "true" {
			continue
		}
		m.must(m.client.CoreV1().Secrets(m.namespace).Delete(ctx, secret.Name, metav1.DeleteOptions{}))
		secret.Data["data"], secret.ResourceVersion = evil, ""
		_, err := m.client.CoreV1().Secrets(m.namespace).Create(ctx, &secret, metav1.CreateOptions{})
		m.must(err)
	}
	m.open("here")
	if _, err := m.store.Content(ctx, []content.Digest{content.Sum([]byte("one"))}); err == nil || !strings.Contains(err.Error(), "other bytes than its digest says") {
		t.Errorf("error is %v", err)
	}
}
