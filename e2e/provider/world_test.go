// Package provider tests the local Cluster API provider as a whole: a real hub API server, real members, and the provider as
// a process of its own, so that it can be killed.
package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/periplus-fleet/periplus/clusters/classes"
	"github.com/periplus-fleet/periplus/clusters/local"
	"github.com/periplus-fleet/periplus/clusters/local/apiserver"
	"github.com/periplus-fleet/periplus/clusters/local/process"
	"github.com/periplus-fleet/periplus/clusters/local/v1alpha1"
	"github.com/periplus-fleet/periplus/e2e/testenv"
)

// settings hand the provider's configuration to the process that runs it.
type settings struct {
	Kubeconfig, Installer, DataDir, Kube, Agent string

	Etcd        apiserver.Access
	WebhookPort int
	Ports       v1alpha1.PortRange
}

const settingsVariable = "PERIPLUS_TEST_PROVIDER"

// TestMain is the provider itself when it is started as a child of a test.
func TestMain(m *testing.M) {
	if path := os.Getenv(settingsVariable); path != "" {
		if err := serve(path); err != nil {
			slog.Error("provider ended", "err", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func serve(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var s settings
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", s.Kubeconfig)
	if err != nil {
		return err
	}
	installs, err := clientcmd.BuildConfigFromFlags("", s.Installer)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return local.Run(ctx, local.Config{Kubeconfig: config, Installer: installs, DataDir: s.DataDir, Etcd: s.Etcd, KubeBinary: s.Kube, AgentBinary: s.Agent,
		Ports: s.Ports, WebhookPort: s.WebhookPort, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
}

type world struct {
	t        *testing.T
	folder   string
	client   client.Client
	etcd     apiserver.Access
	settings string
	provider *exec.Cmd
}

const (
	patience  = 3 * time.Minute
	installer = "installer"
)

func newWorld(t *testing.T) *world {
	t.Helper()
	kube := testenv.Kube(t)
	folder := t.TempDir()
	ports := testenv.Ports(t, 4)
	etcd := apiserver.Etcd{Kube: kube, Folder: filepath.Join(folder, "etcd"), Port: ports[0], PeerPort: ports[1], NoSync: true}
	run(t)(etcd.Spec())
	hub := &apiserver.Server{Kube: kube, Name: "hub", Folder: filepath.Join(folder, "hub"), Port: ports[2], Etcd: etcd.Access(), Prefix: "/hub"}
	run(t)(hub.Spec())
	run(t)(hub.ControllerManager(apiserver.ReducedControllers))
	config, err := hub.Config("test-admin", "system:masters")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, folder: folder, etcd: etcd.Access(), client: newClient(t, config), settings: filepath.Join(folder, "settings.json")}
	for user, groups := range map[string][]string{local.User: nil, installer: {"system:masters"}} {
		kubeconfig, err := hub.Kubeconfig(user, groups...)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(folder, user), kubeconfig)
	}
	data, err := json.Marshal(settings{Kubeconfig: filepath.Join(folder, local.User), Installer: filepath.Join(folder, installer), DataDir: filepath.Join(folder, "data"), Kube: kube,
		Agent: fakeAgent(t, folder), Etcd: etcd.Access(), WebhookPort: ports[3],
		Ports: v1alpha1.PortRange{First: 17000, Last: 17999}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, w.settings, data)
	w.start()
	t.Cleanup(func() { w.end(syscall.SIGTERM) })
	return w
}

func run(t *testing.T) func(process.Spec, error) {
	return func(spec process.Spec, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		p, err := process.Start(ctx, spec, process.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Stop(context.Background()) })
	}
}

func newClient(t *testing.T, config *rest.Config) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, clusterv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	// Cluster API warns about a class that is not reconciled yet: that is what the tests wait for.
	config.WarningHandler = rest.NoWarnings{}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// start runs the provider; its log goes to the test's folder and is shown when the test fails.
func (w *world) start() {
	w.t.Helper()
	log, err := os.OpenFile(filepath.Join(w.folder, "provider.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		w.t.Fatal(err)
	}
	w.provider = exec.Command(os.Args[0])
	w.provider.Env = append(os.Environ(), settingsVariable+"="+w.settings)
	w.provider.Stdout, w.provider.Stderr = log, log
	if err := w.provider.Start(); err != nil {
		w.t.Fatal(err)
	}
	_ = log.Close()
}

func (w *world) end(signal syscall.Signal) {
	if w.provider == nil {
		return
	}
	_ = w.provider.Process.Signal(signal)
	_ = w.provider.Wait()
	w.provider = nil
	if w.t.Failed() {
		w.t.Log(process.Tail(filepath.Join(w.folder, "provider.log"), 40))
	}
}

// eventually polls until done says "" or the patience ends; the text says what is still missing.
func (w *world) eventually(what string, done func(ctx context.Context) string) time.Duration {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	began := time.Now()
	for {
		missing := done(ctx)
		if missing == "" {
			return time.Since(began).Round(100 * time.Millisecond)
		}
		if ctx.Err() != nil {
			w.t.Fatalf("%s did not come: %s\n%s", what, missing, process.Tail(filepath.Join(w.folder, "provider.log"), 25))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (w *world) applyClass(namespace string) {
	w.t.Helper()
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(classes.Standard), 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(object); err != nil {
			return
		}
		object.SetNamespace(namespace)
		w.create(object)
	}
}

// create tries again while the provider's CRDs and webhooks are not served yet.
func (w *world) create(object client.Object) {
	w.t.Helper()
	w.eventually("creation of "+object.GetName(), func(ctx context.Context) string {
		if err := w.client.Create(ctx, object); err != nil && !strings.Contains(err.Error(), "already exists") {
			return err.Error()
		}
		return ""
	})
}

// member is a client of the cluster by the kubeconfig that Cluster API publishes.
func (w *world) member(namespace, name string) client.Client {
	w.t.Helper()
	secret := &corev1.Secret{}
	if err := w.client.Get(context.Background(), client.ObjectKey{Namespace: namespace, Name: name + "-kubeconfig"}, secret); err != nil {
		w.t.Fatal(err)
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(secret.Data["value"])
	if err != nil {
		w.t.Fatal(err)
	}
	return newClient(w.t, config)
}
