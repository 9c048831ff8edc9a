package link

import (
	"context"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// Lost hears that accepted content is not held any more: it is fetched again. It never blocks.
func (c *Client) Lost() {
	c.lost.Store(true)
	select {
	case c.refills <- struct{}{}:
	default:
	}
}

// refill has the content of the accepted set looked through and what is missing fetched, once at a time. It is asked for
// when a hub welcomes the agent, when content turned out to be lost, and with each tick until nothing is.
func (c *Client) refill(ctx context.Context) {
	if c.refilling || !c.machine.Connected() || !c.lost.Swap(false) {
		return
	}
	c.refilling = true
	hub := c.stream.client
	go func() {
		whole := c.fetchLost(ctx, hub)
		c.post(func(context.Context) {
			c.refilling = false
			if !whole {
				c.lost.Store(true)
			}
		})
	}()
}

func (c *Client) fetchLost(ctx context.Context, hub linkv1.LinkClient) (whole bool) {
	entries, err := c.config.Keeper.Incomplete(ctx)
	if err != nil {
		if ctx.Err() == nil {
			c.config.Log.Warn("cannot tell whether all content is held", "error", err)
		}
		return false
	}
	if len(entries) == 0 {
		return true
	}
	failed, err := c.fetchAll(ctx, hub, entries)
	if err != nil {
		if ctx.Err() == nil {
			c.config.Log.Warn("cannot fetch lost content", "error", err)
		}
		return false
	}
	var bundles []string
	for _, entry := range entries {
		if reason, bad := failed[entry.GetBundle()]; bad {
			c.config.Log.Warn("cannot fetch lost content", "bundle", entry.GetBundle(), "error", reason)
			continue
		}
		bundles = append(bundles, entry.GetBundle())
	}
	if len(bundles) == 0 {
		return false
	}
	if err := c.config.Keeper.Refill(ctx, bundles); err != nil {
		c.config.Log.Warn("cannot keep content that was lost", "error", err)
		return false
	}
	return len(failed) == 0
}
