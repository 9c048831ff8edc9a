package faults_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestAPIServerKilledMidApply(t *testing.T) {
	w := newWorld(t)
	p := w.through()
	wanted := numbered("killed", 40, "one")
	w.assign(bundle("killed", wanted))
	w.start()
	w.settle()
	before := w.live()
	p.requests(writesTenant)
	// The twentieth write is carried out and not answered.
	var count atomic.Int32
	dead := make(chan struct{})
	p.harm(nil, func(r *http.Request) {
		if r.Method == http.MethodPatch && count.Add(1) == 20 {
			w.must(w.KillServer())
			close(dead)
		}
	})
	next := numbered("killed", 38, "two")
	w.assign(bundle("killed", next))
	<-dead
	p.harm(nil, nil)
	p.requests(writesTenant)
	time.Sleep(5 * time.Second) // an outage that lasts
	tries := len(p.requests(func(request) bool { return true }))
	t.Logf("%d requests in 5 s without an API server", tries)
	if tries > 200 {
		t.Errorf("%d requests in 5 s: the agent hammers a server that is away", tries)
	}
	w.must(w.StartServer(w.ctx))
	w.settle()
	w.eventually(func() string { return differ(next, values(w.live())) })
	after := w.live()
	for name := range wanted {
		if next[name] == "" {
			delete(before, name)
		}
	}
	w.same(before, after)
	// Watches are back.
	w.change("killed-007", "drifted")
	w.becomes("killed-007", "two")
}

func TestNetworkBreaksMidApply(t *testing.T) {
	w := newWorld(t)
	p := w.through()
	w.assign(bundle("broken", numbered("broken", 30, "one")))
	w.start()
	w.settle()
	before := w.live()
	cases := map[string]struct {
		reason string
		breaks func()
		mends  func()
	}{
		"Cut":       {reason: "connections are reset, again and again", breaks: p.cut, mends: func() {}},
		"Blackhole": {reason: "packets are dropped and nobody says so", breaks: p.deafen, mends: func() { time.Sleep(8 * time.Second); p.hear() }},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := w.with(t)
			var count atomic.Int32
			p.harm(nil, func(r *http.Request) {
				if n := count.Add(1); r.Method == http.MethodPatch && (n == 10 || n == 25) {
					go c.breaks()
				}
			})
			wanted := numbered("broken", 30, name)
			w.assign(bundle("broken", wanted))
			w.eventually(func() string {
				if count.Load() < 10 {
					return "the apply has not begun"
				}
				return ""
			})
			c.mends()
			p.harm(nil, nil)
			c.mends()
			w.settle()
			w.eventually(func() string { return differ(wanted, values(w.live())) })
			w.same(before, w.live())
			w.change("broken-003", "drifted")
			w.becomes("broken-003", name)
		})
	}
}

func TestThrottlingStorm(t *testing.T) {
	w := newWorld(t)
	p := w.through()
	w.assign(bundle("calm", numbered("calm", 5, "one")))
	w.start()
	w.settle()
	wanted := numbered("storm", 150, "one")
	p.requests(writesTenant)
	const storm = 8 * time.Second
	begun := time.Now()
	var refused atomic.Int32
	p.harm(func(rw http.ResponseWriter, r *http.Request) bool {
		// The agent's own Secrets are in another flow, as they are with priority and fairness.
		if time.Since(begun) > storm || r.Method != http.MethodPatch {
			return false
		}
		refused.Add(1)
		// As priority and fairness answers.
		rw.Header().Set("Retry-After", "1")
		rw.Header().Set("X-Kubernetes-Pf-Flowschema-Uid", "service-accounts")
		rw.Header().Set("X-Kubernetes-Pf-Prioritylevel-Uid", "workload-low")
		http.Error(rw, "Too many requests, please try again later.", http.StatusTooManyRequests)
		return true
	}, nil)
	w.assign(bundle("storm", wanted))
	w.eventually(func() string {
		if time.Since(begun) < storm {
			return "the storm lasts"
		}
		return ""
	})
	during := p.requests(func(r request) bool { return r.method == http.MethodPatch && r.at.Sub(begun) < storm })
	seconds := map[int]int{}
	for _, r := range during {
		seconds[int(r.at.Sub(begun).Seconds())]++
	}
	t.Logf("%d applies were refused in %s; by second: %v", refused.Load(), storm, seconds)
	// At its start are at most as many as run at once; from then on each second a few, and fewer.
	if total := len(during); total > 80 {
		t.Errorf("%d applies in a storm of %s: the agent does not back off", total, storm)
	}
	if seconds[7] > 8 {
		t.Errorf("%d applies in the storm's last second", seconds[7])
	}
	w.settle()
	all := numbered("calm", 5, "one")
	for name, value := range wanted {
		all[name] = value
	}
	w.eventually(func() string { return differ(all, values(w.live())) })
	made := map[string]int{}
	calls, err := w.Audit.Calls()
	w.must(err)
	for _, call := range calls {
		if call.Code == http.StatusCreated && strings.HasPrefix(call.Name, "storm-") && call.Resource == "configmaps" {
			made[call.Name]++
		}
	}
	if len(made) != len(wanted) {
		t.Errorf("%d objects were made, want %d", len(made), len(wanted))
	}
}
