package reconcile

import (
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/periplus-fleet/periplus/agent/apply"
	"github.com/periplus-fleet/periplus/agent/owned"
	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// bundle is what the reconciler remembers of a bundle between passes; all of it can be rebuilt. Only the pass of the
// bundle (one at a time) writes it, but for what mu guards.
type bundle struct {
	name     string
	failures map[content.ObjectID]failure
	repairs  map[content.ObjectID]repair
	drifts   map[content.ObjectID]drift
	told     map[content.ObjectID]string
	since    map[content.ObjectID]exceptionSince
	reasons  map[content.ObjectID]reason
	// progressing is since when the bundle is applied and not ready.
	progressing time.Time
	// wave that is waited for.
	wave int
	// trying is since when a revision that may be gone back from, tried, is not ready.
	trying time.Time
	tried  content.Digest
	// hookAttempts counts how often a hook could not be run.
	hookAttempts int

	mu     sync.Mutex
	status *linkv1.BundleStatus
	// fresh lets everything that failed be tried again now.
	fresh bool
	// rerun lets hooks that failed be run again.
	rerun bool
	// tangled is true while the bundle waits for another's object or keeps one for another.
	tangled bool
	confirm *confirmation
	// aborted names who asked for the end of what is waited for; interrupt ends what a pass waits for right now.
	aborted   string
	interrupt func()
}

// failure is an apply of a manifest's item that did not work, with what was applied: other content is tried at once, and
// other options too, as a changed entry makes the bundle fresh.
type failure struct {
	digest   content.Digest
	message  string
	conflict bool
	// lasting says that only other content mends it.
	lasting  bool
	attempts int
	next     time.Time
}

type exceptionSince struct {
	state string
	since *timestamppb.Timestamp
}

// confirmation of a held prune by a person; done gets its outcome.
type confirmation struct {
	id   string
	done chan error
}

func newBundle(name string) *bundle {
	return &bundle{name: name, failures: map[content.ObjectID]failure{}, repairs: map[content.ObjectID]repair{}, drifts: map[content.ObjectID]drift{},
		told: map[content.ObjectID]string{}, since: map[content.ObjectID]exceptionSince{}, reasons: map[content.ObjectID]reason{}}
}

func (b *bundle) entangled() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tangled
}

func (b *bundle) retry() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fresh = true
}

// again has failed hooks run again.
func (b *bundle) again() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rerun = true
}

// takeFresh says whether failures are to be forgotten, once.
func (b *bundle) takeFresh() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	fresh := b.fresh
	b.fresh = false
	return fresh
}

func (b *bundle) takeConfirmation() *confirmation {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.confirm
	b.confirm = nil
	return taken
}

func (b *bundle) last() *linkv1.BundleStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status
}

// takeRerun says whether a person asked for failed hooks to be run again, once.
func (b *bundle) takeRerun() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	rerun := b.rerun
	b.rerun = false
	return rerun
}

// left are the fields of an object that are others' once it is there: those that drift rules name, and those that are
// applied at creation only (JSON pointers, one a line).
func left(entry *linkv1.Entry, id content.ObjectID, once string) []owned.Pointer {
	pointers := apply.Ignored(entry.GetOptions().GetDriftIgnore(), id)
	for pointer := range strings.SplitSeq(once, "\n") {
		if pointer != "" {
			pointers = append(pointers, owned.ParsePointer(pointer))
		}
	}
	return apply.Folded(pointers, id)
}
