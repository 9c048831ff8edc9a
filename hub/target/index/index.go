// Package index knows which bundles and clusters have to do with each other, so that a change costs what it touches and not
// the fleet: which bundles a cluster's change can concern, and which clusters a bundle may choose. Its answers are candidates:
// package target decides about each. It is of one namespace, and not safe for concurrent use.
package index

import (
	"maps"
	"slices"

	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/target"
	"github.com/periplus-fleet/periplus/hub/target/expr"
)

// Index of a namespace's bundles and clusters.
type Index struct {
	groups   map[string]*target.Group
	clusters map[string]target.Cluster
	uids     map[string]string
	bundles  map[delivery.Key]entry

	// byTerm are the clusters that hold a term, such as a label with its value.
	byTerm sets[string, string]
	// anchored are the bundles that choose by a term, everywhere those that no term narrows.
	anchored   sets[string, delivery.Key]
	everywhere map[delivery.Key]bool
	// mentions are the bundles that a change of a field concerns.
	mentions sets[string, delivery.Key]
}

// entry is what the index holds of one bundle, to take it out again.
type entry struct {
	decl     fleet.BundleDecl
	reads    expr.Reads
	anchors  []string
	all      bool
	mentions []string
	groups   []string
}

// New makes an empty index.
func New(groups map[string]*target.Group) *Index {
	return &Index{groups: groups, clusters: map[string]target.Cluster{}, uids: map[string]string{}, bundles: map[delivery.Key]entry{},
		byTerm: sets[string, string]{}, anchored: sets[string, delivery.Key]{}, everywhere: map[delivery.Key]bool{},
		mentions: sets[string, delivery.Key]{}}
}

// Groups in force.
func (x *Index) Groups() map[string]*target.Group { return x.groups }

// Cluster by uid.
func (x *Index) Cluster(uid string) (target.Cluster, bool) {
	cluster, ok := x.clusters[uid]
	return cluster, ok
}

// UID of the cluster of a name.
func (x *Index) UID(name string) (string, bool) {
	uid, ok := x.uids[name]
	return uid, ok
}

// Size is how many clusters there are.
func (x *Index) Size() int { return len(x.clusters) }

// All clusters, by uid. It is the index's own.
func (x *Index) All() map[string]target.Cluster { return x.clusters }

// PutBundle takes a bundle over; reads are the fields of a cluster that its inputs depend on.
func (x *Index) PutBundle(decl fleet.BundleDecl, reads expr.Reads) {
	x.RemoveBundle(decl.Key)
	// The index lives longer than a commit's files.
	decl.Tree = nil
	e := entry{decl: decl, reads: reads}
	e.anchors, e.all = x.anchors(decl.Matchers.Targets)
	e.mentions, e.groups = x.mentioned(decl, reads)
	for _, term := range e.anchors {
		x.anchored.add(term, decl.Key)
	}
	if e.all {
		x.everywhere[decl.Key] = true
	}
	for _, mention := range e.mentions {
		x.mentions.add(mention, decl.Key)
	}
	x.bundles[decl.Key] = e
}

// RemoveBundle takes a bundle out.
func (x *Index) RemoveBundle(key delivery.Key) {
	e, ok := x.bundles[key]
	if !ok {
		return
	}
	for _, term := range e.anchors {
		x.anchored.remove(term, key)
	}
	for _, mention := range e.mentions {
		x.mentions.remove(mention, key)
	}
	delete(x.everywhere, key)
	delete(x.bundles, key)
}

// SetGroups takes over the groups in force, and says which bundles a change of them concerns.
func (x *Index) SetGroups(groups map[string]*target.Group) []delivery.Key {
	changed := map[string]bool{}
	for name := range groups {
		changed[name] = x.groups[name] == nil || x.groups[name].Selector().String() != groups[name].Selector().String()
	}
	for name := range x.groups {
		changed[name] = changed[name] || groups[name] == nil
	}
	x.groups = groups
	var concerned []delivery.Key
	for key, e := range x.bundles {
		if slices.ContainsFunc(e.groups, func(name string) bool { return changed[name] }) {
			concerned = append(concerned, key)
		}
	}
	for _, key := range concerned {
		x.PutBundle(x.bundles[key].decl, x.bundles[key].reads)
	}
	return concerned
}

// PutCluster takes a cluster over and says which bundles may choose it otherwise than before, or read what changed: none where
// nothing changed, for a new one those that may choose it.
func (x *Index) PutCluster(cluster target.Cluster) []delivery.Key {
	before, had := x.clusters[cluster.UID]
	if had && before.Name != cluster.Name {
		had = false
	}
	if uid, other := x.uids[cluster.Name]; other && uid != cluster.UID {
		x.RemoveCluster(uid)
	}
	x.RemoveCluster(cluster.UID)
	x.clusters[cluster.UID], x.uids[cluster.Name] = cluster, cluster.UID
	for _, term := range termsOf(cluster) {
		x.byTerm.add(term, cluster.UID)
	}
	may := map[delivery.Key]bool{}
	x.choosing(cluster, may)
	if !had {
		return slices.Sorted(maps.Keys(may))
	}
	changes := changed(before, cluster)
	if len(changes.mentions) == 0 {
		return nil
	}
	// Who would choose it neither before nor now has nothing to do with it, whatever it reads.
	x.choosing(before, may)
	if changes.taints {
		return slices.Sorted(maps.Keys(may))
	}
	found := map[delivery.Key]bool{}
	for _, mention := range changes.mentions {
		for key := range x.mentions[mention] {
			if may[key] {
				found[key] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// RemoveCluster takes a cluster out.
func (x *Index) RemoveCluster(uid string) {
	cluster, ok := x.clusters[uid]
	if !ok {
		return
	}
	for _, term := range termsOf(cluster) {
		x.byTerm.remove(term, uid)
	}
	delete(x.clusters, uid)
	if x.uids[cluster.Name] == uid {
		delete(x.uids, cluster.Name)
	}
}

// Bundles that may choose a cluster.
func (x *Index) Bundles(uid string) []delivery.Key {
	found := map[delivery.Key]bool{}
	if cluster, ok := x.clusters[uid]; ok {
		x.choosing(cluster, found)
	}
	return slices.Sorted(maps.Keys(found))
}

func (x *Index) choosing(cluster target.Cluster, found map[delivery.Key]bool) {
	maps.Copy(found, x.everywhere)
	for _, term := range termsOf(cluster) {
		maps.Copy(found, x.anchored[term])
	}
}

// Clusters that a bundle may choose, by uid.
func (x *Index) Clusters(key delivery.Key) []string {
	e, ok := x.bundles[key]
	if !ok {
		return nil
	}
	if e.all {
		return slices.Sorted(maps.Keys(x.clusters))
	}
	found := map[string]bool{}
	for _, term := range e.anchors {
		maps.Copy(found, x.byTerm[term])
	}
	return slices.Sorted(maps.Keys(found))
}

// Reads are the fields of a cluster that a bundle's inputs depend on.
func (x *Index) Reads(key delivery.Key) expr.Reads { return x.bundles[key].reads }

// sets by key; an empty one is not kept.
type sets[K, V comparable] map[K]map[V]bool

func (s sets[K, V]) add(key K, value V) {
	if s[key] == nil {
		s[key] = map[V]bool{}
	}
	s[key][value] = true
}

func (s sets[K, V]) remove(key K, value V) {
	delete(s[key], value)
	if len(s[key]) == 0 {
		delete(s, key)
	}
}
