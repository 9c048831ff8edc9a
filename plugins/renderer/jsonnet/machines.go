package jsonnet

import (
	"slices"
	"sync"
)

// maxIdle machines are kept: each holds the syntax trees of what it imported, which may be large libraries.
const maxIdle = 8

// machines keeps idle machines by the content that they parsed, the one used last in front.
type machines struct {
	mu   sync.Mutex
	idle []*machine
}

// take an idle machine of this content, or a new one. Content without an id is parsed anew each time.
func (m *machines) take(contentID string, settings settings) *machine {
	key := ""
	if contentID != "" {
		key = describeKey(contentID, settings)
	}
	if m != nil && key != "" {
		m.mu.Lock()
		defer m.mu.Unlock()
		if at := slices.IndexFunc(m.idle, func(one *machine) bool { return one.key == key }); at >= 0 {
			found := m.idle[at]
			m.idle = slices.Delete(m.idle, at, at+1)
			return found
		}
	}
	return newMachine(key, settings)
}

func (m *machines) giveBack(used *machine) {
	if m == nil || used.key == "" {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.idle = slices.Insert(m.idle, 0, used)
	if len(m.idle) > maxIdle {
		m.idle = slices.Delete(m.idle, maxIdle, len(m.idle))
	}
}
