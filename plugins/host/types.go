package host

import (
	"errors"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/periplus-fleet/periplus/api/proto/periplus/plugin/v1"
)

// Type of plugins.
type Type struct {
	Name string
	// Versions that this host has a facade for.
	Versions []Version
}

// Version of a type.
type Version struct {
	Number int32
	// Deprecated says until when the version is spoken; "" is not deprecated.
	Deprecated string
}

// bind picks the best version that both speak.
func (t Type) bind(described *pluginv1.DescribeResponse) (Version, error) {
	var best Version
	var theirs, ours []int32
	for _, spoken := range described.GetSpeaks() {
		if spoken.GetType() != t.Name {
			continue
		}
		theirs = append(theirs, spoken.GetVersion())
		for _, known := range t.Versions {
			if known.Number == spoken.GetVersion() && known.Number > best.Number {
				best = known
			}
		}
	}
	if best.Number > 0 {
		return best, nil
	}
	if len(theirs) == 0 {
		return Version{}, fmt.Errorf("it is no %s", t.Name)
	}
	for _, known := range t.Versions {
		ours = append(ours, known.Number)
	}
	return Version{}, fmt.Errorf("it speaks versions %d of the type %s, the hub %d", theirs, t.Name, ours)
}

// Spec is what to run and within which limits.
type Spec struct {
	Name string
	Type string
	// Program is what is executed, Args are its arguments, its own name first.
	Program string
	Args    []string
	// Source says where it comes from: "built-in" or a path.
	Source string
	Config map[string]any
	// Identity changes with the program and its configuration; "" for those whose version says it.
	Identity string
	// Network is whether it may reach the network.
	Network bool
	// Memory is a hard limit in bytes.
	Memory int64
	// Timeout of a call.
	Timeout time.Duration
	// MaxAnswer in bytes.
	MaxAnswer int
	// Processes at most.
	Processes int

	// Read are files and folders that it may read beside those of the system.
	Read []string

	// program is kept open where Program leads to it.
	program *os.File
	jail    []string
	confinement
}

// Defaults of a Spec.
const (
	DefaultMemory    = 512 << 20
	DefaultTimeout   = time.Minute
	DefaultMaxAnswer = 64 << 20
	// MinMemory is what a small Go program needs to start.
	MinMemory = 96 << 20
)

// Error of a plugin's call. It says which plugin, once, and keeps what it wraps for errors.As.
type Error struct {
	Type, Name string
	Err        error
	// Fault is set where the plugin failed, rather than refused its input: the same call may work later.
	Fault bool
}

// Error is "renderer(helm): cause".
func (e *Error) Error() string { return fmt.Sprintf("%s(%s): %v", e.Type, e.Name, e.Err) }

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// Transient says that the same call may work later.
func (e *Error) Transient() bool { return e.Fault }

// permanentError will not go away by trying again.
type permanentError struct{ error }

func (e *permanentError) Unwrap() error { return e.error }

// asInvalid is the text of INVALID_ARGUMENT; nil for others.
func asInvalid(err error) error {
	if received, ok := status.FromError(err); ok && received.Code() == codes.InvalidArgument {
		return errors.New(received.Message())
	}
	return nil
}
