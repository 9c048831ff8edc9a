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
	{name: "policy/review", pkg: "./policies/engine", benchmark: "BenchmarkReview", metric: "p99-ns", unit: "ms p99", scale: 1e-6,
		budget: "<= 2, <= 1000 allocations", better: "lower"},
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
	failed := false
	for _, b := range budgets {
		if !strings.HasPrefix(b.name, *prefix) {
			continue
		}
		line, err := b.measure()
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

func (b budget) measure() (string, error) {
	command := exec.Command("go", "test", "-run", "^$", "-bench", "^"+b.benchmark+"$", b.pkg)
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
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
