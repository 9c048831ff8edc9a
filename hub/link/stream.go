package link

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/identity"
	"github.com/periplus-fleet/periplus/hub/link/session"
)

const (
	// maxQueued is how many store requests of one agent wait before its messages are left on the wire.
	maxQueued = 16
	// messageRate and messageBurst bound what one agent may say; more waits on the wire.
	messageRate  = 50
	messageBurst = 500
)

// stream runs the machine of one agent's stream. Its run goroutine owns the machine; one store request and one send are on
// their way at a time, each in a goroutine that ends with it, so that an idle stream costs two goroutines.
type stream struct {
	service *Service
	agent   identity.Agent
	grpc    grpc.BidiStreamingServer[linkv1.AgentMessage, linkv1.HubMessage]
	machine *session.Machine

	number     atomic.Uint64 // session, for others
	generation atomic.Uint64 // desired generation last seen, for the poll
	heard      atomic.Int64  // unix nanoseconds

	wake     chan struct{}
	poked    atomic.Bool
	commands atomic.Bool
	ending   atomic.Pointer[session.Close]

	canAnswer atomic.Bool
	asking    sync.Mutex
	asked     []*linkv1.Query

	// Owned by run.
	queue   []session.Request
	calling bool
	outbox  outbox
	sending bool
	answers chan func() session.Output
	sent    chan error
}

func newStream(service *Service, agent identity.Agent, grpcStream grpc.BidiStreamingServer[linkv1.AgentMessage, linkv1.HubMessage], config session.Config) *stream {
	return &stream{service: service, agent: agent, grpc: grpcStream, machine: session.New(config), wake: make(chan struct{}, 1),
		answers: make(chan func() session.Output, 1), sent: make(chan error, 1)}
}

// poke, pokeCommands and end never block; the stream takes them up when it gets to it.
func (st *stream) poke() {
	st.poked.Store(true)
	st.signal()
}

func (st *stream) pokeCommands() {
	st.commands.Store(true)
	st.poke()
}

func (st *stream) end(code codes.Code, reason string) {
	st.ending.CompareAndSwap(nil, &session.Close{Code: code, Reason: reason})
	st.signal()
}

func (st *stream) signal() {
	select {
	case st.wake <- struct{}{}:
	default:
	}
}

func (st *stream) run() error {
	ctx, cancel := context.WithCancel(st.grpc.Context())
	defer cancel()
	received, failed := make(chan *linkv1.AgentMessage), make(chan error, 1)
	go st.receive(ctx, received, failed)
	ticker := time.NewTicker(st.service.config.Heartbeat)
	defer ticker.Stop()
	for {
		in := received
		if len(st.queue) >= maxQueued {
			in = nil // the agent waits on the wire, and nobody else
		}
		var out session.Output
		select {
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		case err := <-failed:
			return err
		case message := <-in:
			st.heard.Store(time.Now().UnixNano())
			st.service.metrics.received(message)
			st.hello(message)
			out = st.machine.Receive(message)
		case answer := <-st.answers:
			st.calling = false
			out = answer()
			st.generation.Store(st.machine.Generation())
		case err := <-st.sent:
			if st.sending = false; err != nil {
				return err
			}
		case <-ticker.C:
			out = st.machine.Tick()
		case <-st.wake:
			if end := st.ending.Load(); end != nil {
				return closing(end)
			}
			out = st.woken()
		}
		if err := st.carryOut(ctx, out); err != nil {
			return err
		}
	}
}

func (st *stream) woken() session.Output {
	var out session.Output
	if st.poked.Swap(false) {
		out = st.machine.Poke()
	}
	out.Send = append(out.Send, st.takeAsked()...)
	if st.commands.Swap(false) {
		more := st.machine.PokeCommands()
		out.Send, out.Store = append(out.Send, more.Send...), append(out.Store, more.Store...)
		if out.Close == nil {
			out.Close = more.Close
		}
	}
	return out
}

func (st *stream) carryOut(ctx context.Context, out session.Output) error {
	if out.Close != nil {
		if out.Close.Reason == session.ReasonEpoch {
			st.service.meta.Store(nil)
		}
		return closing(out.Close)
	}
	st.queue = append(st.queue, out.Store...)
	for _, message := range out.Send {
		st.service.metrics.sending(message)
		st.outbox.put(message)
	}
	if !st.calling && len(st.queue) > 0 {
		st.calling = true
		request := st.queue[0]
		st.queue = st.queue[1:]
		go func() { st.answers <- st.call(ctx, request) }()
	}
	if batch := st.outbox.pending; !st.sending && len(batch) > 0 {
		st.sending, st.outbox = true, outbox{}
		go func() { st.sent <- st.sendAll(batch) }()
	}
	return nil
}

func (st *stream) sendAll(batch []*linkv1.HubMessage) error {
	for _, message := range batch {
		if err := st.grpc.Send(message); err != nil {
			return err
		}
	}
	return nil
}

func (st *stream) receive(ctx context.Context, received chan<- *linkv1.AgentMessage, failed chan<- error) {
	limiter := rate.NewLimiter(messageRate, messageBurst)
	for {
		message, err := st.grpc.Recv()
		if err == nil {
			err = limiter.Wait(ctx)
		}
		if err != nil {
			failed <- err
			return
		}
		select {
		case received <- message:
		case <-ctx.Done():
			return
		}
	}
}

// call carries out one store request; what it returns tells the machine, in its own goroutine.
func (st *stream) call(ctx context.Context, request session.Request) func() session.Output {
	store, uid, m, number := st.service.config.Store, st.agent.UID, st.machine, st.number.Load()
	defer st.service.metrics.storeCall(request)()
	switch {
	case request.Claim != nil:
		claimed, err := store.ClaimSession(ctx, uid, st.service.config.Process, request.Claim.Hello)
		return func() session.Output {
			if err == nil {
				st.number.Store(claimed)
				st.service.claimed(st)
			}
			return m.Claimed(claimed, errors.Is(err, ErrDuplicateIdentity), err)
		}
	case request.Head:
		head, err := store.Head(ctx, uid)
		return func() session.Output { return m.HeadRead(head, err) }
	case request.Since != nil:
		changes, ok, err := store.Since(ctx, uid, *request.Since)
		return func() session.Output { return m.SinceRead(changes, ok, err) }
	case request.Whole:
		set, err := store.Desired(ctx, uid)
		return func() session.Output { return m.WholeRead(set, err) }
	case request.Accept != nil:
		err := store.Accept(ctx, uid, number, request.Accept.Position, request.Accept.Refused)
		return func() session.Output { return m.Accepted(*request.Accept, err) }
	case request.Report != nil:
		applied, err := store.Report(ctx, uid, number, request.Report.GetSequence(), request.Report)
		return func() session.Output { return m.Reported(request.Report, applied, err) }
	case request.Relearn != nil:
		err := store.SaveRelearn(ctx, uid, number, request.Relearn)
		return func() session.Output { return m.Relearned(request.Relearn, err) }
	case request.Commands:
		pending, err := store.PendingCommands(ctx, uid)
		return func() session.Output { return m.CommandsRead(pending, err) }
	default:
		err := store.AnswerCommand(ctx, request.Answer.GetId(), request.Answer.GetError())
		return func() session.Output { return m.Answered(request.Answer.GetId(), err) }
	}
}

func closing(end *session.Close) error { return status.Error(end.Code, end.Reason) }
