package testenv

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/periplus-fleet/periplus/clusters/local/apiserver"
	"github.com/periplus-fleet/periplus/clusters/local/process"
)

// Env is a real API server with RBAC, an audit log, and (on the shared one always) the controllers for garbage collection,
// namespaces and ServiceAccounts.
type Env struct {
	// Config of a member of system:masters.
	Config *rest.Config

	server  *apiserver.Server
	shared  bool
	manager sync.Once
}

// patience bounds every start. A cold machine with busy cores needs half of it.
const patience = 3 * time.Minute

var sharedOnce = sync.OnceValues(func() (*apiserver.Server, error) {
	kube, err := kubeOnce()
	if err != nil {
		return nil, err
	}
	return joinShared(kube)
})

// Start gives the server that all tests of this machine share. A test keeps to namespaces of its own and to CRDs; one that
// needs cluster-wide objects which others would feel (admission policies, webhooks, cluster role bindings of theirs) takes
// NewServer.
func Start(t testing.TB) *Env {
	t.Helper()
	if testing.Short() {
		t.Skip("needs an API server: not with -short")
	}
	Kube(t)
	server, err := sharedOnce()
	if err != nil {
		t.Fatalf("cannot start the tests' API server: %v", err)
	}
	return newEnv(t, server, true)
}

func newEnv(t testing.TB, server *apiserver.Server, shared bool) *Env {
	t.Helper()
	env := &Env{server: server, shared: shared}
	env.Config = env.User(t, "test-admin", "system:masters")
	return env
}

// NewServer starts a further API server on an etcd prefix of its own; it ends with the test.
func (e *Env) NewServer(t testing.TB) *Env {
	t.Helper()
	id := random(t)
	server := &apiserver.Server{Kube: e.server.Kube, Name: "test-" + id, Folder: filepath.Join(serversFolder(e.sharedFolder()), id),
		Port: Ports(t, 1)[0], Etcd: e.server.Etcd, Prefix: "/test-" + id, Audit: true}
	spec, err := server.Spec()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(server.Folder) })
	run(t, spec)
	return newEnv(t, server, false)
}

// ControllerManager starts the reduced controllers of a NewServer; they end with the test. The shared server has them.
func (e *Env) ControllerManager(t testing.TB) {
	t.Helper()
	if e.shared {
		return
	}
	e.manager.Do(func() {
		spec, err := e.server.ControllerManager(apiserver.ReducedControllers)
		if err != nil {
			t.Fatal(err)
		}
		run(t, spec)
	})
}

func run(t testing.TB, spec process.Spec) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	p, err := process.Start(ctx, spec, process.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// Namespace makes a namespace for the test, with its default ServiceAccount where controllers run; it is deleted after.
func (e *Env) Namespace(t testing.TB) string {
	t.Helper()
	client := kubernetes.NewForConfigOrDie(e.Config)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	base := strings.ToLower(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, t.Name()))
	name := strings.Trim(base[:min(len(base), 40)], "-") + "-" + random(t)
	if _, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatalf("cannot make namespace %q: %v", name, err)
	}
	t.Cleanup(func() {
		_ = client.CoreV1().Namespaces().Delete(context.Background(), name, metav1.DeleteOptions{})
	})
	for e.shared {
		if _, err := client.CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{}); err == nil {
			break
		} else if ctx.Err() != nil {
			t.Fatalf("namespace %q has no default ServiceAccount: %v", name, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return name
}

// User is the configuration of another user, by client certificate. Without RBAC it may do nothing.
func (e *Env) User(t testing.TB, name string, groups ...string) *rest.Config {
	t.Helper()
	config, err := e.server.Config(name, groups...)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// Kubeconfig writes a user's kubeconfig to a file that ends with the test.
func (e *Env) Kubeconfig(t testing.TB, name string, groups ...string) string {
	t.Helper()
	data, err := e.server.Kubeconfig(name, groups...)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// AuditLog is the path of the server's audit log: JSON lines, one a request, without contents.
func (e *Env) AuditLog() string { return e.server.AuditLog() }

// sharedFolder is three above the folder of etcd's client key: the one folder of everything that is shared.
func (e *Env) sharedFolder() string {
	return filepath.Dir(filepath.Dir(filepath.Dir(e.server.Etcd.KeyFile)))
}

func random(t testing.TB) string {
	t.Helper()
	raw := make([]byte, 4)
	if _, err := rand.Read(raw); err != nil {
		t.Fatal(fmt.Errorf("cannot make a name: %w", err))
	}
	return hex.EncodeToString(raw)
}
