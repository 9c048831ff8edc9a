// Package inventory remembers which objects of the cluster are each bundle's: identities are written before an object is
// applied and UIDs after, so that nothing that the agent made is ever forgotten, and nothing that others made is ever
// taken for its own. It is what prune decides from, what observe watches, and what lets a restarted agent see that
// nothing is to do. It is kept in Secrets of the agent's namespace.
package inventory

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/api/content"
)

// Record is one object. Its identity bears the namespace that it was applied to, also when its content names none.
type Record struct {
	content.ObjectID
	Version    string `json:"version"`
	Resource   string `json:"resource"`
	Namespaced bool   `json:"namespaced,omitempty"`
	Phase      int    `json:"phase"`
	// Wave that it was applied in: those of higher waves go before it.
	Wave int `json:"wave,omitempty"`
	// UID of the object that the agent applied; "" while unsettled: it was about to be created, and whether it was is
	// not known until the cluster is asked.
	UID string `json:"uid,omitempty"`
	// Digest of the content that was applied, and Input of everything else that went into the apply (options, account).
	Digest content.Digest `json:"digest,omitempty"`
	Input  string         `json:"input,omitempty"`
	// Fields is owned.Digest of the object as the apply left it: another value in the live object is drift.
	Fields string `json:"fields,omitempty"`
	// Transient objects end by themselves (a Job that is removed some time after it finished): that one is gone says that
	// it is done.
	Transient bool `json:"transient,omitempty"`
	// Once are the JSON pointers of fields that are applied at creation only, one a line.
	Once string `json:"once,omitempty"`
	// Keep the object when it leaves the bundle.
	Keep bool `json:"keep,omitempty"`
	// Always says that no person is asked before it is removed.
	Always bool `json:"always,omitempty"`
	// Confirmed by a person: its removal is not held.
	Confirmed bool `json:"confirmed,omitempty"`
}

// Settled says that the object is known to be the agent's.
func (r Record) Settled() bool { return r.UID != "" }

// Reach says how the object is reached.
func (r Record) Reach() kube.Resource {
	return kube.Resource{GroupVersionResource: schema.GroupVersionResource{Group: r.Group, Version: r.Version, Resource: r.Resource},
		Kind: r.Kind, Namespaced: r.Namespaced}
}

// Inventory is the objects of one bundle.
type Inventory struct {
	Bundle string
	// Account is the ServiceAccount that the bundle was applied as, for removing it when its entry is gone.
	Account string
	// Revision that was last applied whole.
	Revision content.Digest
	// DependsOn are the bundles that this one needed when it was last applied: it is removed before them.
	DependsOn []string
	Records   map[content.ObjectID]Record
	Hooks     Hooks
	Fate
}

// Clone is a copy that can be changed.
func (i Inventory) Clone() Inventory {
	i.Records = maps.Clone(i.Records)
	if i.Records == nil {
		i.Records = map[content.ObjectID]Record{}
	}
	i.Hooks = i.Hooks.Clone()
	return i
}

// Equal says that writing other would change nothing.
func (i Inventory) Equal(other Inventory) bool {
	return i.Bundle == other.Bundle && i.Account == other.Account && i.Revision == other.Revision && i.Fate == other.Fate &&
		slices.Equal(i.DependsOn, other.DependsOn) && i.Hooks.Equal(other.Hooks) && maps.Equal(i.Records, other.Records)
}

// Empty says that there is nothing to remember.
func (i Inventory) Empty() bool {
	return len(i.Records) == 0 && i.Revision == "" && i.Fate == (Fate{}) && len(i.Hooks.Objects) == 0 && i.Hooks.Run == 0
}

// Sorted are the records by phase and identity.
func (i Inventory) Sorted() []Record {
	return slices.SortedFunc(maps.Values(i.Records), func(a, b Record) int {
		if a.Phase != b.Phase {
			return a.Phase - b.Phase
		}
		return a.Compare(b.ObjectID)
	})
}

// Find is the record of a manifest's item. An item that names no namespace is cluster-scoped, or lies in the default
// namespace: only the record knows.
func (i Inventory) Find(id content.ObjectID, defaultNamespace string) (Record, bool) {
	if record, ok := i.Records[id]; ok || id.Namespace != "" {
		return record, ok
	}
	id.Namespace = DefaultNamespace(defaultNamespace)
	record, ok := i.Records[id]
	return record, ok
}

// DefaultNamespace of objects that name none, in a revision that names none either.
func DefaultNamespace(of string) string {
	if of == "" {
		return "default"
	}
	return of
}
