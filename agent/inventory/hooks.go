package inventory

import (
	"maps"
	"reflect"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/api/content"
)

// Hooks is how far the hooks of a bundle ran, and which objects of theirs the agent made. It is written before a hook's
// object is made and after, so that a restarted agent neither runs a hook twice nor leaves one out. The zero value is
// that of a bundle that never had hooks.
type Hooks struct {
	// Run counts how often hooks began to run; those of one run belong together.
	Run uint64 `json:"run,omitempty"`
	// Change counts the writes: of two, the higher one is the newer.
	Change uint64 `json:"change,omitempty"`
	// Revision whose hooks run, and when of the bundle's life.
	Revision content.Digest `json:"revision,omitempty"`
	Moment   Moment         `json:"moment,omitempty"`
	// Passed are the hooks of this run that are done, as HookKey names them.
	Passed []string `json:"passed,omitempty"`
	// Failed is the hook that ended the run; "" while none did.
	Failed string `json:"failed,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Objects that hooks of this and of earlier runs made and nobody removed.
	Objects map[string]HookObject `json:"objects,omitempty"`
}

// Moment of a bundle's life.
type Moment string

// The moments.
const (
	Install Moment = "install"
	Upgrade Moment = "upgrade"
	Removal Moment = "removal"
)

// HookState is how far the object of a hook is.
type HookState string

// The states of a hook's object.
const (
	// HookCreating: it is about to be made; whether it was is not known until the cluster is asked.
	HookCreating  HookState = "creating"
	HookRunning   HookState = "running"
	HookSucceeded HookState = "succeeded"
	HookFailed    HookState = "failed"
	// HookAbandoned: a newer revision or a removal did not wait for it.
	HookAbandoned HookState = "abandoned"
)

// HookObject is the object of a hook.
type HookObject struct {
	content.ObjectID
	Version    string `json:"version"`
	Resource   string `json:"resource"`
	Namespaced bool   `json:"namespaced,omitempty"`
	// Run and Event that it was made for.
	Run   uint64    `json:"run"`
	Event string    `json:"event"`
	State HookState `json:"state"`
	// UID of the object that the agent made; "" while it is about to be made.
	UID     string    `json:"uid,omitempty"`
	Started time.Time `json:"started,omitzero"`
	// Policies say when it is deleted.
	Policies []string `json:"policies,omitempty"`
	// Transient: the cluster removes it by itself once it is done.
	Transient bool `json:"transient,omitempty"`
}

// Reach says how the object is reached.
func (o HookObject) Reach() kube.Resource {
	return kube.Resource{GroupVersionResource: schema.GroupVersionResource{Group: o.Group, Version: o.Version, Resource: o.Resource},
		Kind: o.Kind, Namespaced: o.Namespaced}
}

// Waiting says that the object is waited for.
func (o HookObject) Waiting() bool { return o.State == HookCreating || o.State == HookRunning }

// Retries says that the hook runs again once somebody deletes its object: a failed Job that does not expire by itself.
func (o HookObject) Retries() bool {
	return o.State == HookFailed && o.Group == "batch" && o.Kind == "Job" && !o.Transient
}

// HookKey names a hook at one event: one object may be the hook of several.
func HookKey(event string, id content.ObjectID) string { return event + " " + id.String() }

// Done says that a hook of this run is done.
func (h Hooks) Done(event string, id content.ObjectID) bool {
	return slices.Contains(h.Passed, HookKey(event, id))
}

// Clone is a copy that can be changed.
func (h Hooks) Clone() Hooks {
	h.Passed = slices.Clone(h.Passed)
	h.Objects = maps.Clone(h.Objects)
	return h
}

// Equal says that both say the same.
func (h Hooks) Equal(other Hooks) bool {
	h.Change, other.Change = 0, 0
	if len(h.Objects) == 0 && len(other.Objects) == 0 {
		h.Objects, other.Objects = nil, nil
	}
	return reflect.DeepEqual(h, other)
}

// Keep remembers an object.
func (h *Hooks) Keep(o HookObject) {
	if h.Objects == nil {
		h.Objects = map[string]HookObject{}
	}
	h.Objects[o.String()] = o
}

// Object of an identity.
func (h Hooks) Object(id content.ObjectID) (HookObject, bool) {
	o, ok := h.Objects[id.String()]
	return o, ok
}

// Forget drops an object.
func (h *Hooks) Forget(id content.ObjectID) { delete(h.Objects, id.String()) }

// Sorted are the objects in one order.
func (h Hooks) Sorted() []HookObject {
	return slices.SortedFunc(maps.Values(h.Objects), func(a, b HookObject) int { return a.Compare(b.ObjectID) })
}
