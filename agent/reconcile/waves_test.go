package reconcile_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"google.golang.org/protobuf/types/known/durationpb"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// optionDeployment is a Deployment with options; nothing in the tests' cluster makes it healthy by itself.
func optionDeployment(name, options string) string {
	return strings.Replace(deploymentYAML(name), fmt.Sprintf("{name: %s}", name), fmt.Sprintf("{name: %s, annotations: {%s}}", name, options), 1)
}

func TestWavesWaitForHealth(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", nil, optionMap("first", "1", `test/wave: "-1"`), optionDeployment("db", `test/wave: "1"`), optionMap("last", "1", `test/wave: "2"`), configMapYAML("plain", "1"))
	m.accept()
	m.eventually("the wave of the database is applied", func() bool { return m.exists(deployments, "db") })
	status := m.says("fleet/a", linkv1.State_STATE_PROGRESSING, "Deployment.apps "+m.space+"/db")
	if !m.hasConfigMap("first") || !m.hasConfigMap("plain") || m.hasConfigMap("last") {
		t.Errorf("first %v, plain %v, last %v", m.hasConfigMap("first"), m.hasConfigMap("plain"), m.hasConfigMap("last"))
	}
	if status.GetAppliedRevision() != "" {
		t.Errorf("half a revision is told as applied: %v", status)
	}
	// Another agent goes on where this one stopped, and waits as well.
	m.restart()
	m.says("fleet/a", linkv1.State_STATE_PROGRESSING, "Deployment.apps "+m.space+"/db")
	if m.hasConfigMap("last") {
		t.Error("a restart lets the last wave go ahead")
	}
	before := time.Now()
	m.available("db")
	m.ready("fleet/a")
	t.Logf("the last wave came %s after health", time.Since(before))
	// An unhealthy low wave keeps nobody from repairing a higher one.
	_, err := m.dynamic.Resource(deployments).Namespace(m.space).Patch(context.Background(), "db", "application/merge-patch+json",
		[]byte(`{"status":{"availableReplicas":0,"readyReplicas":0,"conditions":[{"type":"Available","status":"False"}]}}`), metav1.PatchOptions{}, "status")
	m.must(err)
	m.patch(configMaps, "last", `{"data":{"key":"drifted"}}`)
	m.event("fleet/a", "drift-repaired")
}

func TestNewRevisionEndsAWave(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", nil, optionDeployment("db", `test/wave: "1"`), optionMap("last", "1", `test/wave: "2"`))
	m.accept()
	m.says("fleet/a", linkv1.State_STATE_PROGRESSING, "/db")
	m.give("fleet/a", nil, optionMap("last", "2", `test/wave: "2"`))
	before := time.Now()
	m.accept()
	m.ready("fleet/a")
	if took := time.Since(before); took > time.Second || m.valueOf("last") != "2" {
		t.Errorf("the newer revision came after %s, with %v", took, m.valueOf("last"))
	}
}

func TestTimeoutOfOneObject(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", &linkv1.Options{HealthTimeout: durationpb.New(time.Hour)}, optionDeployment("slow", "test/timeout: 500ms"))
	m.accept()
	m.says("fleet/a", linkv1.State_STATE_FAILED, "not ready after 500ms")
	m.available("slow")
	m.ready("fleet/a")
	// One that has longer than its bundle is not failed by the bundle's time.
	m.give("fleet/b", &linkv1.Options{HealthTimeout: durationpb.New(100 * time.Millisecond)}, optionDeployment("patient", "test/timeout: 1s"))
	before := time.Now()
	m.accept()
	m.says("fleet/b", linkv1.State_STATE_FAILED, "not ready after 1s")
	if took := time.Since(before); took < time.Second {
		t.Errorf("it failed after %s", took)
	}
}

func TestIgnoredFieldsOfOneObject(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", nil, optionMap("one", "1", "test/ignore: /data/key"), configMapYAML("marker", "1"))
	m.accept()
	m.ready("fleet/a")
	m.patch(configMaps, "one", `{"data":{"key":"theirs"}}`)
	m.patch(configMaps, "marker", `{"data":{"key":"drifted"}}`)
	m.event("fleet/a", "drift-repaired")
	// Neither drift nor a new revision changes it.
	m.give("fleet/a", nil, optionMap("one", "2", "test/ignore: /data/key"), configMapYAML("marker", "2"))
	m.accept()
	m.ready("fleet/a")
	if m.valueOf("one") != "theirs" {
		t.Errorf("the field is %v", m.valueOf("one"))
	}
	m.give("fleet/a", nil, configMapYAML("one", "3"), configMapYAML("marker", "2"))
	m.accept()
	m.ready("fleet/a")
	if m.valueOf("one") != "3" {
		t.Errorf("a field that is ignored no longer is %v", m.valueOf("one"))
	}
}
