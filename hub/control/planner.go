package control

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/gate"
	"github.com/periplus-fleet/periplus/hub/produce"
	"github.com/periplus-fleet/periplus/hub/render"
	"github.com/periplus-fleet/periplus/hub/store"
	"github.com/periplus-fleet/periplus/hub/target"
	"github.com/periplus-fleet/periplus/hub/target/index"
	"github.com/periplus-fleet/periplus/policies/engine"
)

// removalWindow is how long what a cause took counts with what it takes next: one commit's changes of clusters arrive in parts.
const removalWindow = time.Minute

// planStore is what a planner needs of the store.
type planStore interface {
	PutRevision(ctx context.Context, manifest content.Manifest, blobs map[content.Digest][]byte) (content.Digest, error)
	Deliveries(ctx context.Context, filter store.DeliveryFilter) ([]delivery.Delivery, error)
	Facts(ctx context.Context, uid string) (store.Facts, error)
	PolicyPoints(ctx context.Context, namespace string) (map[string][]string, error)
	Apply(ctx context.Context, term uint64, changes []store.Change) error
	PutWarnings(ctx context.Context, term uint64, warnings map[delivery.Key]delivery.Warnings) error
}

// planner turns a namespace's declarations into changes of its deliveries. Between plans it knows which bundles and clusters
// have to do with each other, so that a plan looks only at pairs that something changed for; what it knows is rebuilt by a
// full plan, the first one after a start.
type planner struct {
	resolver *target.Resolver
	renderer *render.Renderer
	gate     *gate.Gate
	store    planStore
	charts   produce.Charts
	values   valuesSource
	// policyKey signs what clusters are given of policies; nil signs nothing.
	policyKey ed25519.PrivateKey

	// complete says that index and outcomes are those of a full plan and of all since.
	complete bool
	index    *index.Index
	declared declaration
	bundles  map[delivery.Key]plannedBundle
	// ranks order bundles after those that they wait for on other clusters.
	ranks map[delivery.Key]int
	gone  map[delivery.Key]delivery.Cause
	// outcomes by pair: an unchanged pair costs a map look-up.
	outcomes *outcomes
	// warnings of bundles that have some; never changed, only replaced.
	warnings map[delivery.Key]delivery.Warnings
	// pending is what is to be looked at and was not planned yet, also over a plan that failed.
	pending pending
	// held are the pairs whose removal waits for a person, waiting those that wait for others, by bundle.
	held    map[pair]bool
	waiting map[delivery.Key]*waitingBundle
	// removed are removals of the last moments.
	removed []recentRemoval
	// relearning are the clusters that keep what they have.
	relearning map[string]bool
	// again is when pairs whose chart could not be had are tried again.
	again map[pair]time.Time
	// planned is when the last plan was, for what ends by the clock.
	planned time.Time
	// facts that agents reported, of clusters for which a bundle asks, and marks by which to tell new ones.
	facts map[string]store.Facts
	marks map[string]string
	// digests of the external values of bundles that name some.
	digests map[delivery.Key]string
	// put are revisions that were written, and when.
	put  map[content.Digest]time.Time
	work Work
	// spread is what clusters were given of policies.
	spread spread
}

// Work counts what plans did.
type Work struct {
	// Plans, and how many of them were full.
	Plans, Full int
	// Pairs looked at, of which the selectors were evaluated; Computed are those whose inputs had changed, Judged those of which
	// only policies had.
	Pairs, Matched, Computed, Judged int
	// Rows of deliveries read, and Changes written.
	Rows, Changes int
}

// pending pairs.
type pending struct {
	pairs map[pair]bool
	// bundles everywhere, and clusters with all their bundles, by uid.
	bundles  map[delivery.Key]bool
	clusters map[string]bool
	// judge are bundles of which policies may say something else.
	judge map[delivery.Key]bool
}

type recentRemoval struct {
	at         time.Time
	cause, uid string
}

func (c *Controller) newPlanner() *planner {
	p := &planner{resolver: c.cfg.Resolver, renderer: c.cfg.Renderer, gate: c.cfg.Gate, store: c.cfg.Store, values: c.values, policyKey: c.cfg.PolicyKey}
	if c.cfg.Charts != nil {
		p.charts = c.cfg.Charts
	}
	p.forget()
	return p
}

// forget makes the next plan a full one.
func (p *planner) forget() {
	p.complete = false
	p.index = index.New(nil)
	p.bundles, p.ranks, p.gone = map[delivery.Key]plannedBundle{}, map[delivery.Key]int{}, map[delivery.Key]delivery.Cause{}
	p.held, p.waiting, p.facts = map[pair]bool{}, map[delivery.Key]*waitingBundle{}, map[string]store.Facts{}
	p.digests = map[delivery.Key]string{}
	p.again, p.put = map[pair]time.Time{}, map[content.Digest]time.Time{}
	p.pending.clear()
	if p.outcomes == nil {
		p.outcomes = newOutcomes()
	}
}

func (n *pending) clear() {
	n.pairs, n.bundles, n.clusters, n.judge = map[pair]bool{}, map[delivery.Key]bool{}, map[string]bool{}, map[delivery.Key]bool{}
}

func (n *pending) empty() bool { return len(n.pairs)+len(n.bundles)+len(n.clusters)+len(n.judge) == 0 }

// takeDeclared takes over what the repos declare now, and notes the bundles that changed.
func (p *planner) takeDeclared(declared declaration) {
	p.declared = declared
	next := make(map[delivery.Key]plannedBundle, len(declared.bundles))
	for _, bundle := range declared.bundles {
		next[bundle.Key] = bundle
		if before, had := p.bundles[bundle.Key]; had && before.sameContent(bundle) {
			continue
		}
		p.index.PutBundle(bundle.BundleDecl, p.reads(bundle))
		p.pending.bundles[bundle.Key] = true
	}
	for key := range p.bundles {
		if _, still := next[key]; !still {
			p.index.RemoveBundle(key)
			delete(p.waiting, key)
			p.pending.bundles[key] = true
		}
	}
	p.bundles = next
	for _, key := range p.index.SetGroups(declared.groups) {
		p.pending.bundles[key] = true
	}
	p.rank()
}

// takeCluster takes over what is declared of a cluster, and notes what that concerns.
func (p *planner) takeCluster(cluster target.Cluster, now time.Time) error {
	before, had := p.index.Cluster(cluster.UID)
	for _, key := range p.index.PutCluster(cluster) {
		p.pending.pairs[pair{cluster.UID, key}] = true
	}
	if !had {
		p.pending.clusters[cluster.UID] = true
		return nil
	}
	// A policy that looks at what changed may judge all that runs there otherwise.
	was, err := p.declared.policies.Sees(gate.Cluster(before), now)
	if err != nil {
		return err
	}
	is, err := p.declared.policies.Sees(gate.Cluster(cluster), now)
	if was != is {
		p.pending.clusters[cluster.UID] = true
	}
	return err
}

// takeFacts notes the clusters whose agents reported something new, for bundles whose charts may ask for it.
func (p *planner) takeFacts(uid string, facts store.Facts) {
	if before, had := p.facts[uid]; had && before.KubernetesVersion == facts.KubernetesVersion && slices.Equal(before.APIVersions, facts.APIVersions) {
		return
	}
	p.facts[uid] = facts
	for _, key := range p.index.Bundles(uid) {
		if p.bundles[key].asksFacts() {
			p.pending.pairs[pair{uid, key}] = true
		}
	}
}

// takeRelearning notes clusters that begin or end to be relearned.
func (p *planner) takeRelearning(now map[string]bool) {
	for uid := range now {
		if !p.relearning[uid] {
			p.pending.clusters[uid] = true
		}
	}
	for uid := range p.relearning {
		if !now[uid] {
			p.pending.clusters[uid] = true
		}
	}
	p.relearning = now
}

// suspensionsOver notes bundles whose suspension ended since the last plan.
func (p *planner) suspensionsOver(now time.Time) {
	for key, bundle := range p.bundles {
		if s := bundle.Spec.Suspend; s != nil && !s.Until.After(now) && s.Until.After(p.planned) {
			p.pending.bundles[key] = true
		}
	}
}

// takePolicies notes the bundles with objects that policies may judge otherwise now.
func (p *planner) takePolicies(before *engine.Snapshot) {
	touches := p.declared.policies.Since(before)
	known := map[kinds]bool{}
	for key, all := range p.outcomes.kinds {
		for kinds := range all {
			touched, asked := known[kinds]
			if !asked {
				touched = kinds.any(touches)
				known[kinds] = touched
			}
			if touched {
				p.pending.judge[key] = true
			}
		}
	}
}

// noteAll notes everything: all pairs that there may be.
func (p *planner) noteAll() {
	for key := range p.bundles {
		p.pending.bundles[key] = true
	}
	for key := range p.gone {
		p.pending.bundles[key] = true
	}
}

// sorted puts bundles after those that they wait for.
func (p *planner) sorted(pairs map[pair]bool) []pair {
	return slices.SortedFunc(maps.Keys(pairs), func(a, b pair) int {
		return cmp.Or(cmp.Compare(p.ranks[a.bundle], p.ranks[b.bundle]), strings.Compare(string(a.bundle), string(b.bundle)),
			strings.Compare(a.cluster, b.cluster))
	})
}
