package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/policies/engine"
)

// maskedRevisions bounds how many revisions' masks are kept.
const maskedRevisions = 1024

// masks are what hides the secret values of revisions in what agents say of them: an API server that refuses an object quotes
// it. A revision without secrets has none.
type masks struct {
	mu    sync.Mutex
	known map[content.Digest]*strings.Replacer
}

// masked is the report as it may be kept and shown.
func (s *Store) masked(ctx context.Context, report *linkv1.StatusReport) (*linkv1.StatusReport, error) {
	var out *linkv1.StatusReport
	for i, status := range report.GetBundles() {
		for _, revision := range []string{status.GetRevision(), status.GetAppliedRevision()} {
			if !says(status) {
				break
			}
			mask, err := s.mask(ctx, content.Digest(revision))
			if err != nil {
				return nil, err
			}
			if mask == nil {
				continue
			}
			if out == nil {
				out = proto.CloneOf(report)
			}
			maskStatus(mask, out.GetBundles()[i])
		}
	}
	if out == nil {
		return report, nil
	}
	return out, nil
}

// says whether there is any text.
func says(status *linkv1.BundleStatus) bool {
	return status.GetMessage() != "" || len(status.GetExceptions())+len(status.GetEvents()) > 0
}

func maskStatus(mask *strings.Replacer, status *linkv1.BundleStatus) {
	status.Message = mask.Replace(status.GetMessage())
	for _, exception := range status.GetExceptions() {
		exception.Message = mask.Replace(exception.GetMessage())
	}
	for _, event := range status.GetEvents() {
		event.Message = mask.Replace(event.GetMessage())
	}
}

// mask of a revision; nil where it has no secrets or is not there.
func (s *Store) mask(ctx context.Context, revision content.Digest) (*strings.Replacer, error) {
	if revision == "" {
		return nil, nil
	}
	s.masks.mu.Lock()
	mask, known := s.masks.known[revision]
	s.masks.mu.Unlock()
	if known {
		return mask, nil
	}
	manifest, err := s.Revision(ctx, revision)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var secret []content.Digest
	for _, item := range manifest.Items {
		if item.Digest.Secret() {
			secret = append(secret, item.Digest)
		}
	}
	if len(secret) > 0 {
		if mask, err = s.maskOf(ctx, secret); err != nil {
			return nil, fmt.Errorf("cannot mask what is said of revision %s: %w", revision, err)
		}
	}
	s.masks.mu.Lock()
	defer s.masks.mu.Unlock()
	if s.masks.known == nil || len(s.masks.known) >= maskedRevisions {
		s.masks.known = map[content.Digest]*strings.Replacer{}
	}
	s.masks.known[revision] = mask
	return mask, nil
}

func (s *Store) maskOf(ctx context.Context, digests []content.Digest) (*strings.Replacer, error) {
	blobs, err := s.Blobs(ctx, digests)
	if err != nil {
		return nil, err
	}
	objects := make([]map[string]any, 0, len(blobs))
	for _, blob := range blobs {
		var object map[string]any
		if err := json.Unmarshal(blob, &object); err != nil {
			return nil, err
		}
		objects = append(objects, object)
	}
	return engine.Masker(objects), nil
}
