// Command soak lets an agent live through churn for a while: bundles come, change and go, somebody changes and deletes what
// they brought, the agent is ended and killed, the hub is away. At quiet points an oracle compares the cluster with what it
// has to be; every change of an object is followed, so that one made twice is noticed. The last line of its output is JSON.
//
//	soak [-minutes 30] [-seed 1]
//
// It fails when a change was lost or made twice.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

func main() {
	minutes := flag.Float64("minutes", 30, "`minutes` of churn")
	seed := flag.Uint64("seed", 1, "`number` that decides what happens when")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	result, err := soak(ctx, time.Duration(*minutes*float64(time.Minute)), *seed)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		result.Error = err.Error()
	}
	line, encodeErr := json.Marshal(result)
	if encodeErr != nil {
		fmt.Fprintln(os.Stderr, "soak:", encodeErr)
	}
	fmt.Println(string(line))
	if err != nil || encodeErr != nil || result.Lost > 0 || result.Doubled > 0 {
		os.Exit(1)
	}
}

// Result is the last line.
type Result struct {
	Minutes float64 `json:"minutes"`
	Seed    uint64  `json:"seed"`
	Rounds  int     `json:"rounds"`
	Changes changes `json:"changes"`
	// Lost are objects that were not what they had to be at a quiet point, Doubled changes that were made twice.
	Lost    int    `json:"lost"`
	Doubled int    `json:"doubled"`
	Memory  memory `json:"memory"`
	// DriftRepair is the time from a change by somebody to its repair, while the agent ran.
	DriftRepair percentiles `json:"drift_repair_s"`
	Calls       calls       `json:"calls"`
	CPU         float64     `json:"millicores"`
	Error       string      `json:"error,omitempty"`
}

// changes that were made.
type changes struct {
	Added    int `json:"added"`
	Changed  int `json:"changed"`
	Removed  int `json:"removed"`
	Drifted  int `json:"drifted"`
	Deleted  int `json:"deleted"`
	Restarts int `json:"agent_restarts"`
	Kills    int `json:"agent_kills"`
	HubAway  int `json:"hub_away"`
	// Objects that the hub wanted anew, otherwise, or gone.
	Objects int `json:"objects"`
}

// memory of the agent's last and longest life, one point a round: the median of its seconds.
type memory struct {
	// SlopeMiBPerHour lies within ± Within with 95 % confidence; null where there are too few rounds.
	SlopeMiBPerHour *float64 `json:"slope_mib_per_hour"`
	Within          *float64 `json:"within"`
	// Growing says that the slope is above 0 with that confidence.
	Growing bool    `json:"growing"`
	Minutes float64 `json:"minutes"`
	Points  int     `json:"points"`
	Median  float64 `json:"median_mib"`
	Most    float64 `json:"most_mib"`
}

type calls struct {
	Writes int `json:"writes"`
	Own    int `json:"own_writes"`
	All    int `json:"all"`
	// Refused are answers from 400 on, but 404: not found is how an agent learns that an object is new, or gone.
	Refused int `json:"refused"`
}

type percentiles struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

func percentilesOf(values []time.Duration) percentiles {
	if len(values) == 0 {
		return percentiles{}
	}
	sorted := slices.Sorted(slices.Values(values))
	// By nearest rank.
	at := func(p float64) float64 { return sorted[min(int(p*float64(len(sorted))), len(sorted)-1)].Seconds() }
	return percentiles{Count: len(sorted), P50: at(0.5), P95: at(0.95), P99: at(0.99), Max: at(1)}
}
