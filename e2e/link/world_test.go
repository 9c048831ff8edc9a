package link

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/periplus-fleet/periplus/agent/desired"
	agent "github.com/periplus-fleet/periplus/agent/link/session"
	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/link/fakestore"
	hub "github.com/periplus-fleet/periplus/hub/link/session"

	hublink "github.com/periplus-fleet/periplus/hub/link"
)

const uid = "uid-1"

// world is both machines of one cluster's link, a store, what is durable in the cluster, and the wires between them.
// Everything happens when a test says so.
type world struct {
	store *fakestore.Store
	// real is what the hub's machine asks: store, or another.
	real    hublink.Store
	process string

	agent    *agent.Machine
	instance int
	durable  desired.Set
	caps     []string
	// work that the agent's driver has to do.
	fetch  *agent.Fetch
	accept *agent.Accept
	done   []string

	hub      *hub.Machine
	requests []hub.Request
	toHub    []*linkv1.AgentMessage
	toAgent  []*linkv1.HubMessage
	closed   string // why the stream ended

	// git is what the fleet repo declares; caused are bundles that ever got a tombstone.
	git      map[string]*linkv1.Entry
	caused   map[string]bool
	failures []string
	// trace is what happened, where tracing is on.
	tracing bool
	trace   []string
	// unnoticed is set once the store went back without a new epoch. Then it may hold a tombstone that was carried out and
	// acknowledged in the life that it forgot, until the bundle is declared again; nothing else may differ.
	unnoticed bool
}

func newWorld() *world {
	w := &world{process: "hub-a", durable: desired.Set{}.Clone(), git: map[string]*linkv1.Entry{}, caused: map[string]bool{}}
	w.store = fakestore.New("fleet-1")
	w.real = w.store
	w.store.AddCluster(uid)
	w.startAgent()
	return w
}

func (w *world) startAgent() {
	w.disconnect("the agent restarted")
	w.instance++
	w.fetch, w.accept, w.done = nil, nil, nil
	w.agent = agent.New(agent.Config{Capabilities: w.caps, AgentVersion: "v1", Instance: fmt.Sprintf("agent-%d", w.instance)}, w.durable)
	w.reconcile()
}

// status is what the agent's reconciler says of a bundle: it applies at once.
func status(set desired.Set, bundle string) *linkv1.BundleStatus {
	revision := set.Entries[bundle].GetRevision()
	return &linkv1.BundleStatus{Bundle: bundle, Revision: revision, AppliedRevision: revision, State: linkv1.State_STATE_READY}
}

func (w *world) connect() {
	meta, _ := w.real.Meta(context.Background())
	w.disconnect("another connection")
	w.closed = ""
	w.hub = hub.New(hub.Config{FleetID: meta.FleetID, Epoch: meta.Epoch})
	w.fromAgent(w.agent.Opened())
}

func (w *world) disconnect(why string) {
	if w.hub == nil {
		return
	}
	w.say("closed: %s", why)
	w.hub, w.requests, w.toHub, w.toAgent, w.closed = nil, nil, nil, nil, why
	w.agent.Closed()
	w.fetch = nil
}

func (w *world) fromAgent(out agent.Output) {
	if w.hub != nil {
		for _, message := range out.Send {
			w.toHub = append(w.toHub, proto.CloneOf(message))
			w.say("agent: %s", describeAgent(message))
		}
	}
	if out.Fetch != nil {
		w.fetch = out.Fetch
	}
	if out.Accept != nil {
		if w.accept != nil {
			w.failures = append(w.failures, "a second Accept was asked while one is running")
		}
		w.accept, w.fetch = out.Accept, nil
	}
	for _, command := range out.Do {
		w.done = append(w.done, command.GetId())
		w.fromAgent(w.agent.Done(command.GetId(), nil))
	}
	if out.Close != nil {
		w.disconnect("agent: " + out.Close.Error())
	}
}

func (w *world) fromHub(out hub.Output) {
	if w.hub == nil {
		return
	}
	w.requests = append(w.requests, out.Store...)
	for _, message := range out.Send {
		w.toAgent = append(w.toAgent, proto.CloneOf(message))
		w.say("hub: %s", describeHub(message))
	}
	if out.Close != nil {
		w.disconnect("hub: " + out.Close.Reason)
	}
}

// answer carries out the oldest store request.
func (w *world) answer() bool {
	if len(w.requests) == 0 {
		return false
	}
	request := w.requests[0]
	w.requests = w.requests[1:]
	w.fromHub(w.call(request))
	return true
}

func (w *world) call(request hub.Request) hub.Output {
	ctx, m := context.Background(), w.hub
	switch {
	case request.Claim != nil:
		number, err := w.real.ClaimSession(ctx, uid, w.process, request.Claim.Hello)
		return m.Claimed(number, errors.Is(err, hublink.ErrDuplicateIdentity), err)
	case request.Head:
		return m.HeadRead(w.real.Head(ctx, uid))
	case request.Since != nil:
		return m.SinceRead(w.real.Since(ctx, uid, *request.Since))
	case request.Whole:
		return m.WholeRead(w.real.Desired(ctx, uid))
	case request.Accept != nil:
		return m.Accepted(*request.Accept, w.real.Accept(ctx, uid, m.Session(), request.Accept.Position, request.Accept.Refused))
	case request.Report != nil:
		applied, err := w.real.Report(ctx, uid, m.Session(), request.Report.GetSequence(), request.Report)
		return m.Reported(request.Report, applied, err)
	case request.Relearn != nil:
		return m.Relearned(request.Relearn, w.real.SaveRelearn(ctx, uid, m.Session(), request.Relearn))
	case request.Commands:
		return m.CommandsRead(w.real.PendingCommands(ctx, uid))
	default:
		return m.Answered(request.Answer.GetId(), w.real.AnswerCommand(ctx, request.Answer.GetId(), request.Answer.GetError()))
	}
}

// work does what the agent's driver was asked to: fetch (always whole) or make durable.
func (w *world) work() bool {
	switch {
	case w.accept != nil:
		accept := w.accept
		w.accept = nil
		w.checkAccept(accept.Set)
		w.durable = accept.Set
		w.say("durable: %s", describeSet(accept.Set))
		w.fromAgent(w.agent.Stored(accept.ID, nil))
		w.reconcile()
	case w.fetch != nil:
		fetch := w.fetch
		w.fetch = nil
		w.fromAgent(w.agent.Fetched(fetch.ID, nil, nil))
	default:
		return false
	}
	return true
}

// reconcile stands for the agent's reconciler: it applies entries and carries out tombstones at once.
func (w *world) reconcile() {
	for _, bundle := range slices.Sorted(maps.Keys(w.durable.Entries)) {
		w.fromAgent(w.agent.Report(status(w.durable, bundle)))
	}
	if w.durable.Relearning {
		return
	}
	for _, bundle := range slices.Sorted(maps.Keys(w.durable.Tombstones)) {
		w.fromAgent(w.agent.Removed(bundle))
	}
}

// checkAccept holds every change of the durable set against the rules of removal.
func (w *world) checkAccept(next desired.Set) {
	for bundle := range w.durable.Entries {
		if next.Entries[bundle] != nil {
			continue
		}
		if next.Tombstones[bundle] == nil {
			w.failures = append(w.failures, fmt.Sprintf("%s was removed without a tombstone", bundle))
		}
		if !w.caused[bundle] {
			w.failures = append(w.failures, fmt.Sprintf("%s was removed and nobody ever asked for it", bundle))
		}
	}
	for bundle := range next.Entries {
		if next.Tombstones[bundle] != nil {
			w.failures = append(w.failures, fmt.Sprintf("%s stands among entries and tombstones", bundle))
		}
	}
	if next.Relearning && !maps.EqualFunc(w.durable.Entries, next.Entries, func(a, b *linkv1.Entry) bool { return proto.Equal(a, b) }) {
		w.failures = append(w.failures, "the set changed while it is relearned")
	}
	if next.Position.Hash != content.SetHash(next.Entries) {
		w.failures = append(w.failures, "the accepted position's hash is not that of the entries")
	}
}

// set declares a bundle in Git; during a relearning it waits for the answer.
func (w *world) set(bundle string, revision byte, capabilities ...string) {
	entry := &linkv1.Entry{Bundle: bundle, Revision: string(content.Sum([]byte{revision})), RequiredCapabilities: capabilities}
	w.git[bundle] = entry
	if !w.relearning() {
		w.store.Set(uid, entry)
	}
}

func (w *world) remove(bundle string) {
	if w.git[bundle] == nil {
		return
	}
	delete(w.git, bundle)
	w.caused[bundle] = true
	if !w.relearning() {
		w.store.Remove(uid, bundle, &linkv1.Cause{Kind: "commit", Ref: "abc"})
	}
}

func (w *world) relearning() (relearn bool) {
	w.store.Read(uid, func(c *fakestore.Cluster) { relearn = c.Head.Relearn })
	return relearn
}

// control answers a relearning, and lets Git catch up with a store that was put back.
func (w *world) control() {
	if w.relearning() {
		for _, bundle := range w.store.FinishRelearn(uid, maps.Clone(w.git), "operator") {
			w.caused[bundle] = true
		}
		return
	}
	held := map[string]*linkv1.Entry{}
	w.store.Read(uid, func(c *fakestore.Cluster) { maps.Copy(held, c.Entries) })
	for _, bundle := range slices.Sorted(maps.Keys(w.git)) {
		if held[bundle] == nil || content.EntryHash(held[bundle]) != content.EntryHash(w.git[bundle]) {
			w.store.Set(uid, w.git[bundle])
		}
	}
	for _, bundle := range slices.Sorted(maps.Keys(held)) {
		if w.git[bundle] == nil {
			w.caused[bundle] = true
			w.store.Remove(uid, bundle, &linkv1.Cause{Kind: "commit", Ref: "abc"})
		}
	}
}

// settle runs everything without faults until nothing moves; ticks and polls come when it is quiet.
func (w *world) settle(rounds int) {
	for range rounds {
		w.control()
		if w.hub == nil {
			w.connect()
		}
		w.drain()
		if w.hub != nil {
			w.fromHub(w.hub.Poke())
			w.drain()
		}
		if w.hub != nil {
			w.fromHub(w.hub.Tick())
		}
		if w.hub != nil {
			w.fromAgent(w.agent.Tick())
		}
		w.drain()
	}
}

func (w *world) drain() {
	for range 10000 {
		switch {
		case len(w.toHub) > 0:
			w.deliverToHub(0)
		case w.answer():
		case len(w.toAgent) > 0:
			w.deliverToAgent(0)
		case w.work():
		default:
			return
		}
	}
	w.failures = append(w.failures, "hub and agent spin")
}

func (w *world) deliverToHub(i int) {
	message := w.toHub[i]
	w.toHub = slices.Delete(w.toHub, i, i+1)
	w.fromHub(w.hub.Receive(message))
}

func (w *world) deliverToAgent(i int) {
	message := w.toAgent[i]
	w.toAgent = slices.Delete(w.toAgent, i, i+1)
	w.fromAgent(w.agent.Receive(message))
}

// disagreement says where hub and agent differ; "" when they agree.
func (w *world) disagreement() (why string) {
	accepted := w.agent.Accepted()
	w.store.Read(uid, func(c *fakestore.Cluster) {
		p := c.Head.Desired
		switch {
		case accepted.Relearning || c.Head.Relearn:
			why = fmt.Sprintf("still relearning (agent %v, hub %v)", accepted.Relearning, c.Head.Relearn)
		case accepted.Position != (desired.Position{Epoch: p.Epoch, Generation: p.Generation, Hash: p.SetHash}) && len(w.agent.Refused()) == 0:
			why = fmt.Sprintf("agent accepted %s/%d/%x, hub holds %s/%d/%x", accepted.Position.Epoch, accepted.Position.Generation,
				accepted.Position.Hash[:4], p.Epoch, p.Generation, p.SetHash[:4])
		case c.Head.Recorded.Epoch != accepted.Position.Epoch || c.Head.Recorded.Generation != accepted.Position.Generation:
			why = "the hub has another accepted position on record"
		case len(c.Tombstones) > 0 && !w.unnoticed:
			why = fmt.Sprintf("%d tombstones are not carried out", len(c.Tombstones))
		case len(c.Statuses) != len(accepted.Entries):
			why = fmt.Sprintf("the hub has %d statuses of %d bundles", len(c.Statuses), len(accepted.Entries))
		}
		for bundle, entry := range accepted.Entries {
			if why == "" && c.Statuses[bundle].GetAppliedRevision() != entry.GetRevision() {
				why = "the hub has an old status of " + bundle
			}
		}
	})
	return why
}
