//go:build unix

package render

import (
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/target"
)

// fleetSize is how many clusters a benchmark renders for.
const fleetSize = 1000

// benchChart makes 60 objects of about 90 KB, as the charts of larger applications do.
func benchChart() *memory {
	files := map[string]string{
		"bundles/app/chart/Chart.yaml":             "apiVersion: v2\nname: web\nversion: 1.0.0\n",
		"bundles/app/chart/values.yaml":            "host: example.com\nreplicas: 2\nimage: {repository: registry.example.com/web, tag: 1.0.0}\nresources: {requests: {cpu: 100m, memory: 128Mi}}\n",
		"bundles/app/chart/templates/_helpers.tpl": "{{ define \"labels\" }}app.kubernetes.io/name: {{ .Chart.Name }}\napp.kubernetes.io/instance: {{ .Release.Name }}\napp.kubernetes.io/version: {{ .Values.image.tag | quote }}{{ end }}",
	}
	for i := range 20 {
		files[fmt.Sprintf("bundles/app/chart/templates/part%d.yaml", i)] = fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}-%[1]d
  labels: {{- include "labels" . | nindent 4 }}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {part: "%[1]d"}}
  template:
    metadata:
      labels:
        part: "%[1]d"
        {{- include "labels" . | nindent 8 }}
    spec:
      containers:
      - name: main
        image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
        env: [{name: PART, value: "%[1]d"}]
        resources: {{- toYaml .Values.resources | nindent 10 }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name }}-%[1]d
  labels: {{- include "labels" . | nindent 4 }}
spec:
  selector: {part: "%[1]d"}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-%[1]d
  labels: {{- include "labels" . | nindent 4 }}
data:
  text: %[2]q
`, i, strings.Repeat("a line of configuration\n", 150))
	}
	files["bundles/app/chart/templates/ingress.yaml"] = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ingress}\ndata: {host: {{ .Values.host | quote }}}\n"
	tree := newMemory(files)
	return &tree
}

func benchInput(tree *memory, hash string, inputs target.Inputs) Input {
	inputs.Source = &v1alpha1.BundleSource{Helm: &v1alpha1.HelmSource{Chart: "chart"}}
	inputs.Namespace = "apps"
	in := input(nil, inputs)
	in.Tree, in.Bundle.Tree, in.Bundle.TreeHash = tree, tree, hash
	return in
}

// fillFleet renders for 1,000 clusters, one after the other, and says what it took.
func fillFleet(b *testing.B, inputs func(i int) target.Inputs, bases, variants uint64) {
	tree := benchChart()
	hash, err := tree.Hash("bundles/app")
	if err != nil {
		b.Fatal(err)
	}
	var r *Renderer
	var before, after runtime.MemStats
	held := make([]*Variant, fleetSize)
	var used time.Duration
	for b.Loop() {
		b.StopTimer()
		if r, err = New(Config{SecretKey: []byte("key")}); err != nil {
			b.Fatal(err)
		}
		clear(held)
		runtime.GC()
		runtime.ReadMemStats(&before)
		start := processorTime(b)
		b.StartTimer()
		for i := range fleetSize {
			if held[i], err = r.Render(b.Context(), benchInput(tree, hash, inputs(i))); err != nil {
				b.Fatal(err)
			}
		}
		used += processorTime(b) - start
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if stats := r.Stats(); stats.Bases != bases || stats.Variants != variants {
		b.Fatalf("want %d bases and %d variants, got %+v", bases, variants, stats)
	}
	total := 0
	for _, variant := range held {
		for _, blob := range variant.Blobs {
			total += len(blob)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s")
	b.ReportMetric(used.Seconds()/float64(b.N), "core-s")
	b.ReportMetric(float64(bases), "bases")
	b.ReportMetric(float64(variants), "variants")
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB")
	b.ReportMetric(float64(total)/(1<<20), "MiB-unshared")
	runtime.KeepAlive(r)
}

// processorTime that the process used: unlike the clock's, it says the same on a machine that has other work.
func processorTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkRenderShared renders one bundle for 1,000 clusters that differ only in a host name that the post layer sets.
func BenchmarkRenderShared(b *testing.B) {
	fillFleet(b, func(i int) target.Inputs {
		return target.Inputs{Set: []target.Set{{Target: v1alpha1.ObjectMatch{Kind: "ConfigMap", Name: "ingress"}, Pointer: "/data/host",
			Value: fmt.Sprintf("c%d.example.com", i), Field: "spec.set[0]"}}}
	}, 1, fleetSize)
}

// BenchmarkRenderDistinct renders one chart for 1,000 clusters with values of their own, on one core.
func BenchmarkRenderDistinct(b *testing.B) {
	fillFleet(b, func(i int) target.Inputs {
		return target.Inputs{Values: map[string]any{"host": fmt.Sprintf("c%d.example.com", i)}}
	}, fleetSize, fleetSize)
}
