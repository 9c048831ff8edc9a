// Package join_test lets an existing cluster join a real hub the way a person does it: the printed line goes to a shell
// with kubectl and helm. Hub, agent, both API servers, Git and Helm are the real ones.
package join_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/periplus-fleet/periplus/clusters/local/apiserver"
	"github.com/periplus-fleet/periplus/clusters/local/process"
	"github.com/periplus-fleet/periplus/e2e/sandbox"
	"github.com/periplus-fleet/periplus/e2e/testenv"
)

const (
	// patience of a wait for what takes a second on a quiet machine.
	patience = time.Minute
	system   = sandbox.SystemNamespace
	release  = "periplus-agent"
)

var token = regexp.MustCompile(`token: "([^"]+)"`)

// world is a hub with a fleet repo, and a cluster that nobody but its owner knows of.
type world struct {
	t *testing.T
	// folder of everything: logs/ holds what must never show a token.
	folder, root string
	hub, member  *testenv.Env
	kubeconfigs  struct{ hub, member string }
	path         string
	// linkPort and apiPort of the hub, whichever process opens them.
	linkPort, apiPort int
	agents            int
	tokens            []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	shared := testenv.Start(t)
	w := &world{t: t, folder: t.TempDir()}
	t.Cleanup(w.showLogs)
	var err error
	w.root, err = testenv.Root()
	w.must(err)
	w.hub, w.member = shared.NewServer(t), shared.NewServer(t)
	w.hub.ControllerManager(t)
	w.kubeconfigs.hub, w.kubeconfigs.member = w.hub.Kubeconfig(t, "operator", "system:masters"), w.member.Kubeconfig(t, "owner", "system:masters")
	w.binaries()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	w.must(sandbox.Install(ctx, w.hub.Config))
	ports := testenv.Ports(t, 2)
	w.linkPort, w.apiPort = ports[0], ports[1]
	w.declare()
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// binaries builds ours, and puts kubectl and helm on a PATH that has little else.
func (w *world) binaries() {
	w.t.Helper()
	bin := filepath.Join(w.folder, "bin")
	w.must(os.MkdirAll(bin, 0o755))
	build := exec.Command("go", "build", "-o", bin+"/", "./cmd/periplus", "./cmd/periplus-agent", "./cmd/periplus-hub")
	build.Dir = w.root
	out, err := build.CombinedOutput()
	if err != nil {
		w.t.Fatalf("cannot build: %v\n%s", err, out)
	}
	tool := exec.Command("sh", filepath.Join(w.root, "e2e/tools/build.sh"), "helm")
	tool.Stderr = os.Stderr
	helm, err := tool.Output()
	if err != nil {
		w.t.Fatalf("cannot build e2e/tools/helm: %v", err)
	}
	w.must(os.Symlink(testenv.Kube(w.t), filepath.Join(bin, "kubectl")))
	w.must(os.Symlink(filepath.Join(strings.TrimSpace(string(helm)), "helm"), filepath.Join(bin, "helm")))
	w.path = bin + ":/usr/bin:/bin"
}

// declare makes the fleet repo: one existing cluster, one bundle for it.
func (w *world) declare() {
	w.t.Helper()
	w.git("init", "-q", "-b", "main", w.file("fleet"))
	w.write("clusters/edge.yaml", `apiVersion: fleet.periplus.dev/v1alpha1
kind: FleetCluster
metadata: {name: edge, labels: {env: edge}}
spec: {}
`)
	w.write("bundles/web/bundle.yaml", `apiVersion: fleet.periplus.dev/v1alpha1
kind: Bundle
metadata: {name: web}
spec:
  namespace: web
  targets: [{name: all, clusterSelector: {}}]
`)
	w.commit("first")
}

// commit publishes the bundle with a greeting.
func (w *world) commit(greeting string) {
	w.t.Helper()
	w.write("bundles/web/objects.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: web}\n---\n"+
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: greeting}\ndata: {text: "+greeting+"}\n")
	w.git("-C", w.file("fleet"), "add", "-A")
	w.git("-C", w.file("fleet"), "-c", "user.name=T", "-c", "user.email=t@example.com", "commit", "-q", "-m", greeting)
}

func (w *world) file(parts ...string) string {
	return filepath.Join(append([]string{w.folder}, parts...)...)
}

func (w *world) write(name, text string) {
	w.t.Helper()
	path := w.file("fleet", name)
	w.must(os.MkdirAll(filepath.Dir(path), 0o755))
	w.must(os.WriteFile(path, []byte(text), 0o644))
}

func (w *world) git(args ...string) {
	w.t.Helper()
	if out, err := exec.Command("git", args...).CombinedOutput(); err != nil {
		w.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// process starts a hub process; kill ends it as a crash would.
func (w *world) process(name, kubeconfig string, args ...string) (kill func()) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	health := fmt.Sprintf("127.0.0.1:%d", testenv.Ports(w.t, 1)[0])
	link := fmt.Sprintf("127.0.0.1:%d", w.linkPort)
	return w.start(ctx, process.Spec{Name: name, Path: w.file("bin", "periplus-hub"), Args: append([]string{"--kubeconfig", kubeconfig, "--namespace", system,
		"--data-dir", w.file(name), "--link-address", link, "--link-endpoint", link, "--api-address", fmt.Sprintf("127.0.0.1:%d", w.apiPort),
		"--health-address", health, "--log-level", "debug"}, args...),
		Log: w.file("logs", name+".log"), PidFile: w.file(name, "pid"), Grace: 10 * time.Second,
		Ready: func(ctx context.Context) error { return ready(ctx, "http://"+health+"/readyz") }})
}

// hubKubeconfig has the rights that an administrator gives a hub.
func (w *world) hubKubeconfig() string {
	w.t.Helper()
	path := w.file("kubeconfigs", "hub")
	w.must(sandbox.HubKubeconfig(w.t.Context(), w.hub.Config, path))
	return path
}

// follow names the fleet repo to the hub.
func (w *world) follow() {
	w.t.Helper()
	c, err := client.New(w.hub.Config, client.Options{})
	w.must(err)
	repo := &unstructured.Unstructured{}
	w.must(yaml.Unmarshal([]byte(`apiVersion: fleet.periplus.dev/v1alpha1
kind: FleetRepo
metadata: {name: fleet, namespace: fleet}
spec: {ref: {branch: main}, interval: 1s, serviceAccountName: periplus-fleet, url: "file://`+w.file("fleet")+`"}
`), &repo.Object))
	w.must(c.Create(w.t.Context(), repo))
	w.eventually("the fleet repo declares cluster edge", func() error {
		_, err := w.periplus("describe", "cluster", "edge")
		return err
	})
}

// start runs a process until the test ends, or it is killed.
func (w *world) start(ctx context.Context, spec process.Spec) (kill func()) {
	w.t.Helper()
	p, err := process.Start(ctx, spec, process.Options{})
	if err != nil {
		log, _ := os.ReadFile(spec.Log)
		w.t.Fatalf("%v\n%s", err, log)
	}
	w.t.Cleanup(func() { _ = p.Stop(context.Background()) })
	return func() {
		w.must(syscall.Kill(p.Pid(), syscall.SIGKILL))
		<-p.Exited()
	}
}

// agent runs what the installed Deployment's pod would, as its ServiceAccount: this cluster has no kubelet.
func (w *world) agent() (log string, kill func()) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	w.agents++
	folder := w.file(fmt.Sprintf("agent-%d", w.agents))
	w.must(os.MkdirAll(folder, 0o700))
	cluster := kubernetes.NewForConfigOrDie(w.member.Config)
	deployment, err := cluster.AppsV1().Deployments(system).Get(ctx, release, metav1.GetOptions{})
	w.must(err)
	pod := deployment.Spec.Template.Spec
	kubeconfig := filepath.Join(folder, "kubeconfig")
	w.accountKubeconfig(w.member, pod.ServiceAccountName, kubeconfig)
	log = w.file("logs", fmt.Sprintf("agent-%d.log", w.agents))
	return log, w.start(ctx, process.Spec{Name: "agent", Path: w.file("bin", "periplus-agent"), Args: pod.Containers[0].Args,
		Env: []string{"KUBECONFIG=" + kubeconfig}, Log: log, PidFile: filepath.Join(folder, "pid")})
}

// accountKubeconfig is that of a ServiceAccount of the system namespace.
func (w *world) accountKubeconfig(env *testenv.Env, account, path string) {
	w.t.Helper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To(int64(3600))}}
	answer, err := kubernetes.NewForConfigOrDie(env.Config).CoreV1().ServiceAccounts(system).CreateToken(w.t.Context(), account, request, metav1.CreateOptions{})
	w.must(err)
	data, err := apiserver.Kubeconfig("cluster", account, &rest.Config{Host: env.Config.Host, BearerToken: answer.Status.Token,
		TLSClientConfig: rest.TLSClientConfig{CAData: env.Config.CAData}})
	w.must(err)
	w.must(os.MkdirAll(filepath.Dir(path), 0o700))
	w.must(os.WriteFile(path, data, 0o600))
}

// periplus is the command as a user of the hub's cluster.
func (w *world) periplus(args ...string) (string, error) {
	command := exec.CommandContext(w.t.Context(), w.file("bin", "periplus"), args...)
	command.Env = append(os.Environ(), "KUBECONFIG="+w.kubeconfigs.hub)
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("periplus %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return out.String(), nil
}

// install gives the lines that `periplus cluster join` prints to a shell of the cluster's owner.
func (w *world) install(args ...string) {
	w.t.Helper()
	script, err := w.periplus(append(append([]string{"cluster"}, args...), "edge", "--grant-admin", "fleet", "--chart", filepath.Join(w.root, "charts/periplus-agent"))...)
	w.must(err)
	found := token.FindStringSubmatch(script)
	if found == nil {
		w.t.Fatalf("no token in\n%s", script)
	}
	w.tokens = append(w.tokens, found[1])
	for line := range strings.SplitSeq(script, "\n") {
		if strings.HasPrefix(line, "helm") && strings.Contains(line, found[1]) {
			w.t.Error("the token stands on helm's command line, where every process of the machine can read it")
		}
	}
	shell := exec.CommandContext(w.t.Context(), "sh", "-e")
	shell.Env = []string{"PATH=" + w.path, "HOME=" + w.file(), "KUBECONFIG=" + w.kubeconfigs.member}
	shell.Stdin = strings.NewReader(script)
	out, err := shell.CombinedOutput()
	w.must(os.MkdirAll(w.file("logs"), 0o755))
	w.must(os.WriteFile(w.file("logs", fmt.Sprintf("install-%d.log", len(w.tokens))), out, 0o600))
	if err != nil {
		w.t.Fatalf("the printed lines fail: %v\n%s", err, out)
	}
}

// kubectl at the member.
func (w *world) kubectl(args ...string) (string, error) {
	command := exec.CommandContext(w.t.Context(), w.file("bin", "kubectl"), args...)
	command.Env = append(os.Environ(), "KUBECONFIG="+w.kubeconfigs.member)
	out, err := command.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// says waits until a log has the words.
func (w *world) says(log string, words ...string) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("%s says %q", filepath.Base(log), words), func() error {
		data, err := os.ReadFile(log)
		if err != nil {
			return err
		}
		for _, word := range words {
			if !bytes.Contains(data, []byte(word)) {
				return fmt.Errorf("it says %s", data)
			}
		}
		return nil
	})
}

// delivered waits until the hub shows the bundle ready and the cluster has the greeting.
func (w *world) delivered(greeting string) {
	w.t.Helper()
	w.eventually("bundle web is ready with "+greeting, func() error {
		text, err := w.kubectl("-n", "web", "get", "configmap", "greeting", "-o", "jsonpath={.data.text}")
		if err != nil || text != greeting {
			return fmt.Errorf("the cluster has %q: %w", text, err)
		}
		var list struct {
			Items []struct{ Cluster, Bundle, State, Message, TargetRevision, AppliedRevision string }
		}
		if err := w.list("deliveries", &list); err != nil {
			return err
		}
		for _, item := range list.Items {
			if item.Cluster == "edge" && item.Bundle == "fleet/web" && item.State == "Ready" && item.AppliedRevision == item.TargetRevision {
				return nil
			}
		}
		return fmt.Errorf("deliveries are %+v", list.Items)
	})
}

// connected waits until the hub shows the cluster so.
func (w *world) connected(want bool, within time.Duration) {
	w.t.Helper()
	w.within(within, fmt.Sprintf("connected is %v", want), func() error {
		var list struct {
			Items []struct {
				Name, State string
				Connected   bool
			}
		}
		if err := w.list("clusters", &list); err != nil {
			return err
		}
		if len(list.Items) != 1 || list.Items[0].Connected != want {
			return fmt.Errorf("clusters are %+v", list.Items)
		}
		return nil
	})
}

func (w *world) list(what string, into any) error {
	text, err := w.periplus("get", what, "-o", "json")
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(text), into)
}

func (w *world) eventually(what string, condition func() error) {
	w.t.Helper()
	w.within(patience, what, condition)
}

func (w *world) within(limit time.Duration, what string, condition func() error) {
	w.t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("not in %s: %s: %v", limit, what, err)
		}
		<-time.After(200 * time.Millisecond)
	}
}

// showLogs of a test that failed: the end of each.
func (w *world) showLogs() {
	if !w.t.Failed() {
		return
	}
	logs, _ := filepath.Glob(w.file("logs", "*"))
	for _, log := range logs {
		w.t.Logf("%s:\n%s", filepath.Base(log), process.Tail(log, 30))
	}
}
