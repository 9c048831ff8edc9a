package reconcile_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/periplus-fleet/periplus/agent/desired"
	"github.com/periplus-fleet/periplus/agent/inventory"
	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/agent/reconcile"
	"github.com/periplus-fleet/periplus/agent/sealed"
	"github.com/periplus-fleet/periplus/agent/tenancy"
	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/e2e/testenv"
)

// patience bounds every wait.
var patience = 30 * time.Second

// member is an agent's reconciler over a real API server, in a namespace of its own, with a hub that only listens.
type member struct {
	t         *testing.T
	config    *rest.Config
	namespace string
	// Tenants of the agent; a change takes effect with the next start.
	tenants tenancy.Accounts
	// Space is where the test's objects go.
	space   string
	client  kubernetes.Interface
	dynamic dynamic.Interface

	hub        *listener
	store      *desired.Store
	inventory  *inventory.Store
	reconciler *reconcile.Reconciler
	stop       func()

	// truce of the agent; a change takes effect with the next start.
	truce time.Duration

	// logged is all that was logged.
	logged buffer

	mu     sync.Mutex
	writes []string
	set    desired.Set
}

// buffer is a bytes.Buffer for several writers.
type buffer struct {
	mu   sync.Mutex
	data bytes.Buffer
}

func (b *buffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.Write(data)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.String()
}

func newMember(t *testing.T) *member {
	t.Helper()
	env := testenv.Start(t)
	m := &member{t: t, namespace: env.Namespace(t), space: env.Namespace(t), set: desired.Set{FleetID: "test"}.Clone()}
	m.client, m.dynamic = kubernetes.NewForConfigOrDie(env.Config), dynamic.NewForConfigOrDie(env.Config)
	m.config = rest.CopyConfig(env.Config)
	m.config.Wrap(func(next http.RoundTripper) http.RoundTripper { return counter{m, next} })
	m.tenant("periplus-tenant-fleet", "cluster-admin")
	for _, account := range []string{"periplus-tenant-fleet", "weak", "narrow"} {
		m.must(m.tenants.Add("fleet=" + account))
	}
	m.start()
	t.Cleanup(func() { m.stop() })
	return m
}

// tenant makes a ServiceAccount that may do what a ClusterRole says.
func (m *member) tenant(name, role string) {
	m.t.Helper()
	ctx := context.Background()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := m.client.CoreV1().ServiceAccounts(m.namespace).Create(ctx, account, metav1.CreateOptions{}); err != nil {
		m.t.Fatal(err)
	}
	if role == "" {
		return
	}
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: m.namespace + "-" + name},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: m.namespace, Name: name}}}
	if _, err := m.client.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		_ = m.client.RbacV1().ClusterRoleBindings().Delete(context.Background(), binding.Name, metav1.DeleteOptions{})
	})
}

type counter struct {
	m    *member
	next http.RoundTripper
}

func (c counter) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet {
		c.m.mu.Lock()
		c.m.writes = append(c.m.writes, r.Method+" "+r.URL.Path)
		c.m.mu.Unlock()
	}
	return c.next.RoundTrip(r)
}

// written are the writes since the last call.
func (m *member) written() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	writes := m.writes
	m.writes = nil
	return writes
}

// start is a start of the agent: everything that it knows comes from the cluster.
func (m *member) start() {
	m.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	m.hub = &listener{statuses: map[string]*linkv1.BundleStatus{}, removed: map[string]bool{}, changed: make(chan struct{}, 1)}
	level := slog.LevelWarn
	if os.Getenv("VERBOSE") != "" {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(io.MultiWriter(m.t.Output(), &m.logged), &slog.HandlerOptions{Level: level}))
	cluster := kube.New(m.config, m.namespace)
	secrets, err := cluster.Secrets()
	m.must(err)
	self, err := cluster.As("")
	m.must(err)
	m.store, err = desired.Open(ctx, desired.Config{Secrets: secrets, Fingerprint: "here", Log: log, Changed: func() { m.reconciler.Changed(ctx) },
		Applied: func() []content.Digest { return m.inventory.Revisions() }})
	m.must(err)
	m.inventory, err = inventory.Open(ctx, secrets)
	m.must(err)
	keyring := &sealed.Keyring{Secrets: secrets, Namespace: m.namespace, Name: "periplus-sops", Log: log}
	m.reconciler = reconcile.New(reconcile.Config{Cluster: cluster, Mapper: kube.NewMapper(self), Desired: m.store, Inventory: m.inventory,
		Tenants: m.tenants, Hub: m.hub, Keys: keyring.Keys, Log: log, Served: func() {}, Now: time.Now, Truce: m.truce})
	var running sync.WaitGroup
	running.Go(func() { _ = m.reconciler.Run(ctx) })
	running.Go(func() { keyring.Follow(ctx, m.reconciler.KeysChanged) })
	m.stop = func() {
		cancel()
		running.Wait()
	}
}

func (m *member) restart() {
	m.t.Helper()
	m.stop()
	m.start()
}

func (m *member) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// give adds or changes a bundle in the set that is accepted next. SPACE in the manifests stands for the test's namespace.
func (m *member) give(name string, options *linkv1.Options, manifests ...string) {
	m.t.Helper()
	blobs := map[string][]byte{}
	manifest := content.Manifest{DefaultNamespace: m.space}
	for _, text := range manifests {
		for document := range strings.SplitSeq(text, "\n---\n") {
			var object map[string]any
			m.must(yaml.Unmarshal([]byte(strings.ReplaceAll(document, "SPACE", m.space)), &object))
			data, err := content.CanonicalJSON(object)
			m.must(err)
			if object["kind"] == "Sealed" {
				data, err = content.CanonicalJSON(object["sealed"])
				m.must(err)
				object["kind"] = "Secret"
			}
			live := unstructured.Unstructured{Object: object}
			kind := live.GroupVersionKind()
			blobs[string(content.Sum(data))] = data
			item := content.Item{Phase: content.PhaseOf(kind.Group, kind.Kind), Digest: content.Sum(data),
				ObjectID: content.ObjectID{Group: kind.Group, Kind: kind.Kind, Namespace: live.GetNamespace(), Name: live.GetName()}}
			mark(m.t, &item, live.GetAnnotations())
			item.Sealed = object["sealed"] != nil
			manifest.Items = append(manifest.Items, item)
		}
	}
	manifest.Sort()
	encoded, err := manifest.Encode()
	m.must(err)
	revision := content.Sum(encoded)
	entry := &linkv1.Entry{Bundle: name, Revision: string(revision), Options: options}
	ctx := context.Background()
	missing, err := m.store.Missing(ctx, entry)
	m.must(err)
	if slices.Contains(missing, string(revision)) {
		m.must(m.store.Put(ctx, map[string][]byte{string(revision): encoded}))
	}
	missing, err = m.store.Missing(ctx, entry)
	m.must(err)
	wanted := map[string][]byte{}
	for _, digest := range missing {
		wanted[digest] = blobs[digest]
	}
	m.must(m.store.Put(ctx, wanted))
	m.set = m.set.Clone()
	m.set.Entries[name] = entry
	delete(m.set.Tombstones, name)
}

// mark makes of annotations what the hub makes of an item.
func mark(t *testing.T, item *content.Item, annotations map[string]string) {
	t.Helper()
	split := func(text string) []string {
		if text == "" {
			return nil
		}
		return strings.Split(text, ",")
	}
	if events := split(annotations["helm.sh/hook"]); events != nil {
		item.Hook = &content.Hook{Events: events, DeletePolicies: split(annotations["helm.sh/hook-delete-policy"])}
		if text := annotations["helm.sh/hook-weight"]; text != "" {
			var err error
			if item.Hook.Weight, err = strconv.Atoi(text); err != nil {
				t.Fatal(err)
			}
		}
	}
	item.Once = split(annotations["test/once"])
	options := map[string]string{}
	for key, value := range annotations {
		options[strings.TrimPrefix(key, "test/")] = value
	}
	var err error
	if item.Options, err = content.ParseOptions(options); err != nil {
		t.Fatal(err)
	}
}

// bury replaces a bundle by a tombstone in the set that is accepted next.
func (m *member) bury(name string, tombstone *linkv1.Tombstone) {
	m.set = m.set.Clone()
	delete(m.set.Entries, name)
	tombstone.Bundle = name
	m.set.Tombstones[name] = tombstone
}

func (m *member) accept() {
	m.t.Helper()
	m.set.Position = desired.Position{Epoch: "e", Generation: m.set.Position.Generation + 1, Hash: content.SetHash(m.set.Entries)}
	m.must(m.store.Accept(context.Background(), m.set))
}

// ready waits until a bundle's accepted revision is ready.
func (m *member) ready(name string) *linkv1.BundleStatus {
	m.t.Helper()
	return m.await(name, linkv1.State_STATE_READY)
}

func (m *member) await(name string, state linkv1.State) *linkv1.BundleStatus {
	m.t.Helper()
	revision := m.set.Entries[name].GetRevision()
	return m.hub.wait(m.t, fmt.Sprintf("%s is %s", name, state), func(l *listener) *linkv1.BundleStatus {
		status := l.statuses[name]
		if status.GetState() == state && (revision == "" || status.GetRevision() == revision) {
			return status
		}
		return nil
	})
}

// event waits for an event of a bundle.
func (m *member) event(name, kind string) *linkv1.ObjectEvent {
	m.t.Helper()
	var found *linkv1.ObjectEvent
	m.hub.wait(m.t, fmt.Sprintf("%s tells %s", name, kind), func(l *listener) *linkv1.BundleStatus {
		for i, event := range l.events {
			if l.of[i] == name && event.GetType() == kind {
				found = event
				return &linkv1.BundleStatus{}
			}
		}
		return nil
	})
	return found
}

func (m *member) gone(name string) {
	m.t.Helper()
	m.hub.wait(m.t, name+" is removed", func(l *listener) *linkv1.BundleStatus {
		if l.removed[name] {
			return &linkv1.BundleStatus{}
		}
		return nil
	})
}

var configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

func (m *member) configMap(name string) *unstructured.Unstructured {
	m.t.Helper()
	live, err := m.dynamic.Resource(configMaps).Namespace(m.space).Get(context.Background(), name, metav1.GetOptions{})
	m.must(err)
	return live
}

func (m *member) patch(resource schema.GroupVersionResource, name, patch string) {
	m.t.Helper()
	_, err := m.dynamic.Resource(resource).Namespace(m.space).Patch(context.Background(), name, types.MergePatchType, []byte(patch),
		metav1.PatchOptions{FieldManager: "somebody"})
	m.must(err)
}

// eventually polls until a condition holds.
func (m *member) eventually(what string, condition func() bool) {
	m.t.Helper()
	for deadline := time.Now().Add(patience); !condition(); {
		if time.Now().After(deadline) {
			m.t.Fatalf("not in %s: %s", patience, what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func object(text string) *unstructured.Unstructured {
	var decoded map[string]any
	if err := yaml.Unmarshal([]byte(text), &decoded); err != nil {
		panic(err)
	}
	return &unstructured.Unstructured{Object: decoded}
}
