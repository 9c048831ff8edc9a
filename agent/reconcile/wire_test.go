package reconcile_test

import (
	"errors"
	"io"
	"net/http"
	"path"
	"sync"
	"sync/atomic"
)

// wire is the agent's connection to the API server: it counts, and it breaks when asked to.
type wire struct {
	mu sync.Mutex
	// lists and watches by resource.
	lists, watches map[string]int
	open           map[*body]string
	received       atomic.Int64
	// refuse is how many of the next watches find nobody.
	refuse atomic.Int64
}

// wired puts a wire between the agent, which is started anew, and its API server.
func (m *member) wired() *wire {
	m.t.Helper()
	m.stop()
	w := &wire{lists: map[string]int{}, watches: map[string]int{}, open: map[*body]string{}}
	m.config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return tripper(func(r *http.Request) (*http.Response, error) { return w.trip(next, r) })
	})
	m.start()
	return w
}

type tripper func(*http.Request) (*http.Response, error)

func (t tripper) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

func (w *wire) trip(next http.RoundTripper, r *http.Request) (*http.Response, error) {
	resource, watch := path.Base(r.URL.Path), r.URL.Query().Get("watch") != ""
	if watch && w.refuse.Add(-1) >= 0 {
		return nil, errors.New("nobody answers")
	}
	response, err := next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	counted := &body{ReadCloser: response.Body, wire: w}
	response.Body = counted
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case watch:
		w.watches[resource]++
		w.open[counted] = resource
	case r.Method == http.MethodGet && r.URL.Query().Get("labelSelector") != "":
		w.lists[resource]++
	}
	return response, nil
}

// drop breaks the watches of a resource, as a connection that is lost does.
func (w *wire) drop(resource string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for open, of := range w.open {
		if of == resource {
			open.broken.Store(true)
			_ = open.ReadCloser.Close()
			delete(w.open, open)
		}
	}
}

func (w *wire) count(of map[string]int, resource string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return of[resource]
}

// body counts what is read of a response.
type body struct {
	io.ReadCloser
	wire   *wire
	broken atomic.Bool
}

func (b *body) Read(data []byte) (int, error) {
	n, err := b.ReadCloser.Read(data)
	b.wire.received.Add(int64(n))
	if err != nil && b.broken.Load() {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
