package admission_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/periplus-fleet/periplus/agent/admission"
	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/agent/policy"
	"github.com/periplus-fleet/periplus/e2e/testenv"
	"github.com/periplus-fleet/periplus/policies/engine"
)

// rule is a policy about PodTemplates of one namespace: tests share an API server, and nobody else makes such.
func rule(name, namespace, more, body string) engine.File {
	return engine.File{Path: "policies/" + name + ".rego", Text: fmt.Sprintf(`# METADATA
# title: %s
# custom:
#   input: periplus
#   kinds: [PodTemplate]
#   points: [admission]%s
package %s

here if startswith(input.namespace, %q)

%s
`, name, more, name, namespace, body)}
}

// warnings of API servers.
type warnings struct {
	mu   sync.Mutex
	said []string
}

// HandleWarningHeader is client-go's.
func (w *warnings) HandleWarningHeader(_ int, _ string, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, text)
}

// webhook is what an agent runs for admission, without the rest of it.
type webhook struct {
	*testing.T
	env          *testenv.Env
	space        string
	client       kubernetes.Interface
	warned       *warnings
	server       *admission.Server
	registration *admission.Registration
	name         string
	stop         func()
	stopServer   func()

	mu    sync.Mutex
	found []admission.Result
}

func start(t *testing.T) *webhook {
	t.Helper()
	env := testenv.Start(t)
	w := &webhook{T: t, env: env, space: env.Namespace(t), warned: &warnings{}}
	w.name = "test-" + w.space
	config := rest.CopyConfig(env.Config)
	config.WarningHandler = w.warned
	w.client = kubernetes.NewForConfigOrDie(config)
	cluster := kube.New(env.Config, w.space)
	self, err := cluster.As("")
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := cluster.Secrets()
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	w.registration = &admission.Registration{Client: self, Finder: kube.NewMapper(self), Name: w.name, Namespace: w.space, Log: log,
		Excluded: []string{w.space + "-out"}, URL: "https://" + listener.Addr().String()}
	certificates := &admission.Certificates{Secrets: secrets, Hosts: []string{"127.0.0.1"}, Renewed: w.registration.Trust, Now: time.Now, Log: log}
	w.server = admission.NewServer(admission.Config{Certificate: certificates.Certificate, Namespaces: &policy.Namespaces{Client: self}, Log: log,
		Found: func(results []admission.Result) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.found = append(w.found, results...)
		}})
	ctx, cancel := context.WithCancel(t.Context())
	serving, cancelServer := context.WithCancel(ctx)
	var tasks sync.WaitGroup
	tasks.Go(func() { _ = certificates.Keep(ctx) })
	tasks.Go(func() { _ = w.registration.Run(ctx) })
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := w.server.Serve(serving, listener); err != nil {
			t.Error(err)
		}
	}()
	w.stopServer = func() { cancelServer(); <-served }
	w.stop = sync.OnceFunc(func() { cancel(); tasks.Wait(); <-served })
	t.Cleanup(func() {
		w.stop()
		// Whatever went wrong: a registration that stays would stop the tests of others.
		_ = w.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(context.WithoutCancel(t.Context()), w.name, metav1.DeleteOptions{})
	})
	return w
}

func (w *webhook) use(files ...engine.File) {
	w.Helper()
	snapshot, refused := engine.Load(engine.Source{Modules: files}, nil)
	if len(refused) > 0 {
		w.Fatalf("refused: %+v", refused)
	}
	inForce := policy.InForce{Snapshot: snapshot, Cluster: engine.Cluster{Name: "c", Namespace: "fleet"}, Revision: "sha256:1"}
	w.server.Use(inForce)
	w.registration.Use(snapshot)
}

// create tries an object in a namespace; the error is the API server's.
func (w *webhook) create(namespace, name string, data map[string]string) error {
	_, err := w.client.CoreV1().PodTemplates(namespace).Create(w.Context(), &corev1.PodTemplate{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: data},
		Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}}, metav1.CreateOptions{})
	return err
}

// eventually waits for a condition: an API server takes a moment to learn of a webhook.
func (w *webhook) eventually(what string, is func() bool) {
	w.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatalf("not in time: %s", what)
		}
	}
}

func (w *webhook) other(suffix string) string {
	w.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.space + suffix}}
	if _, err := w.client.CoreV1().Namespaces().Create(w.Context(), namespace, metav1.CreateOptions{}); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		_ = w.client.CoreV1().Namespaces().Delete(context.WithoutCancel(w.Context()), namespace.Name, metav1.DeleteOptions{})
	})
	return namespace.Name
}

func TestRequestsAreJudged(t *testing.T) {
	w := start(t)
	in, out := w.other("-in"), w.other("-out")
	w.use(rule("strict", w.space, "", `deny contains "bad is not allowed" if {
	here
	input.object.metadata.annotations.bad
}`), rule("soft", w.space, "\n#   action: warn", `deny contains "odd is not nice" if {
	here
	input.object.metadata.annotations.odd
}`))
	bad := map[string]string{"bad": "x"}
	var refused error
	w.eventually("what the policy denies is refused", func() bool {
		refused = w.create(in, "bad", bad)
		if refused == nil {
			_ = w.client.CoreV1().PodTemplates(in).Delete(w.Context(), "bad", metav1.DeleteOptions{})
		}
		return refused != nil
	})
	if want := "policy strict denies PodTemplate " + in + "/bad: bad is not allowed (policies/strict.rego:11)"; !apierrors.IsForbidden(refused) || !strings.Contains(refused.Error(), want) {
		t.Errorf("it is told as at the gate: got %v, want %s", refused, want)
	}
	if err := w.create(in, "good", nil); err != nil {
		t.Errorf("what no policy denies passes: %v", err)
	}
	if err := w.create(in, "odd", map[string]string{"odd": "x"}); err != nil {
		t.Errorf("what a policy warns of passes: %v", err)
	}
	w.warned.mu.Lock()
	said := strings.Join(w.warned.said, "\n")
	w.warned.mu.Unlock()
	if !strings.Contains(said, "policy soft warns of PodTemplate "+in+"/odd: odd is not nice") {
		t.Errorf("with a warning: %q", said)
	}
	if err := w.create(out, "bad", bad); err != nil {
		t.Errorf("an excluded namespace is not judged: %v", err)
	}
	if err := w.create(w.space, "bad", bad); err != nil {
		t.Errorf("nor is the agent's own: %v", err)
	}
	w.mu.Lock()
	results := map[string]string{}
	for _, r := range w.found {
		results[r.Policy] = r.Operation + " " + r.Result + " " + r.Object.Name + " " + string(r.Revision)
	}
	w.mu.Unlock()
	if results["strict"] != "CREATE fail bad sha256:1" || results["soft"] != "CREATE warn odd sha256:1" {
		t.Errorf("decisions are told: %v", results)
	}
	w.stop()
	if _, err := w.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(t.Context(), w.name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("nothing is registered after an orderly stop: %v", err)
	}
	w.eventually("then all pass", func() bool { return w.create(in, "bad2", bad) == nil })
}

// While nobody answers, a policy's failure policy says what happens.
func TestNobodyAnswers(t *testing.T) {
	w := start(t)
	in := w.other("-in")
	deny := `deny contains "no" if {
	here
	input.object.metadata.annotations.%s
}`
	w.use(rule("open", w.space, "", fmt.Sprintf(deny, "a")))
	w.eventually("it answers", func() bool {
		return w.create(in, fmt.Sprint("x", time.Now().UnixNano()), map[string]string{"a": "x"}) != nil
	})
	w.stopServer()
	if err := w.create(in, "ignored", map[string]string{"a": "x"}); err != nil {
		t.Errorf("by default requests pass: %v", err)
	}
	// Only what is in this test's namespace may be stopped by it: the rule is withdrawn at once after.
	w.use(rule("closed", w.space, "\n#   failurePolicy: Fail", fmt.Sprintf(deny, "a")))
	w.eventually("a policy that fails closed refuses", func() bool {
		err := w.create(in, fmt.Sprint("y", time.Now().UnixNano()), nil)
		return err != nil && strings.Contains(err.Error(), "fail.policies.periplus.dev")
	})
	w.use()
	w.eventually("without policies nothing is registered", func() bool { return w.create(in, fmt.Sprint("z", time.Now().UnixNano()), nil) == nil })
}
