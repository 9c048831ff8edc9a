package engine

import (
	"context"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// work is one review's time: all policies share one deadline and one way to be stopped, so that each costs neither a timer nor a
// goroutine. It belongs to one goroutine.
type work struct {
	ctx, background, limited context.Context
	stop                     context.CancelFunc
	unwatch                  func() bool
	canceller                topdown.Cancel
	// inputs by the parameters in them.
	inputs map[*ast.Term]ast.Value
}

func newWork(ctx context.Context) *work {
	return &work{ctx: ctx, background: context.WithoutCancel(ctx), inputs: map[*ast.Term]ast.Value{}}
}

// cancel stops evaluations when the time is over; the time begins with the first of them.
func (w *work) cancel() topdown.Cancel {
	if w.canceller == nil {
		w.limited, w.stop = context.WithTimeout(w.ctx, evaluationLimit)
		w.canceller = topdown.NewCancel()
		w.unwatch = context.AfterFunc(w.limited, w.canceller.Cancel)
	}
	return w.canceller
}

func (w *work) expired() bool { return w.limited != nil && w.limited.Err() != nil }

func (w *work) end() {
	if w.canceller != nil {
		w.unwatch()
		w.stop()
	}
}
