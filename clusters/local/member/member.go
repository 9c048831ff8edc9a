// Package member keeps the processes of members alive: of each cluster one kube-apiserver on its own etcd prefix, one
// kube-controller-manager, one kube-scheduler, and the companions that simulate its machines. The control-plane reconciler
// says what it wants of a member and reads how far it is; nothing here knows the API of Cluster API.
package member

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/periplus-fleet/periplus/clusters/local/apiserver"
	"github.com/periplus-fleet/periplus/clusters/local/pki"
	"github.com/periplus-fleet/periplus/clusters/local/process"
)

// Spec is what a member is to be.
type Spec struct {
	// UID of the Cluster: its objects stand below it in etcd, so that a new cluster of an old name starts empty.
	UID types.UID
	// Cluster that the member is.
	Cluster types.NamespacedName
	// Emulated version, such as "1.35".
	Emulated string
	// Port of the API server.
	Port int
	// CA and ServiceAccounts are the cluster's keys.
	CA, ServiceAccounts pki.Pair
}

// State is how far a member is.
type State struct {
	// Emulated version that answers; "" when none does.
	Emulated string
	// Err says why the wanted one does not answer yet; nil while it is being started.
	Err error
}

// Running is a member that answers, as companions see it.
type Running struct {
	UID     types.UID
	Cluster types.NamespacedName
	// Folder of the member's files.
	Folder string
	// Server issues credentials.
	Server *apiserver.Server
}

// Companion runs beside a member's API server, from its first readiness to the member's end, upgrades included. When it
// returns it is started again after a while.
type Companion struct {
	Name string
	Run  func(ctx context.Context, member Running) error
}

// Config of a Set.
type Config struct {
	// Kube is the multi-call binary.
	Kube string
	// Folder below which each member has <namespace>/<name>.
	Folder string
	Etcd   apiserver.Access
	Log    *slog.Logger
	// Changed is told when a member's State changed. It must not block.
	Changed    func(cluster types.NamespacedName)
	Companions []Companion
}

// Set of members of one machine.
type Set struct {
	cfg Config

	mu      sync.Mutex
	members map[types.UID]*member
	closed  bool
}

// ErrClosed is returned when the Set is being closed.
var ErrClosed = errors.New("the provider is ending")

// Open ends what an earlier provider left in the folder: every member is started again when its reconciler wants it.
func Open(ctx context.Context, cfg Config) (*Set, error) {
	if err := os.MkdirAll(cfg.Folder, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the members' folder: %w", err)
	}
	if err := process.EndLeftovers(ctx, cfg.Folder); err != nil {
		return nil, fmt.Errorf("cannot end what an earlier provider left: %w", err)
	}
	return &Set{cfg: cfg, members: map[types.UID]*member{}}, nil
}

// Want says what the member is to be, and returns how far it is; it does not wait.
func (s *Set) Want(spec Spec) (State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return State{}, ErrClosed
	}
	m, ok := s.members[spec.UID]
	if !ok {
		for _, other := range s.members {
			if other.spec().Cluster == spec.Cluster {
				return State{}, fmt.Errorf("cannot start cluster %q: the earlier cluster of this name has not ended", spec.Cluster)
			}
		}
		m = s.start(spec)
		s.members[spec.UID] = m
	}
	return m.want(spec), nil
}

func (s *Set) start(spec Spec) *member {
	ctx, cancel := context.WithCancel(context.Background())
	m := &member{cfg: s.cfg, folder: s.folder(spec.Cluster), wanted: spec, poke: make(chan struct{}, 1), cancel: cancel, done: make(chan struct{})}
	go m.run(ctx)
	return m
}

func (s *Set) folder(cluster types.NamespacedName) string {
	return filepath.Join(s.cfg.Folder, cluster.Namespace, cluster.Name)
}

// Config for a user of a member that answers, by a client certificate.
func (s *Set) Config(uid types.UID, user string, groups ...string) (*rest.Config, error) {
	s.mu.Lock()
	m := s.members[uid]
	s.mu.Unlock()
	if m == nil {
		return nil, fmt.Errorf("cannot reach cluster with uid %q: it does not run", uid)
	}
	server := m.server()
	if server == nil {
		return nil, fmt.Errorf("cannot reach cluster with uid %q: it does not answer yet", uid)
	}
	return server.Config(user, groups...)
}

// Remove ends the member, if it runs, and deletes its objects from etcd and its folder.
func (s *Set) Remove(ctx context.Context, uid types.UID, cluster types.NamespacedName) error {
	s.mu.Lock()
	m := s.members[uid]
	s.mu.Unlock()
	if m != nil {
		if err := m.end(ctx); err != nil {
			return err
		}
	}
	folder := s.folder(cluster)
	// A provider that was killed leaves processes that no member here stands for.
	if err := process.EndLeftovers(ctx, folder); err != nil {
		return fmt.Errorf("cannot end cluster %q: %w", cluster, err)
	}
	if err := s.cfg.Etcd.DeletePrefix(ctx, Prefix(uid)); err != nil {
		return fmt.Errorf("cannot remove the objects of cluster %q: %w", cluster, err)
	}
	if err := os.RemoveAll(folder); err != nil {
		return fmt.Errorf("cannot remove the files of cluster %q: %w", cluster, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.members, uid)
	return nil
}

// Prefix of a cluster's objects in etcd.
func Prefix(uid types.UID) string { return "/wl/" + string(uid) }

// Close ends all members' processes and keeps their objects.
func (s *Set) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	members := make([]*member, 0, len(s.members))
	for _, m := range s.members {
		members = append(members, m)
		m.cancel()
	}
	s.mu.Unlock()
	var all error
	for _, m := range members {
		all = errors.Join(all, m.end(ctx))
	}
	return all
}

const (
	// A cold start on a busy machine takes a third of it.
	startPatience = 3 * time.Minute
	firstRetry    = time.Second
	longestRetry  = 30 * time.Second
)
