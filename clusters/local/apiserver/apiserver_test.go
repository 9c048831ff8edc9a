package apiserver_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/periplus-fleet/periplus/clusters/local/apiserver"
	"github.com/periplus-fleet/periplus/clusters/local/process"
	"github.com/periplus-fleet/periplus/e2e/testenv"
)

func start(t *testing.T, spec process.Spec, err error) *process.Process {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	p, err := process.Start(ctx, spec, process.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop(context.Background()) })
	return p
}

func TestUpgradeKeepsObjects(t *testing.T) {
	kube := testenv.Kube(t)
	ctx := context.Background()
	ports := testenv.Ports(t, 3)
	etcd := apiserver.Etcd{Kube: kube, Folder: filepath.Join(t.TempDir(), "etcd"), Port: ports[0], PeerPort: ports[1], NoSync: true}
	spec, err := etcd.Spec()
	start(t, spec, err)

	server := &apiserver.Server{Kube: kube, Name: "member", Folder: filepath.Join(t.TempDir(), "member"), Port: ports[2],
		Etcd: etcd.Access(), Prefix: "/member", EmulatedVersion: "1.35", Audit: true}
	spec, err = server.Spec()
	old := start(t, spec, err)
	config, err := server.Config("alice", "system:masters")
	if err != nil {
		t.Fatal(err)
	}
	client := kubernetes.NewForConfigOrDie(config)
	if version, err := client.Discovery().ServerVersion(); err != nil || version.EmulationMinor != "35" {
		t.Fatalf("the server behaves as %+v (%v), not as 1.35", version, err)
	}
	created, err := client.CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kept"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Stop(ctx); err != nil {
		t.Fatal(err)
	}

	server.EmulatedVersion = ""
	spec, err = server.Spec()
	upgraded := start(t, spec, err)
	got, err := client.CoreV1().ConfigMaps("default").Get(ctx, "kept", metav1.GetOptions{})
	if err != nil || got.UID != created.UID {
		t.Fatalf("the object did not survive the upgrade: %v", err)
	}
	if version, err := client.Discovery().ServerVersion(); err != nil || version.Minor != "36" {
		t.Fatalf("after the upgrade the version is %+v (%v)", version, err)
	}
	if log, err := os.ReadFile(server.AuditLog()); err != nil || !strings.Contains(string(log), `"username":"alice"`) {
		t.Errorf("the audit log does not say who created the object: %v", err)
	}

	var snapshot bytes.Buffer
	if err := etcd.Access().Snapshot(ctx, &snapshot); err != nil || !bytes.Contains(snapshot.Bytes(), []byte("/member/configmaps/default/kept")) {
		t.Errorf("the snapshot does not hold the object: %v, %d bytes", err, snapshot.Len())
	}
	if err := upgraded.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if err := etcd.Access().DeletePrefix(ctx, "/member"); err != nil {
		t.Fatal(err)
	}
	spec, err = server.Spec()
	start(t, spec, err)
	if list, err := client.CoreV1().ConfigMaps("default").List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=kept"}); err != nil || len(list.Items) != 0 {
		t.Errorf("the deleted prefix still holds the object: %v", err)
	}
}
