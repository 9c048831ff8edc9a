package engine

import (
	"os"
	"path/filepath"
	"testing"
)

func libraryFiles(t testing.TB) []File {
	t.Helper()
	names, err := filepath.Glob("../library/*.rego")
	if err != nil || len(names) == 0 {
		t.Fatalf("no library: %v", err)
	}
	var files []File
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, File{Path: filepath.Base(name), Text: string(text)})
	}
	return files
}

func corpus() []map[string]any {
	good := map[string]any{"name": "a", "image": "registry.example.com/a", "resources": map[string]any{
		"requests": map[string]any{"cpu": "1", "memory": "1Gi"}, "limits": map[string]any{"memory": "1Gi"}}}
	bad := map[string]any{"name": "b", "image": "docker.io/b", "securityContext": map[string]any{"privileged": true}}
	var all []map[string]any
	for _, containers := range [][]any{{good}, {bad}, {good, bad}, {}} {
		spec := map[string]any{"containers": containers, "initContainers": []any{bad}, "hostPID": true,
			"volumes": []any{map[string]any{"name": "v", "hostPath": map[string]any{"path": "/etc"}}}}
		template := map[string]any{"template": map[string]any{"spec": spec}}
		all = append(all, object("v1", "Pod", "p", map[string]any{"spec": spec}),
			object("apps/v1", "Deployment", "d", map[string]any{"spec": template}),
			object("batch/v1", "CronJob", "c", map[string]any{"spec": map[string]any{"jobTemplate": map[string]any{"spec": template}}}),
			object("apps/v1", "Deployment", "empty", nil), object("v1", "ConfigMap", "m", nil))
	}
	return all
}
