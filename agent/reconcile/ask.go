package reconcile

import linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"

// Status is what was last said of a bundle; nil where nothing was. The caller does not change it.
func (r *Reconciler) Status(bundle string) *linkv1.BundleStatus {
	r.mu.Lock()
	b := r.bundles[bundle]
	r.mu.Unlock()
	if b == nil {
		return nil
	}
	return b.last()
}
