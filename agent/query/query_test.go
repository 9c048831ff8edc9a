package query_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/periplus-fleet/periplus/agent/apply"
	"github.com/periplus-fleet/periplus/agent/desired"
	"github.com/periplus-fleet/periplus/agent/inventory"
	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/agent/query"
	"github.com/periplus-fleet/periplus/agent/tenancy"
	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/e2e/testenv"
)

// held is a desired set in memory.
type held struct {
	set      desired.Set
	manifest content.Manifest
	blobs    map[content.Digest][]byte
}

func (h *held) Accepted() desired.Set { return h.set }

func (h *held) Manifest(context.Context, content.Digest) (content.Manifest, error) {
	return h.manifest, nil
}

func (h *held) Content(_ context.Context, digests []content.Digest) (map[content.Digest][]byte, error) {
	found := map[content.Digest][]byte{}
	for _, digest := range digests {
		if h.blobs[digest] == nil {
			return nil, fmt.Errorf("content %s is not held", digest)
		}
		found[digest] = h.blobs[digest]
	}
	return found, nil
}

// member is a cluster with one bundle, fleet/web, applied by hand.
type member struct {
	t       *testing.T
	space   string
	admin   kubernetes.Interface
	client  *kube.Client
	mapper  *kube.Mapper
	held    *held
	inv     inventory.Inventory
	records *inventory.Store
	config  query.Config
}

func newMember(t *testing.T) *member {
	t.Helper()
	env := testenv.Start(t)
	namespace := env.Namespace(t)
	m := &member{t: t, space: env.Namespace(t), admin: kubernetes.NewForConfigOrDie(env.Config),
		held: &held{set: desired.Set{FleetID: "test"}.Clone(), blobs: map[content.Digest][]byte{}}}
	ctx := t.Context()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "periplus-tenant-fleet"}}
	_, err := m.admin.CoreV1().ServiceAccounts(namespace).Create(ctx, account, metav1.CreateOptions{})
	m.must(err)
	_, err = m.admin.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: namespace},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: namespace, Name: account.Name}}}, metav1.CreateOptions{})
	m.must(err)
	var tenants tenancy.Accounts
	m.must(tenants.Add("fleet=" + account.Name))
	cluster := kube.New(env.Config, namespace)
	self, err := cluster.As("")
	m.must(err)
	m.client, err = cluster.As(account.Name)
	m.must(err)
	secrets, err := cluster.Secrets()
	m.must(err)
	m.records, err = inventory.Open(ctx, secrets)
	m.must(err)
	m.mapper = kube.NewMapper(self)
	m.inv = m.records.Get("fleet/web")
	m.held.manifest.DefaultNamespace = m.space
	m.held.set.Entries["fleet/web"] = &linkv1.Entry{Bundle: "fleet/web", Revision: string(content.Sum([]byte("r")))}
	allowed := map[string]bool{}
	for _, kind := range query.Kinds {
		allowed[kind] = true
	}
	m.config = query.Config{Cluster: cluster, Mapper: m.mapper, Desired: m.held, Inventory: m.records, Tenants: tenants, Allowed: allowed,
		Status: func(string) *linkv1.BundleStatus { return nil }, Log: slog.New(slog.DiscardHandler)}
	return m
}

func (m *member) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// bring adds an object to the bundle's revision, and applies it unless it is only desired.
func (m *member) bring(text string, applied bool) content.ObjectID {
	m.t.Helper()
	var value map[string]any
	m.must(yaml.Unmarshal([]byte(text), &value))
	object := &unstructured.Unstructured{Object: value}
	blob, err := content.CanonicalJSON(value)
	m.must(err)
	digest := content.Sum(blob)
	if object.GetKind() == "Secret" {
		digest = content.SumSecret([]byte("key"), blob)
	}
	m.held.blobs[digest] = blob
	item := content.Item{ObjectID: content.ObjectID{Group: object.GroupVersionKind().Group, Kind: object.GetKind(), Name: object.GetName()}, Digest: digest}
	m.held.manifest.Items = append(m.held.manifest.Items, item)
	resource, err := m.mapper.Find(m.t.Context(), object.GroupVersionKind())
	m.must(err)
	id := apply.Prepare(object, resource, "fleet/web", m.space)
	if !applied {
		return id
	}
	live, _, err := m.client.Apply(m.t.Context(), resource, object, true)
	m.must(err)
	m.inv.Records[id] = inventory.Record{ObjectID: id, Version: resource.Version, Resource: resource.Resource, Namespaced: resource.Namespaced,
		UID: string(live.GetUID()), Digest: digest}
	m.must(m.records.Save(m.t.Context(), m.inv))
	return id
}

func (m *member) get(id content.ObjectID) *unstructured.Unstructured {
	m.t.Helper()
	resource, err := m.mapper.Prefer(m.t.Context(), id.Group, id.Kind)
	m.must(err)
	live, err := m.client.Get(m.t.Context(), resource, id.Namespace, id.Name)
	m.must(err)
	return live
}

// pod makes a pod that an object owns.
func (m *member) pod(name string, owner *unstructured.Unstructured, status corev1.PodStatus) *corev1.Pod {
	m.t.Helper()
	ctx, yes := m.t.Context(), true
	pod, err := m.admin.CoreV1().Pods(m.space).Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: []metav1.OwnerReference{{
		APIVersion: owner.GetAPIVersion(), Kind: owner.GetKind(), Name: owner.GetName(), UID: owner.GetUID(), Controller: &yes}}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "registry.example.com/web:1"}}}}, metav1.CreateOptions{})
	m.must(err)
	pod.Status = status
	pod, err = m.admin.CoreV1().Pods(m.space).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	m.must(err)
	return pod
}

// other is an object that is no bundle's.
func (m *member) other() *unstructured.Unstructured {
	m.t.Helper()
	_, err := m.admin.CoreV1().ConfigMaps(m.space).Create(m.t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "other"}}, metav1.CreateOptions{})
	m.must(err)
	return m.get(content.ObjectID{Kind: "ConfigMap", Namespace: m.space, Name: "other"})
}

// ask puts a query and puts the parts of the answer together.
func (m *member) ask(q *linkv1.Query) (*linkv1.QueryResult, *linkv1.QueryError) {
	m.t.Helper()
	q.Id, q.Bundle, q.Actor = "1", "fleet/web", "test"
	whole := &linkv1.QueryResult{}
	failure := query.New(m.config).Answer(m.t.Context(), q, func(part *linkv1.QueryResult) error {
		whole.Objects = append(whole.Objects, part.GetObjects()...)
		whole.Diffs = append(whole.Diffs, part.GetDiffs()...)
		whole.Nodes = append(whole.Nodes, part.GetNodes()...)
		whole.Events = append(whole.Events, part.GetEvents()...)
		whole.Lines = append(whole.Lines, part.GetLines()...)
		whole.Findings = append(whole.Findings, part.GetFindings()...)
		whole.Truncated = whole.Truncated || part.GetTruncated()
		return nil
	})
	return whole, failure
}

func wire(id content.ObjectID) *linkv1.ObjectId {
	return &linkv1.ObjectId{Group: id.Group, Kind: id.Kind, Namespace: id.Namespace, Name: id.Name}
}

const (
	configMap  = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: one}\n"
	secret     = "apiVersion: v1\nkind: Secret\nmetadata: {name: token, annotations: {kubectl.kubernetes.io/last-applied-configuration: hunter2}}\nstringData: {password: hunter2}\n"
	deployment = `apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: "registry.example.com/web:1"}]}}
`
)

func TestGet(t *testing.T) {
	m := newMember(t)
	m.bring(configMap, true)
	_, err := m.admin.CoreV1().ConfigMaps(m.space).Update(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "settings"},
		Data: map[string]string{"a": "two"}}, metav1.UpdateOptions{})
	m.must(err)
	answer, failure := m.ask(&linkv1.Query{Object: &linkv1.ObjectId{Kind: "ConfigMap", Name: "settings"}, Query: &linkv1.Query_Get{Get: &linkv1.GetQuery{}}})
	if failure != nil || len(answer.GetObjects()) != 1 {
		t.Fatalf("%v, %v", answer, failure)
	}
	value := func(data []byte) string {
		var object unstructured.Unstructured
		m.must(json.Unmarshal(data, &object.Object))
		text, _, _ := unstructured.NestedString(object.Object, "data", "a")
		return text
	}
	view := answer.GetObjects()[0]
	if live, want, last := value(view.GetLive()), value(view.GetDesired()), value(view.GetLastApplied()); live != "two" || want != "one" || last != "one" {
		t.Errorf("live %q, desired %q, last applied %q", live, want, last)
	}
}

func TestNoSecretLeaves(t *testing.T) {
	m := newMember(t)
	id := m.bring(secret, true)
	m.bring(strings.Replace(secret, "name: token", "name: other", 1), false)
	for name, q := range map[string]*linkv1.Query{
		"Get":    {Object: wire(id), Query: &linkv1.Query_Get{Get: &linkv1.GetQuery{}}},
		"Diff":   {Query: &linkv1.Query_Diff{Diff: &linkv1.DiffQuery{}}},
		"Tree":   {Query: &linkv1.Query_Tree{Tree: &linkv1.TreeQuery{}}},
		"Events": {Query: &linkv1.Query_Events{Events: &linkv1.EventsQuery{}}},
		"Why":    {Query: &linkv1.Query_Why{Why: &linkv1.WhyQuery{}}},
	} {
		t.Run(name, func(t *testing.T) {
			answer, failure := m.ask(q)
			if text := fmt.Sprint(answer, failure); strings.Contains(text, "hunter2") || strings.Contains(text, "aHVudGVyMg") {
				t.Errorf("the answer holds the password: %s", text)
			}
			if failure != nil {
				t.Error(failure)
			}
		})
	}
}

func TestDiff(t *testing.T) {
	m := newMember(t)
	m.bring(configMap, true)
	m.bring(strings.Replace(configMap, "settings", "fresh", 1), false)
	// Another changes what the bundle owns, and adds what it does not.
	_, err := m.admin.CoreV1().ConfigMaps(m.space).Update(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "settings"},
		Data: map[string]string{"a": "two", "theirs": "x"}}, metav1.UpdateOptions{})
	m.must(err)
	before := m.get(content.ObjectID{Kind: "ConfigMap", Namespace: m.space, Name: "settings"}).GetResourceVersion()
	answer, failure := m.ask(&linkv1.Query{Query: &linkv1.Query_Diff{Diff: &linkv1.DiffQuery{}}})
	if failure != nil {
		t.Fatal(failure)
	}
	actions := map[string]string{}
	for _, one := range answer.GetDiffs() {
		actions[one.GetId().GetName()] = one.GetAction()
		if one.GetId().GetName() == "settings" && (!strings.Contains(string(one.GetAfter()), `"a":"one"`) || !strings.Contains(string(one.GetAfter()), `"theirs":"x"`)) {
			t.Errorf("after an apply it is %s", one.GetAfter())
		}
	}
	if actions["settings"] != "change" || actions["fresh"] != "create" {
		t.Errorf("actions are %v", actions)
	}
	if after := m.get(content.ObjectID{Kind: "ConfigMap", Namespace: m.space, Name: "settings"}).GetResourceVersion(); after != before {
		t.Error("a question changed the object")
	}
}

func TestTreeAndWhy(t *testing.T) {
	m := newMember(t)
	id := m.bring(deployment, true)
	owner := m.get(id)
	pod := m.pod("web-1", owner, corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{Name: "web",
		State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: `rpc error: "registry.example.com/web:1": not found`}}}}})
	stranger := m.pod("stranger", m.other(), corev1.PodStatus{Phase: corev1.PodPending})
	now := metav1.Now()
	for i, about := range []*corev1.Pod{pod, stranger} {
		_, err := m.admin.CoreV1().Events(m.space).Create(t.Context(), &corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("e", i)},
			InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: m.space, Name: about.Name, UID: about.UID}, Type: "Warning", Reason: "Failed",
			Message: "pull failed", Count: 3, FirstTimestamp: now, LastTimestamp: now}, metav1.CreateOptions{})
		m.must(err)
	}
	answer, failure := m.ask(&linkv1.Query{Query: &linkv1.Query_Tree{Tree: &linkv1.TreeQuery{}}})
	if failure != nil {
		t.Fatal(failure)
	}
	var names []string
	for _, node := range answer.GetNodes() {
		names = append(names, node.GetId().GetKind()+"/"+node.GetId().GetName())
	}
	if got := strings.Join(names, " "); got != "ReplicaSet/web Pod/web-1" {
		t.Errorf("the tree is %s", got)
	}
	answer, failure = m.ask(&linkv1.Query{Query: &linkv1.Query_Events{Events: &linkv1.EventsQuery{}}})
	if failure != nil || len(answer.GetEvents()) != 1 || answer.GetEvents()[0].GetAbout().GetName() != "web-1" || answer.GetEvents()[0].GetCount() != 3 {
		t.Errorf("events are %v, %v", answer.GetEvents(), failure)
	}
	answer, failure = m.ask(&linkv1.Query{Query: &linkv1.Query_Why{Why: &linkv1.WhyQuery{}}})
	want := "pod web-1: container web: image registry.example.com/web:1 does not exist"
	if failure != nil || len(answer.GetFindings()) != 1 || answer.GetFindings()[0].GetMessage() != want || answer.GetFindings()[0].GetAdvice() == "" {
		t.Errorf("findings are %v, %v", answer.GetFindings(), failure)
	}
}

func TestRefused(t *testing.T) {
	m := newMember(t)
	id := m.bring(deployment, true)
	owner := m.get(id)
	m.pod("web-1", owner, corev1.PodStatus{})
	m.pod("stranger", m.other(), corev1.PodStatus{})
	m.config.Allowed[query.Logs] = false
	get := &linkv1.Query_Get{Get: &linkv1.GetQuery{}}
	cases := map[string]struct {
		reason string
		query  *linkv1.Query
		code   string
		words  string
	}{
		"Owned":    {"what an object of the bundle owns is in sight", &linkv1.Query{Object: &linkv1.ObjectId{Kind: "Pod", Name: "web-1"}, Query: get}, "", ""},
		"Stranger": {"what is another's is not, whatever the tenant may read", &linkv1.Query{Object: &linkv1.ObjectId{Kind: "Pod", Name: "stranger"}, Query: get}, "not-found", "none of its objects owns it"},
		"Absent":   {"", &linkv1.Query{Object: &linkv1.ObjectId{Kind: "Pod", Name: "no"}, Query: get}, "not-found", "is not there"},
		"NoKind":   {"", &linkv1.Query{Object: &linkv1.ObjectId{Group: "x.example.com", Kind: "X", Name: "no"}, Query: get}, "not-found", "does not serve its kind"},
		"Nothing":  {"one object is asked for", &linkv1.Query{Query: get}, "invalid", "name an object"},
		"Disabled": {"the owner of the cluster has the last word", &linkv1.Query{Object: &linkv1.ObjectId{Kind: "Pod", Name: "web-1"},
			Query: &linkv1.Query_Logs{Logs: &linkv1.LogsQuery{}}}, "disabled", "queries.logs"},
		"Unknown": {"an older agent says so", &linkv1.Query{}, "invalid", "upgrade"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, failure := m.ask(c.query)
			if failure.GetCode() != c.code || !strings.Contains(failure.GetMessage(), c.words) {
				t.Errorf("%s: got %v, want %s %q", c.reason, failure, c.code, c.words)
			}
		})
	}
	t.Run("OtherBundle", func(t *testing.T) {
		failure := query.New(m.config).Answer(t.Context(), &linkv1.Query{Bundle: "fleet/other", Query: &linkv1.Query_Tree{}}, nil)
		if failure.GetCode() != "not-found" {
			t.Errorf("got %v", failure)
		}
	})
	t.Run("OtherTenant", func(t *testing.T) {
		m.held.set.Entries["team/web"] = &linkv1.Entry{Bundle: "team/web", Revision: m.held.set.Entries["fleet/web"].GetRevision()}
		failure := query.New(m.config).Answer(t.Context(), &linkv1.Query{Bundle: "team/web", Query: &linkv1.Query_Tree{}}, nil)
		if failure.GetCode() != "forbidden" {
			t.Errorf("got %v", failure)
		}
	})
}

// TestLogsOfNothing asks for the log of a pod that no node runs: it is empty, and nobody waits for it.
func TestLogsOfNothing(t *testing.T) {
	m := newMember(t)
	id := m.bring(deployment, true)
	m.pod("web-1", m.get(id), corev1.PodStatus{})
	ask := func(container string) *linkv1.QueryError {
		answer, failure := m.ask(&linkv1.Query{Object: wire(id), Query: &linkv1.Query_Logs{Logs: &linkv1.LogsQuery{Container: container}}})
		if len(answer.GetLines()) > 0 {
			t.Errorf("lines are %v", answer.GetLines())
		}
		return failure
	}
	if failure := ask(""); failure != nil {
		t.Error(failure)
	}
	if failure := ask("sidecar"); failure.GetCode() != "not-found" || !strings.Contains(failure.GetMessage(), `no pod with a container "sidecar"`) {
		t.Error(failure)
	}
}
