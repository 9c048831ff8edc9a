package desired

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// errLost is content that somebody deleted or damaged: only the hub has it.
var errLost = errors.New("it is lost, and the hub is needed to have it again")

// errDamaged says that a pack does not hold what was written.
var errDamaged = errors.New("it is damaged")

// lose forgets a pack that cannot be read, so that its content counts as missing and is asked of the hub again. Its name
// says what it held, so that what is left of it has to go before it can be written anew.
func (s *Store) lose(ctx context.Context, p held, cause error) error {
	lost := fmt.Errorf("cannot read content from Secret %q: %w: %w", p.name, cause, errLost)
	s.config.Log.Error("content is lost", "secret", p.name, "objects", len(p.digests), "error", cause)
	if err := s.drop(ctx, p); err != nil {
		return errors.Join(lost, err)
	}
	for _, digest := range p.digests {
		delete(s.manifests, digest)
	}
	if s.config.Lost != nil {
		s.config.Lost()
	}
	return lost
}

// damaged says that a pack is not there or not what was written, and not just that the API server did not answer.
func damaged(err error) bool { return apierrors.IsNotFound(err) || errors.Is(err, errDamaged) }

// unnamed is a pack whose list of digests is gone: nobody can tell what it holds, and it stands in the way of the same
// content. The further parts of a pack bear no list.
func unnamed(name string) bool {
	return !strings.Contains(strings.TrimPrefix(name, packPrefix), "-")
}

// Incomplete are the entries of the accepted set whose content is not all held, by bundle.
func (s *Store) Incomplete(ctx context.Context) ([]*linkv1.Entry, error) {
	set := s.Accepted()
	var incomplete []*linkv1.Entry
	for _, bundle := range slices.Sorted(maps.Keys(set.Entries)) {
		missing, err := s.Missing(ctx, set.Entries[bundle])
		if err != nil {
			return nil, err
		}
		if len(missing) > 0 {
			incomplete = append(incomplete, set.Entries[bundle])
		}
	}
	return incomplete, nil
}

// Refill makes durable what was put for the accepted set, and says of which bundles it is.
func (s *Store) Refill(ctx context.Context, bundles []string) error {
	s.mu.Lock()
	err := s.flush(ctx)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	s.config.Log.Warn("content that was lost is here again", "bundles", strings.Join(bundles, " "))
	if s.config.Refilled != nil {
		s.config.Refilled(bundles)
	}
	return nil
}
