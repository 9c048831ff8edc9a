package reconcile_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// storm refuses applies as an API server does whose priority and fairness has no place left.
type storm struct {
	next          http.RoundTripper
	left, refused *atomic.Int32
	running, most *atomic.Int32
}

// RoundTrip refuses for as long as the storm lasts, and counts how many come at once.
func (s storm) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method != http.MethodPatch {
		return s.next.RoundTrip(request)
	}
	if s.left.Add(-1) >= 0 {
		s.refused.Add(1)
		body := []byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"TooManyRequests","code":429}`)
		return &http.Response{StatusCode: http.StatusTooManyRequests, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: request,
			Header: http.Header{"Retry-After": {"1"}, "Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body))}, nil
	}
	for now := s.running.Add(1); ; {
		if seen := s.most.Load(); now <= seen || s.most.CompareAndSwap(seen, now) {
			break
		}
	}
	defer s.running.Add(-1)
	return s.next.RoundTrip(request)
}

func TestAppliesWaitOutAStorm(t *testing.T) {
	m := newMember(t)
	m.stop()
	s := storm{left: &atomic.Int32{}, refused: &atomic.Int32{}, running: &atomic.Int32{}, most: &atomic.Int32{}}
	// The first 16 at once, then half of that each second, then one.
	s.left.Store(34)
	m.config.Wrap(func(next http.RoundTripper) http.RoundTripper { s.next = next; return s })
	m.start()
	var objects []string
	for i := range 60 {
		objects = append(objects, configMapYAML(fmt.Sprintf("c%03d", i), "1"))
	}
	m.give("fleet/a", nil, objects...)
	start := time.Now()
	m.accept()
	m.ready("fleet/a")
	t.Logf("ready after %s, %d refused, at most %d at once after", time.Since(start), s.refused.Load(), s.most.Load())
	if s.refused.Load() != 34 {
		t.Errorf("%d were refused", s.refused.Load())
	}
}
