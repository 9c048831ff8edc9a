// Package sandbox supervises a whole fleet on one machine, without root, Docker or cloud: etcd, the hub's Kubernetes API
// server, Cluster API with the local provider, a Git server and the real hub. Members, their agents and everything that the
// fleet repo declares come from these, as they would in a data centre.
//
// Each part is a process of package process; Up starts them in the order that they need each other, and Down ends them the
// other way round. State lives in one folder, and outlives both.
package sandbox

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"
)

// Config of a sandbox.
type Config struct {
	// Folder of all state. It is made.
	Folder string
	// Bin is the folder of the binaries: periplus-hub, periplus-agent, periplus, periplus-sandbox, kube, kubectl, plugins/.
	Bin string
	// Fleet is a Git URL, or a folder that is or becomes a repository. Required at the first start.
	Fleet string
	// Out shows progress to a person.
	Out io.Writer
	// Limits of the preflight; the zero value is the default.
	Limits Limits
	// Edit changes the fleet's files before their first commit; for a check that needs more or fewer clusters. May be nil.
	Edit func(folder string) error
}

// Names that the parts agree on.
const (
	// SystemNamespace holds the hub, TenantNamespace the fleet.
	SystemNamespace = "periplus-system"
	TenantNamespace = "fleet"
	// RepoName of the FleetRepo.
	RepoName = "fleet"
	// hubAccount is the hub's ServiceAccount, and writerAccount the one that writes what Git declares.
	hubAccount    = "periplus-hub"
	writerAccount = "periplus-fleet"
	// HubUser is how the hub authenticates.
	HubUser = "system:serviceaccount:" + SystemNamespace + ":" + hubAccount
)

func (c Config) path(parts ...string) string {
	return filepath.Join(append([]string{c.Folder}, parts...)...)
}

func (c Config) binary(name string) string { return filepath.Join(c.Bin, name) }

// Kubeconfig is the path of the administrator's kubeconfig of the hub's cluster.
func (c Config) Kubeconfig() string { return c.path("kubeconfig") }

// Clone is the folder of the clone that a person edits.
func (c Config) Clone() string { return c.path("fleet") }

// StorePath is the file of the hub's SQL store.
func (c Config) StorePath() string { return c.path("hub", "store.db") }

// Failure is what a person can do something about: it is shown as one line.
type Failure struct {
	// What went wrong and What to Do.
	What string
	Do   string
	Err  error
}

func (f *Failure) Error() string {
	text := f.What
	if f.Err != nil {
		text += ": " + f.Err.Error()
	}
	if f.Do != "" {
		text += "; " + f.Do
	}
	return text
}

func (f *Failure) Unwrap() error { return f.Err }

// steps prints what is done, with the time that it took.
type steps struct {
	out   io.Writer
	began time.Time
}

func (s steps) do(what string, work func() error) error {
	started := time.Now()
	if err := work(); err != nil {
		var failure *Failure
		if errors.As(err, &failure) {
			return err
		}
		return fmt.Errorf("%s: %w", what, err)
	}
	s.say("%-42s %5.1fs", what, time.Since(started).Seconds())
	return nil
}

// say prints one line with the time since the start.
func (s steps) say(format string, args ...any) {
	fmt.Fprintf(s.out, "[%5.1fs] %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

// Absolute is the folder's absolute path.
func (c Config) Absolute() string { return c.absolute() }
