package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

const (
	// Percentiles come from this many commits, and drift from this many repairs.
	commitRounds = 20
	driftRounds  = 10
)

// up waits until everything that the fleet repo declares is Ready, from nothing.
func up(ctx context.Context, w *world) error {
	started := time.Now()
	err := eventually(ctx, "all clusters are provisioned", func() error {
		state, err := w.box.State(ctx)
		if err != nil {
			return err
		}
		if state.Repo.Status.Clusters == 0 || len(state.Clusters) < int(state.Repo.Status.Clusters) {
			return fmt.Errorf("%d of %d clusters are declared", len(state.Clusters), state.Repo.Status.Clusters)
		}
		for _, cluster := range state.Clusters {
			if cluster.Spec.Provision != nil && !meta.IsStatusConditionTrue(cluster.Status.Conditions, v1alpha1.ConditionProvisioned) {
				return fmt.Errorf("cluster %s is not", cluster.Name)
			}
		}
		return nil
	})
	if err == nil {
		w.result.ProvisionS = ptr(round(time.Since(started).Seconds()))
		err = w.box.Settle(ctx, "")
	}
	state, stateErr := w.box.State(context.WithoutCancel(ctx))
	if stateErr != nil {
		return errors.Join(err, stateErr)
	}
	ready := 0
	for _, cluster := range state.Clusters {
		if meta.IsStatusConditionTrue(cluster.Status.Conditions, v1alpha1.ConditionReady) {
			ready++
		}
	}
	w.result.Clusters, w.result.ClustersReady, w.result.Bundles = ptr(len(state.Clusters)), ptr(ready), ptr(len(state.Bundles))
	if err != nil {
		return err
	}
	w.result.AllReadyS = ptr(round(time.Since(started).Seconds()))
	objects, err := w.objects(ctx)
	w.result.Objects = ptr(objects)
	return err
}

// value of a ConfigMap of the check in a member, with its UID.
func (m *member) value(ctx context.Context, name string) (string, types.UID, error) {
	var object corev1.ConfigMap
	err := m.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &object)
	return object.Data["value"], object.UID, err
}

// everywhere waits until a ConfigMap has a value in all clusters.
func (w *world) everywhere(ctx context.Context, name, want string) error {
	return eventually(ctx, fmt.Sprintf("%s is %s everywhere", name, want), func() error {
		return w.each(ctx, func(m *member) error {
			got, _, err := m.value(ctx, name)
			if err == nil && got != want {
				err = fmt.Errorf("%s is %s", name, got)
			}
			return err
		})
	})
}

// count commits a new value of the counter and waits until it is applied and acknowledged everywhere.
func (w *world) count(ctx context.Context) (time.Duration, error) {
	w.counter++
	value := strconv.Itoa(w.counter)
	commit, pushed, err := w.commit(ctx, "Count to "+value, func(folder string) error {
		return write(folder, "bundles/check-a/counter.yaml", configMap("counter", map[string]string{"value": value}))
	})
	if err != nil {
		return 0, err
	}
	err = eventually(ctx, "bundle check-a is ready at "+commit[:8], func() error {
		bundle, err := w.bundle(ctx, "check-a")
		if err != nil {
			return err
		}
		if bundle.Status.Commit != commit || !meta.IsStatusConditionTrue(bundle.Status.Conditions, v1alpha1.ConditionReady) {
			return fmt.Errorf("it is at %.8s", bundle.Status.Commit)
		}
		return nil
	})
	took := time.Since(pushed)
	if err != nil {
		return 0, err
	}
	// What the hub says must be so: the objects are asked, too.
	return took, w.shown(ctx, "counter", value)
}

// shown asks every member once whether what the hub calls Ready is there. A member whose API server is being restarted, as the
// provider does when it starts itself, is asked again.
func (w *world) shown(ctx context.Context, name, want string) error {
	var early error
	err := eventually(ctx, "all members answer", func() error {
		early = nil
		return w.each(ctx, func(m *member) error {
			got, _, err := m.value(ctx, name)
			if err == nil && got != want {
				early = fmt.Errorf("the hub says Ready too early: %s is %s in %s", name, got, m.name)
			}
			return err
		})
	})
	return errors.Join(err, early)
}

// commits: what is pushed reaches every target.
func commits(ctx context.Context, w *world) error {
	var seconds []float64
	for range commitRounds {
		took, err := w.count(ctx)
		if err != nil {
			return err
		}
		seconds = append(seconds, took.Seconds())
	}
	w.result.CommitToReadyS = &percentiles{P50: percentile(seconds, 50), P95: percentile(seconds, 95), Max: percentile(seconds, 100)}
	return nil
}

// drift: a change by another to what a bundle owns is repaired, on the same object.
func drift(ctx context.Context, w *world) error {
	var seconds []float64
	for range driftRounds {
		err := w.each(ctx, func(m *member) error {
			took, err := m.repaired(ctx)
			seconds = append(seconds, took.Seconds())
			return err
		})
		if err != nil {
			return err
		}
	}
	w.result.DriftRepairS = &medianP95{P50: percentile(seconds, 50), P95: percentile(seconds, 95)}
	return nil
}

// repaired changes an object and measures how long it stays changed.
func (m *member) repaired(ctx context.Context) (time.Duration, error) {
	want, uid, err := m.value(ctx, "watched")
	if err != nil {
		return 0, err
	}
	object := &corev1.ConfigMap{}
	object.Namespace, object.Name = namespace, "watched"
	patch := client.RawPatch(types.MergePatchType, []byte(`{"data":{"value":"changed by hand"}}`))
	if err := m.client.Patch(ctx, object, patch, client.FieldOwner("someone")); err != nil {
		return 0, err
	}
	changed := time.Now()
	err = eventually(ctx, "the change is repaired", func() error {
		got, gotUID, err := m.value(ctx, "watched")
		if err == nil && (got != want || gotUID != uid) {
			err = fmt.Errorf("it is %q", got)
		}
		return err
	})
	return time.Since(changed), err
}

// prune: a manifest gone from Git is removed, and nothing else is.
func prune(ctx context.Context, w *world) error {
	commit, _, err := w.commit(ctx, "Remove pruned", func(folder string) error {
		return os.Remove(filepath.Join(folder, "bundles/check-a/pruned.yaml"))
	})
	if err != nil {
		return err
	}
	pruned := 0
	err = eventually(ctx, "pruned is gone everywhere", func() error {
		pruned = 0
		return w.each(ctx, func(m *member) error {
			if _, _, err := m.value(ctx, "pruned"); !apierrors.IsNotFound(err) {
				return fmt.Errorf("pruned is there (%v)", err)
			}
			pruned++
			_, _, err := m.value(ctx, "moved")
			return err
		})
	})
	if err != nil {
		return err
	}
	w.result.Pruned = ptr(pruned)
	return w.settle(ctx, commit)
}

// deny: the part of a commit that a policy denies is held at what ran before, and the rest goes on.
func deny(ctx context.Context, w *world) error {
	w.counter++
	value := strconv.Itoa(w.counter)
	allowed := configMap("watched", map[string]string{"value": "0"})
	if _, _, err := w.commit(ctx, "Something forbidden, and something else", func(folder string) error {
		return errors.Join(write(folder, "bundles/check-a/counter.yaml", configMap("counter", map[string]string{"value": value})),
			write(folder, "bundles/check-b/watched.yaml", configMap("watched", map[string]string{"value": "1", "forbidden": "yes"})))
	}); err != nil {
		return err
	}
	if err := w.everywhere(ctx, "counter", value); err != nil {
		return err
	}
	if err := eventually(ctx, "bundle check-b says that it is held", func() error {
		bundle, err := w.bundle(ctx, "check-b")
		if err != nil {
			return err
		}
		if meta.IsStatusConditionTrue(bundle.Status.Conditions, v1alpha1.ConditionReady) || bundle.Status.Clusters == nil || bundle.Status.Clusters.Held == 0 {
			return fmt.Errorf("it does not: %+v", bundle.Status.Conditions)
		}
		w.result.DeniedHeld = ptr(int(bundle.Status.Clusters.Held))
		return nil
	}); err != nil {
		return err
	}
	if err := w.each(ctx, func(m *member) error {
		got, _, err := m.value(ctx, "watched")
		if err == nil && got != "0" {
			err = fmt.Errorf("what was denied runs: watched is %s", got)
		}
		return err
	}); err != nil {
		return err
	}
	commit, _, err := w.commit(ctx, "Nothing forbidden", func(folder string) error {
		return write(folder, "bundles/check-b/watched.yaml", allowed)
	})
	if err != nil {
		return err
	}
	return w.settle(ctx, commit)
}

// move: an object that one commit takes from a bundle and gives to another is never deleted.
func move(ctx context.Context, w *world) error {
	before := map[string]types.UID{}
	if err := w.each(ctx, func(m *member) error {
		_, uid, err := m.value(ctx, "moved")
		before[m.name] = uid
		return err
	}); err != nil {
		return err
	}
	commit, _, err := w.commit(ctx, "Move moved", func(folder string) error {
		return os.Rename(filepath.Join(folder, "bundles/check-a/moved.yaml"), filepath.Join(folder, "bundles/check-b/moved.yaml"))
	})
	if err == nil {
		err = w.settle(ctx, commit)
	}
	if err != nil {
		return err
	}
	kept := w.each(ctx, func(m *member) error {
		var object corev1.ConfigMap
		if err := m.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "moved"}, &object); err != nil {
			return err
		}
		if object.UID != before[m.name] {
			return fmt.Errorf("moved was made anew")
		}
		if owner := object.Annotations[v1alpha1.AnnotationOwner]; !ownedBy(owner, "check-b") {
			return fmt.Errorf("moved is owned by %q", owner)
		}
		return nil
	})
	w.result.MovedKeptUID = ptr(kept == nil)
	return kept
}
