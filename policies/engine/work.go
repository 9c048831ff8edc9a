package engine

import (
	"context"
	"sync"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// work is one review: all policies share one deadline and one way to be stopped, which costs neither a timer nor a goroutine, and
// what can be used again. It belongs to one goroutine.
type work struct {
	ctx, background context.Context
	options         options
	stopping        stopping
	memory          *memory
	errs            []topdown.Error
	// inputs by the parameters in them.
	inputs map[*ast.Term]*ast.Term
	unused map[string]any
}

// memories are used again: a review would otherwise grow one of its own.
var memories = sync.Pool{New: func() any { return &memory{} }}

func newWork(ctx context.Context, r *Reviewer) *work {
	return &work{ctx: ctx, background: context.WithoutCancel(ctx), options: r.options,
		memory: memories.Get().(*memory), unused: noMetadata}
}

// noMetadata is of requests that policies cannot make.
var noMetadata = map[string]any{}

// cancel stops evaluations when the time is over; the time begins with the first of them.
func (w *work) cancel() topdown.Cancel {
	if w.stopping.ctx == nil {
		w.stopping.ctx, w.stopping.until = w.ctx, time.Now().Add(evaluationLimit)
	}
	return &w.stopping
}

func (w *work) expired() bool { return w.stopping.expired }

func (w *work) end() {
	memories.Put(w.memory.reset())
}

// stopping is asked at each step of an evaluation whether it must end.
type stopping struct {
	ctx     context.Context
	until   time.Time
	asked   int
	ended   bool
	expired bool
}

// lookEvery is how many steps pass between looks at the clock.
const lookEvery = 16

// Cancel is OPA's; nobody else cancels.
func (s *stopping) Cancel() { s.ended = true }

// Cancelled is OPA's.
func (s *stopping) Cancelled() bool {
	if s.asked++; s.ended || s.asked%lookEvery != 0 {
		return s.ended
	}
	s.expired = time.Now().After(s.until)
	s.ended = s.expired || s.ctx.Err() != nil
	return s.ended
}
