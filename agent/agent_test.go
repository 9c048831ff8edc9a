package agent_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/periplus-fleet/periplus/agent/desired"
	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/e2e/testenv"
)

const (
	patience   = time.Minute
	bundles    = 20
	perBundle  = 10
	rssLimit   = 64 << 20
	restPeriod = 5 * time.Second
)

// cluster is a namespace pair on a real API server: the agent's, with the rights of the chart, and one for objects.
type cluster struct {
	t                *testing.T
	env              *testenv.Env
	client           kubernetes.Interface
	namespace, space string
	user             string
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	env := testenv.Start(t)
	c := &cluster{t: t, env: env, client: kubernetes.NewForConfigOrDie(env.Config), namespace: env.Namespace(t), space: env.Namespace(t)}
	c.user = "agent-of-" + c.namespace
	ctx := context.Background()
	_, err := c.client.CoreV1().ServiceAccounts(c.namespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "periplus-tenant-fleet"}}, metav1.CreateOptions{})
	c.must(err)
	_, err = c.client.RbacV1().Roles(c.namespace).Create(ctx, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "agent"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get", "list", "create", "update", "delete"}},
		{APIGroups: []string{""}, Resources: []string{"serviceaccounts"}, ResourceNames: []string{"periplus-tenant-fleet"}, Verbs: []string{"impersonate"}},
	}}, metav1.CreateOptions{})
	c.must(err)
	c.bind(c.namespace, "Role", "agent", rbacv1.Subject{Kind: "User", Name: c.user})
	c.bind(c.space, "ClusterRole", "admin", rbacv1.Subject{Kind: "ServiceAccount", Name: "periplus-tenant-fleet", Namespace: c.namespace})
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: c.user}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"namespaces"}, ResourceNames: []string{"kube-system"}, Verbs: []string{"get"}}}}
	_, err = c.client.RbacV1().ClusterRoles().Create(ctx, role, metav1.CreateOptions{})
	c.must(err)
	_, err = c.client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: c.user},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: c.user},
		Subjects: []rbacv1.Subject{{Kind: "User", Name: c.user}}}, metav1.CreateOptions{})
	c.must(err)
	t.Cleanup(func() {
		_ = c.client.RbacV1().ClusterRoles().Delete(ctx, c.user, metav1.DeleteOptions{})
		_ = c.client.RbacV1().ClusterRoleBindings().Delete(ctx, c.user, metav1.DeleteOptions{})
	})
	return c
}

func (c *cluster) bind(namespace, kind, role string, subject rbacv1.Subject) {
	c.t.Helper()
	_, err := c.client.RbacV1().RoleBindings(namespace).Create(context.Background(), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "agent"},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role}, Subjects: []rbacv1.Subject{subject}}, metav1.CreateOptions{})
	c.must(err)
}

func (c *cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// accept makes the cluster hold what a hub would have sent: bundles of ConfigMaps.
func (c *cluster) accept() {
	c.t.Helper()
	ctx := context.Background()
	system, err := c.client.CoreV1().Namespaces().Get(ctx, "kube-system", metav1.GetOptions{})
	c.must(err)
	secrets, err := kube.New(c.env.Config, c.namespace).Secrets()
	c.must(err)
	store, err := desired.Open(ctx, desired.Config{Secrets: secrets, Fingerprint: string(system.UID), Log: slog.New(slog.DiscardHandler)})
	c.must(err)
	set := desired.Set{FleetID: "f"}.Clone()
	for b := range bundles {
		manifest, blobs := content.Manifest{DefaultNamespace: c.space}, map[string][]byte{}
		for i := range perBundle {
			name := fmt.Sprintf("c%02d-%02d", b, i)
			data, err := content.CanonicalJSON(map[string]any{"apiVersion": "v1", "kind": "ConfigMap",
				"metadata": map[string]any{"name": name}, "data": map[string]any{"key": strings.Repeat(name, 100)}})
			c.must(err)
			blobs[string(content.Sum(data))] = data
			manifest.Items = append(manifest.Items, content.Item{ObjectID: content.ObjectID{Kind: "ConfigMap", Name: name},
				Phase: content.PhaseOf("", "ConfigMap"), Digest: content.Sum(data)})
		}
		manifest.Sort()
		encoded, err := manifest.Encode()
		c.must(err)
		entry := &linkv1.Entry{Bundle: fmt.Sprintf("fleet/b%02d", b), Revision: string(content.Sum(encoded))}
		_, err = store.Missing(ctx, entry)
		c.must(err)
		blobs[entry.GetRevision()] = encoded
		c.must(store.Put(ctx, blobs))
		set.Entries[entry.GetBundle()] = entry
	}
	set.Position = desired.Position{Epoch: "e", Generation: 1, Hash: content.SetHash(set.Entries)}
	c.must(store.Accept(ctx, set))
}

// run starts the real binary, with a hub that nobody answers at; it is killed at the end.
func (c *cluster) run(binary string) *exec.Cmd {
	c.t.Helper()
	command := exec.Command(binary, "--hub-endpoint=127.0.0.1:1", "--hub-ca-hash=sha256:"+strings.Repeat("0", 64), "--namespace="+c.namespace,
		"--tenant=fleet=periplus-tenant-fleet", "--log-level=error")
	command.Env = append(os.Environ(), "KUBECONFIG="+c.env.Kubeconfig(c.t, c.user))
	command.Stderr = c.t.Output()
	c.must(command.Start())
	c.t.Cleanup(func() { kill(command) })
	return command
}

func kill(command *exec.Cmd) {
	_ = command.Process.Kill()
	_ = command.Wait()
}

func (c *cluster) eventually(what string, condition func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(patience); !condition(); {
		if time.Now().After(deadline) {
			c.t.Fatalf("not in %s: %s", patience, what)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// configMaps of the bundles, by resource version.
func (c *cluster) configMaps() map[string]string {
	list, err := c.client.CoreV1().ConfigMaps(c.space).List(context.Background(), metav1.ListOptions{LabelSelector: "fleet.periplus.dev/managed=true"})
	c.must(err)
	versions := map[string]string{}
	for _, live := range list.Items {
		versions[live.Name] = live.ResourceVersion
	}
	return versions
}

// requests of the agent since a time, from the API server's own audit log: method and URI.
func (c *cluster) requests(since time.Time) (all, writes []string) {
	file, err := os.Open(c.env.AuditLog())
	c.must(err)
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var event struct {
			Stage, Verb, RequestURI  string
			RequestReceivedTimestamp time.Time
			User                     struct{ Username string }
		}
		if json.Unmarshal(lines.Bytes(), &event) != nil || event.User.Username != c.user || event.RequestReceivedTimestamp.Before(since) {
			continue
		}
		all = append(all, event.Verb+" "+event.RequestURI)
		switch event.Verb {
		case "get", "list", "watch":
		default:
			writes = append(writes, event.Verb+" "+event.RequestURI)
		}
	}
	return all, writes
}

func rss(t *testing.T, pid int) int {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		t.Skip("there is no /proc to read memory from")
	}
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmRSS:" {
			kib, _ := strconv.Atoi(fields[1])
			return kib << 10
		}
	}
	t.Fatal("the kernel does not say VmRSS")
	return 0
}

// TestAgentWithoutAHub runs the real binary with the rights of the chart on a cluster that holds an accepted set: it
// applies, goes on after a kill without a write, repairs drift, and stays small, with no hub at all.
func TestAgentWithoutAHub(t *testing.T) {
	c := newCluster(t)
	c.accept()
	binary := filepath.Join(t.TempDir(), "periplus-agent")
	build := exec.Command("go", "build", "-o", binary, "../cmd/periplus-agent")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the agent: %v\n%s", err, out)
	}
	first := c.run(binary)
	c.eventually("all objects are applied", func() bool { return len(c.configMaps()) == bundles*perBundle })
	c.eventually("the agent is at rest", func() bool {
		since := time.Now()
		<-time.After(time.Second)
		_, writes := c.requests(since)
		return len(writes) == 0
	})
	before := c.configMaps()
	kill(first)

	start := time.Now()
	second := c.run(binary)
	c.eventually("the agent looks at its objects again", func() bool {
		all, _ := c.requests(start)
		return strings.Contains(strings.Join(all, "\n"), "watch ")
	})
	settled := time.Now()
	<-time.After(restPeriod)
	_, writes := c.requests(start)
	if len(writes) > 0 {
		t.Errorf("the restarted agent wrote %v", writes)
	}
	if all, _ := c.requests(settled.Add(2 * time.Second)); len(all) > 0 {
		t.Errorf("at rest the agent asked %v", all)
	}
	used := rss(t, second.Process.Pid)
	t.Logf("%d bundles of %d objects at rest: %d MiB", bundles, perBundle, used>>20)
	if used > rssLimit {
		t.Errorf("the agent takes %d MiB, want at most %d", used>>20, rssLimit>>20)
	}
	_, err := c.client.CoreV1().ConfigMaps(c.space).Patch(context.Background(), "c00-00", types.MergePatchType, []byte(`{"data":{"key":"drifted"}}`), metav1.PatchOptions{})
	c.must(err)
	c.eventually("drift is repaired without a hub", func() bool {
		live, err := c.client.CoreV1().ConfigMaps(c.space).Get(context.Background(), "c00-00", metav1.GetOptions{})
		c.must(err)
		return strings.HasPrefix(live.Data["key"], "c00-00")
	})
	after := c.configMaps()
	delete(before, "c00-00")
	for name, version := range before {
		if after[name] != version {
			t.Errorf("%s was touched", name)
		}
	}
}
