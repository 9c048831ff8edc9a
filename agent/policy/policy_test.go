package policy_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/periplus-fleet/periplus/agent/desired"
	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/agent/policy"
	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/e2e/testenv"
	"github.com/periplus-fleet/periplus/policies/engine"
	"github.com/periplus-fleet/periplus/policies/parcel"
)

// accepted is a desired set with its content.
type accepted struct {
	mu       sync.Mutex
	set      desired.Set
	manifest map[content.Digest]content.Manifest
	blobs    map[content.Digest][]byte
}

func (a *accepted) Accepted() desired.Set {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.set
}

func (a *accepted) Manifest(_ context.Context, revision content.Digest) (content.Manifest, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	manifest, held := a.manifest[revision]
	if !held {
		return manifest, errors.New("the manifest is not held: the hub is needed")
	}
	return manifest, nil
}

func (a *accepted) Content(_ context.Context, digests []content.Digest) (map[content.Digest][]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := map[content.Digest][]byte{}
	for _, digest := range digests {
		out[digest] = a.blobs[digest]
	}
	return out, nil
}

// want makes policies the desired ones; a file that does not compile is one from a newer hub.
func (a *accepted) want(t *testing.T, files ...engine.File) content.Digest {
	t.Helper()
	manifest, blobs, err := parcel.Pack(engine.Source{Modules: files})
	if err != nil {
		t.Fatal(err)
	}
	revision, err := manifest.Digest()
	if err != nil {
		t.Fatal(err)
	}
	addressed, err := parcel.Address(revision, engine.Cluster{Name: "c", Namespace: "fleet"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	name := content.PoliciesEntry("fleet")
	a.mu.Lock()
	defer a.mu.Unlock()
	a.manifest, a.blobs = map[content.Digest]content.Manifest{revision: manifest}, blobs
	a.set = desired.Set{Entries: map[string]*linkv1.Entry{name: {Bundle: name, Revision: string(revision), Options: &linkv1.Options{Policies: addressed}}}}
	return revision
}

func rego(name, body string) engine.File {
	return engine.File{Path: "policies/" + name + ".rego", Text: "# METADATA\n# title: x\n# custom: {input: periplus, kinds: [Pod]}\npackage " + name + "\n\n" + body + "\n"}
}

// agent is a Loader with what it says.
type agent struct {
	*testing.T
	loader  *policy.Loader
	stop    func()
	mu      sync.Mutex
	inForce policy.InForce
	status  *linkv1.BundleStatus
	removed bool
}

func (a *agent) Report(status *linkv1.BundleStatus) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status = status
}

func (a *agent) Removed(string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.removed = true
}

func open(t *testing.T, set *accepted, secrets *kube.Secrets) *agent {
	t.Helper()
	a := &agent{T: t}
	var err error
	if a.loader, err = policy.Open(t.Context(), policy.Config{Desired: set, Secrets: secrets, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = a.loader.Run(ctx, true, a, func(inForce policy.InForce) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.inForce = inForce
		})
	}()
	a.stop = sync.OnceFunc(func() { cancel(); <-ended })
	t.Cleanup(a.stop)
	return a
}

func (a *agent) eventually(what string, is func() bool) {
	a.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		a.mu.Lock()
		done := is()
		a.mu.Unlock()
		if done {
			return
		}
		if time.Now().After(deadline) {
			a.Fatalf("not in time: %s; in force %s, status %v", what, a.inForce.Revision, a.status)
		}
	}
}

// What cannot be loaded leaves in force what was, over a restart too, whatever became of the agent's content.
func TestOldPoliciesStayInForce(t *testing.T) {
	env := testenv.Start(t)
	space := env.Namespace(t)
	secrets, err := kube.New(env.Config, space).Secrets()
	if err != nil {
		t.Fatal(err)
	}
	set := &accepted{}
	good := set.want(t, rego("p", `deny contains "no" if input.name == "x"`))
	a := open(t, set, secrets)
	a.eventually("policies come into force", func() bool {
		return a.inForce.Revision == good && a.status.GetState() == linkv1.State_STATE_READY && a.status.GetCounts().GetReady() == 1
	})
	newer := set.want(t, rego("p", `deny contains "no" if newer.builtin(input.name)`))
	a.loader.Changed()
	a.eventually("what this agent cannot load is refused by name", func() bool {
		return a.status.GetState() == linkv1.State_STATE_FAILED && a.status.GetRevision() == string(newer) && a.status.GetAppliedRevision() == string(good) &&
			strings.Contains(a.status.GetMessage(), "policies/p.rego:6") && strings.Contains(a.status.GetMessage(), "newer.builtin")
	})
	if a.inForce.Revision != good {
		t.Errorf("in force is %s, want %s", a.inForce.Revision, good)
	}
	a.stop()
	a = open(t, set, secrets)
	a.eventually("a restarted agent has the old ones", func() bool { return a.inForce.Revision == good && a.status.GetState() == linkv1.State_STATE_FAILED })
	a.stop()
	set.mu.Lock()
	set.set = desired.Set{}
	set.manifest = nil
	set.mu.Unlock()
	a = open(t, set, secrets)
	a.eventually("also where nothing else is left in the cluster", func() bool { return a.inForce.Revision == good })
	name := content.PoliciesEntry("fleet")
	set.mu.Lock()
	set.set = desired.Set{Tombstones: map[string]*linkv1.Tombstone{name: {Bundle: name, Generation: 2}}}
	set.mu.Unlock()
	a.loader.Changed()
	a.eventually("a tombstone ends them", func() bool { return a.removed && a.inForce.Snapshot == nil })
	left, err := kubernetes.NewForConfigOrDie(env.Config).CoreV1().Secrets(space).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(left.Items) != 0 {
		t.Errorf("and nothing stays: %v, %v", left.Items, err)
	}
}
