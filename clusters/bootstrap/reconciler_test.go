package bootstrap_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/clusters/bootstrap"
	"github.com/periplus-fleet/periplus/e2e/testenv"
)

// mint issues tokens by number.
type mint struct{ issued int }

func (m *mint) Issue(context.Context, *v1alpha1.FleetCluster) (string, error) {
	m.issued++
	return fmt.Sprintf("token-%d", m.issued), nil
}

type world struct {
	t          *testing.T
	hub        client.Client
	member     *testenv.Env
	kube       kubernetes.Interface
	reconciler *bootstrap.Reconciler
	tokens     *mint
	cluster    client.ObjectKey
	now        time.Time
}

// start has a hub with one provisioned FleetCluster, and a member that nobody has touched.
func start(t *testing.T) *world {
	t.Helper()
	hub := testenv.Start(t)
	root, err := testenv.Root()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := envtest.InstallCRDs(hub.Config, envtest.CRDInstallOptions{ErrorIfPathMissing: true, Paths: []string{filepath.Join(root, "api/crds")}}); err != nil {
		t.Fatalf("cannot install CRDs: %v", err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	direct, err := client.New(hub.Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	member := hub.NewServer(t)
	w := &world{t: t, hub: direct, member: member, kube: kubernetes.NewForConfigOrDie(member.Config), tokens: &mint{},
		now: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}
	cluster := &v1alpha1.FleetCluster{ObjectMeta: metav1.ObjectMeta{Namespace: hub.Namespace(t), Name: "eu-1"},
		Spec: v1alpha1.FleetClusterSpec{Provision: &v1alpha1.Provision{Topology: &clusterv1.Topology{
			ClassRef: clusterv1.ClusterClassRef{Name: "standard"}, Version: "v1.36.3"}}}}
	if err := direct.Create(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	w.cluster = client.ObjectKeyFromObject(cluster)
	w.restart()
	return w
}

// restart is a new process of the hub: it remembers nothing.
func (w *world) restart() {
	w.t.Helper()
	reconciler, err := bootstrap.New(bootstrap.Config{Client: w.hub, Reader: w.hub, Tokens: w.tokens, Now: func() time.Time { return w.now },
		Hub: bootstrap.Hub{Endpoints: []string{"hub.example.com:7443"}, CAHash: "sha256:" + strings.Repeat("0a", 32)}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.reconciler = reconciler
}

// reconcile once, and expect the AgentInstalled condition.
func (w *world) reconcile(status metav1.ConditionStatus, reason string) {
	w.t.Helper()
	if _, err := w.reconciler.Reconcile(w.t.Context(), ctrl.Request{NamespacedName: w.cluster}); err != nil {
		w.t.Fatal(err)
	}
	cluster := &v1alpha1.FleetCluster{}
	if err := w.hub.Get(w.t.Context(), w.cluster, cluster); err != nil {
		w.t.Fatal(err)
	}
	got := apimeta.FindStatusCondition(cluster.Status.Conditions, v1alpha1.ConditionAgentInstalled)
	if got == nil || got.Status != status || got.Reason != reason {
		w.t.Fatalf("AgentInstalled is %+v, want %s %s", got, status, reason)
	}
}

func (w *world) provideKubeconfig() {
	w.t.Helper()
	data, err := os.ReadFile(w.member.Kubeconfig(w.t, "kubernetes-admin", "system:masters"))
	if err != nil {
		w.t.Fatal(err)
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.cluster.Namespace, Name: w.cluster.Name + "-kubeconfig"}, Data: map[string][]byte{"value": data}}
	if err := w.hub.Create(w.t.Context(), secret); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) deployment() *appsv1.Deployment {
	w.t.Helper()
	deployment, err := w.kube.AppsV1().Deployments(bootstrap.Namespace).Get(w.t.Context(), bootstrap.Release, metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return deployment
}

func (w *world) token() string {
	w.t.Helper()
	secret, err := w.kube.CoreV1().Secrets(bootstrap.Namespace).Get(w.t.Context(), "periplus-agent-join", metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return string(secret.Data["token"])
}

func (w *world) revisions() int {
	w.t.Helper()
	list, err := w.kube.CoreV1().Secrets(bootstrap.Namespace).List(w.t.Context(), metav1.ListOptions{LabelSelector: "owner=helm"})
	if err != nil {
		w.t.Fatal(err)
	}
	return len(list.Items)
}

func TestInstallsOnceAndAgainWhenGone(t *testing.T) {
	w := start(t)
	w.reconcile(metav1.ConditionFalse, bootstrap.ReasonWaitingForCluster)
	w.provideKubeconfig()
	began := time.Now()
	w.reconcile(metav1.ConditionTrue, bootstrap.ReasonInstalled)
	t.Logf("installed in %s", time.Since(began))
	if got := w.deployment().Spec.Template.Spec.Containers[0].Args[0]; got != "--hub-endpoint=hub.example.com:7443" {
		t.Errorf("the agent is started with %q", got)
	}
	if got := w.token(); got != "token-1" {
		t.Errorf("the join token is %q", got)
	}

	// Also a hub that remembers nothing leaves alone what is there.
	w.restart()
	w.reconcile(metav1.ConditionTrue, bootstrap.ReasonInstalled)
	if w.tokens.issued != 1 || w.revisions() != 1 {
		t.Errorf("looking again issued %d tokens and left %d revisions, want 1 and 1", w.tokens.issued, w.revisions())
	}

	// An agent that does not join in time gets another token.
	w.now = w.now.Add(20 * time.Minute)
	w.reconcile(metav1.ConditionTrue, bootstrap.ReasonInstalled)
	if got := w.token(); got != "token-2" {
		t.Errorf("the join token is %q, want a new one", got)
	}

	// One that has joined needs none any more; a deleted Deployment comes back.
	identity := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "periplus-agent-identity"}}
	if _, err := w.kube.CoreV1().Secrets(bootstrap.Namespace).Create(t.Context(), identity, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	before := w.deployment().UID
	if err := w.kube.AppsV1().Deployments(bootstrap.Namespace).Delete(t.Context(), bootstrap.Release, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(time.Hour)
	w.reconcile(metav1.ConditionTrue, bootstrap.ReasonInstalled)
	if after := w.deployment().UID; after == before {
		t.Error("the Deployment was not deleted")
	}
	if w.tokens.issued != 2 {
		t.Errorf("%d tokens were issued, want 2: the agent has an identity", w.tokens.issued)
	}

	// A release that is lost, or was interrupted, is installed over what is left of it.
	if err := w.kube.CoreV1().Secrets(bootstrap.Namespace).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "owner=helm"}); err != nil {
		t.Fatal(err)
	}
	w.reconcile(metav1.ConditionTrue, bootstrap.ReasonInstalled)
	if got := w.revisions(); got != 1 {
		t.Errorf("%d revisions after a new installation, want 1", got)
	}
}

func TestRightsInTheMember(t *testing.T) {
	w := start(t)
	w.provideKubeconfig()
	// ClusterRole admin is put together by a controller.
	w.member.ControllerManager(t)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		admin, err := w.kube.RbacV1().ClusterRoles().Get(t.Context(), "admin", metav1.GetOptions{})
		if err == nil && len(admin.Rules) > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("ClusterRole admin has no rules: %v", err)
		}
	}
	cluster := &v1alpha1.FleetCluster{}
	if err := w.hub.Get(t.Context(), w.cluster, cluster); err != nil {
		t.Fatal(err)
	}
	if _, err := w.kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	cluster.Spec.AgentValues = &apiextensionsv1.JSON{Raw: []byte(`{"tenants":[{"namespace":"fleet","clusterAdmin":true},{"namespace":"team-a","namespaces":["shop"]}]}`)}
	if err := w.hub.Update(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	w.reconcile(metav1.ConditionTrue, bootstrap.ReasonInstalled)

	agent := "system:serviceaccount:periplus-system:periplus-agent"
	groups := []string{"system:serviceaccounts", "system:serviceaccounts:periplus-system", "system:authenticated"}
	as := func(account string) kubernetes.Interface {
		config := w.member.User(t, agent, groups...)
		if account != "" {
			config.Impersonate = rest.ImpersonationConfig{UserName: account}
		}
		return kubernetes.NewForConfigOrDie(config)
	}
	tenant := func(name string) string { return "system:serviceaccount:periplus-system:periplus-tenant-" + name }
	readSecrets := func(namespace string) func(kubernetes.Interface) error {
		return func(k kubernetes.Interface) error {
			_, err := k.CoreV1().Secrets(namespace).List(t.Context(), metav1.ListOptions{})
			return err
		}
	}
	writeConfig := func(namespace string) func(kubernetes.Interface) error {
		return func(k kubernetes.Interface) error {
			_, err := k.CoreV1().ConfigMaps(namespace).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "x-"}}, metav1.CreateOptions{})
			return err
		}
	}
	readNamespace := func(name string) func(kubernetes.Interface) error {
		return func(k kubernetes.Interface) error {
			_, err := k.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{})
			return err
		}
	}
	cases := map[string]struct {
		reason  string
		as      string
		do      func(kubernetes.Interface) error
		allowed bool
	}{
		"OwnSecrets":         {reason: "the agent's memory", do: readSecrets("periplus-system"), allowed: true},
		"KubeSystem":         {reason: "its UID names the cluster", do: readNamespace("kube-system"), allowed: true},
		"OtherSecrets":       {reason: "of no use to the agent", do: readSecrets("kube-system")},
		"OtherNamespace":     {reason: "of no use to the agent", do: readNamespace("default")},
		"WriteAsItself":      {reason: "the agent applies nothing with its own rights", do: writeConfig("periplus-system")},
		"AdminTenant":        {reason: "clusterAdmin", as: tenant("fleet"), do: writeConfig("default"), allowed: true},
		"TeamInItsNamespace": {reason: "namespaces: [shop]", as: tenant("team-a"), do: writeConfig("shop"), allowed: true},
		"TeamElsewhere":      {reason: "not in its list", as: tenant("team-a"), do: writeConfig("default")},
		"TeamReadsAgent":     {reason: "the agent's identity is not the tenant's", as: tenant("team-a"), do: readSecrets("periplus-system")},
		"UnknownTenant":      {reason: "the cluster's owner did not list it", as: tenant("team-b"), do: writeConfig("shop")},
		"OtherServiceAccount": {reason: "only the tenants' ServiceAccounts", do: writeConfig("default"),
			as: "system:serviceaccount:kube-system:generic-garbage-collector"},
		"User": {reason: "no user at all", as: "kubernetes-admin", do: writeConfig("default")},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			err := tc.do(as(tc.as))
			if tc.allowed && err != nil || !tc.allowed && !apierrors.IsForbidden(err) {
				t.Errorf("%s: error is %v, want allowed %t", tc.reason, err, tc.allowed)
			}
		})
	}
}
