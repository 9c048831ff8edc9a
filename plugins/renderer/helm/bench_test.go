package helm_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/periplus-fleet/periplus/plugins/renderer/helm"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// application is a chart such as teams write: some workloads, helpers, a schema, a dependency.
func application() fstest.MapFS {
	helpers := ""
	for i := range 30 {
		helpers += fmt.Sprintf("{{- define \"app.label%d\" -}}\napp.kubernetes.io/name: {{ .Chart.Name }}\napp.kubernetes.io/instance: {{ .Release.Name | trunc 63 | trimSuffix \"-\" }}\n{{- end }}\n", i)
	}
	values, all := "image: {repository: example, tag: v1}\nreplicas: 1\nhost: example.com\nresources: {requests: {cpu: 100m, memory: 64Mi}}\n", map[string]string{}
	for i := range 30 {
		values += fmt.Sprintf("part%d: {enabled: true, port: 8080, env: {A: a, B: b, C: c}, annotations: {x: y}}\n", i)
		all[fmt.Sprintf("templates/deployment%d.yaml", i)] = fmt.Sprintf(`{{- with .Values.part%[1]d }}{{ if .enabled }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $.Release.Name }}-%[1]d
  labels: {{- include "app.label%[1]d" $ | nindent 4 }}
  annotations: {{- toYaml .annotations | nindent 4 }}
spec:
  replicas: {{ $.Values.replicas }}
  selector: {matchLabels: {{- include "app.label%[1]d" $ | nindent 4 }}
  }
  template:
    metadata: {labels: {{- include "app.label%[1]d" $ | nindent 6 }}
    }
    spec:
      containers:
        - name: main
          image: "{{ $.Values.image.repository }}:{{ $.Values.image.tag }}"
          ports: [{containerPort: {{ .port }}}]
          env:
            {{- range $k, $v := .env }}
            - {name: {{ $k }}, value: {{ $v | quote }}}
            {{- end }}
            - {name: HOST, value: {{ $.Values.host | quote }}}
          resources: {{- toYaml $.Values.resources | nindent 12 }}
{{- end }}{{ end }}
`, i)
	}
	for name := range all {
		all[name] = strings.NewReplacer("{matchLabels: {{- include", "\n    matchLabels: {{- include", "{labels: {{- include", "\n      labels: {{- include",
			"\n  }\n", "\n", "\n    }\n", "\n", "nindent 4 }}\n  template", "nindent 6 }}\n  template").Replace(all[name])
		all[name] = strings.ReplaceAll(all[name], "selector: \n    matchLabels: {{- include \"app.label", "selector:\n    matchLabels: {{- include \"app.label")
	}
	all["templates/_helpers.tpl"], all["values.yaml"] = helpers, values
	all["values.schema.json"] = `{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "properties": {"replicas": {"type": "integer", "minimum": 0}, "host": {"type": "string"}}}`
	all["charts/db/Chart.yaml"] = "apiVersion: v2\nname: db\nversion: 1.0.0\n"
	all["charts/db/values.yaml"] = "storage: 1Gi\nenabled: true\n"
	all["charts/db/templates/pvc.yaml"] = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: {{ .Release.Name }}-db}\nspec: {resources: {requests: {storage: {{ .Values.storage }}}}}\n"
	tree := files(all)
	tree["bundles/shop/chart/Chart.yaml"].Data = []byte(chartYAML + "dependencies: [{name: db, version: 1.x, condition: db.enabled}]\n")
	return tree
}

// BenchmarkDistinct renders 1,000 distinct inputs of one chart on one core, as for 1,000 clusters that share nothing, and
// says how much memory the output of all holds as the blobs that are stored.
func BenchmarkDistinct(b *testing.B) {
	const inputs = 1000
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	tree := application()
	for b.Loop() {
		r := helm.New()
		blobs := map[string]struct{}{}
		objects, size := 0, 0
		for i := range inputs {
			result, err := r.Render(b.Context(), renderer.Request{FS: tree, Dir: "bundles/shop", Path: "chart", ContentID: "tree", ReleaseName: "shop", Namespace: "shop",
				Capabilities: renderer.Capabilities{KubeVersion: "v1.36.3"}, Values: map[string]any{"host": fmt.Sprintf("c%d.example.com", i), "replicas": int64(i % 5)}})
			if err != nil {
				b.Fatal(err)
			}
			for _, object := range result.Objects {
				data, err := json.Marshal(object.Value)
				if err != nil {
					b.Fatal(err)
				}
				objects++
				if _, ok := blobs[string(data)]; !ok {
					size += len(data)
					blobs[string(data)] = struct{}{}
				}
			}
		}
		b.ReportMetric(float64(objects), "objects")
		b.ReportMetric(float64(size)/(1<<20), "MiB-of-blobs")
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "seconds")
	b.ReportMetric(0, "ns/op")
}
