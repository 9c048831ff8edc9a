package host

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-plugin/runner"

	"github.com/periplus-fleet/periplus/plugins/host/jail"
)

// maxTempFile bounds each file that a plugin writes.
const maxTempFile = 256 << 20

// lastOutput is how long output is read that a process left behind, or that its children hold open.
const lastOutput = time.Second

// run is one process, as go-plugin wants it.
type run struct {
	cmd  *exec.Cmd
	name string
	// jailed processes limit themselves.
	jailed bool
	memory int64
	log    *lines
	stdout *os.File
	stderr *os.File
	// done is closed when the process has ended and all it said was read.
	done chan struct{}
	// dying is closed when it is killed or has ended.
	dying chan struct{}

	mu    sync.Mutex
	cause error
	exit  error
	once  sync.Once
}

var _ runner.Runner = (*run)(nil)

func newRun(spec Spec, dir string, env []string, log *lines) *run {
	cmd := &exec.Cmd{Path: spec.Program, Args: spec.Args, Dir: dir, Env: env, SysProcAttr: attributes(spec.namespaces && !spec.Network)}
	if len(spec.jail) > 0 {
		jailed := jail.Spec{Program: spec.Program, Args: spec.Args, NoNetwork: !spec.Network, Memory: spec.Memory, MaxFile: maxTempFile, Folder: dir, Read: spec.Read}
		if spec.program != nil {
			// The first of the extra files is descriptor 3 in the process.
			jailed.Program, cmd.ExtraFiles = "/proc/self/fd/3", []*os.File{spec.program}
		}
		cmd.Path, cmd.Args = spec.jail[0], append(slices.Clone(spec.jail), jailed.Argument())
	}
	return &run{cmd: cmd, name: spec.Args[0], jailed: len(spec.jail) > 0, memory: spec.Memory, log: log, done: make(chan struct{}), dying: make(chan struct{})}
}

// Start starts and limits the process, and sees to it that it is waited for.
func (r *run) Start(context.Context) error {
	stdout, stdoutWriter, err := os.Pipe()
	if err != nil {
		return err
	}
	defer stdoutWriter.Close()
	stderr, stderrWriter, err := os.Pipe()
	if err != nil {
		stdout.Close()
		return err
	}
	defer stderrWriter.Close()
	r.stdout, r.stderr, r.cmd.Stdout, r.cmd.Stderr = stdout, stderr, stdoutWriter, stderrWriter
	if err := r.cmd.Start(); err != nil {
		stdout.Close()
		stderr.Close()
		close(r.done)
		r.markDying()
		return err
	}
	if !r.jailed {
		if err := limit(r.cmd.Process.Pid, r.memory); err != nil {
			r.kill(err)
		}
	}
	said := make(chan struct{})
	go func() {
		defer close(said)
		r.log.copy(&metered{ReadCloser: stderr, bucket: newBucket(floodBurst, floodPerSecond, time.Now), flooded: r.flooded})
	}()
	go func() {
		exit := r.cmd.Wait()
		killGroup(r.cmd.Process.Pid)
		_ = stdout.SetReadDeadline(time.Now().Add(lastOutput))
		_ = stderr.SetReadDeadline(time.Now().Add(lastOutput))
		<-said
		stderr.Close()
		r.mu.Lock()
		r.exit = exit
		r.mu.Unlock()
		r.markDying()
		close(r.done)
	}()
	return nil
}

func (r *run) markDying() { r.once.Do(func() { close(r.dying) }) }

// isDying says whether the process takes no more calls.
func (r *run) isDying() bool {
	select {
	case <-r.dying:
		return true
	default:
		return false
	}
}

func (r *run) flooded() {
	r.kill(fmt.Errorf("killed: it flooded its output (more than %s, and then %s/s)", size(floodBurst), size(floodPerSecond)))
}

// kill ends the process; the first cause counts.
func (r *run) kill(cause error) {
	r.mu.Lock()
	if r.cause == nil {
		r.cause = cause
	}
	r.mu.Unlock()
	r.markDying()
	if r.cmd.Process != nil {
		killGroup(r.cmd.Process.Pid)
		_ = r.cmd.Process.Kill()
	}
}

// why the process ended, once it has: the cause it was killed for, else its own last words.
func (r *run) why() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cause != nil {
		return r.cause
	}
	words := r.log.lastWords()
	if strings.Contains(words, "out of memory") || strings.Contains(words, "cannot allocate memory") {
		return fmt.Errorf("crashed: out of memory (its limit is %s)", size(r.memory))
	}
	how := "exit status 0"
	if r.exit != nil {
		how = r.exit.Error()
	}
	if words != "" {
		return fmt.Errorf("crashed: %s (%s)", words, how)
	}
	return fmt.Errorf("crashed: %s", how)
}

// Wait waits until all is read and over.
func (r *run) Wait(context.Context) error {
	<-r.done
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.exit
}

// Kill is go-plugin's.
func (r *run) Kill(context.Context) error {
	r.kill(errStopped)
	return nil
}

// Stdout carries the handshake; later output is read and dropped.
func (r *run) Stdout() io.ReadCloser {
	return &metered{ReadCloser: r.stdout, bucket: newBucket(floodBurst, floodPerSecond, time.Now), flooded: r.flooded}
}

// Stderr is read here already.
func (r *run) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Name is for messages.
func (r *run) Name() string { return r.name }

// ID is the process id.
func (r *run) ID() string {
	if r.cmd.Process == nil {
		return ""
	}
	return strconv.Itoa(r.cmd.Process.Pid)
}

// Diagnose adds nothing: why says it.
func (r *run) Diagnose(context.Context) string { return "" }

// PluginToHost keeps addresses as they are: both see one file system.
func (r *run) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

// HostToPlugin keeps addresses as they are.
func (r *run) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}
