package reconcile_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/periplus-fleet/periplus/agent/desired"
	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// sealedYAML is a sealed item of a Secret "sealed" with the password correct-horse-battery, in a form that give knows.
func (m *member) sealedYAML(patches ...string) string {
	m.t.Helper()
	document, err := os.ReadFile("../../api/sops/testdata/manifest.yaml")
	m.must(err)
	data, err := json.Marshal(map[string]any{"kind": "Sealed", "metadata": map[string]any{"name": "sealed"},
		"sealed": content.SealedObject{Document: string(document), Format: "yaml",
			Patches: append([]string{`[{"op":"add","path":"/metadata/labels","value":{"a":"b"}}]`}, patches...)}})
	m.must(err)
	return string(data)
}

func (m *member) keys(name string) {
	m.t.Helper()
	data, err := os.ReadFile("../../api/sops/testdata/" + name)
	m.must(err)
	secrets := m.client.CoreV1().Secrets(m.namespace)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "periplus-sops"}, Data: map[string][]byte{"cluster.agekey": data}}
	if _, err = secrets.Update(context.Background(), secret, metav1.UpdateOptions{}); err != nil {
		_, err = secrets.Create(context.Background(), secret, metav1.CreateOptions{})
	}
	m.must(err)
}

const plaintext = "correct-horse-battery"

func TestSealedIsOpenedInTheCluster(t *testing.T) {
	m := newMember(t)
	patch := `[{"op":"add","path":"/stringData/host","value":"db"}]`
	m.give("fleet/a", nil, m.sealedYAML(patch), configMapYAML("one", "1"))
	m.accept()
	// Without a key that one object fails, and no other.
	status := m.says("fleet/a", linkv1.State_STATE_FAILED, `Secret "periplus-sops" with the cluster's keys is not in namespace`)
	if status.GetCounts().GetFailed() != 1 || status.GetCounts().GetApplied() != 1 {
		t.Errorf("status is %v", status)
	}
	m.keys("wrong.agekey")
	m.says("fleet/a", linkv1.State_STATE_FAILED, "no key opens it: it is encrypted for age age1")
	// A key that comes is used at once.
	m.keys("right.agekey")
	m.ready("fleet/a")
	ctx := context.Background()
	live, err := m.client.CoreV1().Secrets(m.space).Get(ctx, "sealed", metav1.GetOptions{})
	m.must(err)
	if string(live.Data["password"]) != plaintext || string(live.Data["host"]) != "db" || live.Labels["a"] != "b" {
		t.Errorf("Secret is %v", live)
	}
	// It is an object like any other from then on: drift is repaired, a restart writes nothing.
	secrets := corev1.SchemeGroupVersion.WithResource("secrets")
	m.patch(secrets, "sealed", `{"data":{"password":"ZHJpZnRlZA=="}}`)
	m.event("fleet/a", "drift-repaired")
	m.stop()
	m.written()
	m.start()
	m.ready("fleet/a")
	if writes := m.written(); len(writes) > 0 {
		t.Errorf("a restart wrote %v", writes)
	}
	m.nowhere(plaintext)
}

func TestRefusedSealedTellsNoValue(t *testing.T) {
	m := newMember(t)
	m.keys("right.agekey")
	m.give("fleet/a", nil, m.sealedYAML(`[{"op":"add","path":"/data","value":{"bad key!":"eA=="}}]`), configMapYAML("one", "1"))
	m.accept()
	m.says("fleet/a", linkv1.State_STATE_FAILED, "its reasons are not shown")
	m.nowhere(plaintext)
}

// nowhere looks for a text, plain and in base64, in all that the agent keeps and says.
func (m *member) nowhere(text string) {
	m.t.Helper()
	forms := []string{text, base64.StdEncoding.EncodeToString([]byte(text))}
	look := func(where string, data []byte) {
		for _, form := range forms {
			if bytes.Contains(data, []byte(form)) {
				m.t.Errorf("%s holds the plaintext", where)
			}
		}
	}
	list, err := m.client.CoreV1().Secrets(m.namespace).List(context.Background(), metav1.ListOptions{})
	m.must(err)
	kept := 0
	for _, secret := range list.Items {
		if secret.Name == "periplus-sops" {
			continue
		}
		for key, data := range secret.Data {
			kept++
			look("Secret "+secret.Name+" "+key, data)
			if raw, err := desired.Decompress(data); err == nil {
				look("Secret "+secret.Name+" "+key, raw)
			}
		}
	}
	if kept == 0 {
		m.t.Error("nothing was looked through")
	}
	look("the log", []byte(m.logged.String()))
	m.hub.mu.Lock()
	defer m.hub.mu.Unlock()
	look("the statuses", []byte(strings.Join([]string{fmt.Sprint(m.hub.statuses), fmt.Sprint(m.hub.events)}, "\n")))
}
