// Package faults_test breaks what an agent stands on, one thing a test, and says what must be left: nothing lost, nothing
// doubled, and the end as without the fault. The API server, the link and the agent's process are real. The package has one
// member cluster, tests use it one after the other.
package faults_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/periplus-fleet/periplus/e2e/member"
	"github.com/periplus-fleet/periplus/e2e/testenv"
)

// system is the agent's namespace.
const system = "periplus-system"

// patience bounds each wait; a busy machine needs a tenth of it.
const patience = 2 * time.Minute

// shared is the package's member cluster.
var shared *member.Member

func TestMain(m *testing.M) {
	code := m.Run()
	if shared != nil {
		if err := shared.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "cannot stop the member cluster:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// world is the member cluster as one test sees it: a hub of its own, an agent that never ran, no bundles.
type world struct {
	*testing.T
	*member.Member
	ctx context.Context
	*running
}

// running is the agent, the same for a test and its parts.
type running struct{ agent *member.Agent }

func newWorld(t *testing.T) *world {
	t.Helper()
	if testing.Short() {
		t.Skip("needs an API server: not with -short")
	}
	testenv.Kube(t)
	if shared == nil {
		made, err := member.Start(context.Background(), member.Config{})
		if made != nil {
			shared = made
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	w := &world{T: t, Member: shared, ctx: t.Context(), running: &running{}}
	w.must(shared.Fresh(w.ctx, member.HubConfig{}))
	t.Cleanup(func() {
		if w.agent != nil {
			_ = w.agent.Kill()
		}
		w.clear()
		if t.Failed() && w.agent != nil {
			t.Logf("the agent's last words:\n%s", tail(w.log(), 4000))
		}
	})
	return w
}

// with is the world as a part of the test sees it.
func (w *world) with(t *testing.T) *world {
	return &world{T: t, Member: w.Member, ctx: t.Context(), running: w.running}
}

// clear removes what the test's bundles brought.
func (w *world) clear() {
	w.Helper()
	ctx := context.Background()
	core := w.Client.CoreV1()
	err := core.ConfigMaps(member.Space).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
	if err != nil {
		w.Errorf("cannot clear the namespace: %v", err)
	}
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) start() {
	w.Helper()
	agent, err := w.StartAgent(w.ctx)
	w.must(err)
	w.agent = agent
}

func (w *world) kill() {
	w.Helper()
	w.must(w.agent.Kill())
}

func (w *world) restart() {
	w.Helper()
	w.kill()
	w.start()
}

func (w *world) eventually(complaint func() string) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	w.must(member.Eventually(ctx, complaint))
}

// settle waits until the hub's wishes are carried out.
func (w *world) settle() {
	w.Helper()
	w.eventually(w.Hub.Unsettled)
}

// heal waits until the agent says anew that all is as the hub wants it.
func (w *world) heal() {
	w.Helper()
	w.Hub.Forget()
	w.settle()
}

// bundle of ConfigMaps by name and value.
func bundle(name string, values map[string]string) member.Bundle {
	b := member.Bundle{Name: name}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		b.Objects = append(b.Objects, member.Sample(0, key, values[key]))
	}
	return b
}

func numbered(prefix string, count int, value string) map[string]string {
	values := map[string]string{}
	for i := range count {
		values[fmt.Sprintf("%s-%03d", prefix, i)] = value
	}
	return values
}

func (w *world) assign(b member.Bundle) {
	w.Helper()
	w.must(w.Hub.Assign(b))
}

// live is a ConfigMap as it is.
type live struct{ value, uid, version string }

func (w *world) live() map[string]live {
	w.Helper()
	list, err := w.Client.CoreV1().ConfigMaps(member.Space).List(w.ctx, metav1.ListOptions{})
	w.must(err)
	found := map[string]live{}
	for _, object := range list.Items {
		found[object.Name] = live{object.Data["value"], string(object.UID), object.ResourceVersion}
	}
	return found
}

func values(objects map[string]live) map[string]string {
	found := map[string]string{}
	for name, object := range objects {
		found[name] = object.value
	}
	return found
}

// same says that nobody made anew what was there before.
func (w *world) same(before, after map[string]live) {
	w.Helper()
	for name, was := range before {
		if is, there := after[name]; !there {
			w.Errorf("ConfigMap %q is gone", name)
		} else if is.uid != was.uid {
			w.Errorf("ConfigMap %q was deleted and made anew", name)
		}
	}
}

// secrets of the agent by part.
func (w *world) secrets(part string) []corev1.Secret {
	w.Helper()
	list, err := w.Client.CoreV1().Secrets(system).List(w.ctx, metav1.ListOptions{LabelSelector: "fleet.periplus.dev/part=" + part})
	w.must(err)
	return list.Items
}

// replace puts other data into Secrets, which may be immutable; nil deletes them.
func (w *world) replace(part string, data func(*corev1.Secret)) {
	w.Helper()
	for _, secret := range w.secrets(part) {
		err := w.Client.CoreV1().Secrets(system).Delete(w.ctx, secret.Name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			w.Fatal(err)
		}
		if data == nil {
			continue
		}
		secret.ResourceVersion, secret.UID = "", ""
		data(&secret)
		_, err = w.Client.CoreV1().Secrets(system).Create(w.ctx, &secret, metav1.CreateOptions{})
		w.must(err)
	}
}

// change is drift: somebody else's value.
func (w *world) change(name, value string) {
	w.Helper()
	client := w.Client.CoreV1().ConfigMaps(member.Space)
	object, err := client.Get(w.ctx, name, metav1.GetOptions{})
	w.must(err)
	object.Data["value"] = value
	_, err = client.Update(w.ctx, object, metav1.UpdateOptions{FieldManager: "somebody"})
	w.must(err)
}

// becomes waits for a ConfigMap's value.
func (w *world) becomes(name, value string) {
	w.Helper()
	w.eventually(func() string {
		object, err := w.Client.CoreV1().ConfigMaps(member.Space).Get(w.ctx, name, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if got := object.Data["value"]; got != value {
			return fmt.Sprintf("%s is %q, want %q", name, got, value)
		}
		return ""
	})
}

func (w *world) log() string {
	data, err := os.ReadFile(w.agent.Log)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// says waits for words in the log of the agent that runs now.
func (w *world) says(words string) {
	w.Helper()
	w.eventually(func() string {
		if !strings.Contains(w.log(), words) {
			return fmt.Sprintf("the agent does not say %q", words)
		}
		return ""
	})
}

func tail(text string, size int) string { return text[max(0, len(text)-size):] }
