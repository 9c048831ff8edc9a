package admission

import (
	"context"
	"sync"
	"time"
)

const (
	// namespaceAge is how late a changed label of a namespace is seen; the same as of policies' exemptions by far.
	namespaceAge  = 10 * time.Second
	maxNamespaces = 1000
)

// namespaces are those that were asked for lately.
type namespaces struct {
	read func(context.Context, string) (map[string]any, error)
	now  func() time.Time

	mu    sync.Mutex
	known map[string]namespaceRead
}

type namespaceRead struct {
	at     time.Time
	object map[string]any
}

func (n *namespaces) get(ctx context.Context, name string) (map[string]any, error) {
	n.mu.Lock()
	known, ok := n.known[name]
	n.mu.Unlock()
	if ok && n.now().Sub(known.at) < namespaceAge {
		return known.object, nil
	}
	object, err := n.read(ctx, name)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known == nil || len(n.known) >= maxNamespaces {
		n.known = map[string]namespaceRead{}
	}
	n.known[name] = namespaceRead{at: n.now(), object: object}
	return object, nil
}
