// Command generate copies Cluster API's core CRDs and webhook configuration out of its module, as go:embed cannot reach
// them there; its argument is the folder that gets them (default: the current one). Of each CRD only the version that is
// stored is kept: the embedded core serves no conversion, and every version more costs the API server memory.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// groups that the embedded core reconciles or, like runtime extensions, watches even where they are left out.
var groups = []string{"cluster.x-k8s.io_", "addons.cluster.x-k8s.io_", "runtime.cluster.x-k8s.io_"}

func main() {
	to := "."
	if len(os.Args) > 1 {
		to = os.Args[1]
	}
	if err := run(to); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(to string) error {
	// Asked for a package, go list fetches the module where the cache has it not; asked for the module, it does not.
	out, err := exec.Command("go", "list", "-f", "{{.Module.Dir}}", "sigs.k8s.io/cluster-api/core/webhooks/admission").Output()
	if err != nil {
		return fmt.Errorf("cannot find the module of Cluster API: %w", err)
	}
	config := filepath.Join(strings.TrimSpace(string(out)), "core", "config")
	files, err := filepath.Glob(filepath.Join(config, "crd", "bases", "*.yaml"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("cannot find the CRDs of Cluster API in %q: %w", config, err)
	}
	for _, file := range files {
		base := filepath.Base(file)
		if !slices.ContainsFunc(groups, func(group string) bool { return strings.HasPrefix(base, group) }) {
			continue
		}
		if err := cut(file, filepath.Join(to, "crds", base)); err != nil {
			return err
		}
	}
	manifests, err := os.ReadFile(filepath.Join(config, "webhook", "manifests.yaml"))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(to, "webhooks.yaml"), manifests, 0o644)
}

func cut(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	var crd map[string]any
	if err := yaml.Unmarshal(data, &crd); err != nil {
		return fmt.Errorf("cannot read %q: %w", from, err)
	}
	spec, _ := crd["spec"].(map[string]any)
	versions, _ := spec["versions"].([]any)
	spec["versions"] = slices.DeleteFunc(versions, func(version any) bool {
		v, _ := version.(map[string]any)
		return v["storage"] != true
	})
	if len(spec["versions"].([]any)) != 1 {
		return errors.New("no stored version in " + from)
	}
	out, err := yaml.Marshal(crd)
	if err != nil {
		return err
	}
	return os.WriteFile(to, out, 0o644)
}
