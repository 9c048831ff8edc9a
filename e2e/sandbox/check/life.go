package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/e2e/sandbox"
)

// quiet is how long agents are watched at rest.
const quiet = 45 * time.Second

func ownedBy(owner, bundle string) bool {
	return strings.HasPrefix(owner, sandbox.TenantNamespace+"/"+bundle+":")
}

// rest: agents that have nothing to do write nothing.
func rest(ctx context.Context, w *world) error {
	if err := w.settle(ctx, ""); err != nil {
		return err
	}
	// What the last change brought on (status, events of controllers) may still arrive.
	if err := pause(ctx, 10*time.Second); err != nil {
		return err
	}
	since := time.Now()
	if err := pause(ctx, quiet); err != nil {
		return err
	}
	return w.each(ctx, func(m *member) error {
		events, err := readAudit(m.audit, since)
		if err != nil {
			return err
		}
		if written := append(writes(events, true), writes(events, false)...); len(written) > 0 {
			return fmt.Errorf("the agent wrote %d times in %s at rest: %s", len(written), quiet, summary(written))
		}
		return nil
	})
}

// pause lets time pass, where what is measured is what happens in it.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// upgrade: a cluster's version is what Git says, and its objects stay.
func upgrade(ctx context.Context, w *world) error {
	if w.old == "" {
		w.say("no cluster declares version %s: nothing to upgrade", newVersion)
		return nil
	}
	m, err := w.member(ctx, w.old)
	if err != nil {
		return err
	}
	_, before, err := m.value(ctx, "watched")
	if err != nil {
		return err
	}
	commit, pushed, err := w.commit(ctx, "Upgrade "+w.old, func(folder string) error {
		return replaceVersion(filepath.Join(folder, w.oldFile), oldVersion, newVersion)
	})
	if err != nil {
		return err
	}
	err = eventually(ctx, w.old+" runs "+newVersion, func() error {
		cluster, err := w.cluster(ctx, w.old)
		if err != nil {
			return err
		}
		if cluster.Status.Version != newVersion || !meta.IsStatusConditionTrue(cluster.Status.Conditions, v1alpha1.ConditionReady) {
			return fmt.Errorf("it runs %s (%+v)", cluster.Status.Version, cluster.Status.Conditions)
		}
		return nil
	})
	if err == nil {
		w.result.UpgradeS = ptr(round(time.Since(pushed).Seconds()))
		err = w.settle(ctx, commit)
	}
	if err != nil {
		return err
	}
	if _, after, err := m.value(ctx, "watched"); err != nil || after != before {
		return fmt.Errorf("the upgrade did not keep objects: %v", err)
	}
	return nil
}

// addCluster: a cluster that a commit declares joins by itself and catches up.
func addCluster(ctx context.Context, w *world) error {
	commit, pushed, err := w.commit(ctx, "Add a cluster", func(folder string) error {
		paths, err := clusterFiles(folder)
		if err != nil {
			return err
		}
		if len(paths) == 0 {
			return errors.New("the fleet provisions no cluster")
		}
		_, err = copyCluster(paths[len(paths)-1], addedName)
		return err
	})
	if err != nil {
		return err
	}
	if err := w.settle(ctx, commit); err != nil {
		return err
	}
	w.result.AddedS = ptr(round(time.Since(pushed).Seconds()))
	return w.everywhere(ctx, "counter", fmt.Sprint(w.counter))
}

// removeCluster: a cluster gone from Git goes away, and leaves no process and no Secret.
func removeCluster(ctx context.Context, w *world) error {
	commit, pushed, err := w.commit(ctx, "Remove a cluster", func(folder string) error {
		return os.Remove(filepath.Join(folder, "clusters", addedName+".yaml"))
	})
	if err != nil {
		return err
	}
	err = eventually(ctx, addedName+" is gone", func() error {
		if _, err := w.cluster(ctx, addedName); !apierrors.IsNotFound(err) {
			return fmt.Errorf("it is there (%v)", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	w.result.RemovedS = ptr(round(time.Since(pushed).Seconds()))
	delete(w.members, addedName)
	err = eventually(ctx, "nothing is left of "+addedName, func() error {
		var secrets corev1.SecretList
		if err := w.box.Client.List(ctx, &secrets, client.InNamespace(sandbox.TenantNamespace), client.MatchingLabels{"cluster.x-k8s.io/cluster-name": addedName}); err != nil {
			return err
		}
		if len(secrets.Items) > 0 {
			return fmt.Errorf("%d Secrets, such as %s", len(secrets.Items), secrets.Items[0].Name)
		}
		if pids := processes("/members/" + sandbox.TenantNamespace + "/" + addedName + "/"); len(pids) > 0 {
			return fmt.Errorf("processes %v", pids)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return w.settle(ctx, commit)
}

// hubRestart: a hub that is killed and starts again applies nothing anew.
func hubRestart(ctx context.Context, w *world) error {
	if err := w.settle(ctx, ""); err != nil {
		return err
	}
	before, err := os.ReadFile(filepath.Join(w.cfg.Sandbox.Folder, "hub", "hub.pid"))
	if err != nil {
		return err
	}
	since := time.Now()
	if err := syscall.Kill(w.box.Pid(sandbox.PartHub), syscall.SIGKILL); err != nil {
		return err
	}
	if err := eventually(ctx, "another hub runs", func() error {
		now, err := os.ReadFile(filepath.Join(w.cfg.Sandbox.Folder, "hub", "hub.pid"))
		if err == nil && string(now) == string(before) {
			err = errors.New("it is the one that was killed")
		}
		return err
	}); err != nil {
		return err
	}
	if err := w.reconnected(ctx, since); err != nil {
		return err
	}
	written, names, err := w.delivered(ctx, since)
	if err != nil {
		return err
	}
	w.result.HubRestartReapplied = ptr(written)
	if written > 0 {
		return fmt.Errorf("%d objects were written after the hub's restart: %s", written, names)
	}
	// It must also work on.
	_, err = w.count(ctx)
	return err
}

// reconnected waits until every agent was heard again and the fleet is as declared, and a little longer: what an agent would
// do wrongly after hearing from a new hub, it does at once.
func (w *world) reconnected(ctx context.Context, since time.Time) error {
	err := eventually(ctx, "all agents are connected again", func() error {
		if err := w.box.HubReady(ctx); err != nil {
			return err
		}
		state, err := w.box.State(ctx)
		if err != nil {
			return err
		}
		for _, cluster := range state.Clusters {
			if !meta.IsStatusConditionTrue(cluster.Status.Conditions, v1alpha1.ConditionConnected) {
				return fmt.Errorf("%s is not", cluster.Name)
			}
		}
		return state.Settled("")
	})
	if err != nil {
		return err
	}
	return pause(ctx, max(0, 15*time.Second-time.Since(since)))
}

// hubDown: agents repair drift while there is no hub, and say so when it is back.
func hubDown(ctx context.Context, w *world) error {
	if err := w.box.Stop(ctx, sandbox.PartHub); err != nil {
		return err
	}
	repaired := w.each(ctx, func(m *member) error {
		_, err := m.repaired(ctx)
		return err
	})
	w.result.HubDownDriftRepaired = ptr(repaired == nil)
	since := time.Now()
	if err := w.box.Start(ctx, sandbox.PartHub); err != nil {
		return errors.Join(repaired, err)
	}
	return errors.Join(repaired, w.reconnected(ctx, since))
}
