package observe

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/periplus-fleet/periplus/api/content"
)

// maxKept is how many drifted objects are kept whole at once, of those that are not large. Others are asked for.
const maxKept = 64

// Drifted gives, once, the whole of a drifted object as it was seen last, so that what changed can be told without a
// request; nil when it is not at hand.
func (t *Tracker) Drifted(bundle string, id content.ObjectID) *unstructured.Unstructured {
	t.mu.Lock()
	defer t.mu.Unlock()
	found := t.objects[t.bundles[bundle][id]]
	if found == nil {
		return nil
	}
	live := found.live
	t.keep(found, nil)
	return live
}

func (o *object) drifted() bool {
	return o.known && o.extract.Exists && o.fields != "" && o.extract.Fields != o.fields
}

// keep holds an object whole, or lets go of it.
func (t *Tracker) keep(o *object, live *unstructured.Unstructured) {
	if o == nil {
		return
	}
	if o.live != nil {
		t.kept--
	}
	o.live = nil
	if live != nil && t.kept < maxKept && weight(live.Object) <= maxKeptWeight {
		o.live = live
		t.kept++
	}
}
