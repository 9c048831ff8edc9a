package kube_test

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/e2e/testenv"
)

// Of two agents over one state, the one that was overtaken finds out when it writes, and overwrites nothing.
func TestTwoAgentsOverOneState(t *testing.T) {
	env := testenv.Start(t)
	space := env.Namespace(t)
	open := func() *kube.Secrets {
		secrets, err := kube.New(env.Config, space).Secrets()
		if err != nil {
			t.Fatal(err)
		}
		return secrets
	}
	put := func(s *kube.Secrets, value string, exists bool) error {
		return s.Put(t.Context(), &corev1.Secret{ObjectMeta: s.Own("state", "state"), Data: map[string][]byte{"v": []byte(value)}}, exists)
	}
	must := func(reason string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", reason, err)
		}
	}
	read := func(s *kube.Secrets) string {
		secret, err := s.Get(t.Context(), "state")
		must("it can be read", err)
		return string(secret.Data["v"])
	}
	old := open()
	must("the first write makes it", put(old, "1", true))
	must("the next changes it", put(old, "2", true))
	api := kubernetes.NewForConfigOrDie(env.Config).CoreV1().Secrets(space)
	if _, err := api.Patch(t.Context(), "state", types.MergePatchType, []byte(`{"metadata":{"labels":{"backup":"no"}}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	must("that somebody labels it changes nothing", put(old, "3", true))
	young := open()
	if got := read(young); got != "3" {
		t.Errorf("another agent reads %q", got)
	}
	must("and writes", put(young, "4", true))
	err := put(old, "5", true)
	var other *kube.OtherAgentError
	if !errors.As(err, &other) || other.Secret != "state" {
		t.Errorf("the first agent finds out: got %v", err)
	}
	select {
	case <-old.Lost():
		if !errors.As(old.Why(), &other) {
			t.Errorf("why is %v", old.Why())
		}
	default:
		t.Error("and ends")
	}
	if got := read(young); got != "4" {
		t.Errorf("what the other wrote stands: got %q", got)
	}
	again := open()
	_ = read(again)
	must("who starts again reads anew, and writes", put(again, "6", true))
	must("a Secret that somebody deleted is made anew", api.Delete(t.Context(), "state", metav1.DeleteOptions{}))
	must("with what is written", put(again, "7", true))
	if got := read(young); got != "7" {
		t.Errorf("got %q", got)
	}
	must("one that is believed not to be there is", put(again, "8", false))
}
