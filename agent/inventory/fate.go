package inventory

import "github.com/periplus-fleet/periplus/api/content"

// Fate is what became of a bundle's revisions beyond which one was applied last.
type Fate struct {
	// Good is the revision that was ready last, of a bundle that goes back to it when a newer one fails.
	Good content.Digest `json:"good,omitempty"`
	// RolledBack is the revision that failed and that the agent went back from, Aborted one of which a person ended the wait.
	RolledBack content.Digest `json:"rolledBack,omitempty"`
	Aborted    content.Digest `json:"aborted,omitempty"`
	// Why one of them failed.
	Why string `json:"why,omitempty"`
}

// Retry forgets what failed.
func (f Fate) Retry() Fate { return Fate{Good: f.Good} }
