package helm

import (
	"context"
	"crypto/sha256"

	"golang.org/x/sync/singleflight"

	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

const (
	// chartBytes bounds the charts that are kept, by the size of their files.
	chartBytes = 256 << 20
	// documentBytes bounds the documents that are kept decoded, by their text: decoded they take about ten times as much.
	documentBytes = 8 << 20
	// seenBytes bounds what is known of documents that came once.
	seenBytes = 1 << 20
)

// charts keeps loaded charts by what names their content.
type charts struct {
	kept   *lru[*loaded]
	flight singleflight.Group
}

// get returns a request's chart. Mistakes are not kept: what made them may be outside of the chart.
func (c *charts) get(ctx context.Context, request renderer.Request) (*loaded, error) {
	key := keyOf(request)
	if key == "" {
		return load(ctx, folderOf(request))
	}
	if found, ok := c.kept.get(key); ok {
		return found, nil
	}
	chart, err, _ := c.flight.Do(key, func() (any, error) {
		// The work is done for all who wait for it, so one caller's end does not end it.
		read, err := load(context.WithoutCancel(ctx), folderOf(request))
		if err != nil {
			return nil, err
		}
		c.kept.put(key, read, read.size)
		return read, nil
	})
	if err != nil {
		return nil, err
	}
	return chart.(*loaded), nil
}

// keyOf names a chart's content; "" where nothing names it.
func keyOf(request renderer.Request) string {
	switch {
	case request.Chart != nil && request.ChartID != "":
		return "chart " + request.ChartID + " " + request.Dir + " " + request.Path
	case request.Chart == nil && request.ContentID != "":
		return "content " + request.ContentID + " " + request.Dir + " " + request.Path
	default:
		return ""
	}
}

// documents keeps decoded documents by their text: most of what a chart renders for one cluster, and all of its CRDs, it
// renders for the next one too. A document is kept when it comes the second time, since one that differs in each cluster
// would only take room. What is kept is shared by results, which nobody may change.
type documents struct {
	seen *lru[struct{}]
	kept *lru[map[string]any]
}

func newDocuments() documents {
	return documents{seen: newLRU[struct{}](seenBytes), kept: newLRU[map[string]any](documentBytes)}
}

func (d documents) read(one document, source string) (map[string]any, error) {
	sum := sha256.Sum256([]byte(one.text))
	key := string(sum[:])
	if found, ok := d.kept.get(key); ok {
		return found, nil
	}
	object, err := one.read(source)
	if err != nil {
		return nil, err
	}
	if _, again := d.seen.get(key); again {
		d.kept.put(key, object, len(one.text))
	} else {
		d.seen.put(key, struct{}{}, len(key))
	}
	return object, nil
}
