package render

import (
	"container/list"
	"sync"

	"github.com/periplus-fleet/periplus/api/content"
)

// variantCache keeps the variants used last, up to a size in bytes. Content that several variants have is kept, and counted,
// once: 1,000 variants of one base differ in little.
type variantCache struct {
	mu      sync.Mutex
	limit   int
	size    int
	entries map[string]*list.Element
	order   *list.List
	blobs   map[content.Digest]*sharedBlob
}

type sharedBlob struct {
	data []byte
	// holders are the variants that have it.
	holders int
}

type cachedVariant struct {
	key     string
	variant *Variant
}

func newVariantCache(limit int) *variantCache {
	return &variantCache{limit: limit, entries: map[string]*list.Element{}, order: list.New(), blobs: map[content.Digest]*sharedBlob{}}
}

func (c *variantCache) get(key string) (*Variant, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.entries[key]
	if !ok {
		return nil, false
	}
	c.order.MoveToFront(element)
	return element.Value.(cachedVariant).variant, true
}

// put keeps a variant that nobody else has yet: its content is exchanged for equal content that is there.
func (c *variantCache) put(key string, variant *Variant) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.entries[key]; ok {
		return
	}
	for digest, data := range variant.Blobs {
		shared, ok := c.blobs[digest]
		if !ok {
			shared = &sharedBlob{data: data}
			c.blobs[digest] = shared
			c.size += len(data)
		}
		shared.holders++
		variant.Blobs[digest] = shared.data
	}
	c.size += len(key) + variant.own()
	c.entries[key] = c.order.PushFront(cachedVariant{key, variant})
	for c.size > c.limit {
		c.drop(c.order.Back())
	}
}

func (c *variantCache) drop(element *list.Element) {
	dropped := c.order.Remove(element).(cachedVariant)
	delete(c.entries, dropped.key)
	c.size -= len(dropped.key) + dropped.variant.own()
	for digest := range dropped.variant.Blobs {
		shared := c.blobs[digest]
		if shared.holders--; shared.holders == 0 {
			delete(c.blobs, digest)
			c.size -= len(shared.data)
		}
	}
}

// itemBytes is what one item costs beside its content: the item itself and its place in the map of contents.
const itemBytes = 256

// own is what a variant costs beside the content that it may share.
func (v *Variant) own() int {
	size := itemBytes * (1 + len(v.Manifest.Items))
	for _, object := range v.judged {
		size += len(object)
	}
	return size
}
