// Package session is the agent's side of the link as a pure state machine: messages, results of the driver's work and ticks
// go in; messages, content to fetch and sets to make durable come out. It does no I/O and starts nothing: package link owns
// one Machine in one goroutine and carries out what it asks. Its other side is hub/link/session.
//
// What it keeps true: a bundle leaves the accepted set only by a tombstone; nothing is said to be accepted before it is
// durable; an entry that this agent cannot carry out is refused by name and the old one stays.
package session

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/periplus-fleet/periplus/agent/desired"
	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// Protocol is the version of the link that this agent speaks.
const Protocol = 1

const (
	// silentTicks is after how many heartbeat intervals without a word the hub counts as gone.
	silentTicks = 3
	// resendTicks is after how many heartbeat intervals an unanswered report or Want is sent again.
	resendTicks = 2
	// retryTicks is how often entries whose content could not be fetched are tried again.
	retryTicks = 6
)

// Errors that close a stream.
var (
	// ErrUnknownMessage says that the hub sent what this agent does not know: it is refused, never skipped.
	ErrUnknownMessage = errors.New("the hub sent a message that this agent does not know")
	// ErrSilent says that the hub was not heard for three heartbeats.
	ErrSilent = errors.New("the hub is silent")
	// ErrOtherFleet says that the hub belongs to another fleet than the accepted set.
	ErrOtherFleet = errors.New("the hub belongs to another fleet")
	// ErrProtocol says that hub and agent speak no common version, or that the hub broke the protocol's order.
	ErrProtocol = errors.New("the hub does not keep the protocol")
)

// Config says who the agent is.
type Config struct {
	Capabilities []string
	AgentVersion string
	// Instance is a random id of this process.
	Instance string
	// Fingerprint is the UID of the kube-system namespace.
	Fingerprint string
	// Now is the clock for commands' deadlines; default time.Now.
	Now func() time.Time
}

// Fetch asks the driver for the content of entries; it answers with Fetched. A newer Fetch or Accept supersedes it.
type Fetch struct {
	ID      uint64
	Entries []*linkv1.Entry
}

// Accept asks the driver to make a set durable; it answers with Stored. It is never superseded.
type Accept struct {
	ID  uint64
	Set desired.Set
}

// Output is what the machine asks of its driver after an input.
type Output struct {
	Send    []*linkv1.AgentMessage
	Fetch   *Fetch
	Accept  *Accept
	Do      []*linkv1.Command
	Welcome *linkv1.Welcome
	// Close, when set, ends the stream.
	Close error
}

// Machine is the agent's side of the link.
type Machine struct {
	config   Config
	caps     map[string]bool
	accepted desired.Set

	// Of the current stream; welcome is nil until the hub said it.
	open    bool
	welcome *linkv1.Welcome
	quiet   int // ticks since the hub was last heard

	job    *job
	jobID  uint64
	index  *index
	queued *linkv1.Index
	// askWhole is set when the whole index is needed, asked once it was asked for since the last tick.
	askWhole, asked bool
	// told is set once the agent asked to be relearned since the last tick.
	told bool
	// relearn is a request that waits for a running write; reported is set once this stream's report was sent.
	relearn  *linkv1.RelearnRequest
	reported bool
	refused  map[string]refusal
	retry    int

	status   book
	commands commands
	out      Output
}

// New makes a machine that starts from what is durable in the cluster.
func New(config Config, accepted desired.Set) *Machine {
	if config.Now == nil {
		config.Now = time.Now
	}
	m := &Machine{config: config, accepted: accepted.Clone(), caps: map[string]bool{}, refused: map[string]refusal{},
		status: newBook(), commands: newCommands()}
	for _, capability := range config.Capabilities {
		m.caps[capability] = true
	}
	return m
}

// Accepted is the set that is durable.
func (m *Machine) Accepted() desired.Set { return m.accepted }

// Refused says which entries the agent refuses, and why.
func (m *Machine) Refused() []*linkv1.Refused { return refusedList(m.refused) }

// Connected says whether the hub welcomed this stream.
func (m *Machine) Connected() bool { return m.open && m.welcome != nil }

// StatusHash is the hash over what the hub acknowledged of status.
func (m *Machine) StatusHash() content.Hash { return m.status.sum }

// Opened starts a stream: the agent says Hello first.
func (m *Machine) Opened() Output {
	m.Closed()
	m.open = true
	m.send(&linkv1.AgentMessage{Message: &linkv1.AgentMessage_Hello{Hello: &linkv1.Hello{
		Protocol: Protocol, Capabilities: m.config.Capabilities, AgentVersion: m.config.AgentVersion, Instance: m.config.Instance,
		ClusterFingerprint: m.config.Fingerprint, FleetId: m.accepted.FleetID, Accepted: wire(m.accepted.Position),
		Facts: m.status.facts, Refused: refusedList(m.refused),
	}}})
	return m.take()
}

// Closed ends a stream. A running write goes on, a running fetch is dropped: the next stream decides anew.
func (m *Machine) Closed() {
	m.open, m.welcome, m.quiet = false, nil, 0
	m.index, m.queued, m.askWhole, m.asked, m.told, m.relearn, m.reported = nil, nil, false, false, false, nil, false
	if m.job != nil && !m.job.storing {
		m.job = nil
	}
	m.status.reset()
	m.out = Output{}
}

// Receive takes a message of the hub.
func (m *Machine) Receive(message *linkv1.HubMessage) Output {
	if !m.open {
		return Output{}
	}
	m.quiet = 0
	if welcome := message.GetWelcome(); welcome != nil {
		m.receiveWelcome(welcome)
		return m.take()
	}
	if m.welcome == nil {
		m.out.Close = fmt.Errorf("%w: a message came before Welcome", ErrProtocol)
		return m.take()
	}
	switch kind := message.GetMessage().(type) {
	case *linkv1.HubMessage_Delta:
		m.receiveDelta(kind.Delta)
	case *linkv1.HubMessage_Index:
		m.receiveIndex(kind.Index)
	case *linkv1.HubMessage_Entries:
		m.receiveEntries(kind.Entries)
	case *linkv1.HubMessage_StatusAck:
		m.forget(m.status.acknowledge(kind.StatusAck.GetSequence()))
		m.sendStatus()
	case *linkv1.HubMessage_Heartbeat:
		if kind.Heartbeat.GetWantFullStatus() {
			m.status.resendAll()
			m.sendStatus()
		}
	case *linkv1.HubMessage_Relearn:
		m.receiveRelearn(kind.Relearn)
	case *linkv1.HubMessage_Command:
		m.receiveCommand(kind.Command)
	default:
		m.out.Close = ErrUnknownMessage
	}
	return m.take()
}

func (m *Machine) receiveWelcome(welcome *linkv1.Welcome) {
	switch {
	case m.welcome != nil && m.welcome.GetSession() == welcome.GetSession():
		return // said twice
	case m.welcome != nil:
		m.out.Close = fmt.Errorf("%w: a second Welcome came with another session", ErrProtocol)
		return
	case welcome.GetProtocol() != Protocol:
		m.out.Close = fmt.Errorf("%w: the hub speaks version %d of the link, this agent %d: upgrade the older of the two",
			ErrProtocol, welcome.GetProtocol(), Protocol)
		return
	case m.accepted.FleetID != "" && welcome.GetFleetId() != m.accepted.FleetID:
		m.out.Close = fmt.Errorf("%w: the accepted set is of fleet %q, the hub of %q", ErrOtherFleet, m.accepted.FleetID, welcome.GetFleetId())
		return
	}
	m.welcome = proto.CloneOf(welcome)
	m.out.Welcome = m.welcome
	m.status.begin(welcome.GetSession())
	m.sendStatus()
}

// Tick passes one heartbeat interval.
func (m *Machine) Tick() Output {
	if !m.open {
		return Output{}
	}
	if m.quiet++; m.quiet > silentTicks {
		m.out.Close = ErrSilent
		return m.take()
	}
	if m.welcome == nil {
		return m.take()
	}
	sum := m.status.sum
	m.send(&linkv1.AgentMessage{Message: &linkv1.AgentMessage_Heartbeat{Heartbeat: &linkv1.AgentHeartbeat{
		Accepted: wire(m.accepted.Position), StatusHash: sum[:]}}})
	m.asked, m.told = false, false
	if m.index != nil && m.job == nil {
		if m.index.age++; m.index.age >= resendTicks {
			m.index = nil
			m.askWhole = true
		}
	}
	m.retryRefused()
	m.wantWhole()
	if report := m.status.overdue(); report != nil {
		m.sendReport(report)
	}
	m.sendStatus()
	return m.take()
}

// Report takes the newest status of a bundle; until the hub acknowledges, only the newest counts, and all events are kept.
func (m *Machine) Report(status *linkv1.BundleStatus) Output {
	m.status.report(status)
	m.sendStatus()
	return m.take()
}

// Removed says that a bundle's tombstone is carried out. The tombstone stays in the accepted set until the hub knows, so
// that an agent that restarts in between finds it, has nothing to do, and says so again.
func (m *Machine) Removed(bundle string) Output {
	// The reconciler may be done before the write of the set that told it is answered here.
	leaving := m.job != nil && m.job.storing && m.job.next.Tombstones[bundle] != nil
	if m.accepted.Entries[bundle] != nil && !leaving {
		return m.take() // the hub wants it again meanwhile
	}
	m.status.remove(bundle)
	m.sendStatus()
	return m.take()
}

// forget drops tombstones whose removal the hub knows of; durably with the next set.
func (m *Machine) forget(bundles []string) {
	if len(bundles) == 0 {
		return
	}
	m.accepted = m.accepted.Clone()
	for _, bundle := range bundles {
		delete(m.accepted.Tombstones, bundle)
	}
}

// SetFacts says what the agent sees of its cluster.
func (m *Machine) SetFacts(facts *linkv1.Facts) Output {
	m.status.setFacts(facts)
	m.sendStatus()
	return m.take()
}

// ReportPolicy says what changed of what policies say.
func (m *Machine) ReportPolicy(report *linkv1.PolicyReport) Output {
	m.status.findings.take(report)
	m.sendStatus()
	return m.take()
}

func (m *Machine) sendStatus() {
	if !m.Connected() {
		return
	}
	if report := m.status.next(); report != nil {
		m.sendReport(report)
	}
}

func (m *Machine) sendReport(report *linkv1.StatusReport) {
	m.send(&linkv1.AgentMessage{Message: &linkv1.AgentMessage_Status{Status: report}})
}

func (m *Machine) send(message *linkv1.AgentMessage) { m.out.Send = append(m.out.Send, message) }

func (m *Machine) take() Output {
	out := m.out
	m.out = Output{}
	return out
}

func wire(p desired.Position) *linkv1.Position {
	return &linkv1.Position{Epoch: p.Epoch, Generation: p.Generation, SetHash: p.Hash[:]}
}

func position(p *linkv1.Position) (desired.Position, error) {
	hash, err := content.HashFrom(p.GetSetHash())
	return desired.Position{Epoch: p.GetEpoch(), Generation: p.GetGeneration(), Hash: hash}, err
}
