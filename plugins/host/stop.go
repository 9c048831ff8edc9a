package host

import (
	"context"
	"sync"
	"time"
)

// close refuses new calls, waits for those that are held until ctx ends, and stops all processes.
func (p *Plugin) close(ctx context.Context) {
	p.mu.Lock()
	if p.closing {
		p.mu.Unlock()
		return
	}
	p.closing = true
	close(p.closed)
	p.mu.Unlock()
	drained := make(chan struct{})
	go func() {
		p.calls.Wait()
		close(drained)
	}()
	select {
	case <-drained:
	case <-ctx.Done():
		for _, proc := range p.processes() {
			proc.kill(errClosed)
		}
		<-drained
	}
	var group sync.WaitGroup
	for _, proc := range p.processes() {
		group.Go(func() { proc.stop(errStopped) })
	}
	group.Wait()
	p.watching.Wait()
	if p.spec.program != nil {
		_ = p.spec.program.Close()
	}
}

func (p *Plugin) processes() []*process {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]*process, 0, len(p.live))
	for proc := range p.live {
		out = append(out, proc)
	}
	return out
}

// shrink stops processes that had nothing to do for a while, all but one.
func (p *Plugin) shrink(now time.Time) {
	p.mu.Lock()
	var old []*process
	for len(p.idle) > 1 && now.Sub(p.idle[0].idleSince) > idleTime {
		old = append(old, p.idle[0])
		p.idle = p.idle[1:]
	}
	p.mu.Unlock()
	for _, proc := range old {
		proc.stop(errStopped)
	}
}
