package helm

import (
	"container/list"
	"context"
	"sync"

	"golang.org/x/sync/singleflight"

	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// cacheBytes bounds the charts that are kept, by the size of their files.
const cacheBytes = 256 << 20

// charts keeps loaded charts, those used last, by what names their content.
type charts struct {
	mu      sync.Mutex
	limit   int
	size    int
	entries map[string]*list.Element
	order   *list.List
	flight  singleflight.Group
}

type entry struct {
	key   string
	chart *loaded
}

func newCharts(limit int) *charts {
	return &charts{limit: limit, entries: map[string]*list.Element{}, order: list.New()}
}

// get returns a request's chart. Mistakes are not kept: what made them may be outside of the chart.
func (c *charts) get(ctx context.Context, request renderer.Request) (*loaded, error) {
	key := keyOf(request)
	if key == "" {
		return load(ctx, folderOf(request))
	}
	if found := c.find(key); found != nil {
		return found, nil
	}
	chart, err, _ := c.flight.Do(key, func() (any, error) {
		// The work is done for all who wait for it, so one caller's end does not end it.
		read, err := load(context.WithoutCancel(ctx), folderOf(request))
		if err != nil {
			return nil, err
		}
		c.put(key, read)
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

func (c *charts) find(key string) *loaded {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.entries[key]
	if !ok {
		return nil
	}
	c.order.MoveToFront(element)
	return element.Value.(entry).chart
}

func (c *charts) put(key string, chart *loaded) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.entries[key]; ok {
		return
	}
	c.entries[key] = c.order.PushFront(entry{key, chart})
	for c.size += chart.size; c.size > c.limit && c.order.Len() > 1; {
		oldest := c.order.Remove(c.order.Back()).(entry)
		delete(c.entries, oldest.key)
		c.size -= oldest.chart.size
	}
}
