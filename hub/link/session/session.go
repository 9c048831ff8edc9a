// Package session is the hub's side of the link as a pure state machine, one for each agent's stream: messages, answers of
// the store and ticks go in; messages and store requests come out. It does no I/O and starts nothing: package link owns one
// Machine in one goroutine, carries out its requests in order and sends its messages. Its other side is agent/link/session.
//
// It is level-triggered: it compares what the agent accepted with what the store holds desired, and offers the way from one
// to the other, one offer at a time. What it keeps true: a delta starts only from a base on record for this agent, and an
// agent whose state nobody knows is relearned before anything of it changes.
package session

import (
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/delivery"
)

// Protocol is the version of the link that this hub speaks.
const Protocol = 1

const (
	// silentTicks is after how many heartbeat intervals without a word an agent counts as gone.
	silentTicks = 3
	// commandTicks is how often commands are looked for without a hint.
	commandTicks = 6
	// maxReports bounds the reports of one agent that wait for the store; one that keeps the protocol has one.
	maxReports = 4
)

// Close reasons that agents and tests know by name.
const (
	ReasonSuperseded = "superseded"
	ReasonDuplicate  = "DuplicateIdentity"
	ReasonSilent     = "silent"
	ReasonEpoch      = "the store began a new epoch"
)

// Close says how a stream ends.
type Close struct {
	Code   codes.Code
	Reason string
}

// Head is a cluster's row, as far as the link decides by it.
type Head struct {
	Desired delivery.Position
	// Recorded is what the store has on record as accepted.
	Recorded delivery.Position
	Relearn  bool
}

// Desired is a desired set, or the part of it that changed since a base.
type Desired struct {
	Position   delivery.Position
	Entries    []*linkv1.Entry
	Tombstones []*linkv1.Tombstone
	Relearn    bool
}

// Request asks the driver for one call of the store; exactly one field is set. Requests are carried out in order, and each
// but Release is answered by the method of the same name in past tense.
type Request struct {
	Claim    *Claim
	Head     bool
	Since    *delivery.Position
	Whole    bool
	Accept   *Accept
	Report   *linkv1.StatusReport
	Relearn  *linkv1.RelearnReport
	Commands bool
	Answer   *linkv1.CommandResult
}

// Claim takes the cluster's session for this process.
type Claim struct{ Hello *linkv1.Hello }

// Accept records what the agent made durable.
type Accept struct {
	Position delivery.Position
	Refused  []*linkv1.Refused
}

// Output is what the machine asks of its driver after an input.
type Output struct {
	Send  []*linkv1.HubMessage
	Store []Request
	Close *Close
}

// Config is what the machine says of the hub in Welcome.
type Config struct {
	FleetID      string
	Epoch        string
	HubVersion   string
	Capabilities []string
	TrustBundle  []byte
	Endpoints    []string
	// HeartbeatInterval is how often both sides speak; ReconnectJitter is what an agent waits a random part of.
	HeartbeatInterval time.Duration
	ReconnectJitter   time.Duration
}

// Machine is the hub's side of one stream.
type Machine struct {
	config  Config
	hello   *linkv1.Hello
	session uint64
	closed  bool

	agent    delivery.Position // what the agent last said to be accepted
	refused  []*linkv1.Refused // what explains a hash that is not the hub's
	head     Head
	headRead bool
	offer    *delivery.Position // sent and not yet accepted
	offered  delivery.Position  // last one sent
	missed   int                // heartbeats that the offer has been open for

	// reading is set while a Head, Since or Whole is on its way; again asks for a Head after it.
	reading, again bool
	whole          purpose
	want           *linkv1.Want

	relearning bool // asked, and not yet finished
	asked      bool // RelearnRequest was sent
	saved      bool // the agent's report is in the store

	reports  int
	sequence uint64 // highest acknowledged
	status   statusSums
	wantFull bool
	commands map[string]bool
	ticks    int
	quiet    int
	out      Output
}

// purpose says what a Whole is read for.
type purpose int

const (
	forIndex purpose = iota
	forEntries
)

// New makes the machine of a stream that was just opened.
func New(config Config) *Machine {
	return &Machine{config: config, commands: map[string]bool{}, status: newStatusSums()}
}

// Session is the claimed session's number; 0 before.
func (m *Machine) Session() uint64 { return m.session }

// Generation is the desired generation that the machine last saw, which a poll compares with the store's.
func (m *Machine) Generation() uint64 { return m.head.Desired.Generation }

// Settled says whether the agent accepted all that the hub holds desired, as far as the machine knows.
func (m *Machine) Settled() bool { return m.headRead && m.offer == nil && !m.relearning && m.settled() }

func (m *Machine) settled() bool {
	return m.agent == m.head.Desired || len(m.refused) > 0 &&
		m.agent.Epoch == m.head.Desired.Epoch && m.agent.Generation == m.head.Desired.Generation
}

// Receive takes a message of the agent.
func (m *Machine) Receive(message *linkv1.AgentMessage) Output {
	if m.closed {
		return Output{}
	}
	m.quiet = 0
	if hello := message.GetHello(); hello != nil {
		m.receiveHello(hello)
		return m.take()
	}
	if m.hello == nil {
		return m.close(codes.FailedPrecondition, "a message came before Hello")
	}
	switch kind := message.GetMessage().(type) {
	case *linkv1.AgentMessage_Want:
		m.receiveWant(kind.Want)
	case *linkv1.AgentMessage_Accepted:
		m.receiveAccepted(kind.Accepted)
	case *linkv1.AgentMessage_Status:
		m.receiveStatus(kind.Status)
	case *linkv1.AgentMessage_Heartbeat:
		m.receiveHeartbeat(kind.Heartbeat)
	case *linkv1.AgentMessage_Relearn:
		m.store(Request{Relearn: kind.Relearn})
	case *linkv1.AgentMessage_CommandResult:
		m.store(Request{Answer: kind.CommandResult})
	default:
		return m.close(codes.Unimplemented, "the agent sent a message that this hub does not know: upgrade the hub")
	}
	return m.take()
}

func (m *Machine) receiveHello(hello *linkv1.Hello) {
	switch {
	case m.hello != nil:
		return // said twice
	case hello.GetProtocol() != Protocol:
		m.close(codes.FailedPrecondition, fmt.Sprintf("the agent speaks version %d of the link, this hub %d: upgrade the older of the two", hello.GetProtocol(), Protocol))
		return
	case hello.GetFleetId() != "" && hello.GetFleetId() != m.config.FleetID:
		m.close(codes.FailedPrecondition, fmt.Sprintf("the agent belongs to fleet %q, this hub to %q", hello.GetFleetId(), m.config.FleetID))
		return
	}
	accepted, err := position(hello.GetAccepted())
	if err != nil {
		m.close(codes.InvalidArgument, err.Error())
		return
	}
	m.hello, m.agent, m.refused = proto.CloneOf(hello), accepted, hello.GetRefused()
	m.store(Request{Claim: &Claim{Hello: m.hello}})
}

// Claimed answers a Claim. duplicate says that two instances use the cluster's identity in turn.
func (m *Machine) Claimed(session uint64, duplicate bool, err error) Output {
	switch {
	case duplicate:
		return m.close(codes.AlreadyExists, ReasonDuplicate+": two agents use the identity of this cluster; only one may run")
	case err != nil:
		return m.failed(err)
	}
	m.session = session
	m.send(&linkv1.HubMessage{Message: &linkv1.HubMessage_Welcome{Welcome: &linkv1.Welcome{
		Protocol: Protocol, Capabilities: m.config.Capabilities, HubVersion: m.config.HubVersion, FleetId: m.config.FleetID,
		Epoch: m.config.Epoch, Session: session, TrustBundle: m.config.TrustBundle, Endpoints: m.config.Endpoints,
		ReconnectJitter: durationpb.New(m.config.ReconnectJitter), HeartbeatInterval: durationpb.New(m.config.HeartbeatInterval),
	}}})
	m.store(Request{Commands: true})
	m.read()
	return m.take()
}

// Poke says that the cluster's row may have changed.
func (m *Machine) Poke() Output {
	if m.session == 0 || m.closed {
		return Output{}
	}
	m.read()
	return m.take()
}

// PokeCommands says that there may be commands for the cluster.
func (m *Machine) PokeCommands() Output {
	if m.session == 0 || m.closed {
		return Output{}
	}
	m.store(Request{Commands: true})
	return m.take()
}

// Supersede ends the stream because another one of the cluster took over.
func (m *Machine) Supersede() Output { return m.close(codes.Aborted, ReasonSuperseded) }

// Tick passes one heartbeat interval.
func (m *Machine) Tick() Output {
	if m.closed {
		return Output{}
	}
	if m.quiet++; m.quiet > silentTicks {
		return m.close(codes.Unavailable, ReasonSilent)
	}
	if m.session == 0 {
		return m.take()
	}
	m.send(&linkv1.HubMessage{Message: &linkv1.HubMessage_Heartbeat{Heartbeat: &linkv1.HubHeartbeat{
		Desired: m.head.Desired.Proto(), WantFullStatus: m.wantFull}}})
	m.wantFull = false
	if m.ticks++; m.ticks%commandTicks == 0 {
		m.store(Request{Commands: true})
	}
	return m.take()
}

// read asks for the cluster's row, once at a time.
func (m *Machine) read() {
	if m.reading {
		m.again = true
		return
	}
	m.reading, m.again = true, false
	m.store(Request{Head: true})
}

// readWhole asks for the whole set; a read that is on its way already is for a Head, which comes to the same or a newer one.
func (m *Machine) readWhole(why purpose) {
	m.whole = why
	m.reading = true
	m.store(Request{Whole: true})
}

func (m *Machine) store(request Request) { m.out.Store = append(m.out.Store, request) }

func (m *Machine) send(message *linkv1.HubMessage) { m.out.Send = append(m.out.Send, message) }

func (m *Machine) take() Output {
	out := m.out
	m.out = Output{}
	return out
}

func (m *Machine) close(code codes.Code, reason string) Output {
	if !m.closed {
		m.closed = true
		m.out.Close = &Close{Code: code, Reason: reason}
	}
	return m.take()
}

// failed ends the stream because the store cannot be asked: the agent comes again, here or at another process.
func (m *Machine) failed(err error) Output {
	return m.close(codes.Unavailable, "the hub cannot reach its store: "+err.Error())
}

func position(p *linkv1.Position) (delivery.Position, error) {
	hash, err := content.HashFrom(p.GetSetHash())
	return delivery.Position{Epoch: p.GetEpoch(), Generation: p.GetGeneration(), SetHash: hash}, err
}

// Name of the request, for metrics.
func (r Request) Name() string {
	switch {
	case r.Claim != nil:
		return "Claim"
	case r.Head:
		return "Head"
	case r.Since != nil:
		return "Since"
	case r.Whole:
		return "Whole"
	case r.Accept != nil:
		return "Accept"
	case r.Report != nil:
		return "Report"
	case r.Relearn != nil:
		return "Relearn"
	case r.Commands:
		return "Commands"
	default:
		return "Answer"
	}
}
