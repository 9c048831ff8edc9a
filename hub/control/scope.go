package control

import "github.com/periplus-fleet/periplus/hub/delivery"

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
func (c *Controller) replan(namespace string, widen func(*scope)) {
	c.mu.Lock()
	if c.dirty[namespace] == nil {
		c.dirty[namespace] = newScope()
	}
	widen(c.dirty[namespace])
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// takeDirty empties what was asked for.
func (c *Controller) takeDirty() map[string]*scope {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.dirty
	c.dirty = map[string]*scope{}
	return out
}

// restore asks again for what a plan that failed was to look at.
func (c *Controller) restore(namespace string, from *scope) {
	c.replan(namespace, func(s *scope) {
		s.all, s.facts = s.all || from.all, s.facts || from.facts
		for name := range from.clusters {
			s.clusters[name] = true
		}
		for uid := range from.whole {
			s.whole[uid] = true
		}
		for key := range from.bundles {
			s.bundles[key] = true
		}
	})
}
