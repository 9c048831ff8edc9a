package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/periplus-fleet/periplus/plugins/internal/wire"
)

const (
	// Back-off after failures in a row: the first restart is at once.
	firstBackOff = 250 * time.Millisecond
	maxBackOff   = 30 * time.Second
	// patience is how long a call waits for a plugin that is backing off.
	patience = 5 * time.Second
	// idleTime after which all idle processes but one are stopped.
	idleTime = 5 * time.Minute
)

// stopped is an end that was asked for.
type stopped string

func (s stopped) Error() string { return string(s) }

const (
	errStopped = stopped("it is no longer needed")
	errClosed  = stopped("the hub is stopping")
)

// Plugin is a pool of processes of one declaration. Processes are started as calls come, up to Spec.Processes.
type Plugin struct {
	spec    Spec
	typ     Type
	tempDir string
	log     *slog.Logger
	// slots are rights to have a process.
	slots  chan struct{}
	closed chan struct{}

	mu        sync.Mutex
	idle      []*process
	live      map[*process]bool
	described description
	// refused is why the plugin is never started.
	refused   error
	failures  int
	notBefore time.Time
	lastError string
	counters
	closing  bool
	calls    sync.WaitGroup
	watching sync.WaitGroup
}

// description is what the last process said of itself.
type description struct {
	known       bool
	bound       Version
	version     string
	takesValues bool
}

func newPlugin(spec Spec, typ Type, tempDir string, log *slog.Logger) *Plugin {
	return &Plugin{spec: spec, typ: typ, tempDir: tempDir, log: log.With("plugin", spec.Name, "pluginType", spec.Type),
		slots: make(chan struct{}, spec.Processes), closed: make(chan struct{}), live: map[*process]bool{}}
}

// Session is one call's hold of a process.
type Session struct {
	Conn grpc.ClientConnInterface
	// Version of the type that is spoken.
	Version int32
	files   *files
}

// Share serves a tree to the plugin until the call ends, and returns its number; nil is none, 0.
func (s *Session) Share(tree fs.FS) uint64 {
	if tree == nil {
		return 0
	}
	return s.files.share(tree)
}

// Call lets do make one call. It waits for a free process; its errors are *Error.
func (p *Plugin) Call(ctx context.Context, do func(context.Context, *Session) error) error {
	p.mu.Lock()
	if p.closing {
		p.mu.Unlock()
		return p.fault(errClosed)
	}
	p.calls.Add(1)
	p.mu.Unlock()
	defer p.calls.Done()
	proc, err := p.acquire(ctx)
	if err != nil {
		return p.fault(err)
	}
	p.mu.Lock()
	p.held++
	p.mu.Unlock()
	callContext, cancel := context.WithTimeout(ctx, p.spec.Timeout)
	started := time.Now()
	err = do(callContext, &Session{Conn: proc.conn, Version: proc.bound.Number, files: proc.files})
	err = p.judge(ctx, callContext, proc, err)
	cancel()
	p.release(proc, time.Since(started), err)
	return err
}

// judge finds out what an error of a call means, and ends the process where it is not to be trusted any more.
func (p *Plugin) judge(ctx, callContext context.Context, proc *process, err error) error {
	if err == nil {
		return nil
	}
	switch {
	case over(ctx) != nil:
		proc.kill(errStopped)
		return &Error{Type: p.spec.Type, Name: p.spec.Name, Err: over(ctx)}
	case over(callContext) != nil:
		proc.kill(fmt.Errorf("killed: it gave no answer within %s", p.spec.Timeout))
		<-proc.run.done
		return p.fault(proc.run.why())
	case status.Code(err) == codes.Unavailable || status.Code(err) == codes.Canceled:
		// The connection broke: either the process is gone, or it will be.
		select {
		case <-proc.run.done:
		case <-time.After(lastOutput):
			proc.kill(errors.New("killed: it closed its connection"))
			<-proc.run.done
		}
		return p.fault(proc.run.why())
	case status.Code(err) == codes.ResourceExhausted && strings.Contains(err.Error(), "larger than max"):
		return p.fault(fmt.Errorf("its answer is larger than %s", size(int64(p.spec.MaxAnswer))))
	}
	return &Error{Type: p.spec.Type, Name: p.spec.Name, Err: wire.FromStatus(err)}
}

// over says what ended ctx. The plugin's side keeps the deadline too, and its answer to that may be here before the timer
// of this side's context has fired.
func over(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok && !deadline.After(time.Now()) {
		return context.DeadlineExceeded
	}
	return nil
}

func (p *Plugin) fault(err error) error {
	return &Error{Type: p.spec.Type, Name: p.spec.Name, Err: err, Fault: true}
}

// acquire takes an idle process or starts one.
func (p *Plugin) acquire(ctx context.Context) (*process, error) {
	p.mu.Lock()
	refused := p.refused
	p.mu.Unlock()
	if refused != nil {
		return nil, refused
	}
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.closed:
		return nil, errClosed
	}
	proc, err := p.take(ctx)
	if err != nil {
		<-p.slots
	}
	return proc, err
}

func (p *Plugin) take(ctx context.Context) (*process, error) {
	p.mu.Lock()
	for n := len(p.idle); n > 0; n = len(p.idle) {
		proc := p.idle[n-1]
		p.idle = p.idle[:n-1]
		if !proc.run.isDying() {
			p.mu.Unlock()
			return proc, nil
		}
	}
	wait, last := time.Until(p.notBefore), p.lastError
	p.mu.Unlock()
	if wait > patience {
		return nil, fmt.Errorf("it is started again in %s, after: %s", wait.Round(time.Second), last)
	}
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-p.closed:
			return nil, errClosed
		}
	}
	return p.start(ctx)
}

// start launches a process, which may fail.
func (p *Plugin) start(ctx context.Context) (*process, error) {
	proc, err := launch(context.WithoutCancel(ctx), p.spec, p.tempDir, p.log)
	if err != nil {
		p.failed(err)
		return nil, err
	}
	bound, err := p.typ.bind(proc.described)
	if err != nil {
		proc.stop(errStopped)
		err = &permanentError{err}
		p.failed(err)
		return nil, err
	}
	p.mu.Lock()
	if p.closing {
		p.mu.Unlock()
		proc.stop(errStopped)
		return nil, errClosed
	}
	if bound.Deprecated != "" && !p.described.known {
		p.log.Warn("the plugin speaks a deprecated version of its type", "version", bound.Number, "until", bound.Deprecated)
	}
	proc.bound = bound
	p.described = description{known: true, bound: bound, version: proc.described.GetVersion(), takesValues: proc.described.GetTakesValues()}
	p.live[proc] = true
	p.started++
	p.mu.Unlock()
	p.watching.Go(func() { p.watch(proc) })
	return proc, nil
}

// watch notices the end of a process, in a call or not.
func (p *Plugin) watch(proc *process) {
	<-proc.run.done
	cause := proc.run.why()
	p.mu.Lock()
	delete(p.live, proc)
	p.mu.Unlock()
	if asked := stopped(""); !errors.As(cause, &asked) {
		p.failed(cause)
	}
}

// failed counts an end that was not asked for, and backs off.
func (p *Plugin) failed(cause error) {
	p.mu.Lock()
	p.lastError = cause.Error()
	var permanent *permanentError
	if errors.As(cause, &permanent) {
		p.refused = permanent.error
	}
	p.failures++
	p.crashes++
	inARow, wait := p.failures, backOff(p.failures)
	p.notBefore = time.Now().Add(wait)
	p.mu.Unlock()
	p.log.Error("the plugin failed", "error", cause, "failuresInARow", inARow, "nextStartIn", wait.Round(time.Millisecond))
}

// backOff after so many failures in a row, with jitter.
func backOff(failures int) time.Duration {
	if failures <= 1 {
		return 0
	}
	wait := min(maxBackOff, firstBackOff<<min(failures-2, 10))
	return wait/2 + rand.N(wait/2+1)
}

// release gives the process back and counts the call.
func (p *Plugin) release(proc *process, took time.Duration, err error) {
	proc.files.release()
	var failure *Error
	faulty := errors.As(err, &failure) && failure.Fault
	p.mu.Lock()
	p.count(took, faulty)
	if faulty {
		p.lastError = failure.Err.Error()
	} else if err == nil {
		p.failures = 0
	}
	if !proc.run.isDying() {
		proc.idleSince = time.Now()
		p.idle = append(p.idle, proc)
	}
	p.mu.Unlock()
	<-p.slots
}
