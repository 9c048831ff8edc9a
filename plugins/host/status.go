package host

import (
	"slices"
	"time"
)

// States of a plugin.
const (
	// StateReady answers calls.
	StateReady = "Ready"
	// StateRestarting failed and is started again.
	StateRestarting = "Restarting"
	// StateRefused is never started: its declaration, program or versions are wrong.
	StateRefused = "Refused"
	StateStopped = "Stopped"
)

// Conditions of a plugin, which warn.
const (
	// ConditionUnconfined: it could reach the network although its declaration does not ask for it.
	ConditionUnconfined = "Unconfined"
	// ConditionDeprecated: the version of its type will not be spoken for ever.
	ConditionDeprecated = "Deprecated"
)

// samples of latency that are kept.
const samples = 512

// Condition is something to know of a plugin.
type Condition struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

// Status of a plugin.
type Status struct {
	Name string `json:"name"`
	Type string `json:"type"`
	// Version of the plugin, TypeVersion that is spoken with it; "" and 0 until it answered once.
	Version     string `json:"version,omitempty"`
	TypeVersion int32  `json:"typeVersion,omitempty"`
	// Source is "built-in" or a path.
	Source     string      `json:"source"`
	State      string      `json:"state"`
	Message    string      `json:"message,omitempty"`
	Conditions []Condition `json:"conditions,omitempty"`
	Processes  int         `json:"processes"`
	// Limit of processes, and how many of them hold a call.
	Limit    int    `json:"limit"`
	Held     int    `json:"held"`
	Restarts uint64 `json:"restarts"`
	Calls    uint64 `json:"calls"`
	// Failures are calls that the plugin failed; mistakes in users' files are none.
	Failures uint64 `json:"failures"`
	// P50 and P99 of the last calls' latency.
	P50 time.Duration `json:"p50"`
	P99 time.Duration `json:"p99"`
}

// counters are guarded by the plugin's lock.
type counters struct {
	started, crashes, total, faults uint64
	latency                         []time.Duration
	next, held                      int
}

func (c *counters) count(took time.Duration, faulty bool) {
	c.total++
	c.held--
	if faulty {
		c.faults++
	}
	if len(c.latency) < samples {
		c.latency = append(c.latency, took)
		return
	}
	c.latency[c.next] = took
	c.next = (c.next + 1) % samples
}

// percentile of the kept samples, 0 to 1.
func (c *counters) percentile(part float64) time.Duration {
	if len(c.latency) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(c.latency))
	return sorted[int(part*float64(len(sorted)-1))]
}

// Status of now.
func (p *Plugin) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := Status{Name: p.spec.Name, Type: p.spec.Type, Source: p.spec.Source, State: StateReady, Version: p.described.version,
		TypeVersion: p.described.bound.Number, Processes: len(p.live), Limit: p.spec.Processes, Held: p.held,
		Restarts: p.crashes, Calls: p.total, Failures: p.faults, P50: p.percentile(0.5), P99: p.percentile(0.99)}
	switch {
	case p.closing:
		out.State = StateStopped
	case p.refused != nil:
		out.State, out.Message = StateRefused, p.refused.Error()
	case len(p.live) == 0 && p.failures > 0:
		out.State, out.Message = StateRestarting, p.lastError
	case p.failures > 0:
		out.Message = p.lastError
	}
	if err := p.spec.unconfined; err != nil && !p.spec.Network && p.refused == nil {
		out.Conditions = append(out.Conditions, Condition{ConditionUnconfined, "it could reach the network: " + err.Error()})
	}
	if until := p.described.bound.Deprecated; until != "" {
		out.Conditions = append(out.Conditions, Condition{ConditionDeprecated, "the version of its type is spoken until " + until})
	}
	return out
}
