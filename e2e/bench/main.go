// Command bench measures the budgets on this machine and prints one JSON line each. A budget is a figure to beat, not a test:
// it fails only when something could not be measured. Each is backed by a Go benchmark beside the code that it measures.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
)

// agentPkg has the benchmarks of the agent's process.
const agentPkg = "./e2e/bench/agent"

// budget says which metric of which benchmark is held against what.
type budget struct {
	name      string
	pkg       string
	benchmark string
	metric    string
	unit      string
	budget    string
	better    string
	// scale of the metric to the unit; 0 is 1.
	scale float64
}

var budgets = []budget{
	{name: "hub/relabel", pkg: "./hub/control", benchmark: "BenchmarkRelabel", metric: "s/relabel", unit: "s", budget: "< 1", better: "lower"},
	{name: "hub/render-shared", pkg: "./hub/render", benchmark: "BenchmarkRenderShared", metric: "bases", unit: "base renders for 1000 clusters",
		budget: "1", better: "lower"},
	{name: "hub/render-distinct", pkg: "./hub/render", benchmark: "BenchmarkRenderDistinct", metric: "core-s", unit: "s per core for 1000 inputs",
		budget: "< 20", better: "lower"},
	{name: "plugins/helm", pkg: "./plugins/renderer/helm", benchmark: "BenchmarkDistinct", metric: "seconds", unit: "s for 1000 inputs of 31 objects",
		budget: "< 20", better: "lower"},
	{name: "hub/variants-memory", pkg: "./hub/render", benchmark: "BenchmarkRenderShared", metric: "MiB", unit: "MiB for 1000 variants of one base",
		budget: "", better: "lower"},
	{name: "plugins/manifests", pkg: "./plugins/renderer/manifests", benchmark: "BenchmarkRender", metric: "cpu-s/op", unit: "s per core for 10000 objects",
		budget: "< 1", better: "lower"},
	{name: "agent/apply-1000x4", pkg: agentPkg, benchmark: "BenchmarkApply1000x4", metric: "s", unit: "s", budget: "< 60, peak < 175 MiB", better: "lower"},
	{name: "agent/apply-calls", pkg: agentPkg, benchmark: "BenchmarkApply1000x4", metric: "calls/object", unit: "API calls an object, all included",
		better: "lower"},
	{name: "agent/idle-rss", pkg: agentPkg, benchmark: "BenchmarkRest", metric: "rss-MiB", unit: "MiB", budget: "<= 64", better: "lower"},
	{name: "agent/steady-writes", pkg: agentPkg, benchmark: "BenchmarkRest", metric: "writes", unit: "API writes in a minute at rest", budget: "0", better: "lower"},
	{name: "agent/steady-requests", pkg: agentPkg, benchmark: "BenchmarkRest", metric: "requests/min", unit: "API requests a minute at rest", budget: "< 10",
		better: "lower"},
	{name: "agent/cpu-rest", pkg: agentPkg, benchmark: "BenchmarkRest", metric: "millicores", unit: "millicores", budget: "< 5", better: "lower"},
	{name: "agent/start", pkg: agentPkg, benchmark: "BenchmarkRest", metric: "first-look-s", unit: "s from execution to the first bundle's objects, median of 5",
		budget: "< 2", better: "lower"},
	{name: "agent/start-ready", pkg: agentPkg, benchmark: "BenchmarkRest", metric: "start-s",
		unit: "s from execution until the hub knows that 50 bundles are ready, median of 5", better: "lower"},
	{name: "agent/drift-repair", pkg: agentPkg, benchmark: "BenchmarkRest", metric: "repair-p95-s", unit: "s p95 of 100 changes", budget: "< 2", better: "lower"},
	{name: "agent/binary", pkg: agentPkg, benchmark: "BenchmarkRest", metric: "binary-MiB", unit: "MiB", budget: "<= 60", better: "lower"},
	{name: "agent/image", pkg: "./e2e/tools/images", benchmark: "BenchmarkAgent", metric: "compressed-MiB", unit: "MiB compressed", budget: "<= 22", better: "lower"},
	{name: "agent/big-rss", pkg: agentPkg, benchmark: "BenchmarkBig", metric: "rss-MiB", unit: "MiB with 5000 objects in a cluster of 50000", budget: "<= 110",
		better: "lower"},
	{name: "policy/review", pkg: "./policies/engine", benchmark: "BenchmarkReview", metric: "cpu-p99-ns", unit: "ms p99 on one core", scale: 1e-6,
		budget: "<= 2, <= 1000 allocations", better: "lower"},
	{name: "policy/review-bound", pkg: "./policies/engine", benchmark: "BenchmarkReviewBound", metric: "cpu-p99-ns", unit: "ms p99 on one core, with 200 bindings", scale: 1e-6,
		budget: "<= 2, <= 1000 allocations", better: "lower"},
	{name: "policy/heap", pkg: "./policies/engine", benchmark: "BenchmarkHeap", metric: "MiB", unit: "MiB for 500 constraints", budget: "<= 64", better: "lower"},
	{name: "policy/swap", pkg: "./policies/engine", benchmark: "BenchmarkSwap", metric: "s", unit: "s for 200 templates while reviews run",
		budget: "<= 1, no review late by > 5 ms", better: "lower"},
	{name: "policy/gate", pkg: "./hub/gate", benchmark: "BenchmarkGate", metric: "s", unit: "s for 1000 objects on each of 100 clusters", budget: "<= 30", better: "lower"},
	{name: "policy/nothing", pkg: "./policies/engine", benchmark: "BenchmarkNothing", metric: "ns/op", unit: "us for an object that none of 200 constraints is about",
		scale: 1e-3, budget: "<= 20", better: "lower"},
}

type result struct {
	Name    string             `json:"name"`
	Value   float64            `json:"value"`
	Unit    string             `json:"unit"`
	Budget  string             `json:"budget"`
	Better  string             `json:"better"`
	Detail  map[string]float64 `json:"detail"`
	Machine string             `json:"machine"`
}

func main() {
	prefix := flag.String("run", "", "measure only budgets whose name begins so")
	flag.Parse()
	failed, runs := false, runs{}
	for _, b := range budgets {
		if !strings.HasPrefix(b.name, *prefix) {
			continue
		}
		line, err := b.measure(runs)
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench: cannot measure %q: %v\n", b.name, err)
			failed = true
			continue
		}
		fmt.Println(line)
	}
	if failed {
		os.Exit(1)
	}
}

// runs are the outputs of benchmarks: one run may serve several budgets.
type runs map[string]output

type output struct {
	text []byte
	err  error
}

func (r runs) of(pkg, benchmark string) ([]byte, error) {
	key := pkg + " " + benchmark
	if _, done := r[key]; !done {
		command := exec.Command("go", "test", "-timeout", "60m", "-run", "^$", "-bench", "^"+benchmark+"$", pkg)
		command.Stderr = os.Stderr
		text, err := command.Output()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(text))
		}
		r[key] = output{text, err}
	}
	return r[key].text, r[key].err
}

func (b budget) measure(runs runs) (string, error) {
	out, err := runs.of(b.pkg, b.benchmark)
	if err != nil {
		return "", err
	}
	metrics, cpu := parse(out, b.benchmark)
	value, ok := metrics[b.metric]
	if !ok {
		return "", fmt.Errorf("%s reports no %s", b.benchmark, b.metric)
	}
	if b.scale != 0 {
		value *= b.scale
	}
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	err = encoder.Encode(result{Name: b.name, Value: value, Unit: b.unit, Budget: b.budget, Better: b.better, Detail: metrics,
		Machine: fmt.Sprintf("%s/%s, %d cores, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), cpu)})
	return strings.TrimSpace(line.String()), err
}

// parse reads "BenchmarkX-2  100  123 ns/op  4 allocs/op" and the line that names the processor.
func parse(out []byte, benchmark string) (metrics map[string]float64, cpu string) {
	metrics = map[string]float64{}
	scanner := bufio.NewScanner(bytes.NewReader(out))
	for scanner.Scan() {
		if rest, ok := strings.CutPrefix(scanner.Text(), "cpu: "); ok {
			cpu = rest
		}
		fields := strings.Fields(scanner.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], benchmark) {
			continue
		}
		for i := 2; i+1 < len(fields); i += 2 {
			if value, err := strconv.ParseFloat(fields[i], 64); err == nil {
				metrics[fields[i+1]] = value
			}
		}
	}
	return metrics, cpu
}
