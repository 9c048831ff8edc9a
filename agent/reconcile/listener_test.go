package reconcile_test

import (
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// listener is a hub that only listens.
type listener struct {
	mu       sync.Mutex
	statuses map[string]*linkv1.BundleStatus
	events   []*linkv1.ObjectEvent
	of       []string
	removed  map[string]bool
	changed  chan struct{}
}

func (l *listener) Report(status *linkv1.BundleStatus) {
	l.mu.Lock()
	l.statuses[status.GetBundle()] = proto.Clone(status).(*linkv1.BundleStatus)
	for _, event := range status.GetEvents() {
		l.events, l.of = append(l.events, event), append(l.of, status.GetBundle())
	}
	l.mu.Unlock()
	l.tell()
}

func (l *listener) Removed(bundle string) {
	l.mu.Lock()
	l.removed[bundle] = true
	l.mu.Unlock()
	l.tell()
}

func (l *listener) tell() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

func (l *listener) wait(t *testing.T, what string, condition func(*listener) *linkv1.BundleStatus) *linkv1.BundleStatus {
	t.Helper()
	deadline := time.After(patience)
	for {
		l.mu.Lock()
		found := condition(l)
		l.mu.Unlock()
		if found != nil {
			return found
		}
		select {
		case <-l.changed:
		case <-deadline:
			l.mu.Lock()
			defer l.mu.Unlock()
			t.Fatalf("not in %s: %s; last statuses: %v", patience, what, l.statuses)
		}
	}
}
