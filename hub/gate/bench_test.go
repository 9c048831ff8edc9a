package gate_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/hub/gate"
	"github.com/periplus-fleet/periplus/policies/engine"
)

// library is all policies that ship, in force with their own parameters.
func library(b *testing.B) *engine.Snapshot {
	files, err := filepath.Glob("../../policies/library/*.rego")
	if err != nil || len(files) == 0 {
		b.Fatal("there is no library", err)
	}
	var source engine.Source
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			b.Fatal(err)
		}
		source.Modules = append(source.Modules, engine.File{Path: "policies/" + filepath.Base(file), Text: string(text)})
	}
	s, refusals := engine.Load(source, nil)
	if len(refusals) > 0 {
		b.Fatal(refusals)
	}
	return s
}

// thousand objects, half of them workloads, each another.
func thousand(s *engine.Snapshot) gate.Request {
	blobs := map[content.Digest][]byte{}
	manifest := content.Manifest{DefaultNamespace: "shop"}
	for i := range 1000 {
		id := content.ObjectID{Kind: "ConfigMap", Name: fmt.Sprintf("c%d", i)}
		blob := fmt.Appendf(nil, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c%d","labels":{"app":"a"}},"data":{"a":"1","b":"2"}}`, i)
		if i%2 == 0 {
			id = content.ObjectID{Group: "apps", Kind: "Deployment", Name: fmt.Sprintf("d%d", i)}
			blob = fmt.Appendf(nil, `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d%d","labels":{"app":"a"}},"spec":{"replicas":2,
"selector":{"matchLabels":{"app":"a"}},"template":{"metadata":{"labels":{"app":"a"}},"spec":{"serviceAccountName":"a","containers":[
{"name":"main","image":"registry.example.com/a:%d","ports":[{"containerPort":8080}],"resources":{"requests":{"cpu":"1","memory":"1Gi"}},
"securityContext":{"runAsNonRoot":true,"allowPrivilegeEscalation":false}},{"name":"side","image":"docker.io/b"}]}}}}`, i, i)
		}
		digest := content.Sum(blob)
		blobs[digest] = blob
		manifest.Items = append(manifest.Items, content.Item{ObjectID: id, Digest: digest, Source: fmt.Sprintf("bundles/b/m.yaml:%d", i+1)})
	}
	return gate.Request{Snapshot: s, Bundle: "fleet/b", Manifest: manifest, Now: time.Unix(0, 0),
		Load: func(context.Context, []content.Digest) (map[content.Digest][]byte, error) { return blobs, nil }}
}

// BenchmarkGate is policy/gate: 1,000 objects for each of 100 clusters with the policies of the library.
func BenchmarkGate(b *testing.B) {
	request := thousand(library(b))
	for b.Loop() {
		g, findings := gate.New(gate.Config{}), 0
		started := time.Now()
		for i := range 100 {
			request.Cluster = engine.Cluster{Name: fmt.Sprintf("c%d", i), Labels: map[string]string{"env": []string{"dev", "prod"}[i%2], "n": fmt.Sprint(i)}, Version: "v1.36.3"}
			verdict, err := g.Check(context.Background(), request)
			if err != nil {
				b.Fatal(err)
			}
			findings += len(verdict.Results)
		}
		b.ReportMetric(time.Since(started).Seconds(), "s")
		b.ReportMetric(float64(g.Stats().Evaluations), "evaluations")
		b.ReportMetric(float64(g.Stats().Hits), "shared")
		b.ReportMetric(float64(findings), "findings")
	}
}
