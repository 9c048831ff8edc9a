package faults_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"
)

// pointsByDefault is how many times an agent is killed; PERIPLUS_FAULT_POINTS says another number, PERIPLUS_FAULT_SEED repeats
// a run.
const pointsByDefault = 12

// thorough says that all is asked for, as make faults does.
func thorough() bool { return os.Getenv("PERIPLUS_FAULT_POINTS") != "" }

// onTheWay is how long the API server works on what a killed agent asked of it, at most.
const onTheWay = 300 * time.Millisecond

// TestKilledAtRandomPoints kills the agent at a request of its own choice, before the API server sees it or before the agent
// sees the answer: so every stage of apply, of prune and of what is written down around them is met. Meanwhile the hub
// goes on to want something else.
func TestKilledAtRandomPoints(t *testing.T) {
	w := newWorld(t)
	points, seed := pointsByDefault, uint64(time.Now().UnixNano())
	if text := os.Getenv("PERIPLUS_FAULT_POINTS"); text != "" {
		points = atoi(t, text)
	}
	if text := os.Getenv("PERIPLUS_FAULT_SEED"); text != "" {
		seed = uint64(atoi(t, text))
	}
	t.Logf("%d points; PERIPLUS_FAULT_SEED=%d repeats them", points, seed)
	random := rand.New(rand.NewPCG(seed, seed))
	p := w.through()
	// What stays in every revision must never be made anew.
	steady := map[string]map[string]string{}
	assign := func() {
		for _, name := range []string{"left", "right"} {
			if steady[name] != nil && random.IntN(3) == 0 {
				continue
			}
			wanted := numbered(name+"-stays", 12, fmt.Sprint("v", random.IntN(1000)))
			// Others come and go, at most as many as may go without a person's word.
			for i := range 9 {
				if random.IntN(2) == 0 {
					wanted[fmt.Sprintf("%s-goes-%03d", name, i)] = fmt.Sprint("v", random.IntN(1000))
				}
			}
			steady[name] = wanted
			w.assign(bundle(name, wanted))
		}
	}
	assign()
	w.start()
	w.settle()
	first := w.live()
	kinds := map[string]int{}
	for point := range points {
		if point > 0 && point%10 == 0 {
			w.checkKilled(first, steady)
		}
		assign()
		// Most requests are applies, so that a third of the points is among removals.
		after, before, counts := 1+random.IntN(40), random.IntN(2) == 0, writes
		if random.IntN(3) == 0 {
			after, counts = 1+random.IntN(8), func(r *http.Request) bool { return r.Method == http.MethodDelete }
		}
		kinds[w.killAt(p, counts, after, before)]++
		// What was on its way when the agent died comes to its end before another starts, as it does before a pod starts again.
		time.Sleep(onTheWay)
		w.start()
	}
	w.checkKilled(first, steady)
	t.Logf("killed at %v", kinds)
	w.audited()
}

// killAt kills the agent at one of the requests that follow and count, or where it has no more of them: at rest.
func (w *world) killAt(p *proxy, counts func(*http.Request) bool, after int, before bool) (kind string) {
	w.Helper()
	var mu sync.Mutex
	hit := make(chan string, 1)
	count := 0
	strike := func(r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if !counts(r) {
			return
		}
		if count++; count == after {
			_ = w.agent.Kill()
			kind := r.Method + " of an object"
			if !writesTenant(request{method: r.Method, path: r.URL.Path}) {
				kind = r.Method + " of its own"
			}
			hit <- kind
		}
	}
	if before {
		p.harm(func(_ http.ResponseWriter, r *http.Request) bool {
			strike(r)
			select {
			case <-w.agent.Gone():
				return true
			default:
				return false
			}
		}, nil)
	} else {
		p.harm(nil, strike)
	}
	defer p.harm(nil, nil)
	settled := time.NewTicker(20 * time.Millisecond)
	defer settled.Stop()
	quiet := 0
	for {
		select {
		case kind := <-hit:
			return kind
		case <-settled.C:
			if w.Hub.Unsettled() != "" {
				quiet = 0
			} else if quiet++; quiet > 3 {
				mu.Lock()
				defer mu.Unlock()
				select {
				case kind := <-hit:
					return kind
				default:
				}
				count = after
				w.kill()
				return "rest"
			}
		}
	}
}

func (w *world) checkKilled(first map[string]live, wanted map[string]map[string]string) {
	w.Helper()
	w.heal()
	all := map[string]string{}
	for _, objects := range wanted {
		for name, value := range objects {
			all[name] = value
		}
	}
	w.eventually(func() string { return differ(all, values(w.live())) })
	after := w.live()
	for name := range first {
		if all[name] == "" || name[len(name)-8:len(name)-4] == "goes" {
			delete(first, name)
		}
	}
	w.same(first, after)
}

// audited holds the whole of what the agent did against what was asked of it: what stays is made once and never deleted.
func (w *world) audited() {
	w.Helper()
	calls, err := w.Audit.Calls()
	w.must(err)
	created := map[string]int{}
	deleted := 0
	for _, call := range calls {
		if call.Resource != "configmaps" {
			continue
		}
		if call.Verb == "patch" && call.Code == http.StatusCreated {
			created[call.Name]++
		}
		if call.Verb == "delete" {
			deleted++
			if len(call.Name) > 5 && (call.Name[:10] == "left-stays" || call.Name[:11] == "right-stays") {
				w.Errorf("ConfigMap %q was deleted", call.Name)
			}
		}
	}
	total := 0
	for name, times := range created {
		total += times
		if times > 1 && (name[:10] == "left-stays" || name[:11] == "right-stays") {
			w.Errorf("ConfigMap %q was made %d times", name, times)
		}
	}
	w.Logf("%d objects made, %d removed", total, deleted)
}

// through has agents go through a proxy.
func (w *world) through() *proxy {
	w.Helper()
	config, err := w.AgentConfig()
	w.must(err)
	p := newProxy(w.T, config)
	w.must(w.Route(p.server.URL, p.ca()))
	w.must(w.Audit.Skip())
	w.Cleanup(func() {
		if w.agent != nil {
			_ = w.agent.Kill()
		}
		if err := w.RouteDirectly(); err != nil {
			w.Error(err)
		}
	})
	return p
}

func differ(want, got map[string]string) string {
	for name, value := range want {
		if got[name] != value {
			return fmt.Sprintf("%s is %q, want %q", name, got[name], value)
		}
	}
	for name := range got {
		if _, wanted := want[name]; !wanted {
			return name + " is there, and nothing wants it"
		}
	}
	return ""
}

func atoi(t *testing.T, text string) int {
	t.Helper()
	number, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return number
}
