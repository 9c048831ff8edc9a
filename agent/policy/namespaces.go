package policy

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/periplus-fleet/periplus/agent/kube"
)

const (
	// namespaceAge is how late a changed label of a namespace is seen; the same as of policies' exemptions by far.
	namespaceAge  = 10 * time.Second
	maxNamespaces = 1000
)

// Namespaces are those that were asked for lately: policies may select by their labels.
type Namespaces struct {
	// Client reads them.
	Client *kube.Client

	mu    sync.Mutex
	known map[string]namespaceRead
}

var namespaces = kube.Resource{GroupVersionResource: schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}, Kind: "Namespace"}

type namespaceRead struct {
	at     time.Time
	object map[string]any
}

// Get one, as it is or was moments ago.
func (n *Namespaces) Get(ctx context.Context, name string) (map[string]any, error) {
	n.mu.Lock()
	known, ok := n.known[name]
	n.mu.Unlock()
	if ok && time.Since(known.at) < namespaceAge {
		return known.object, nil
	}
	live, err := n.Client.Get(ctx, namespaces, "", name)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known == nil || len(n.known) >= maxNamespaces {
		n.known = map[string]namespaceRead{}
	}
	n.known[name] = namespaceRead{at: time.Now(), object: live.Object}
	return live.Object, nil
}
