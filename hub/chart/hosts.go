package chart

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// atOnce is how much is asked of one host at a time.
const atOnce = 4

// hosts keeps the hub from overrunning a host, and one that hangs from holding up others.
type hosts struct {
	mu    sync.Mutex
	slots map[string]chan struct{}
}

// enter waits for a turn at a source's host. The context that it returns ends with our patience.
func (h *hosts) enter(ctx context.Context, source Source) (context.Context, func(), error) {
	name := source.Repository + source.OCI
	if address, err := url.Parse(name); err == nil {
		name = address.Host
	}
	h.mu.Lock()
	if h.slots == nil {
		h.slots = map[string]chan struct{}{}
	}
	slots, ok := h.slots[name]
	if !ok {
		slots = make(chan struct{}, atOnce)
		h.slots[name] = slots
	}
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, Patience)
	select {
	case slots <- struct{}{}:
		return ctx, func() { cancel(); <-slots }, nil
	case <-ctx.Done():
		cancel()
		return nil, nil, fmt.Errorf("host %q did not answer others in time: %w", name, context.DeadlineExceeded)
	}
}

const (
	// indexAge is how long an index counts as read now: many bundles take charts of one repository.
	indexAge = time.Minute
	// maxIndexes in memory.
	maxIndexes = 8
)

// indexes keeps those read last.
type indexes struct {
	now    func() time.Time
	flight singleflight.Group
	mu     sync.Mutex
	kept   map[string]keptIndex
}

type keptIndex struct {
	index index
	read  time.Time
}

func (i *indexes) get(key string, read func() (index, error)) (index, error) {
	i.mu.Lock()
	found, ok := i.kept[key]
	i.mu.Unlock()
	if ok && i.now().Sub(found.read) < indexAge {
		return found.index, nil
	}
	result, err, _ := i.flight.Do(key, func() (any, error) {
		fresh, err := read()
		if err != nil {
			return nil, err
		}
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.kept == nil || len(i.kept) >= maxIndexes {
			i.kept = map[string]keptIndex{}
		}
		i.kept[key] = keptIndex{fresh, i.now()}
		return fresh, nil
	})
	if err != nil {
		return index{}, err
	}
	return result.(index), nil
}
