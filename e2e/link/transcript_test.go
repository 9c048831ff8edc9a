package link

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/agent/desired"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/link/fakestore"
)

var update = flag.Bool("update", false, "write what happens into the transcripts")

// TestTranscripts plays testdata/*.txt: a line is what happens, the lines after it, indented, are what both sides then say.
// A line that starts with # is a comment.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, failures := play(string(want))
			if len(failures) > 0 {
				t.Errorf("broken rules: %v", failures)
			}
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func play(script string) (string, []string) {
	w := newWorld()
	w.tracing = true
	p := player{world: w}
	var out strings.Builder
	for line := range strings.Lines(script) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "  ") {
			continue // what was said last time
		}
		fmt.Fprintln(&out, line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		w.trace = nil
		if err := p.step(strings.Fields(line)); err != nil {
			fmt.Fprintln(&out, "  error:", err)
		}
		for _, said := range w.trace {
			fmt.Fprintln(&out, "  "+said)
		}
	}
	return out.String(), w.failures
}

type player struct {
	*world
	backup *fakestore.Store
}

func (p *player) step(words []string) error {
	word := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	switch words[0] {
	case "set":
		revision, err := strconv.Atoi(word(2))
		if err != nil {
			return err
		}
		p.set(word(1), byte(revision), words[3:]...)
	case "remove":
		p.remove(word(1))
	case "connect":
		p.connect()
	case "run":
		p.drain()
	case "answer":
		p.answer()
	case "work":
		p.work()
	case "to-hub", "to-agent":
		return p.wire(words[0] == "to-hub", word(1))
	case "tick":
		if word(1) == "hub" {
			p.fromHub(p.hub.Tick())
		} else {
			p.fromAgent(p.agent.Tick())
		}
	case "poke":
		p.fromHub(p.hub.Poke())
	case "disconnect":
		p.disconnect("lost")
	case "supersede":
		p.fromHub(p.hub.Supersede())
	case "restart-agent":
		p.caps = words[1:]
		p.startAgent()
	case "backup":
		p.backup = p.store.Snapshot()
	case "restore":
		p.disconnect("the hub stopped")
		p.store.Restore(p.backup, word(1))
	case "control":
		p.control()
	case "command":
		p.store.PutCommand(uid, &linkv1.Command{Id: word(1), Command: &linkv1.Command_Reconcile{Reconcile: &linkv1.Reconcile{}}})
		p.fromHub(p.hub.PokeCommands())
	case "unknown":
		p.fromAgent(p.agent.Receive(&linkv1.HubMessage{}))
	case "other-instance":
		_, err := p.store.ClaimSession(context.Background(), uid, "hub-b", &linkv1.Hello{Instance: word(1)})
		return err
	case "agree":
		why := p.disagreement()
		if why == "" {
			why = "they agree"
		}
		p.say("%s", why)
	default:
		return fmt.Errorf("unknown step %q", words[0])
	}
	return nil
}

// wire handles the oldest message of a wire: deliver, drop, twice, or swap it with the next.
func (p *player) wire(toHub bool, how string) error {
	n := len(p.toAgent)
	if toHub {
		n = len(p.toHub)
	}
	if n == 0 {
		return fmt.Errorf("the wire is empty")
	}
	switch {
	case how == "drop" && toHub:
		p.toHub = p.toHub[1:]
	case how == "drop":
		p.toAgent = p.toAgent[1:]
	case how == "twice" && toHub:
		p.toHub = slices.Insert(p.toHub, 0, p.toHub[0])
		p.deliverToHub(0)
	case how == "twice":
		p.toAgent = slices.Insert(p.toAgent, 0, p.toAgent[0])
		p.deliverToAgent(0)
	case how == "last" && toHub:
		p.deliverToHub(n - 1)
	case how == "last":
		p.deliverToAgent(n - 1)
	case toHub:
		p.deliverToHub(0)
	default:
		p.deliverToAgent(0)
	}
	return nil
}

func (w *world) say(format string, args ...any) {
	if w.tracing {
		w.trace = append(w.trace, fmt.Sprintf(format, args...))
	}
}

func describeAgent(message *linkv1.AgentMessage) string {
	switch kind := message.GetMessage().(type) {
	case *linkv1.AgentMessage_Hello:
		return "Hello " + at(kind.Hello.GetAccepted()) + refusals(kind.Hello.GetRefused())
	case *linkv1.AgentMessage_Want:
		if len(kind.Want.GetBundles()) == 0 {
			return "Want the index, at " + at(kind.Want.GetTarget())
		}
		return "Want " + strings.Join(kind.Want.GetBundles(), " ") + " of " + at(kind.Want.GetTarget())
	case *linkv1.AgentMessage_Accepted:
		return "Accepted " + at(kind.Accepted.GetPosition()) + refusals(kind.Accepted.GetRefused())
	case *linkv1.AgentMessage_Status:
		text := fmt.Sprintf("Status %d/%d", kind.Status.GetSession(), kind.Status.GetSequence())
		if kind.Status.GetFull() {
			text += " full"
		}
		for _, status := range kind.Status.GetBundles() {
			text += " " + status.GetBundle()
		}
		for _, bundle := range kind.Status.GetRemoved() {
			text += " removed:" + bundle
		}
		return text
	case *linkv1.AgentMessage_Heartbeat:
		return "Heartbeat " + at(kind.Heartbeat.GetAccepted())
	case *linkv1.AgentMessage_Relearn:
		return fmt.Sprintf("Relearn %d entries at %s", len(kind.Relearn.GetEntries()), at(kind.Relearn.GetAccepted()))
	case *linkv1.AgentMessage_CommandResult:
		return "CommandResult " + kind.CommandResult.GetId() + " " + kind.CommandResult.GetError()
	default:
		return "?"
	}
}

func describeHub(message *linkv1.HubMessage) string {
	switch kind := message.GetMessage().(type) {
	case *linkv1.HubMessage_Welcome:
		return fmt.Sprintf("Welcome session %d %s", kind.Welcome.GetSession(), kind.Welcome.GetEpoch())
	case *linkv1.HubMessage_Delta:
		return fmt.Sprintf("Delta %s -> %s%s", at(kind.Delta.GetBase()), at(kind.Delta.GetTarget()), bundles(kind.Delta.GetUpserts(), kind.Delta.GetTombstones()))
	case *linkv1.HubMessage_Index:
		names := make([]string, 0, len(kind.Index.GetItems()))
		for _, item := range kind.Index.GetItems() {
			names = append(names, " "+item.GetBundle())
		}
		return "Index " + at(kind.Index.GetTarget()) + strings.Join(names, "") + bundles(nil, kind.Index.GetTombstones())
	case *linkv1.HubMessage_Entries:
		return "Entries " + at(kind.Entries.GetTarget()) + bundles(kind.Entries.GetEntries(), nil)
	case *linkv1.HubMessage_StatusAck:
		return fmt.Sprintf("StatusAck %d", kind.StatusAck.GetSequence())
	case *linkv1.HubMessage_Heartbeat:
		text := "Heartbeat " + at(kind.Heartbeat.GetDesired())
		if kind.Heartbeat.GetWantFullStatus() {
			text += " wants full status"
		}
		return text
	case *linkv1.HubMessage_Relearn:
		return "Relearn: " + kind.Relearn.GetReason()
	case *linkv1.HubMessage_Command:
		return "Command " + kind.Command.GetId()
	default:
		return "?"
	}
}

func at(p *linkv1.Position) string {
	if p.GetEpoch() == "" {
		return "nothing"
	}
	return fmt.Sprintf("%s/%d", p.GetEpoch(), p.GetGeneration())
}

func bundles(entries []*linkv1.Entry, tombstones []*linkv1.Tombstone) string {
	text := ""
	for _, entry := range entries {
		text += " " + entry.GetBundle()
	}
	for _, tombstone := range tombstones {
		text += " tombstone:" + tombstone.GetBundle()
	}
	return text
}

func refusals(refused []*linkv1.Refused) string {
	text := ""
	for _, r := range refused {
		text += fmt.Sprintf(" refused:%s (%s)", r.GetBundle(), r.GetReason())
	}
	return text
}

func describeSet(set desired.Set) string {
	text := fmt.Sprintf("%s/%d", set.Position.Epoch, set.Position.Generation)
	for _, bundle := range slices.Sorted(maps.Keys(set.Entries)) {
		text += " " + bundle
	}
	for _, bundle := range slices.Sorted(maps.Keys(set.Tombstones)) {
		text += " tombstone:" + bundle
	}
	if set.Relearning {
		text += " relearning"
	}
	return text
}
