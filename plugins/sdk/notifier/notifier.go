// Package notifier is what a notifier plugin implements: it tells others (a chat, a pager, a ticket system) what happened
// in the fleet. Events come from the hub's history.
package notifier

import (
	"context"
	"time"
)

// Notifier delivers events. It must be safe for concurrent use.
type Notifier interface {
	Name() string
	Version() string
	// Notify delivers one event. After an error the hub may send it again.
	Notify(ctx context.Context, event Event) error
}

// Event is what happened.
type Event struct {
	// ID is equal for repetitions of one event.
	ID   string
	Time time.Time
	// Type is CamelCase: Assigned, Held, Ready, Failed, Removed, Joined and others.
	Type      string
	Namespace string
	// Cluster and Bundle are "" where the event is not about one.
	Cluster string
	Bundle  string
	// From and To are what it was and what it became, such as revisions; "" where that says nothing.
	From string
	To   string
	// Commit that led to it, and Actor who did it ("" is the system).
	Commit  string
	Actor   string
	Message string
}
