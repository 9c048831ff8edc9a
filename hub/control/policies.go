package control

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/gate"
	"github.com/periplus-fleet/periplus/hub/store"
	"github.com/periplus-fleet/periplus/policies/engine"
	"github.com/periplus-fleet/periplus/policies/parcel"
)

// spread remembers which policies the clusters of a namespace were given, so that an unchanged cluster costs a comparison.
type spread struct {
	policies *engine.Snapshot
	given    map[string]given
}

// given is what one cluster has, and what that was made of.
type given struct {
	made     string
	revision content.Digest
	options  *linkv1.Options
}

// packed is one revision of policies.
type packed struct {
	revision content.Digest
	empty    bool
}

// spreadPolicies gives each cluster whose agent evaluates policies those that have a say on it. They travel as a bundle does.
func (p *planner) spreadPolicies(ctx context.Context, term uint64, n news) error {
	points, err := p.store.PolicyPoints(ctx, n.Namespace)
	if err != nil {
		return err
	}
	s := &p.spread
	if s.given == nil || n.All {
		if s.given, err = p.givenPolicies(ctx, n.Namespace); err != nil {
			return err
		}
	}
	renewed := s.policies != n.Declared.policies
	made := map[string]packed{}
	var changes []store.Change
	next := maps.Clone(s.given)
	for _, uid := range slices.Sorted(maps.Keys(union(points, s.given))) {
		cluster, present := p.index.Cluster(uid)
		if !present || n.Relearning[uid] {
			continue
		}
		facts := gate.Cluster(cluster)
		before, had := s.given[uid]
		of := fmt.Sprint(points[uid], cluster)
		if had && !renewed && before.made == of {
			continue
		}
		one := packed{empty: true}
		if len(points[uid]) > 0 {
			if one, err = p.packPolicies(ctx, n, made, facts, points[uid]); err != nil {
				return err
			}
		}
		if one.empty {
			if had {
				changes = append(changes, noPolicies(n, uid, cluster.Name, before, len(points[uid]) > 0))
				delete(next, uid)
			}
			continue
		}
		addressed, err := parcel.Address(one.revision, n.Declared.policies.Seen(facts), p.policyKey)
		if err != nil {
			return err
		}
		options := &linkv1.Options{Policies: addressed}
		next[uid] = given{made: of, revision: one.revision, options: options}
		if !had || before.revision != one.revision || !proto.Equal(before.options, options) {
			changes = append(changes, somePolicies(n, uid, cluster.Name, before, next[uid]))
		}
	}
	if err := p.apply(ctx, term, changes); err != nil {
		return err
	}
	s.policies, s.given = n.Declared.policies, next
	return nil
}

// givenPolicies are what the store says that clusters have.
func (p *planner) givenPolicies(ctx context.Context, namespace string) (map[string]given, error) {
	rows, err := p.store.Deliveries(ctx, store.DeliveryFilter{Namespace: namespace, Bundle: delivery.Key(content.PoliciesEntry(namespace))})
	out := map[string]given{}
	for _, row := range rows {
		if row.Tombstone == nil {
			out[row.ClusterUID] = given{revision: row.Assigned.Revision, options: row.Assigned.Options}
		}
	}
	return out, err
}

// packPolicies makes the revision of the policies that have a say on a cluster; clusters on which the same do share it.
func (p *planner) packPolicies(ctx context.Context, n news, made map[string]packed, cluster engine.Cluster, points []string) (packed, error) {
	source := n.Declared.policies.For(cluster, n.Now, points...)
	var names []string
	for _, b := range source.Bindings {
		names = append(names, b.Metadata.Name)
	}
	names = append(names, "")
	for _, e := range source.Exemptions {
		names = append(names, e.Metadata.Name)
	}
	key := strings.Join(append(names, points...), "\n")
	if known, already := made[key]; already {
		return known, nil
	}
	out := packed{empty: len(source.Modules)+len(source.Gatekeeper) == 0}
	if !out.empty {
		manifest, blobs, err := parcel.Pack(source)
		if err != nil {
			return packed{}, err
		}
		if out.revision, err = p.store.PutRevision(ctx, manifest, blobs); err != nil {
			return packed{}, err
		}
	}
	made[key] = out
	return out, nil
}

func somePolicies(n news, uid, cluster string, before, now given) store.Change {
	none := ""
	assignment := delivery.Assignment{Revision: now.revision, Options: now.options, RequiredCapabilities: []string{content.CapabilityPolicies},
		Commit: n.Declared.commit()}
	key := pair{uid, delivery.Key(content.PoliciesEntry(n.Namespace))}
	return store.Change{ClusterUID: uid, Bundle: key.bundle, Target: &assignment, Assigned: &assignment, ClearTombstone: true, Reason: &none, Message: &none,
		Events: []delivery.Event{happened(planInput{Namespace: n.Namespace, Now: n.Now}, key, cluster, "Assigned", string(before.revision),
			string(now.revision), assignment.Commit, "")}}
}

func noPolicies(n news, uid, cluster string, before given, asked bool) store.Change {
	message := "the cluster's agent evaluates no policies any more"
	if asked {
		message = "no policy has a say on the cluster any more"
	}
	none := ""
	cause := delivery.Cause{Kind: "target", Ref: n.Declared.commit(), Message: message}
	key := pair{uid, delivery.Key(content.PoliciesEntry(n.Namespace))}
	return store.Change{ClusterUID: uid, Bundle: key.bundle, Reason: &none, Message: &none, Tombstone: &delivery.Tombstone{Cause: cause, Confirmed: true},
		Events: []delivery.Event{happened(planInput{Namespace: n.Namespace, Now: n.Now}, key, cluster, "Tombstoned", string(before.revision), "",
			cause.Ref, message)}}
}

// union of the keys of both.
func union[A, B any](a map[string]A, b map[string]B) map[string]bool {
	out := make(map[string]bool, len(a)+len(b))
	for key := range a {
		out[key] = true
	}
	for key := range b {
		out[key] = true
	}
	return out
}
