package control

import (
	"maps"

	"github.com/periplus-fleet/periplus/hub/delivery"
)

// scope is what to look at again in a namespace, besides what its repos declare otherwise than before.
type scope struct {
	// all pairs.
	all bool
	// clusters by name whose declaration changed, and by uid those of which every bundle is to be looked at.
	clusters map[string]bool
	whole    map[string]bool
	bundles  map[delivery.Key]bool
	// facts that agents report may have changed.
	facts bool
}

func newScope() *scope {
	return &scope{clusters: map[string]bool{}, whole: map[string]bool{}, bundles: map[delivery.Key]bool{}}
}

// Replan asks for a plan of what changed in a namespace: a commit, a person's word, an agent's report.
func (c *Controller) Replan(namespace string) { c.replan(namespace, func(*scope) {}) }

// replan asks for a plan that looks at more.
func (c *Controller) replan(namespace string, more func(*scope)) {
	c.widen(namespace, more)
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// widen lets the next plan look at more, whenever it comes.
func (c *Controller) widen(namespace string, more func(*scope)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dirty[namespace] == nil {
		c.dirty[namespace] = newScope()
	}
	more(c.dirty[namespace])
}

// takeDirty empties what was asked for.
func (c *Controller) takeDirty() map[string]*scope {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.dirty
	c.dirty = map[string]*scope{}
	return out
}

// addTo widens another scope by this one: what a plan did not get to.
func (s *scope) addTo(other *scope) {
	other.all, other.facts = other.all || s.all, other.facts || s.facts
	maps.Copy(other.clusters, s.clusters)
	maps.Copy(other.whole, s.whole)
	maps.Copy(other.bundles, s.bundles)
}
