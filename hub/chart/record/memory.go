package record

import (
	"context"
	"sync"
)

// Memory keeps records for as long as its process lives: for commands that work without a hub, and for tests. Its zero value
// is ready, and safe for concurrent use.
type Memory struct {
	mu   sync.Mutex
	kept map[Key]Resolved
}

// ChartRecord returns the record of a key.
func (m *Memory) ChartRecord(_ context.Context, key Key) (Resolved, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found, ok := m.kept[key]
	return found, ok, nil
}

// PutChartRecord writes a record, or returns the one that is there.
func (m *Memory) PutChartRecord(_ context.Context, key Key, resolved Resolved) (Resolved, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if found, ok := m.kept[key]; ok {
		return found, nil
	}
	if m.kept == nil {
		m.kept = map[Key]Resolved{}
	}
	m.kept[key] = resolved
	return resolved, nil
}
