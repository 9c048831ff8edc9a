package chart

import (
	"context"
	"errors"
	"time"
)

// Pauses after failures in a row, doubled from the first to the last.
const (
	firstPause = 10 * time.Second
	lastPause  = 5 * time.Minute
)

// DefaultWait of one who asks for a chart: the planner has other bundles to see to.
const DefaultWait = 2 * time.Second

// errFetching is said while a repository takes its time.
var errFetching = errors.New("the chart is being fetched")

// Unavailable is a chart that cannot be had now: it is being fetched, or the repository is away, refuses, or does not have it
// yet.
type Unavailable struct {
	// Again is when it is worth to ask again; asking earlier gives the same answer.
	Again time.Time
	Cause error
}

func (u *Unavailable) Error() string { return u.Cause.Error() }

// Unwrap gives the cause.
func (u *Unavailable) Unwrap() error { return u.Cause }

// failure holds a work back.
type failure struct {
	*Unavailable
	pause time.Duration
}

// attempt does a work once for all who ask at a time, and holds it back for a while after it failed. Who asks waits no longer
// than wait; the work goes on for who asks next.
func attempt[V any](ctx context.Context, c *Charts, name string, wait time.Duration, work func(context.Context) (V, error)) (V, error) {
	var none V
	if err := c.held(name); err != nil {
		return none, err
	}
	result := c.flight.DoChan(name, func() (any, error) {
		value, err := work(context.WithoutCancel(ctx))
		return value, c.settle(name, err)
	})
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case done := <-result:
		if done.Err != nil {
			return none, done.Err
		}
		return done.Val.(V), nil
	case <-timer.C:
		return none, c.pend(name, wait)
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// held returns what still holds a work back.
func (c *Charts) held(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if last, ok := c.failed[name]; ok && c.now().Before(last.Again) {
		return last.Unavailable
	}
	return nil
}

// settle notes how a work ended.
func (c *Charts) settle(name string, err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		delete(c.failed, name)
		return nil
	}
	for other, one := range c.failed {
		// What nobody asked for since long is forgotten.
		if c.now().Sub(one.Again) > time.Hour {
			delete(c.failed, other)
		}
	}
	pause := min(max(2*c.failed[name].pause, firstPause), lastPause)
	unavailable := &Unavailable{Again: c.now().Add(pause), Cause: err}
	c.failed[name] = failure{unavailable, pause}
	return unavailable
}

// pend lets those who ask next not wait as well.
func (c *Charts) pend(name string, wait time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if last, ok := c.failed[name]; ok && c.now().Before(last.Again) {
		return last.Unavailable
	}
	unavailable := &Unavailable{Again: c.now().Add(wait), Cause: errFetching}
	c.failed[name] = failure{unavailable, c.failed[name].pause}
	return unavailable
}
