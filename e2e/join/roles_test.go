package join_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/periplus-fleet/periplus/hub/store/storetest"
)

// The process that faces agents has no rights in the hub's cluster, and the one that decides may crash: agents do not notice.
func TestRolesInProcessesOfTheirOwn(t *testing.T) {
	store := storetest.Postgres(t)
	w := newWorld(t)
	key := w.file("store.key")
	w.must(os.WriteFile(key, storetest.Key, 0o600))
	deciding := []string{"--roles", "control,api", "--store", store, "--store-key-file", key}
	killControl := w.process("control-1", w.hubKubeconfig(), deciding...)
	w.process("link", w.linkKubeconfig(), "--roles", "link", "--store", store, "--store-key-file", key)
	w.follow()
	w.install("join")
	log, _ := w.agent()
	w.delivered("first")

	killControl()
	// While nobody decides, the agent goes on: what it tells is kept by the link process, and a commit waits.
	before, err := w.greetingUID()
	w.must(err)
	_, err = w.kubectl("-n", "web", "delete", "configmap", "greeting")
	w.must(err)
	w.eventually("the agent makes again what was deleted", func() error {
		after, err := w.greetingUID()
		if err == nil && after == before {
			err = fmt.Errorf("it is still the old one")
		}
		return err
	})
	w.commit("second")

	w.process("control-2", w.hubKubeconfig(), deciding...)
	w.delivered("second")
	w.eventually("what happened meanwhile is in the history", func() error {
		history, err := w.periplus("history", "-c", "edge", "-o", "json")
		if err == nil && !strings.Contains(strings.ToLower(history), "recreated") {
			err = fmt.Errorf("it is %s", history)
		}
		return err
	})
	data, err := os.ReadFile(log)
	w.must(err)
	if bytes.Contains(data, []byte("the stream to the hub ended")) {
		t.Errorf("the agent lost its stream when the deciding process died:\n%s", data)
	}
}

func (w *world) greetingUID() (string, error) {
	return w.kubectl("-n", "web", "get", "configmap", "greeting", "-o", "jsonpath={.metadata.uid}")
}

// linkKubeconfig is of a ServiceAccount that nothing is granted to.
func (w *world) linkKubeconfig() string {
	w.t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "periplus-link"}}
	_, err := kubernetes.NewForConfigOrDie(w.hub.Config).CoreV1().ServiceAccounts(system).Create(w.t.Context(), account, metav1.CreateOptions{})
	w.must(err)
	path := w.file("kubeconfigs", "link")
	w.accountKubeconfig(w.hub, account.Name, path)
	config, err := clientcmd.BuildConfigFromFlags("", path)
	w.must(err)
	if _, err := kubernetes.NewForConfigOrDie(config).CoreV1().Secrets(system).List(w.t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		w.t.Fatalf("the link's account may read Secrets: %v", err)
	}
	return path
}
