// Package link is the agent's end of the link: it keeps one stream to a hub open, runs the state machine of package session
// on it, fetches and verifies content, and hands sets to the Keeper, which makes them durable in the cluster before they are
// said to be accepted. While no hub is there it does nothing, and the rest of the agent goes on at what was accepted.
package link

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/periplus-fleet/periplus/agent/desired"
	"github.com/periplus-fleet/periplus/agent/link/session"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// Keeper makes sets and their content durable in the cluster.
type Keeper interface {
	// Accepted is what is durable; the caller does not change it.
	Accepted() desired.Set
	// Missing are digests of the entry's revision that are not held; the revision's own first while its manifest is not.
	Missing(ctx context.Context, entry *linkv1.Entry) ([]string, error)
	// Put takes verified content, which may be dropped if no set that needs it is accepted.
	Put(ctx context.Context, blobs map[string][]byte) error
	// Accept returns once the set is durable.
	Accept(ctx context.Context, next desired.Set) error
	// Incomplete are accepted entries whose content is not all held; Refill makes durable what was put for them.
	Incomplete(ctx context.Context) ([]*linkv1.Entry, error)
	Refill(ctx context.Context, bundles []string) error
}

// Commands carries out what people ask of the agent.
type Commands interface {
	Do(ctx context.Context, command *linkv1.Command) error
}

// Identity is who the agent is; package identity has it.
type Identity interface {
	TLS() *tls.Config
	Endpoints() []string
	// Learn keeps what the hub says in Welcome; Rejected hears that the hub refuses the certificate.
	Learn(ctx context.Context, bundle []byte, endpoints []string) error
	Rejected(ctx context.Context) error
}

// Config of a Client.
type Config struct {
	Identity Identity
	Keeper   Keeper
	Commands Commands
	// Queries may be nil; the agent then must not say that it has the capability.
	Queries Queries
	// Session says who the agent is: capabilities, version, instance, fingerprint.
	Session session.Config
	// MinBackoff and MaxBackoff bound the wait between connections, default 1 s and 30 s.
	MinBackoff time.Duration
	MaxBackoff time.Duration
	Log        *slog.Logger
}

const (
	defaultHeartbeat = 10 * time.Second
	minHeartbeat     = 10 * time.Millisecond
	maxReceive       = 16 << 20
	// commandsTogether is how many commands run at once; more wait.
	commandsTogether = 4
)

// Client is the agent's end of the link.
type Client struct {
	config    Config
	mailbox   mailbox
	connected atomic.Bool
	events    chan event
	done      chan struct{}

	// Owned by Run.
	machine *session.Machine
	stream  *stream
	out     []*linkv1.AgentMessage
	sending bool
	fetch   context.CancelFunc
	slots   chan struct{}
	ticker  *time.Ticker
	// answering holds a place for each query that is worked on.
	answering chan struct{}
	// lost is true while accepted content may be missing; refilling while it is fetched.
	lost      atomic.Bool
	refills   chan struct{}
	refilling bool
	renews    chan struct{}
	// later fires when reports may go out that were held back.
	later *time.Timer
}

// event is something that happened outside; it runs in the goroutine that owns the machine.
type event func(ctx context.Context)

// New makes a Client.
func New(config Config) *Client {
	if config.MinBackoff == 0 {
		config.MinBackoff = time.Second
	}
	if config.MaxBackoff == 0 {
		config.MaxBackoff = 30 * time.Second
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	return &Client{config: config, mailbox: newMailbox(), events: make(chan event), done: make(chan struct{}), slots: make(chan struct{}, commandsTogether),
		answering: make(chan struct{}, queriesTogether), refills: make(chan struct{}, 1), renews: make(chan struct{}, 1)}
}

// Report takes the newest status of a bundle. It never blocks; while the hub is slow or away only the newest counts.
func (c *Client) Report(status *linkv1.BundleStatus) { c.mailbox.report(status) }

// Removed says that a bundle's tombstone is carried out. It never blocks.
func (c *Client) Removed(bundle string) { c.mailbox.remove(bundle) }

// Renewed hears that there is another certificate: the hub judges all that comes over a connection by the one that it was
// opened with, so that it is opened anew before that is over. It never blocks.
func (c *Client) Renewed() {
	select {
	case c.renews <- struct{}{}:
	default:
	}
}

// SetFacts says what the agent sees of its cluster. It never blocks.
func (c *Client) SetFacts(facts *linkv1.Facts) { c.mailbox.setFacts(facts) }

// ReportPolicy says what changed of what policies say. It never blocks; what is not audit is kept for a while and said once.
func (c *Client) ReportPolicy(report *linkv1.PolicyReport) { c.mailbox.reportPolicy(report) }

// Connected says whether a hub welcomed this agent.
func (c *Client) Connected() bool { return c.connected.Load() }

// Run keeps the link until ctx ends. It may be called once.
func (c *Client) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.machine = session.New(c.config.Session, c.config.Keeper.Accepted())
	c.ticker = time.NewTicker(defaultHeartbeat)
	defer c.ticker.Stop()
	c.later = time.NewTimer(time.Hour)
	defer c.later.Stop()
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		c.connectLoop(ctx)
	}()
	for {
		select {
		case <-ctx.Done():
			close(c.done) // whoever waits to be heard gives up
			<-finished
			c.connected.Store(false)
			return nil
		case happened := <-c.events:
			happened(ctx)
		case <-c.mailbox.wake:
			c.takeMail(ctx)
		case <-c.later.C:
			c.takeMail(ctx)
		case <-c.renews:
			c.stream.close(errRenewed)
		case <-c.refills:
			c.refill(ctx)
		case <-c.ticker.C:
			c.carryOut(ctx, c.machine.Tick())
			c.refill(ctx)
		}
		c.connected.Store(c.machine.Connected())
	}
}

// post hands an event to the owner; it gives up when the client ends.
func (c *Client) post(happened event) {
	select {
	case c.events <- happened:
	case <-c.done:
	}
}

func (c *Client) takeMail(ctx context.Context) {
	mail := c.mailbox.take()
	if mail.later > 0 {
		c.later.Reset(mail.later)
	}
	if mail.facts != nil {
		c.carryOut(ctx, c.machine.SetFacts(mail.facts))
	}
	for _, report := range mail.findings {
		c.carryOut(ctx, c.machine.ReportPolicy(report))
	}
	for _, bundle := range mail.removed {
		c.carryOut(ctx, c.machine.Removed(bundle))
	}
	for _, status := range mail.statuses {
		c.carryOut(ctx, c.machine.Report(status))
	}
}

// carryOut does what the machine asks.
func (c *Client) carryOut(ctx context.Context, out session.Output) {
	if c.stream != nil {
		c.out = queue(c.out, out.Send)
		c.flush()
	}
	if out.Welcome != nil {
		c.welcomed(ctx, out.Welcome)
	}
	if out.Fetch != nil {
		c.startFetch(ctx, out.Fetch)
	}
	if accept := out.Accept; accept != nil {
		c.stopFetch()
		go func() {
			err := c.config.Keeper.Accept(ctx, accept.Set)
			if err != nil && ctx.Err() == nil {
				c.config.Log.Warn("cannot accept the desired set", "error", err)
			}
			c.post(func(ctx context.Context) { c.carryOut(ctx, c.machine.Stored(accept.ID, err)) })
		}()
	}
	for _, command := range out.Do {
		go c.do(ctx, command)
	}
	if out.Close != nil {
		c.config.Log.Warn("closing the stream to the hub", "reason", out.Close)
		c.stream.close(out.Close)
	}
}

func (c *Client) welcomed(ctx context.Context, welcome *linkv1.Welcome) {
	interval := defaultHeartbeat
	if said := welcome.GetHeartbeatInterval(); said != nil && said.AsDuration() > 0 {
		interval = max(said.AsDuration(), minHeartbeat)
	}
	c.ticker.Reset(interval)
	c.stream.welcomed(welcome)
	c.Lost() // so it may be since the last time
	c.config.Log.Info("connected to the hub", "endpoint", c.stream.endpoint, "session", welcome.GetSession(), "epoch", welcome.GetEpoch())
	go func() {
		if err := c.config.Identity.Learn(ctx, welcome.GetTrustBundle(), welcome.GetEndpoints()); err != nil && ctx.Err() == nil {
			c.config.Log.Warn("cannot keep what the hub said of itself", "error", err)
		}
	}()
}

func (c *Client) do(ctx context.Context, command *linkv1.Command) {
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return
	}
	defer func() { <-c.slots }()
	doing := ctx
	if deadline := command.GetDeadline(); deadline != nil {
		var cancel context.CancelFunc
		doing, cancel = context.WithDeadline(ctx, deadline.AsTime())
		defer cancel()
	}
	err := c.config.Commands.Do(doing, command)
	c.post(func(ctx context.Context) { c.carryOut(ctx, c.machine.Done(command.GetId(), err)) })
}

// queue adds messages to those that wait; a heartbeat takes an older one's place.
func queue(waiting, more []*linkv1.AgentMessage) []*linkv1.AgentMessage {
	for _, message := range more {
		if n := len(waiting); n > 0 && message.GetHeartbeat() != nil && waiting[n-1].GetHeartbeat() != nil {
			waiting[n-1] = message
			continue
		}
		waiting = append(waiting, message)
	}
	return waiting
}

// flush sends what waits; one send is on its way at a time, so that a slow hub holds up nothing here.
func (c *Client) flush() {
	if c.sending || len(c.out) == 0 || c.stream == nil {
		return
	}
	batch, st := c.out, c.stream
	c.out, c.sending = nil, true
	go func() {
		var err error
		for _, message := range batch {
			if err = st.grpc.Send(message); err != nil {
				break
			}
		}
		c.post(func(context.Context) {
			if c.stream != st {
				return
			}
			c.sending = false
			if err != nil {
				st.close(err)
				return
			}
			c.flush()
		})
	}()
}

// opened takes a new stream.
func (c *Client) opened(ctx context.Context, st *stream) {
	c.stream, c.out, c.sending = st, nil, false
	c.carryOut(ctx, c.machine.Opened())
}

// closed drops a stream that ended.
func (c *Client) closed(st *stream) {
	if c.stream != st {
		return
	}
	c.stream, c.out, c.sending = nil, nil, false
	c.stopFetch()
	c.machine.Closed()
	c.ticker.Reset(defaultHeartbeat)
}

type stream struct {
	endpoint string
	client   linkv1.LinkClient
	grpc     grpc.BidiStreamingClient[linkv1.AgentMessage, linkv1.HubMessage]
	cancel   context.CancelCauseFunc
	// said is the hub's Welcome, for the wait before the next connection.
	said atomic.Pointer[linkv1.Welcome]
}

func (st *stream) close(reason error) {
	if st != nil {
		st.cancel(reason)
	}
}

func (st *stream) welcomed(welcome *linkv1.Welcome) { st.said.Store(welcome) }

// errRenewed ends a stream whose certificate was renewed.
var errRenewed = errors.New("the certificate was renewed, the stream is opened with the new one")

var errNoEndpoint = errors.New("no endpoint of the hub is known")
