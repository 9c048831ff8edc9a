package reconcile_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// calls are the requests of an agent in order, as "METHOD path?query".
type calls struct {
	next http.RoundTripper
	mu   *sync.Mutex
	made *[]string
}

// RoundTrip writes a request down.
func (c calls) RoundTrip(request *http.Request) (*http.Response, error) {
	c.mu.Lock()
	*c.made = append(*c.made, request.Method+" "+request.URL.RequestURI())
	c.mu.Unlock()
	return c.next.RoundTrip(request)
}

// counted has all requests of the next agent written down; what it returns hands them over.
func (m *member) counted() func() []string {
	m.stop()
	c := calls{mu: &sync.Mutex{}, made: &[]string{}}
	m.config.Wrap(func(next http.RoundTripper) http.RoundTripper { c.next = next; return c })
	m.start()
	return func() []string {
		c.mu.Lock()
		defer c.mu.Unlock()
		made := *c.made
		*c.made = nil
		return made
	}
}

// of are the calls with a part, and without another.
func of(made []string, with, without string) (found []string) {
	for _, call := range made {
		if strings.Contains(call, with) && (without == "" || !strings.Contains(call, without)) {
			found = append(found, call)
		}
	}
	return found
}

func TestUnchangedBundleCostsNothing(t *testing.T) {
	m := newMember(t)
	var objects []string
	for i := range 990 {
		objects = append(objects, configMapYAML(fmt.Sprintf("c%03d", i), "1"))
	}
	for i := range 10 {
		objects = append(objects, fmt.Sprintf("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: s%d}", i))
	}
	m.give("fleet/a", nil, objects...)
	m.accept()
	m.ready("fleet/a")
	made := m.counted()
	m.ready("fleet/a")
	// A start lists each kind once, and watches from there.
	all := made()
	for _, resource := range []string{"/configmaps", "/serviceaccounts"} {
		// A long list comes in pages.
		listed := of(of(all, "GET", "watch=true"), resource, "continue=")
		if len(listed) > 1 {
			t.Errorf("%d lists of %s: %v", len(listed), resource, listed[:2])
		}
	}
	if writes := slices.DeleteFunc(all, func(call string) bool { return strings.HasPrefix(call, "GET") }); len(writes) > 0 {
		t.Errorf("a start writes: %v", writes)
	}
	made()
	// The same content under other options is no work either.
	m.give("fleet/a", &linkv1.Options{PruneBudgetObjects: 3, HealthTimeout: nil}, objects...)
	m.accept()
	m.patch(configMaps, "c000", `{"data":{"key":"marker"}}`)
	m.event("fleet/a", "drift-repaired")
	m.ready("fleet/a")
	all = made()
	outside := slices.DeleteFunc(slices.Clone(all), func(call string) bool { return strings.Contains(call, "/namespaces/"+m.namespace+"/") })
	if writes := of(outside, "PATCH", "/c000"); len(writes) > 0 || len(of(outside, "POST", "")) > 0 || len(outside) > 6 {
		t.Errorf("an unchanged bundle costs %v", outside[:min(len(outside), 10)])
	}
}

func TestKindsAreLookedUpOnceAfterTheirCRDs(t *testing.T) {
	m := newMember(t)
	made := m.counted()
	group := m.space + ".example"
	objects := []string{crdYAML(group)}
	for i := range 20 {
		objects = append(objects, fmt.Sprintf("apiVersion: %s/v1\nkind: Widget\nmetadata: {name: w%d}\nspec: {size: 3}", group, i))
	}
	start := time.Now()
	m.give("fleet/a", nil, objects...)
	m.accept()
	m.ready("fleet/a")
	all := made()
	looked := of(of(all, "GET /apis/"+group, ""), "", "/widgets")
	t.Logf("ready after %s, %d calls, looked up by %v", time.Since(start), len(all), looked)
	if len(looked) > 2 {
		t.Errorf("the group was looked up %d times, want once before and once after its CRD: %v", len(looked), looked)
	}
}
