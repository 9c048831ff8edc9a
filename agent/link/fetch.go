package link

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/periplus-fleet/periplus/agent/link/session"
	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

const (
	// fetchTogether entries are fetched at once, digestsTogether digests asked for in one call.
	fetchTogether   = 4
	digestsTogether = 1000
	// maxContent bounds one blob once it is decompressed.
	maxContent = 64 << 20
)

// errUnwanted and errForged are what a hub must not do; the entry is refused.
var (
	errUnwanted = errors.New("the hub sent content that was not asked for")
	errForged   = errors.New("the content is not what its digest names")
)

func (c *Client) startFetch(ctx context.Context, fetch *session.Fetch) {
	c.stopFetch()
	ctx, c.fetch = context.WithCancel(ctx)
	st := c.stream
	go func() {
		failed, err := c.fetchAll(ctx, st.client, fetch.Entries)
		if err != nil && ctx.Err() == nil {
			c.config.Log.Warn("cannot fetch content", "error", err)
		}
		c.post(func(ctx context.Context) { c.carryOut(ctx, c.machine.Fetched(fetch.ID, failed, err)) })
	}()
}

func (c *Client) stopFetch() {
	if c.fetch != nil {
		c.fetch()
		c.fetch = nil
	}
}

// fetchAll gets the content of entries. What is wrong with one entry stops no other; err is set only when the hub cannot be
// reached.
func (c *Client) fetchAll(ctx context.Context, hub linkv1.LinkClient, entries []*linkv1.Entry) (failed map[string]string, err error) {
	var mu sync.Mutex
	failed = map[string]string{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(fetchTogether)
	for _, entry := range entries {
		group.Go(func() error {
			err := c.fetchEntry(ctx, hub, entry)
			if err == nil || ctx.Err() != nil {
				return ctx.Err()
			}
			if transient(err) {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			failed[entry.GetBundle()] = fmt.Sprintf("cannot get the content of revision %s: %v", entry.GetRevision(), err)
			return nil
		})
	}
	return failed, group.Wait()
}

// transient says whether the hub may answer otherwise soon.
func transient(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Aborted, codes.ResourceExhausted, codes.Unauthenticated:
		return true
	default:
		return false
	}
}

func (c *Client) fetchEntry(ctx context.Context, hub linkv1.LinkClient, entry *linkv1.Entry) error {
	// The manifest first, then what it names: two rounds. A third that still finds something missing is the keeper's fault.
	for range 2 {
		missing, err := c.config.Keeper.Missing(ctx, entry)
		if err != nil {
			return err
		}
		for len(missing) > 0 {
			part := missing[:min(digestsTogether, len(missing))]
			missing = missing[len(part):]
			if err := c.fetchPart(ctx, hub, entry, part); err != nil {
				return err
			}
		}
	}
	missing, err := c.config.Keeper.Missing(ctx, entry)
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("%d objects are missing after all were fetched", len(missing))
	}
	return err
}

func (c *Client) fetchPart(ctx context.Context, hub linkv1.LinkClient, entry *linkv1.Entry, digests []string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers, err := hub.Fetch(ctx, &linkv1.FetchRequest{Bundle: entry.GetBundle(), Revision: entry.GetRevision(), Digests: digests})
	if err != nil {
		return err
	}
	wanted := make(map[string]bool, len(digests))
	for _, digest := range digests {
		wanted[digest] = true
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxContent), zstd.WithDecoderLowmem(true))
	if err != nil {
		return fmt.Errorf("cannot decompress: %w", err)
	}
	defer decoder.Close()
	for {
		answer, err := answers.Recv()
		if errors.Is(err, io.EOF) {
			if len(wanted) > 0 {
				return fmt.Errorf("the hub left out %d of %d objects", len(wanted), len(digests))
			}
			return nil
		}
		if err != nil {
			return err
		}
		blobs := make(map[string][]byte, len(answer.GetBlobs()))
		for _, blob := range answer.GetBlobs() {
			if !wanted[blob.GetDigest()] {
				return fmt.Errorf("%w: %.100q", errUnwanted, blob.GetDigest())
			}
			delete(wanted, blob.GetDigest())
			if blobs[blob.GetDigest()], err = verified(decoder, blob); err != nil {
				return err
			}
		}
		if err := c.config.Keeper.Put(ctx, blobs); err != nil {
			return err
		}
	}
}

// verified is a blob's content. A Secret's digest is keyed, so that only the hub can check it: there the plain hash that
// travels with it guards the way.
func verified(decoder *zstd.Decoder, blob *linkv1.Blob) ([]byte, error) {
	data, err := decoder.DecodeAll(blob.GetData(), nil)
	if err != nil {
		return nil, fmt.Errorf("cannot decompress %s: %w", blob.GetDigest(), err)
	}
	digest := content.Digest(blob.GetDigest())
	sum := sha256.Sum256(data)
	if !digest.Secret() && content.Sum(data) != digest || !bytes.Equal(blob.GetSha256(), sum[:]) {
		return nil, fmt.Errorf("%w: %s", errForged, digest)
	}
	return data, nil
}
