package kube

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// Call is what became of a request to the API server.
type Call struct {
	Method string
	// Status is 0 where there was no answer.
	Status  int
	Latency time.Duration
	// RetryAfter is when the server may have time, as it says when it has none; 0 if it did not say.
	RetryAfter time.Duration
}

// hearing tells of each request, also of those that client-go repeats by itself.
type hearing struct {
	next http.RoundTripper
	tell *atomic.Pointer[func(Call)]
}

// RoundTrip carries out a request.
func (h hearing) RoundTrip(request *http.Request) (*http.Response, error) {
	tell := h.tell.Load()
	if tell == nil {
		return h.next.RoundTrip(request)
	}
	begun := time.Now()
	response, err := h.next.RoundTrip(request)
	call := Call{Method: request.Method, Latency: time.Since(begun)}
	if err == nil {
		call.Status = response.StatusCode
		if seconds, bad := strconv.Atoi(response.Header.Get("Retry-After")); bad == nil {
			call.RetryAfter = time.Duration(seconds) * time.Second
		}
	}
	(*tell)(call)
	return response, err
}

// Hear has f told of every request that is made from now on, until it is answered.
func (c *Cluster) Hear(f func(Call)) { c.hears.Store(&f) }
