package gate

import (
	"container/list"
	"sync"
	"sync/atomic"

	"github.com/periplus-fleet/periplus/policies/engine"
)

// verdicts is a bounded cache: what was not asked for longest goes first.
type verdicts struct {
	hits, misses atomic.Uint64

	mu    sync.Mutex
	size  int
	order *list.List
	byKey map[string]*list.Element
}

type verdict struct {
	key      string
	findings []engine.Finding
}

func newVerdicts(size int) *verdicts {
	return &verdicts{size: size, order: list.New(), byKey: map[string]*list.Element{}}
}

// Get is engine.Cache's.
func (c *verdicts) Get(key string) ([]engine.Finding, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, ok := c.byKey[key]
	if !ok {
		c.misses.Add(1)
		return nil, false
	}
	c.hits.Add(1)
	c.order.MoveToFront(found)
	return found.Value.(verdict).findings, true
}

// Put is engine.Cache's.
func (c *verdicts) Put(key string, findings []engine.Finding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if found, ok := c.byKey[key]; ok {
		found.Value = verdict{key, findings}
		c.order.MoveToFront(found)
		return
	}
	c.byKey[key] = c.order.PushFront(verdict{key, findings})
	if c.order.Len() > c.size {
		oldest := c.order.Back()
		delete(c.byKey, c.order.Remove(oldest).(verdict).key)
	}
}
