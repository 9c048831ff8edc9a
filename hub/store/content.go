package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/periplus-fleet/periplus/api/content"
)

type blobRow struct {
	bun.BaseModel `bun:"table:blobs,alias:blobs"`
	Digest        string `bun:",pk"`
	Data          []byte
	Created       int64
}

type revisionRow struct {
	bun.BaseModel `bun:"table:revisions,alias:revisions"`
	Digest        string `bun:",pk"`
	Created       int64
}

type revisionBlobRow struct {
	bun.BaseModel `bun:"table:revision_blobs,alias:revision_blobs"`
	Revision      string `bun:",pk"`
	Digest        string `bun:",pk"`
}

// readChunk bounds how many digests one query names.
const readChunk = 500

// freshFor is how long a revision that was put counts as put just now: a plan that names it is written long before.
const freshFor = time.Hour

// contentLock keeps Sweep from dropping content on PostgreSQL that a revision being written refers to.
const contentLock = 727100146

// PutRevision writes a revision with its content, and nothing when it is there and fresh: an older one is marked as put now,
// so that Sweep leaves it to the plan that is about to name it. The content of Secrets is encrypted.
func (s *Store) PutRevision(ctx context.Context, manifest content.Manifest, blobs map[content.Digest][]byte) (content.Digest, error) {
	data, err := manifest.Encode()
	if err != nil {
		return "", err
	}
	digest := content.Sum(data)
	now := micros(s.now())
	fresh, err := s.reader.NewSelect().Table("revisions").Where("digest = ? AND created > ?", string(digest), micros(s.now().Add(-freshFor))).Exists(ctx)
	if err != nil {
		return "", fmt.Errorf("cannot look for revision %s: %w", digest, err)
	}
	if fresh {
		return digest, nil
	}
	rows := []*blobRow{{Digest: string(digest), Data: data, Created: now}}
	links := []*revisionBlobRow{{Revision: string(digest), Digest: string(digest)}}
	seen := map[content.Digest]bool{}
	for _, item := range manifest.Items {
		if seen[item.Digest] {
			continue
		}
		seen[item.Digest] = true
		blob, ok := blobs[item.Digest]
		if !ok {
			return "", fmt.Errorf("cannot write revision %s: the content of %s is not given", digest, item.ObjectID)
		}
		rows = append(rows, &blobRow{Digest: string(item.Digest), Data: s.sealer.seal(item.Digest, blob), Created: now})
		links = append(links, &revisionBlobRow{Revision: string(digest), Digest: string(item.Digest)})
	}
	// In one order, so that two revisions that share content wait for each other in a line and not in a ring.
	slices.SortFunc(rows, func(a, b *blobRow) int { return strings.Compare(a.Digest, b.Digest) })
	slices.SortFunc(links, func(a, b *revisionBlobRow) int { return strings.Compare(a.Digest, b.Digest) })
	err = s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if s.postgres {
			if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock_shared(?)", contentLock); err != nil {
				return err
			}
		}
		_, err := tx.NewInsert().Model(&revisionRow{Digest: string(digest), Created: now}).On("CONFLICT (digest) DO UPDATE").
			Set("created = EXCLUDED.created").Exec(ctx)
		if err != nil {
			return err
		}
		for start := 0; start < len(rows); start += readChunk {
			chunk := rows[start:min(start+readChunk, len(rows))]
			if _, err := tx.NewInsert().Model(&chunk).On("CONFLICT (digest) DO NOTHING").Exec(ctx); err != nil {
				return err
			}
			names := links[start:min(start+readChunk, len(links))]
			if _, err := tx.NewInsert().Model(&names).On("CONFLICT (revision, digest) DO NOTHING").Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("cannot write revision %s: %w", digest, err)
	}
	return digest, nil
}

// HasRevision says whether the revision with its content is there.
func (s *Store) HasRevision(ctx context.Context, digest content.Digest) (bool, error) {
	has, err := s.reader.NewSelect().Table("revisions").Where("digest = ?", string(digest)).Exists(ctx)
	if err != nil {
		return false, fmt.Errorf("cannot look for revision %s: %w", digest, err)
	}
	return has, nil
}

// Revision is a revision's manifest; ErrNotFound where there is none.
func (s *Store) Revision(ctx context.Context, digest content.Digest) (content.Manifest, error) {
	blobs, err := s.Blobs(ctx, []content.Digest{digest})
	if err != nil {
		return content.Manifest{}, err
	}
	data, ok := blobs[digest]
	if !ok {
		return content.Manifest{}, fmt.Errorf("revision %s: %w", digest, ErrNotFound)
	}
	return content.DecodeManifest(data)
}

// Blobs are contents by digest, manifests among them; what is not there is left out.
func (s *Store) Blobs(ctx context.Context, digests []content.Digest) (map[content.Digest][]byte, error) {
	out := make(map[content.Digest][]byte, len(digests))
	for start := 0; start < len(digests); start += readChunk {
		names := make([]string, 0, readChunk)
		for _, digest := range digests[start:min(start+readChunk, len(digests))] {
			names = append(names, string(digest))
		}
		var rows []*blobRow
		if err := s.reader.NewSelect().Model(&rows).Where("digest IN (?)", bun.List(names)).Scan(ctx); err != nil {
			return nil, fmt.Errorf("cannot read content: %w", err)
		}
		for _, row := range rows {
			data, err := s.sealer.open(content.Digest(row.Digest), row.Data)
			if err != nil {
				return nil, err
			}
			out[content.Digest(row.Digest)] = data
		}
	}
	return out, nil
}

// Sweep drops revisions that no delivery targets, is assigned, runs or could go back to, and that were last put longer ago than the age, with the
// content that only they hold. It says how many contents went.
func (s *Store) Sweep(ctx context.Context, age time.Duration) (int, error) {
	before := micros(s.now().Add(-age))
	var dropped int64
	err := s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if s.postgres {
			if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(?)", contentLock); err != nil {
				return err
			}
		}
		// EXCEPT reads deliveries once a column; an EXISTS would read them once a revision.
		_, err := tx.NewDelete().Table("revisions").Where("created < ?", before).
			Where("digest IN (SELECT digest FROM revisions WHERE created < ? EXCEPT SELECT target_revision FROM deliveries "+
				"EXCEPT SELECT assigned_revision FROM deliveries EXCEPT SELECT previous_revision FROM deliveries "+
				"EXCEPT SELECT applied_revision FROM deliveries)", before).Exec(ctx)
		if err != nil {
			return err
		}
		if _, err := tx.NewDelete().Table("revision_blobs").Where("NOT EXISTS (SELECT 1 FROM revisions AS r WHERE r.digest = revision_blobs.revision)").Exec(ctx); err != nil {
			return err
		}
		result, err := tx.NewDelete().Table("blobs").Where("created < ?", before).
			Where("NOT EXISTS (SELECT 1 FROM revision_blobs AS b WHERE b.digest = blobs.digest)").Exec(ctx)
		if err != nil {
			return err
		}
		dropped, err = result.RowsAffected()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("cannot sweep content: %w", err)
	}
	return int(dropped), nil
}

// Forget drops history and audit records, and answered requests and commands, that are older than the age.
func (s *Store) Forget(ctx context.Context, age time.Duration) error {
	before := micros(s.now().Add(-age))
	return s.write(ctx, func(ctx context.Context, tx bun.Tx) error {
		for _, table := range []string{"history", "audit"} {
			if _, err := tx.NewDelete().Table(table).Where("time < ?", before).Exec(ctx); err != nil {
				return err
			}
		}
		short := micros(s.now().Add(-24 * time.Hour))
		if _, err := tx.NewDelete().Table("requests").Where("created < ?", short).Exec(ctx); err != nil {
			return err
		}
		_, err := tx.NewDelete().Table("commands").Where("deadline < ?", short).Exec(ctx)
		return err
	})
}
