// Package fakestore is the hub's store in memory, as far as the link asks it: it behaves like
// hub/store, can be put back to an older copy, and lets tests play the control role.
package fakestore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/link"
	"github.com/periplus-fleet/periplus/hub/link/session"
)

// Cluster is one cluster's rows.
type Cluster struct {
	Head       session.Head
	Entries    map[string]*linkv1.Entry
	Tombstones map[string]*linkv1.Tombstone
	// changed is the generation that last changed each bundle.
	changed map[string]uint64

	Session   uint64
	Process   string
	instances []string
	sequence  uint64
	Connected bool
	Seen      time.Time

	Statuses map[string]*linkv1.BundleStatus
	Refused  []*linkv1.Refused
	Relearn  *linkv1.RelearnReport
	Commands []*linkv1.Command
}

// Store is the fake.
type Store struct {
	mu       sync.Mutex
	meta     link.Meta
	clusters map[string]*Cluster
	blobs    map[content.Digest][]byte
	answers  map[string]string
	hints    chan string
	// reports counts status writes that were applied.
	reports int
}

// New makes an empty store of a fleet.
func New(fleetID string) *Store {
	s := &Store{meta: link.Meta{FleetID: fleetID, Epoch: "epoch-1"}, clusters: map[string]*Cluster{}, blobs: map[content.Digest][]byte{},
		answers: map[string]string{}, hints: make(chan string, 64)}
	return s
}

// AddCluster adds a cluster with an empty set.
func (s *Store) AddCluster(uid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clusters[uid] != nil {
		return
	}
	s.clusters[uid] = &Cluster{Head: session.Head{Desired: delivery.Position{Epoch: s.meta.Epoch, Generation: 1}},
		Entries: map[string]*linkv1.Entry{}, Tombstones: map[string]*linkv1.Tombstone{}, changed: map[string]uint64{},
		Statuses: map[string]*linkv1.BundleStatus{}}
}

// Set assigns an entry.
func (s *Store) Set(uid string, entry *linkv1.Entry) {
	s.change(uid, func(c *Cluster) {
		delete(c.Tombstones, entry.GetBundle())
		c.Entries[entry.GetBundle()] = entry
		c.changed[entry.GetBundle()] = c.Head.Desired.Generation
	})
}

// Remove gives a bundle its tombstone.
func (s *Store) Remove(uid, bundle string, cause *linkv1.Cause) {
	s.change(uid, func(c *Cluster) {
		delete(c.Entries, bundle)
		c.Tombstones[bundle] = &linkv1.Tombstone{Bundle: bundle, Cause: cause, Generation: c.Head.Desired.Generation}
		c.changed[bundle] = c.Head.Desired.Generation
	})
}

func (s *Store) change(uid string, apply func(*Cluster)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clusters[uid]
	c.Head.Desired.Generation++
	apply(c)
	c.Head.Desired.SetHash = content.SetHash(c.Entries)
}

// Hint says that a cluster may have changed.
func (s *Store) Hint(uid string) {
	select {
	case s.hints <- uid:
	default:
	}
}

// PutCommand adds a command for a cluster.
func (s *Store) PutCommand(uid string, command *linkv1.Command) {
	s.mu.Lock()
	s.clusters[uid].Commands = append(s.clusters[uid].Commands, command)
	s.mu.Unlock()
	s.Hint(uid)
}

// CommandAnswer is what became of a command.
func (s *Store) CommandAnswer(id string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, done := s.answers[id]
	return text, done
}

// Put adds a revision with its content.
func (s *Store) Put(manifest content.Manifest, blobs map[content.Digest][]byte) (content.Digest, error) {
	data, err := manifest.Encode()
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.Copy(s.blobs, blobs)
	s.blobs[content.Sum(data)] = data
	return content.Sum(data), nil
}

// Forge puts other bytes under a digest, as a store does that is damaged.
func (s *Store) Forge(digest content.Digest, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blobs[digest] = data
}

// FinishRelearn answers a report as control does: want is what Git declares; a bundle that nobody declares gets a tombstone
// by a person's word. It says which bundles those were.
func (s *Store) FinishRelearn(uid string, want map[string]*linkv1.Entry, person string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clusters[uid]
	if !c.Head.Relearn || c.Relearn == nil {
		return nil
	}
	c.Head.Desired.Generation++
	c.Entries, c.Tombstones, c.changed = maps.Clone(want), map[string]*linkv1.Tombstone{}, map[string]uint64{}
	for bundle := range want {
		c.changed[bundle] = c.Head.Desired.Generation
	}
	var unclaimed []string
	for _, entry := range c.Relearn.GetEntries() {
		if want[entry.GetBundle()] != nil {
			continue
		}
		unclaimed = append(unclaimed, entry.GetBundle())
		c.Tombstones[entry.GetBundle()] = &linkv1.Tombstone{Bundle: entry.GetBundle(), Generation: c.Head.Desired.Generation,
			Cause: &linkv1.Cause{Kind: "person", Ref: person}}
	}
	for _, tombstone := range c.Relearn.GetTombstones() {
		if want[tombstone.GetBundle()] == nil && c.Tombstones[tombstone.GetBundle()] == nil {
			c.Tombstones[tombstone.GetBundle()] = tombstone
		}
	}
	for bundle := range c.Tombstones {
		c.changed[bundle] = c.Head.Desired.Generation
	}
	c.Head.Relearn, c.Relearn = false, nil
	c.Head.Desired.SetHash = content.SetHash(c.Entries)
	return unclaimed
}

// Read calls look with a cluster's rows; look must not keep them.
func (s *Store) Read(uid string, look func(*Cluster)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	look(s.clusters[uid])
}

// Snapshot copies what a backup of the store holds.
func (s *Store) Snapshot() *Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	copied := &Store{meta: s.meta, clusters: map[string]*Cluster{}}
	for uid, c := range s.clusters {
		copied.clusters[uid] = c.clone()
	}
	return copied
}

func (c *Cluster) clone() *Cluster {
	other := *c
	other.Entries, other.Tombstones, other.changed = maps.Clone(c.Entries), maps.Clone(c.Tombstones), maps.Clone(c.changed)
	other.Statuses, other.instances, other.Commands = maps.Clone(c.Statuses), slices.Clone(c.instances), slices.Clone(c.Commands)
	return &other
}

// Restore puts the store back to a snapshot; with a new epoch every cluster is to be relearned.
func (s *Store) Restore(snapshot *Store, epoch string) {
	copied := snapshot.Snapshot()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.meta, s.clusters = copied.meta, copied.clusters
	if epoch == "" {
		return
	}
	s.meta.Epoch = epoch
	for _, c := range s.clusters {
		c.Head.Desired.Epoch, c.Head.Relearn, c.Relearn = epoch, true, nil
		c.Head.Desired.Generation++
	}
}

// Meta implements link.Store.
func (s *Store) Meta(context.Context) (link.Meta, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.meta, nil
}

func (s *Store) cluster(uid string) (*Cluster, error) {
	if c := s.clusters[uid]; c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("cannot read cluster %q: %w", uid, link.ErrUnknownCluster)
}

// Head implements link.Store.
func (s *Store) Head(_ context.Context, uid string) (session.Head, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.cluster(uid)
	if err != nil {
		return session.Head{}, err
	}
	return c.Head, nil
}

// Desired implements link.Store.
func (s *Store) Desired(ctx context.Context, uid string) (session.Desired, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.cluster(uid)
	if err != nil {
		return session.Desired{}, err
	}
	return c.since(0), nil
}

func (c *Cluster) since(generation uint64) session.Desired {
	set := session.Desired{Position: c.Head.Desired, Relearn: c.Head.Relearn}
	for _, bundle := range slices.Sorted(maps.Keys(c.changed)) {
		switch {
		case c.changed[bundle] <= generation:
		case c.Entries[bundle] != nil:
			set.Entries = append(set.Entries, c.Entries[bundle])
		case c.Tombstones[bundle] != nil:
			set.Tombstones = append(set.Tombstones, c.Tombstones[bundle])
		}
	}
	return set
}

// Since implements link.Store.
func (s *Store) Since(_ context.Context, uid string, base delivery.Position) (session.Desired, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.cluster(uid)
	if err != nil {
		return session.Desired{}, false, err
	}
	if base != c.Head.Recorded || base.Epoch != c.Head.Desired.Epoch {
		return session.Desired{}, false, nil
	}
	return c.since(base.Generation), true, nil
}

// ClaimSession implements link.Store.
func (s *Store) ClaimSession(_ context.Context, uid, process string, hello *linkv1.Hello) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.cluster(uid)
	if err != nil {
		return 0, err
	}
	// A B A: two instances take the session from each other in turn.
	if n := len(c.instances); n >= 2 && c.instances[n-2] == hello.GetInstance() && c.instances[n-1] != hello.GetInstance() {
		return 0, link.ErrDuplicateIdentity
	}
	if n := len(c.instances); n == 0 || c.instances[n-1] != hello.GetInstance() {
		c.instances = append(c.instances, hello.GetInstance())
	}
	c.Session++
	c.Process, c.sequence, c.Connected = process, 0, true
	return c.Session, nil
}

// ReleaseSession implements link.Store.
func (s *Store) ReleaseSession(_ context.Context, uid string, number uint64) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clusters[uid]
	if c == nil {
		return true, nil
	}
	if c.Session == number {
		c.Connected = false
	}
	return !c.Connected, nil
}

// Accept implements link.Store.
func (s *Store) Accept(_ context.Context, uid string, number uint64, p delivery.Position, refused []*linkv1.Refused) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.clusters[uid]; c != nil && c.Session == number {
		c.Head.Recorded, c.Refused = p, refused
	}
	return nil
}

// Report implements link.Store.
func (s *Store) Report(_ context.Context, uid string, number, sequence uint64, report *linkv1.StatusReport) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clusters[uid]
	if c == nil || c.Session != number || sequence <= c.sequence {
		return false, nil
	}
	c.sequence = sequence
	s.reports++
	if report.GetFull() {
		clear(c.Statuses)
	}
	for _, status := range report.GetBundles() {
		bare := proto.CloneOf(status)
		bare.Events = nil
		c.Statuses[status.GetBundle()] = bare
	}
	for _, bundle := range report.GetRemoved() {
		delete(c.Statuses, bundle)
		if c.Tombstones[bundle] != nil {
			delete(c.Tombstones, bundle)
			delete(c.changed, bundle)
		}
	}
	return true, nil
}

// Reports counts the status reports that were applied.
func (s *Store) Reports() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reports
}

// SaveRelearn implements link.Store.
func (s *Store) SaveRelearn(_ context.Context, uid string, number uint64, report *linkv1.RelearnReport) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.clusters[uid]; c != nil && c.Session == number && report.GetEpoch() == s.meta.Epoch {
		c.Head.Relearn, c.Relearn = true, report
	}
	return nil
}

// Touch implements link.Store.
func (s *Store) Touch(_ context.Context, seen map[string]time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for uid, at := range seen {
		if c := s.clusters[uid]; c != nil {
			c.Seen = at
		}
	}
	return nil
}

// Moved implements link.Store.
func (s *Store) Moved(_ context.Context, sent map[string]uint64) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var moved []string
	for uid, generation := range sent {
		if c := s.clusters[uid]; c != nil && c.Head.Desired.Generation != generation {
			moved = append(moved, uid)
		}
	}
	return moved, nil
}

// Hints implements link.Store.
func (s *Store) Hints() <-chan string { return s.hints }

// PendingCommands implements link.Store.
func (s *Store) PendingCommands(_ context.Context, uid string) ([]*linkv1.Command, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.cluster(uid)
	if err != nil {
		return nil, err
	}
	return slices.Clone(c.Commands), nil
}

// AnswerCommand implements link.Store.
func (s *Store) AnswerCommand(_ context.Context, id, failure string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[id] = failure
	for _, c := range s.clusters {
		c.Commands = slices.DeleteFunc(c.Commands, func(command *linkv1.Command) bool { return command.GetId() == id })
	}
	return nil
}

// MayFetch implements link.Store: what is assigned now.
func (s *Store) MayFetch(_ context.Context, uid, bundle string, revision content.Digest) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.cluster(uid)
	if err != nil {
		return false, err
	}
	return c.Entries[bundle] != nil && c.Entries[bundle].GetRevision() == string(revision), nil
}

// Blobs implements link.Store.
func (s *Store) Blobs(_ context.Context, digests []content.Digest) (map[content.Digest][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := map[content.Digest][]byte{}
	for _, digest := range digests {
		if data, ok := s.blobs[digest]; ok {
			found[digest] = data
		}
	}
	return found, nil
}
