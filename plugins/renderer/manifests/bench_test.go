package manifests

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// manyObjects is a bundle of objects of usual sizes: a hundred in each file, one Deployment among ConfigMaps and Services.
func manyObjects(count int) fstest.MapFS {
	files := fstest.MapFS{}
	var text strings.Builder
	for i := range count {
		switch i % 3 {
		case 0:
			fmt.Fprintf(&text, "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: config-%d\n  labels: {app: app-%d}\ndata:\n  key: value\n  other: \"%d\"\n  text: |\n    a line\n    another\n---\n", i, i, i)
		case 1:
			fmt.Fprintf(&text, "apiVersion: v1\nkind: Service\nmetadata:\n  name: service-%d\n  labels:\n    app: app-%d\nspec:\n  selector:\n    app: app-%d\n  ports:\n  - name: http\n    port: 80\n    targetPort: http\n---\n", i, i, i)
		default:
			fmt.Fprintf(&text, "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web-%d\n  labels:\n    app: app-%d\nspec:\n  replicas: 2\n  selector:\n    matchLabels:\n      app: app-%d\n  template:\n    metadata:\n      labels:\n        app: app-%d\n    spec:\n      containers:\n      - name: web\n        image: registry.example.com/web:1.2.3\n        ports:\n        - name: http\n          containerPort: 8080\n        env:\n        - name: MODE\n          value: production\n        resources:\n          requests: {cpu: 100m, memory: 64Mi}\n          limits: {memory: 128Mi}\n---\n", i, i, i, i)
		}
		if i%100 == 99 || i == count-1 {
			files[fmt.Sprintf("b/objects-%04d.yaml", i/100)] = &fstest.MapFile{Data: []byte(text.String())}
			text.Reset()
		}
	}
	return files
}

// BenchmarkRender reads 10,000 objects; the figure to beat is one second on one core.
func BenchmarkRender(b *testing.B) {
	files := manyObjects(10_000)
	size := 0
	for _, file := range files {
		size += len(file.Data)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	before := processorTime(b)
	for b.Loop() {
		result, err := Renderer{}.Render(b.Context(), renderer.Request{FS: files, Dir: "b"})
		if err != nil || len(result.Objects) != 10_000 {
			b.Fatalf("got %d objects, %v", len(result.Objects), err)
		}
	}
	b.ReportMetric((processorTime(b)-before)/float64(b.N), "cpu-s/op")
}

// processorTime is what a shared machine does not change.
func processorTime(b *testing.B) float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}
