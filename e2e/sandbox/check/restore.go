package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/e2e/sandbox"
)

// restored ends a drill: the fleet is as declared again, by itself or after `periplus recover`, and no workload was touched.
func (w *world) restored(ctx context.Context, since time.Time) error {
	alone, cancel := context.WithTimeout(ctx, time.Minute)
	err := w.reconnected(alone, since)
	cancel()
	if err != nil {
		w.say("not by itself (%v): periplus recover", err)
		if _, recoverErr := w.periplus(ctx, "recover", "accept"); recoverErr != nil {
			err = errors.Join(err, recoverErr)
		} else {
			err = w.reconnected(ctx, since)
		}
	}
	if err != nil {
		w.result.Recovered = ptr(false)
		return err
	}
	touched, names, err := w.delivered(ctx, since)
	if err != nil {
		return err
	}
	total := touched
	if w.result.RestoreObjectsTouched != nil {
		total += *w.result.RestoreObjectsTouched
	}
	w.result.RestoreObjectsTouched = ptr(total)
	if touched > 0 {
		w.result.Recovered = ptr(false)
		return fmt.Errorf("%d objects were touched: %s", touched, names)
	}
	if w.result.Recovered == nil {
		w.result.Recovered = ptr(true)
	}
	// And what is committed next arrives.
	_, err = w.count(ctx)
	return err
}

// restoreStore puts an older copy of the SQL store in the place of the newer one.
func restoreStore(ctx context.Context, w *world) error {
	store, copied := w.cfg.Sandbox.StorePath(), w.cfg.Sandbox.StorePath()+".copy"
	if err := w.box.Stop(ctx, sandbox.PartHub); err != nil {
		return err
	}
	if err := copyStore(store, copied); err != nil {
		return err
	}
	if err := w.box.Start(ctx, sandbox.PartHub); err != nil {
		return err
	}
	// What the copy does not know: revisions of after it.
	for range 2 {
		if _, err := w.count(ctx); err != nil {
			return err
		}
	}
	if err := w.box.Stop(ctx, sandbox.PartHub); err != nil {
		return err
	}
	if err := copyStore(copied, store); err != nil {
		return err
	}
	since := time.Now()
	if err := w.box.Start(ctx, sandbox.PartHub); err != nil {
		return err
	}
	return w.restored(ctx, since)
}

// copyStore copies a stopped SQLite database with its write-ahead log; a log of the target that the source has not is removed.
func copyStore(from, to string) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		data, err := os.ReadFile(from + suffix)
		switch {
		case errors.Is(err, os.ErrNotExist) && suffix != "":
			if err := os.Remove(to + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		case err != nil:
			return err
		default:
			if err := os.WriteFile(to+suffix, data, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// restoreProjections deletes the Bundles of the hub's API: they are projections, and their loss means nothing.
func restoreProjections(ctx context.Context, w *world) error {
	since := time.Now()
	removeAll := func() error {
		return w.box.Client.DeleteAllOf(ctx, &v1alpha1.Bundle{}, client.InNamespace(sandbox.TenantNamespace))
	}
	err := removeAll()
	if apierrors.IsForbidden(err) || apierrors.IsInvalid(err) {
		// Admission refuses it, as it should: the guard goes too, as in a restore of parts of etcd.
		bindings := &unstructured.UnstructuredList{}
		bindings.SetGroupVersionKind(schema.GroupVersionKind{Group: "admissionregistration.k8s.io", Version: "v1", Kind: "ValidatingAdmissionPolicyBindingList"})
		if err := w.box.Client.List(ctx, bindings); err != nil {
			return err
		}
		for i := range bindings.Items {
			if err := w.box.Client.Delete(ctx, &bindings.Items[i]); err != nil {
				return err
			}
		}
		defer func() { _ = w.box.Reinstall(context.WithoutCancel(ctx)) }()
		err = eventually(ctx, "Bundles may be deleted", removeAll)
	}
	if err != nil {
		return err
	}
	return w.restored(ctx, since)
}

// restoreEtcd puts the hub's etcd back to an older copy: its Kubernetes objects are of before the last commits.
func restoreEtcd(ctx context.Context, w *world) error {
	data := filepath.Join(w.cfg.Sandbox.Folder, "hub-etcd", "data")
	copied := data + ".copy"
	// The order in which they need each other; they end the other way round.
	parts := []string{sandbox.PartHubEtcd, sandbox.PartAPI, sandbox.PartControllers, sandbox.PartProviders, sandbox.PartHub}
	swap := func(change func() error) error {
		for i := len(parts) - 1; i >= 0; i-- {
			if err := w.box.Stop(ctx, parts[i]); err != nil {
				return err
			}
		}
		if err := change(); err != nil {
			return err
		}
		for _, part := range parts {
			if err := w.box.Start(ctx, part); err != nil {
				return err
			}
		}
		return nil
	}
	if err := swap(func() error { return os.CopyFS(copied, os.DirFS(data)) }); err != nil {
		return err
	}
	if err := w.reconnected(ctx, time.Now()); err != nil {
		return err
	}
	for range 2 {
		if _, err := w.count(ctx); err != nil {
			return err
		}
	}
	since := time.Now()
	if err := swap(func() error { return errors.Join(os.RemoveAll(data), os.Rename(copied, data)) }); err != nil {
		return err
	}
	return w.restored(ctx, since)
}
