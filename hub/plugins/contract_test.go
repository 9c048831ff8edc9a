package plugins_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/periplus-fleet/periplus/plugins/contract"
)

// TestContract holds the built-in plugins to what is asked of any.
func TestContract(t *testing.T) {
	web, err := fs.Sub(chart(), "web")
	if err != nil {
		t.Fatal(err)
	}
	keys := t.TempDir()
	sealed := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join("../../api/sops/testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	if err := os.WriteFile(filepath.Join(keys, "right.agekey"), sealed("right.agekey"), 0o600); err != nil {
		t.Fatal(err)
	}
	configMap := &fstest.MapFile{Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\ndata: {a: b}\n")}
	for name, plugin := range map[string]contract.Plugin{
		"helm": {Fixture: web},
		"kustomize": {Fixture: fstest.MapFS{"one.yaml": configMap, "base/kustomization.yaml": {Data: []byte("resources: [../two]\n")},
			"two/kustomization.yaml": {Data: []byte("configMapGenerator: [{name: made, literals: [a=b]}]\n")},
			"kustomization.yaml":     {Data: []byte("namePrefix: a-\nresources: [one.yaml, base]\n")}}},
		"jsonnet": {Path: "main.jsonnet", Fixture: fstest.MapFS{"lib.libsonnet": {Data: []byte("{name: 'one'}\n")},
			"main.jsonnet": {Data: []byte("local lib = import 'lib.libsonnet'; {apiVersion: 'v1', kind: 'ConfigMap', metadata: {name: lib.name}}\n")}}},
		"sops": {Config: map[string]any{"keysDir": keys}, Read: []string{keys}, Encrypted: map[string]contract.Secret{
			"file.bin": {Format: "binary", Data: sealed("file.bin"), Plaintext: sealed("plain/file.txt")}}},
	} {
		t.Run(name, func(t *testing.T) {
			plugin.Jail = []string{"/proc/self/exe", "plugin", "jail"}
			plugin.Command = []string{"/proc/self/exe", "plugin", name}
			contract.Test(t, plugin)
		})
	}
}
