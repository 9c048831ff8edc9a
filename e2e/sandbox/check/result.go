package check

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Result is the last line. A field that was not measured is null.
type Result struct {
	Clusters              *int         `json:"clusters"`
	ClustersReady         *int         `json:"clusters_ready"`
	Bundles               *int         `json:"bundles"`
	Objects               *int         `json:"objects"`
	ProvisionS            *float64     `json:"provision_s"`
	AllReadyS             *float64     `json:"all_ready_s"`
	CommitToReadyS        *percentiles `json:"commit_to_ready_s"`
	DriftRepairS          *medianP95   `json:"drift_repair_s"`
	DeniedHeld            *int         `json:"denied_held"`
	Pruned                *int         `json:"pruned"`
	UpgradeS              *float64     `json:"upgrade_s"`
	AddedS                *float64     `json:"added_s"`
	RemovedS              *float64     `json:"removed_s"`
	HubRestartReapplied   *int         `json:"hub_restart_reapplied"`
	HubDownDriftRepaired  *bool        `json:"hub_down_drift_repaired"`
	MovedKeptUID          *bool        `json:"moved_kept_uid"`
	RestoreObjectsTouched *int         `json:"restore_objects_touched"`
	Recovered             *bool        `json:"recovered"`
	HubRSSMiB             *float64     `json:"hub_rss_mib"`
	AgentRSSMiB           *float64     `json:"agent_rss_mib"`
	APIServerRSSMiB       *float64     `json:"apiserver_rss_mib"`
}

type percentiles struct {
	P50 *float64 `json:"p50"`
	P95 *float64 `json:"p95"`
	Max *float64 `json:"max"`
}

type medianP95 struct {
	P50 *float64 `json:"p50"`
	P95 *float64 `json:"p95"`
}

func (r Result) line() string {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Sprintf(`{"error":%q}`, err)
	}
	return string(data)
}

func ptr[T any](value T) *T { return &value }

// percentile by nearest rank; nil of nothing.
func percentile(values []float64, p float64) *float64 {
	if len(values) == 0 {
		return nil
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return ptr(round(sorted[max(rank, 1)-1]))
}

func round(value float64) float64 { return math.Round(value*1000) / 1000 }

// rss is a process's resident memory; nil where the system does not tell.
func rss(pid int) *float64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return nil
	}
	for text := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(text, "VmRSS:"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			if err == nil {
				return ptr(math.Round(kib/1024*10) / 10)
			}
		}
	}
	return nil
}
