// Package process runs the parts of a local cluster as child processes: one of each name, restarted when they end, and
// none left behind. The local Cluster API provider uses it for members' API servers, the sandbox for everything else.
//
// A child is the leader of its own process group, so that ending it ends what it started. Its pid file names the start
// time as well: a pid that the system has given to another process is never signalled.
package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Spec says what to run.
type Spec struct {
	// Name for reports and errors.
	Name string
	// Path of the binary, with its Args (without the name) and Env (added to the parent's).
	Path string
	Args []string
	Env  []string
	// Dir is the working folder. Default: the parent's.
	Dir string
	// Log file for output and errors, appended to; it is emptied above 32 MiB and the part before kept as Log+".1".
	Log string
	// PidFile of the running child. Its folder is made.
	PidFile string
	// Grace between SIGTERM and SIGKILL. Default 2 s: an API server with open watches does not end on SIGTERM.
	Grace time.Duration
	// Ready returns nil once the child does its work; it is asked every 100 ms. Default: ready when started.
	Ready func(ctx context.Context) error
}

// Event is something that happened to a child without being asked for.
type Event struct {
	Name string
	// Err says how the child ended; nil when it was restarted and is ready again.
	Err error
	// Restarts so far, and the delay before the next.
	Restarts int
	Delay    time.Duration
}

// Options say what happens when a child ends by itself.
type Options struct {
	// Restart it with back-off; else Exited is closed.
	Restart bool
	// Report is called from the supervising goroutine. It must not call Stop.
	Report func(Event)
}

const (
	logLimit     = 32 << 20
	defaultGrace = 2 * time.Second
	firstDelay   = 500 * time.Millisecond
	longestDelay = 30 * time.Second
	// A child that lived this long starts its back-off anew.
	settled = time.Minute
	poll    = 100 * time.Millisecond
	// marker in a child's environment names its pid file: it finds children whose pid file was never written.
	marker = "PERIPLUS_PIDFILE"
)

// ErrRunning is returned by Start when another living process supervises a child with the same pid file.
var ErrRunning = errors.New("already running")

// Process is a supervised child.
type Process struct {
	spec    Spec
	options Options
	lock    *os.File
	stop    context.CancelFunc
	exited  chan struct{}

	mu  sync.Mutex
	pid int
	err error
}

// Start ends what an earlier parent left under the same pid file, starts the child, and waits until it is ready or ctx is
// done. The child lives until Stop; ctx bounds only the start.
func Start(ctx context.Context, spec Spec, options Options) (*Process, error) {
	if spec.Grace <= 0 {
		spec.Grace = defaultGrace
	}
	for _, folder := range []string{filepath.Dir(spec.PidFile), filepath.Dir(spec.Log)} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return nil, fmt.Errorf("cannot start %s: %w", spec.Name, err)
		}
	}
	lock, err := lockFile(spec.PidFile + ".lock")
	if err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", spec.Name, err)
	}
	if err := endRecorded(ctx, spec.PidFile, spec.Grace); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("cannot start %s: %w", spec.Name, err)
	}
	living, stop := context.WithCancel(context.WithoutCancel(ctx))
	p := &Process{spec: spec, options: options, lock: lock, stop: stop, exited: make(chan struct{})}
	r, err := p.launch()
	if err != nil {
		stop()
		_ = lock.Close()
		return nil, err
	}
	if err := p.awaitReady(ctx, r); err != nil {
		p.end(r)
		p.close()
		close(p.exited)
		return nil, err
	}
	go p.supervise(living, r)
	return p, nil
}

// Stop ends the child's process group: SIGTERM, the grace, SIGKILL. It returns when the child is gone; calling it again is harmless.
func (p *Process) Stop(ctx context.Context) error {
	p.stop()
	select {
	case <-p.exited:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("cannot stop %s: %w", p.spec.Name, ctx.Err())
	}
}

// Exited is closed when the child ended and will not be started again.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Err says how the child last ended; nil while it runs.
func (p *Process) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Pid of the child; 0 while there is none.
func (p *Process) Pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pid
}

// run is one life of the child. err may be read once done is closed.
type run struct {
	pid  int
	done chan struct{}
	err  error
}

func (p *Process) launch() (*run, error) {
	log, err := openLog(p.spec.Log)
	if err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", p.spec.Name, err)
	}
	defer func() { _ = log.Close() }()
	command := exec.Command(p.spec.Path, p.spec.Args...)
	command.Dir = p.spec.Dir
	command.Env = append(append(os.Environ(), p.spec.Env...), marker+"="+absolute(p.spec.PidFile))
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", p.spec.Name, err)
	}
	r := &run{pid: command.Process.Pid, done: make(chan struct{})}
	p.set(r.pid, nil)
	go func() {
		defer close(r.done)
		r.err = command.Wait()
		if r.err == nil {
			r.err = errors.New("exit status 0")
		}
		p.set(0, r.err)
	}()
	if err := writePid(p.spec.PidFile, r.pid); err != nil {
		p.end(r)
		return nil, fmt.Errorf("cannot start %s: %w", p.spec.Name, err)
	}
	return r, nil
}

func (p *Process) set(pid int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pid, p.err = pid, err
}

func (p *Process) awaitReady(ctx context.Context, r *run) error {
	if p.spec.Ready == nil {
		return nil
	}
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		last := p.spec.Ready(ctx)
		if last == nil {
			return nil
		}
		select {
		case <-r.done:
			return fmt.Errorf("%s ended at start: %w; its last words: %s", p.spec.Name, r.err, Tail(p.spec.Log, 3))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w (%w); its log is %s", p.spec.Name, last, ctx.Err(), p.spec.Log)
		case <-tick.C:
		}
	}
}

// supervise owns the child after its start.
func (p *Process) supervise(ctx context.Context, r *run) {
	defer close(p.exited)
	defer p.close()
	restarts, delay := 0, firstDelay
	for {
		started := time.Now()
		if p.wait(ctx, r) {
			return
		}
		if time.Since(started) > settled {
			delay = firstDelay
		}
		for err := r.err; err != nil; {
			restarts++
			p.report(Event{Name: p.spec.Name, Err: fmt.Errorf("%w; its last words: %s", err, Tail(p.spec.Log, 3)), Restarts: restarts, Delay: delay})
			if !p.options.Restart {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(delay):
			}
			delay = min(2*delay, longestDelay)
			r, err = p.launch()
		}
		if p.awaitReady(ctx, r) == nil {
			p.report(Event{Name: p.spec.Name, Restarts: restarts})
		}
	}
}

// wait returns false when the child ended by itself; when ctx is done, it ends the child and returns true.
func (p *Process) wait(ctx context.Context, r *run) (stopped bool) {
	rotate := time.NewTicker(time.Minute)
	defer rotate.Stop()
	for {
		select {
		case <-r.done:
			return ctx.Err() != nil
		case <-ctx.Done():
			p.end(r)
			return true
		case <-rotate.C:
			rotateLog(p.spec.Log)
		}
	}
}

// end stops the child's group and waits for the child.
func (p *Process) end(r *run) {
	signalGroup(r.pid, syscall.SIGTERM)
	select {
	case <-r.done:
	case <-time.After(p.spec.Grace):
	}
	// Also when the child ended in time: what it started and left is still in its group.
	signalGroup(r.pid, syscall.SIGKILL)
	<-r.done
}

func (p *Process) report(event Event) {
	if p.options.Report != nil {
		p.options.Report(event)
	}
}

func (p *Process) close() {
	p.stop()
	_ = os.Remove(p.spec.PidFile)
	_ = p.lock.Close()
}
