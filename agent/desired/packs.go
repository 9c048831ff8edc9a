package desired

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/periplus-fleet/periplus/api/content"
)

// flush writes all staged content into packs.
func (s *Store) flush(ctx context.Context) error {
	// What came together is needed together: in the order of arrival a bundle's objects stand in one pack, or two.
	kinds := map[bool][]content.Digest{}
	for _, digest := range s.arrived {
		kinds[s.revisions[digest]] = append(kinds[s.revisions[digest]], digest)
	}
	for manifest, digests := range kinds {
		if _, err := s.write(ctx, manifest, digests, s.staged); err != nil {
			return err
		}
	}
	s.staged, s.stagedSize, s.arrived = map[content.Digest][]byte{}, 0, nil
	return nil
}

// write packs blobs in this order, as many packs as the limits ask for, and says their names.
func (s *Store) write(ctx context.Context, manifest bool, digests []content.Digest, blobs map[content.Digest][]byte) (names []string, err error) {
	group, size := map[content.Digest][]byte{}, 0
	finish := func() error {
		if len(group) == 0 {
			return nil
		}
		name, err := s.writePack(ctx, manifest, group)
		names, group, size = append(names, name), map[content.Digest][]byte{}, 0
		return err
	}
	for _, digest := range digests {
		if size+len(blobs[digest]) > maxPackRaw || len(group) == maxPackBlobs {
			if err := finish(); err != nil {
				return nil, err
			}
		}
		group[digest], size = blobs[digest], size+len(blobs[digest])
	}
	return names, finish()
}

// writePack writes one pack. The first part bears the list of digests and is written last: a pack that can be seen is
// whole.
func (s *Store) writePack(ctx context.Context, manifest bool, blobs map[content.Digest][]byte) (string, error) {
	p, err := encodePack(blobs)
	if err != nil {
		return "", err
	}
	immutable := true
	for i, part := range slices.Backward(p.parts) {
		secret := &corev1.Secret{Immutable: &immutable, Data: map[string][]byte{"data": part}}
		secret.ObjectMeta = s.config.Secrets.Own(partName(packPrefix+p.name, i), "content")
		if i == 0 {
			secret.Labels[manifestLabel] = strconv.FormatBool(manifest)
			secret.Annotations = map[string]string{digestsAnnotation: joinDigests(p.digests), partsAnnotation: strconv.Itoa(len(p.parts))}
		}
		if err := s.config.Secrets.Create(ctx, secret); err != nil {
			return "", fmt.Errorf("cannot write content to Secret %q: %w", secret.Name, err)
		}
	}
	s.hold(held{name: packPrefix + p.name, manifest: manifest, digests: p.digests})
	return packPrefix + p.name, nil
}

func partName(name string, part int) string {
	if part == 0 {
		return name
	}
	return name + "-" + strconv.Itoa(part)
}

// read is what a pack holds. One that is gone or damaged is forgotten.
func (s *Store) read(ctx context.Context, p held) (map[content.Digest][]byte, error) {
	blobs, err := s.open(ctx, p)
	switch {
	case err == nil:
		return blobs, nil
	case damaged(err):
		return nil, s.lose(ctx, p, err)
	default:
		return nil, fmt.Errorf("cannot read content from Secret %q: %w", p.name, err)
	}
}

func (s *Store) open(ctx context.Context, p held) (map[content.Digest][]byte, error) {
	first, err := s.config.Secrets.Get(ctx, p.name)
	if err != nil {
		return nil, err
	}
	data := first.Data["data"]
	parts, _ := strconv.Atoi(first.Annotations[partsAnnotation])
	for i := 1; i < parts; i++ {
		next, err := s.config.Secrets.Get(ctx, partName(p.name, i))
		if err != nil {
			return nil, fmt.Errorf("part %d: %w", i, err)
		}
		data = append(data, next.Data["data"]...)
	}
	blobs, err := decodePack(p.digests, data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return blobs, nil
}

// sweep removes content that neither the accepted nor the previous set needs, nor what is applied.
func (s *Store) sweep(ctx context.Context) error {
	live := map[content.Digest]bool{}
	needed := map[content.Digest]bool{}
	revisions := append(revisionsOf(s.set), s.previous...)
	if s.config.Applied != nil {
		revisions = append(revisions, s.config.Applied()...)
	}
	for _, revision := range revisions {
		if needed[revision] {
			continue
		}
		live[revision], needed[revision] = true, true
		manifest, err := s.manifest(ctx, revision)
		if err != nil {
			// A revision whose manifest is lost has no content that could be named; the reconciler says so.
			continue
		}
		for _, item := range manifest.Items {
			live[item.Digest] = true
		}
	}
	maps.DeleteFunc(s.manifests, func(revision content.Digest, _ content.Manifest) bool { return !needed[revision] })
	maps.DeleteFunc(s.revisions, func(revision content.Digest, _ bool) bool { return !needed[revision] })
	drop, rewrite := sweep(slices.Collect(maps.Values(s.packs)), live)
	var written []string
	for _, manifest := range []bool{false, true} {
		joined := map[content.Digest][]byte{}
		for _, p := range rewrite {
			if p.manifest != manifest {
				continue
			}
			blobs, err := s.read(ctx, p)
			if errors.Is(err, errLost) {
				continue
			}
			if err != nil {
				return err
			}
			maps.DeleteFunc(blobs, func(digest content.Digest, _ []byte) bool { return !live[digest] })
			maps.Copy(joined, blobs)
		}
		names, err := s.write(ctx, manifest, slices.Sorted(maps.Keys(joined)), joined)
		if err != nil {
			return err
		}
		written = append(written, names...)
	}
	for _, p := range append(drop, rewrite...) {
		if slices.Contains(written, p.name) {
			// A blob too large to share a pack was rewritten to the very same one.
			continue
		}
		if err := s.drop(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// drop removes a pack: its first part first, so that what is left of it can no longer be seen as a pack.
func (s *Store) drop(ctx context.Context, p held) error {
	s.warm.forget(p.name)
	for _, digest := range p.digests {
		if s.where[digest] == p.name {
			delete(s.where, digest)
		}
	}
	first, err := s.config.Secrets.Get(ctx, p.name)
	if err != nil {
		delete(s.packs, p.name)
		return nil
	}
	parts, _ := strconv.Atoi(first.Annotations[partsAnnotation])
	for i := range max(parts, 1) {
		if err := s.config.Secrets.Delete(ctx, partName(p.name, i)); err != nil {
			return fmt.Errorf("cannot remove Secret %q: %w", partName(p.name, i), err)
		}
	}
	delete(s.packs, p.name)
	return nil
}
