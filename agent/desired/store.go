package desired

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/periplus-fleet/periplus/agent/kube"
	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

const (
	stateName         = "periplus-state"
	packPrefix        = "periplus-content-"
	digestsAnnotation = "fleet.periplus.dev/digests"
	manifestLabel     = "fleet.periplus.dev/manifests"
	partsAnnotation   = "fleet.periplus.dev/parts"
	// maxState is what fits a Secret beside its metadata.
	maxState = 1000 << 10
)

// Config of a Store.
type Config struct {
	Secrets *kube.Secrets
	// Fingerprint is the UID of the kube-system namespace.
	Fingerprint string
	Log         *slog.Logger
	// Changed is called after a set was accepted.
	Changed func()
	// Applied are the revisions that run in the cluster now: their content is kept too, as what they bring is kept up until
	// a newer revision is applied whole, and their hooks may have to run at their removal. Nil for none.
	Applied func() []content.Digest
	// Lost is called when content turned out to be gone or damaged, while the store is locked; Refilled once the content of
	// bundles is here again. Nil for nobody.
	Lost     func()
	Refilled func(bundles []string)
}

// Store keeps the accepted set and its content in the agent's namespace.
type Store struct {
	config Config

	mu       sync.Mutex
	set      Set
	previous []content.Digest
	// where says which pack holds a digest; packs are those in the cluster by name.
	where map[content.Digest]string
	packs map[string]held
	// staged content is not in the cluster yet: it is packed once it fills a pack, at the latest when its set is accepted.
	staged     map[content.Digest][]byte
	stagedSize int
	// arrived is the order in which staged content came.
	arrived []content.Digest
	// warm holds packs that were read a moment ago.
	warm warm
	// revisions are the manifests that were asked for: they are packed apart, so that a start reads few packs.
	revisions map[content.Digest]bool
	manifests map[content.Digest]content.Manifest
}

// Open reads what the cluster holds; the first start of an agent finds nothing, and that is an empty set.
func Open(ctx context.Context, config Config) (*Store, error) {
	s := &Store{config: config, set: Set{}.Clone(), where: map[content.Digest]string{}, packs: map[string]held{},
		staged: map[content.Digest][]byte{}, revisions: map[content.Digest]bool{}, manifests: map[content.Digest]content.Manifest{}}
	secrets, err := config.Secrets.ListNames(ctx, "content")
	if err != nil {
		return nil, fmt.Errorf("cannot list the content held in this cluster: %w", err)
	}
	for _, secret := range secrets {
		if digests := splitDigests(secret.Annotations[digestsAnnotation]); len(digests) > 0 {
			s.hold(held{name: secret.Name, manifest: secret.Labels[manifestLabel] == "true", digests: digests})
		} else if unnamed(secret.Name) {
			config.Log.Error("content is lost: its Secret says no more what it holds", "secret", secret.Name)
			if err := config.Secrets.Delete(ctx, secret.Name); err != nil {
				return nil, fmt.Errorf("cannot remove Secret %q: %w", secret.Name, err)
			}
		}
	}
	secret, err := config.Secrets.Get(ctx, stateName)
	if apierrors.IsNotFound(err) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the accepted set: %w", err)
	}
	set, previous, foreign, err := decodeState(secret.Data["state"], config.Fingerprint)
	if err != nil {
		// What runs stays as it is: nothing is known to be wanted, and nothing is removed but by a tombstone.
		config.Log.Error("the accepted set is lost: nothing is changed in this cluster until the hub says it again", "secret", stateName, "error", err)
		return s, nil
	}
	if foreign {
		config.Log.Warn("the accepted set was made in another cluster: the hub decides anew, nothing is removed until then")
	}
	s.set, s.previous = set, previous
	for _, entry := range set.Entries {
		s.revisions[content.Digest(entry.GetRevision())] = true
	}
	return s, nil
}

func (s *Store) hold(p held) {
	s.packs[p.name] = p
	for _, digest := range p.digests {
		s.where[digest] = p.name
	}
}

// Accepted is the set that is durable in the cluster. The caller does not change it.
func (s *Store) Accepted() Set {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.set
}

// Missing are the digests of an entry's revision that are not held; only the revision's own while its manifest is not.
func (s *Store) Missing(ctx context.Context, entry *linkv1.Entry) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	revision := content.Digest(entry.GetRevision())
	s.revisions[revision] = true
	if !s.has(revision) {
		return []string{string(revision)}, nil
	}
	manifest, err := s.manifest(ctx, revision)
	if errors.Is(err, errLost) {
		return []string{string(revision)}, nil
	}
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, item := range manifest.Items {
		if !s.has(item.Digest) && !slices.Contains(missing, string(item.Digest)) {
			missing = append(missing, string(item.Digest))
		}
	}
	return missing, nil
}

func (s *Store) has(digest content.Digest) bool {
	_, staged := s.staged[digest]
	_, packed := s.where[digest]
	return staged || packed
}

// Put takes verified content. It is durable when the set that needs it is accepted, or before.
func (s *Store) Put(ctx context.Context, blobs map[string][]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, blob := range blobs {
		digest := content.Digest(name)
		if !s.has(digest) {
			s.staged[digest] = blob
			s.stagedSize += len(blob)
			s.arrived = append(s.arrived, digest)
		}
		if s.stagedSize > maxPackRaw {
			if err := s.flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// Accept makes a set the accepted one: its content first, then the state in one write, then what neither it nor the set
// before needs is removed.
func (s *Store) Accept(ctx context.Context, next Set) error {
	if err := s.accept(ctx, next); err != nil {
		return err
	}
	if s.config.Changed != nil {
		s.config.Changed()
	}
	return nil
}

func (s *Store) accept(ctx context.Context, next Set) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.flush(ctx); err != nil {
		return err
	}
	next = next.Clone()
	previous := revisionsOf(s.set)
	if slices.Equal(previous, revisionsOf(next)) {
		// The same content under another position: the set before it is still the previous one.
		previous = s.previous
	}
	data, err := encodeState(next, previous, s.config.Fingerprint)
	if err != nil {
		return err
	}
	if len(data) > maxState {
		return fmt.Errorf("cannot accept the desired set: its %d entries take %d bytes, a Secret holds %d", len(next.Entries), len(data), maxState)
	}
	secret := &corev1.Secret{ObjectMeta: s.config.Secrets.Own(stateName, "state"), Data: map[string][]byte{"state": data}}
	if err := s.config.Secrets.Put(ctx, secret, true); err != nil {
		return fmt.Errorf("cannot write the accepted set: %w", err)
	}
	s.set, s.previous = next, previous
	// What is left over costs space and no more: the next set tries again.
	if err := s.sweep(ctx); err != nil {
		s.config.Log.Warn("cannot remove content that is no longer needed", "error", err)
	}
	return nil
}

func revisionsOf(set Set) []content.Digest {
	revisions := map[content.Digest]bool{}
	for _, entry := range set.Entries {
		revisions[content.Digest(entry.GetRevision())] = true
	}
	return slices.Sorted(maps.Keys(revisions))
}

// Manifest of a revision that is held.
func (s *Store) Manifest(ctx context.Context, revision content.Digest) (content.Manifest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.manifest(ctx, revision)
}

func (s *Store) manifest(ctx context.Context, revision content.Digest) (content.Manifest, error) {
	if manifest, ok := s.manifests[revision]; ok {
		return manifest, nil
	}
	blob, ok := s.staged[revision]
	if !ok {
		name, held := s.where[revision]
		if !held {
			return content.Manifest{}, fmt.Errorf("the manifest of revision %s is not held in this cluster: the hub is needed", revision)
		}
		blobs, err := s.recall(ctx, s.packs[name])
		if err != nil {
			return content.Manifest{}, err
		}
		if s.packs[name].manifest {
			// The others of this pack are asked for next: a start reads each pack of manifests once.
			for digest, other := range blobs {
				if manifest, err := content.DecodeManifest(other); err == nil {
					s.manifests[digest] = manifest
				}
			}
		}
		blob = blobs[revision]
	}
	manifest, err := content.DecodeManifest(blob)
	if err != nil {
		return content.Manifest{}, fmt.Errorf("revision %s: %w", revision, err)
	}
	s.manifests[revision] = manifest
	return manifest, nil
}

// Content reads blobs; each pack is read once a call. A digest that is not held is an error that names it.
func (s *Store) Content(ctx context.Context, digests []content.Digest) (map[content.Digest][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, packs := make(map[content.Digest][]byte, len(digests)), map[string]bool{}
	for _, digest := range digests {
		if blob, ok := s.staged[digest]; ok {
			found[digest] = blob
		} else if name, ok := s.where[digest]; ok {
			packs[name] = true
		} else {
			return nil, fmt.Errorf("content %s is not held in this cluster: the hub is needed", digest)
		}
	}
	for name := range packs {
		blobs, err := s.recall(ctx, s.packs[name])
		if err != nil {
			return nil, err
		}
		for _, digest := range digests {
			if blob, ok := blobs[digest]; ok {
				// A copy, so that one small object does not hold the whole pack in memory.
				found[digest] = slices.Clone(blob)
			}
		}
	}
	return found, nil
}
