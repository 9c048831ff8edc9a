package inventory

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/periplus-fleet/periplus/agent/desired"
	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/api/content"
)

const (
	formatVersion = 1
	// shardRecords is far below what a Secret can hold, so that a change of one object writes little.
	shardRecords = 500
	// bundleAnnotation of a Secret says whose inventory it holds, to people.
	bundleAnnotation = "fleet.periplus.dev/bundle"
)

// shard is what one Secret holds.
type shard struct {
	Version   int            `json:"version"`
	Bundle    string         `json:"bundle"`
	Account   string         `json:"account,omitempty"`
	Revision  content.Digest `json:"revision,omitempty"`
	DependsOn []string       `json:"dependsOn,omitempty"`
	Records   []Record       `json:"records"`
	// Tail says that this is not the first shard, in which alone stands what is the bundle's and no record's: a new
	// revision with one changed object writes two shards, however many there are.
	Tail bool `json:"tail,omitempty"`
	// Hooks stand in the first shard alone.
	Hooks *Hooks `json:"hooks,omitempty"`
	Fate  *Fate  `json:"fate,omitempty"`
}

// shards are Secrets by name, with a hash of the content that was written or read last.
type shards map[string][sha256.Size]byte

// Store holds all inventories, in memory and in the cluster.
type Store struct {
	secrets *kube.Secrets

	mu      sync.Mutex
	bundles map[string]Inventory
	// owners by identity: the first bundle that wrote an object down has it until it lets go.
	owners map[content.ObjectID]string
	// shards that each bundle has in the cluster, each with a hash of what it holds.
	shards map[string]shards
	// unreadable says which Secrets were no inventory when the store was opened, and why.
	unreadable []error
}

// Open reads every inventory. Shards of two sizes, left by a crash, are joined: what was written down is never lost.
func Open(ctx context.Context, secrets *kube.Secrets) (*Store, error) {
	s := &Store{secrets: secrets, bundles: map[string]Inventory{}, owners: map[content.ObjectID]string{}, shards: map[string]shards{}}
	list, err := secrets.List(ctx, "inventory")
	if err != nil {
		return nil, fmt.Errorf("cannot read the inventory: %w", err)
	}
	for _, secret := range list {
		part, sum, err := decode(secret.Data["records"])
		if err != nil {
			// What it held stays in the cluster: it is taken up again as the bundle is applied, and never removed unasked.
			s.unreadable = append(s.unreadable, fmt.Errorf("cannot read the inventory of bundle %q in Secret %q: %w", secret.Annotations[bundleAnnotation], secret.Name, err))
			continue
		}
		s.join(secret.Name, part, sum)
	}
	for bundle, inventory := range s.bundles {
		for id := range inventory.Records {
			if other, taken := s.owners[id]; !taken || !s.bundles[other].Records[id].Settled() {
				s.owners[id] = bundle
			}
		}
	}
	return s, nil
}

func decode(data []byte) (part shard, sum [sha256.Size]byte, err error) {
	raw, err := desired.Decompress(data)
	if err != nil {
		return shard{}, sum, err
	}
	if err := json.Unmarshal(raw, &part); err != nil {
		return shard{}, sum, fmt.Errorf("cannot decode it: %w", err)
	}
	if part.Version < 1 || part.Version > formatVersion || part.Bundle == "" {
		return shard{}, sum, fmt.Errorf("its version is %d, this agent knows %d", part.Version, formatVersion)
	}
	return part, sha256.Sum256(raw), nil
}

// Unreadable says what of the inventories could not be read when the store was opened.
func (s *Store) Unreadable() []error { return s.unreadable }

func (s *Store) join(name string, part shard, sum [sha256.Size]byte) {
	inventory, ok := s.bundles[part.Bundle]
	if !ok {
		inventory = Inventory{Bundle: part.Bundle}.Clone()
		s.shards[part.Bundle] = shards{}
	}
	s.shards[part.Bundle][name] = sum
	if !part.Tail {
		inventory.Account, inventory.Revision, inventory.DependsOn = part.Account, part.Revision, part.DependsOn
	}
	if part.Fate != nil {
		inventory.Fate = *part.Fate
	}
	if part.Hooks != nil && part.Hooks.Change >= inventory.Hooks.Change {
		inventory.Hooks = *part.Hooks
	}
	for _, record := range part.Records {
		if known, ok := inventory.Records[record.ObjectID]; !ok || !known.Settled() {
			inventory.Records[record.ObjectID] = record
		}
	}
	s.bundles[part.Bundle] = inventory
}

// Get is a copy of a bundle's inventory, empty when it has none.
func (s *Store) Get(bundle string) Inventory {
	s.mu.Lock()
	defer s.mu.Unlock()
	inventory := s.bundles[bundle].Clone()
	inventory.Bundle = bundle
	return inventory
}

// Bundles that have an inventory.
func (s *Store) Bundles() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	bundles := make([]string, 0, len(s.bundles))
	for bundle := range s.bundles {
		bundles = append(bundles, bundle)
	}
	return bundles
}

// Revisions are those that bundles were last applied at, and those that they may go back to.
func (s *Store) Revisions() []content.Digest {
	s.mu.Lock()
	defer s.mu.Unlock()
	var revisions []content.Digest
	for _, inventory := range s.bundles {
		if inventory.Revision != "" {
			revisions = append(revisions, inventory.Revision)
		}
		if inventory.Good != "" && inventory.Good != inventory.Revision {
			revisions = append(revisions, inventory.Good)
		}
	}
	return revisions
}

// Hook is the bundle whose hooks left an object behind.
func (s *Store) Hook(id content.ObjectID) (bundle string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for bundle, inventory := range s.bundles {
		if o, ok := inventory.Hooks.Object(id); ok && !o.Waiting() {
			return bundle, true
		}
	}
	return "", false
}

// Dependents are the bundles that needed a bundle when they were last applied.
func (s *Store) Dependents(bundle string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var dependents []string
	for other, inventory := range s.bundles {
		if other != bundle && slices.Contains(inventory.DependsOn, bundle) {
			dependents = append(dependents, other)
		}
	}
	slices.Sort(dependents)
	return dependents
}

// Owner is the bundle that has an object, and its record there.
func (s *Store) Owner(id content.ObjectID) (string, Record, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	bundle, ok := s.owners[id]
	return bundle, s.bundles[bundle].Records[id], ok
}

// Claim gives an object to a bundle unless another has it, and says who has it. It is in memory only: two bundles that
// are about to create the same object at once must not both do.
func (s *Store) Claim(id content.ObjectID, bundle string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if owner, taken := s.owners[id]; taken {
		return owner
	}
	s.owners[id] = bundle
	return bundle
}

// Transfer gives an object that another bundle has to this one: the other's record stays until it lets go by itself.
func (s *Store) Transfer(id content.ObjectID, bundle string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owners[id] = bundle
}

// Release takes back a claim that led to no record.
func (s *Store) Release(id content.ObjectID, bundle string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, recorded := s.bundles[bundle].Records[id]; s.owners[id] == bundle && !recorded {
		delete(s.owners, id)
	}
}

// Save writes an inventory; an unchanged one is not written, an empty one without a revision is removed.
func (s *Store) Save(ctx context.Context, next Inventory) error {
	s.mu.Lock()
	current, exists := s.bundles[next.Bundle]
	had := maps.Clone(s.shards[next.Bundle])
	s.mu.Unlock()
	gone := next.Empty()
	if exists && current.Equal(next) || !exists && gone {
		return nil
	}
	if exists && !current.Hooks.Equal(next.Hooks) {
		next.Hooks.Change = current.Hooks.Change + 1
	}
	written := shards{}
	if !gone {
		var err error
		if written, err = s.write(ctx, next, had); err != nil {
			return err
		}
	}
	for name := range had {
		if _, stays := written[name]; !stays {
			if err := s.secrets.Delete(ctx, name); err != nil {
				return fmt.Errorf("cannot remove the inventory in Secret %q: %w", name, err)
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range current.Records {
		if _, stays := next.Records[id]; !stays && s.owners[id] == next.Bundle {
			delete(s.owners, id)
		}
	}
	for id := range next.Records {
		if _, taken := s.owners[id]; !taken {
			s.owners[id] = next.Bundle
		}
	}
	if gone {
		delete(s.bundles, next.Bundle)
		delete(s.shards, next.Bundle)
		return nil
	}
	s.bundles[next.Bundle], s.shards[next.Bundle] = next.Clone(), written
	return nil
}

// write brings the shards of an inventory to the cluster, those alone that changed. The first comes last: the revision
// that it names was applied whole, as all the records say that are in the cluster then.
func (s *Store) write(ctx context.Context, inventory Inventory, had shards) (shards, error) {
	written := shards{}
	parts := split(inventory)
	for i, part := range slices.Backward(parts) {
		raw, err := json.Marshal(part)
		if err != nil {
			return nil, fmt.Errorf("cannot encode the inventory of %q: %w", inventory.Bundle, err)
		}
		name, sum := shardName(inventory.Bundle, len(parts), i), sha256.Sum256(raw)
		before, exists := had[name]
		if !exists || before != sum {
			if err := s.put(ctx, inventory.Bundle, name, raw, exists); err != nil {
				return nil, err
			}
			s.wrote(inventory.Bundle, name, sum)
		}
		written[name] = sum
	}
	return written, nil
}

// wrote remembers a shard at once: when a later one of the same inventory fails, it is known what the cluster has.
func (s *Store) wrote(bundle, name string, sum [sha256.Size]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shards[bundle] == nil {
		s.shards[bundle] = shards{}
	}
	s.shards[bundle][name] = sum
}

func (s *Store) put(ctx context.Context, bundle, name string, raw []byte, exists bool) error {
	data, err := desired.Compress(raw)
	if err != nil {
		return err
	}
	secret := &corev1.Secret{ObjectMeta: s.secrets.Own(name, "inventory"), Data: map[string][]byte{"records": data}}
	secret.Annotations = map[string]string{bundleAnnotation: bundle}
	if err := s.secrets.Put(ctx, secret, exists); err != nil {
		return fmt.Errorf("cannot write the inventory of %q: %w", bundle, err)
	}
	return nil
}

// split spreads the records of an inventory over shards by a hash of their identity, so that each stays in its shard
// while the number of shards, a power of two, is the same.
func split(inventory Inventory) []shard {
	count := 1
	for count*shardRecords < len(inventory.Records) {
		count *= 2
	}
	parts := make([]shard, count)
	for i := range parts {
		parts[i] = shard{Version: formatVersion, Bundle: inventory.Bundle, Tail: i > 0}
	}
	first := &parts[0]
	first.Account, first.Revision, first.DependsOn = inventory.Account, inventory.Revision, inventory.DependsOn
	if inventory.Fate != (Fate{}) {
		first.Fate = &inventory.Fate
	}
	if !inventory.Hooks.Equal(Hooks{}) {
		first.Hooks = &inventory.Hooks
	}
	for _, record := range inventory.Sorted() {
		hash := fnv.New32a()
		_, _ = hash.Write([]byte(record.String()))
		part := &parts[int(hash.Sum32()%uint32(count))]
		part.Records = append(part.Records, record)
	}
	return parts
}

func shardName(bundle string, count, i int) string {
	sum := sha256.Sum256([]byte(bundle))
	return "periplus-inventory-" + hex.EncodeToString(sum[:8]) + "-" + strconv.Itoa(count) + "-" + strconv.Itoa(i)
}
