package files

import (
	"container/list"
	"sync"
)

// Cache keeps what was read, least recently used out. It is safe for concurrent use.
type Cache struct {
	mu      sync.Mutex
	limit   int
	size    int
	order   *list.List
	entries map[cacheKey]*list.Element
}

type cacheKey struct{ key, kind, path string }

type known struct {
	value any
	err   error
	size  int
}

type entry struct {
	key cacheKey
	known
}

// NewCache holds at most limit bytes.
func NewCache(limit int) *Cache {
	return &Cache{limit: limit, order: list.New(), entries: map[cacheKey]*list.Element{}}
}

func (c *Cache) get(key cacheKey) (known, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.entries[key]
	if !ok {
		return known{}, false
	}
	c.order.MoveToFront(element)
	return element.Value.(*entry).known, true
}

func (c *Cache) put(key cacheKey, value known) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.entries[key]; ok || value.size > c.limit {
		return
	}
	c.entries[key] = c.order.PushFront(&entry{key, value})
	c.size += value.size
	for c.size > c.limit {
		oldest := c.order.Back()
		c.order.Remove(oldest)
		c.size -= oldest.Value.(*entry).size
		delete(c.entries, oldest.Value.(*entry).key)
	}
}
