package render

import (
	"container/list"
	"sync"
)

// cache keeps the values used last, up to a size in bytes.
type cache[V any] struct {
	mu      sync.Mutex
	limit   int
	size    int
	entries map[string]*list.Element
	order   *list.List
}

type cached[V any] struct {
	key   string
	value V
	size  int
}

func newCache[V any](limit int) *cache[V] {
	return &cache[V]{limit: limit, entries: map[string]*list.Element{}, order: list.New()}
}

func (c *cache[V]) get(key string) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.entries[key]
	if !ok {
		var none V
		return none, false
	}
	c.order.MoveToFront(element)
	return element.Value.(cached[V]).value, true
}

// put keeps a value, unless it alone is larger than the cache.
func (c *cache[V]) put(key string, value V, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	size += len(key)
	if _, ok := c.entries[key]; ok || size > c.limit {
		return
	}
	c.entries[key] = c.order.PushFront(cached[V]{key, value, size})
	for c.size += size; c.size > c.limit; {
		last := c.order.Back()
		dropped := c.order.Remove(last).(cached[V])
		delete(c.entries, dropped.key)
		c.size -= dropped.size
	}
}

// replace a value by another.
func (c *cache[V]) replace(key string, value V, size int) {
	c.mu.Lock()
	if element, ok := c.entries[key]; ok {
		c.size -= c.order.Remove(element).(cached[V]).size
		delete(c.entries, key)
	}
	c.mu.Unlock()
	c.put(key, value, size)
}
