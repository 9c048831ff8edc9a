package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/e2e/sandbox"
)

// world is what steps act on.
type world struct {
	cfg     Config
	out     io.Writer
	box     *sandbox.Sandbox
	result  Result
	example bool
	members map[string]*member
	// counter is the last committed value of ConfigMap counter.
	counter int
	// old is the cluster that starts at oldVersion, and the file in the fleet repo that declares it.
	old, oldFile string
}

// member is a cluster seen from inside, as its owner sees it.
type member struct {
	name   string
	client client.Client
	audit  string
	// discovery of the kinds that it serves.
	discovery discovery.DiscoveryInterface
}

// member connects to a cluster with the kubeconfig that Cluster API made.
func (w *world) member(ctx context.Context, name string) (*member, error) {
	if m, ok := w.members[name]; ok {
		return m, nil
	}
	var secret corev1.Secret
	if err := w.box.Client.Get(ctx, client.ObjectKey{Namespace: sandbox.TenantNamespace, Name: name + "-kubeconfig"}, &secret); err != nil {
		return nil, err
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(secret.Data["value"])
	if err != nil {
		return nil, err
	}
	config.UserAgent, config.QPS, config.Burst = "sandbox-check", 200, 400
	c, err := client.New(config, client.Options{})
	if err != nil {
		return nil, err
	}
	found, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	m := &member{name: name, client: c, discovery: found, audit: filepath.Join(w.cfg.Sandbox.Folder, "members", sandbox.TenantNamespace, name, "audit.log")}
	w.members[name] = m
	return m, nil
}

// each does something for all clusters that are declared now.
func (w *world) each(ctx context.Context, do func(*member) error) error {
	state, err := w.box.State(ctx)
	if err != nil {
		return err
	}
	var all error
	for _, cluster := range state.Clusters {
		m, err := w.member(ctx, cluster.Name)
		if err == nil {
			err = do(m)
		}
		if err != nil {
			all = errors.Join(all, fmt.Errorf("cluster %s: %w", cluster.Name, err))
		}
	}
	return all
}

// delivered counts what agents wrote outside their own namespace since a time, over all clusters, and names some.
func (w *world) delivered(ctx context.Context, since time.Time) (int, string, error) {
	var count int
	var names []string
	err := w.each(ctx, func(m *member) error {
		events, err := readAudit(m.audit, since)
		if err != nil {
			return err
		}
		written := writes(events, false)
		count += len(written)
		if len(written) > 0 {
			names = append(names, m.name+": "+summary(written))
		}
		return nil
	})
	return count, strings.Join(names, "; "), err
}

// commit edits the clone, commits and pushes; it returns the commit and when the push was done.
func (w *world) commit(ctx context.Context, message string, edit func(folder string) error) (string, time.Time, error) {
	clone := w.cfg.Sandbox.Clone()
	if err := edit(clone); err != nil {
		return "", time.Time{}, err
	}
	for _, args := range [][]string{{"add", "-A"}, {"commit", "-q", "-m", message}, {"push", "-q", "origin", "HEAD:main"}} {
		if out, err := gitIn(ctx, clone, args...); err != nil {
			return "", time.Time{}, fmt.Errorf("git %s: %s: %w", args[0], out, err)
		}
	}
	pushed := time.Now()
	hash, err := gitIn(ctx, clone, "rev-parse", "HEAD")
	return hash, pushed, err
}

func gitIn(ctx context.Context, folder string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, "git", args...)
	command.Dir = folder
	command.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0")
	out, err := command.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// settle waits until the commit is in force everywhere.
func (w *world) settle(ctx context.Context, commit string) error {
	return eventually(ctx, "the fleet is as declared", func() error {
		state, err := w.box.State(ctx)
		if err != nil {
			return err
		}
		return state.Settled(commit)
	})
}

func (w *world) bundle(ctx context.Context, name string) (*v1alpha1.Bundle, error) {
	var bundle v1alpha1.Bundle
	err := w.box.Client.Get(ctx, client.ObjectKey{Namespace: sandbox.TenantNamespace, Name: name}, &bundle)
	return &bundle, err
}

func (w *world) cluster(ctx context.Context, name string) (*v1alpha1.FleetCluster, error) {
	var cluster v1alpha1.FleetCluster
	err := w.box.Client.Get(ctx, client.ObjectKey{Namespace: sandbox.TenantNamespace, Name: name}, &cluster)
	return &cluster, err
}

// periplus runs the command as a user of the hub's cluster.
func (w *world) periplus(ctx context.Context, args ...string) (string, error) {
	command := exec.CommandContext(ctx, filepath.Join(w.cfg.Sandbox.Bin, "periplus"), args...)
	command.Env = append(os.Environ(), "KUBECONFIG="+w.cfg.Sandbox.Kubeconfig())
	out, err := command.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("periplus %s: %s: %w", strings.Join(args, " "), strings.TrimSpace(string(out)), err)
	}
	return string(out), nil
}
