package helm

import (
	"container/list"
	"sync"
)

// lru keeps the values used last, up to a sum of sizes. It is safe for concurrent use.
type lru[V any] struct {
	mu      sync.Mutex
	limit   int
	size    int
	entries map[string]*list.Element
	order   *list.List
}

type entry[V any] struct {
	key   string
	value V
	size  int
}

func newLRU[V any](limit int) *lru[V] {
	return &lru[V]{limit: limit, entries: map[string]*list.Element{}, order: list.New()}
}

func (l *lru[V]) get(key string) (V, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	element, ok := l.entries[key]
	if !ok {
		var none V
		return none, false
	}
	l.order.MoveToFront(element)
	return element.Value.(entry[V]).value, true
}

// put keeps a value, unless it alone is larger than all that may be kept.
func (l *lru[V]) put(key string, value V, size int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.entries[key]; ok || size > l.limit {
		return
	}
	l.entries[key] = l.order.PushFront(entry[V]{key, value, size})
	for l.size += size; l.size > l.limit; {
		oldest := l.order.Remove(l.order.Back()).(entry[V])
		delete(l.entries, oldest.key)
		l.size -= oldest.size
	}
}
