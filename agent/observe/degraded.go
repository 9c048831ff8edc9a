package observe

import (
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// refusal says in words why a kind is not watched; "" while it may only be a moment.
func refusal(k watchKey, err error, failures int) string {
	switch {
	case apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err):
		return fmt.Sprintf("ServiceAccount %q may not list and watch it", k.account)
	case apierrors.IsNotFound(err):
		return "this cluster serves it no more"
	case apierrors.IsMethodNotSupported(err):
		return "it can only be read one by one"
	case failures >= manyFailures:
		return "the API server does not answer as it should"
	default:
		return ""
	}
}

// degrade writes down why a scope is not watched, or that it is; bundles with objects in it hear of a change.
func (t *Tracker) degrade(w *watcher, s *scope, problem string) {
	t.mu.Lock()
	recovered := s.problem != "" && problem == ""
	changed := s.problem != problem
	s.problem = problem
	concerned := map[string]bool{}
	if changed {
		for id, keys := range w.wanted {
			if s.namespace != "" && id.Namespace != s.namespace {
				continue
			}
			for _, k := range keys {
				concerned[k.bundle] = true
			}
		}
	}
	t.mu.Unlock()
	for bundle := range concerned {
		if recovered && t.Recovered != nil {
			t.Recovered(bundle)
		}
		t.notify(bundle)
	}
}

// vanish says of all objects of a kind that is not served that they are gone: so they are.
func (t *Tracker) vanish(w *watcher, namespace string) {
	for _, k := range t.wanted(w, namespace) {
		t.mu.Lock()
		changed := t.update(k, nil)
		t.mu.Unlock()
		if changed {
			t.notify(k.bundle)
		}
	}
}

// Degraded names the kinds of a bundle's objects that are not watched, and why, sorted: changes of them are not seen.
func (t *Tracker) Degraded(bundle string) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var found []string
	for id, k := range t.bundles[bundle] {
		w := t.watches[k.watch]
		if w == nil {
			continue
		}
		for _, name := range []string{"", id.Namespace} {
			s := w.scopes[name]
			if s == nil || s.problem == "" {
				continue
			}
			kind := id.Kind
			if id.Group != "" {
				kind += "." + id.Group
			}
			if text := fmt.Sprintf("cannot watch %s: degraded, %s", kind, s.problem); !slices.Contains(found, text) {
				found = append(found, text)
			}
		}
	}
	slices.Sort(found)
	return found
}
