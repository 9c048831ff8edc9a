package link

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/periplus-fleet/periplus/hub/link/fakestore"
)

// TestAnyFaultsThenAgreement drives both machines through random loss, delay, reordering, duplication, restarts of either
// side and restores of the store, and holds at every step that nothing leaves a cluster without a tombstone that somebody
// asked for; once the faults stop, hub and agent must agree. PERIPLUS_SEED runs one case again.
func TestAnyFaultsThenAgreement(t *testing.T) {
	first, runs := uint64(1), uint64(2000)
	if text := os.Getenv("PERIPLUS_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("cannot read PERIPLUS_SEED: %v", err)
		}
		first, runs = seed, 1
	}
	for seed := first; seed < first+runs; seed++ {
		if failures := runFaults(seed, 400); len(failures) > 0 {
			t.Fatalf("seed %d: %v", seed, failures)
		}
	}
}

func runFaults(seed uint64, steps int) []string {
	w, random := newWorld(), rand.New(rand.NewPCG(seed, 7))
	backup, epoch := w.store.Snapshot(), 1
	for range steps {
		faultStep(w, random, &backup, &epoch)
		if len(w.failures) > 0 {
			return w.failures
		}
	}
	w.settle(60)
	if why := w.disagreement(); why != "" {
		w.failures = append(w.failures, "after the faults: "+why)
	}
	return w.failures
}

func faultStep(w *world, random *rand.Rand, backup **fakestore.Store, epoch *int) {
	bundle := fmt.Sprintf("fleet/b%d", random.IntN(5))
	switch n := random.IntN(1000); {
	case n < 60:
		w.set(bundle, byte(random.IntN(4)))
	case n < 80:
		w.remove(bundle)
	case n < 90:
		w.control()
	case n < 95:
		*backup = w.store.Snapshot()
	case n < 100:
		w.disconnect("the store was restored")
		if *epoch++; random.IntN(2) == 0 {
			w.unnoticed = true
			w.store.Restore(*backup, "")
		} else {
			w.store.Restore(*backup, fmt.Sprintf("epoch-%d", *epoch))
		}
	case n < 108:
		w.startAgent()
	case n < 116:
		w.disconnect("the hub restarted")
	case n < 160:
		if w.hub == nil {
			w.connect()
		}
	case n < 180:
		w.fromAgent(w.agent.Tick())
	case n < 200 && w.hub != nil:
		w.fromHub(w.hub.Tick())
	case n < 260 && w.hub != nil:
		w.fromHub(w.hub.Poke())
	case n < 400:
		w.work()
	case n < 600:
		w.answer()
	default:
		wires(w, random)
	}
}

// wires delivers a message of either side, maybe out of order, twice, or never.
func wires(w *world, random *rand.Rand) {
	fault := random.IntN(20)
	pick := func(n int) int {
		if fault == 0 {
			return random.IntN(n)
		}
		return 0
	}
	if len(w.toHub) > 0 && (random.IntN(2) == 0 || len(w.toAgent) == 0) {
		i := pick(len(w.toHub))
		switch message := w.toHub[i]; fault {
		case 1:
			w.toHub = append(w.toHub[:i], w.toHub[i+1:]...)
		case 2:
			w.toHub = append(w.toHub, message)
			w.deliverToHub(i)
		default:
			w.deliverToHub(i)
		}
		return
	}
	if len(w.toAgent) > 0 {
		i := pick(len(w.toAgent))
		switch message := w.toAgent[i]; fault {
		case 1:
			w.toAgent = append(w.toAgent[:i], w.toAgent[i+1:]...)
		case 2:
			w.toAgent = append(w.toAgent, message)
			w.deliverToAgent(i)
		default:
			w.deliverToAgent(i)
		}
	}
}
