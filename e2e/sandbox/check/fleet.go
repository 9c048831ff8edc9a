package check

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

// What the check adds to the fleet: bundles of its own for every cluster, and a policy, so that it works with any fleet.
const (
	namespace  = "periplus-check"
	oldVersion = "v1.35.0"
	newVersion = "v1.36.3"
	addedName  = "check-added"

	policy = `# METADATA
# title: Nothing forbidden
# description: A ConfigMap with the key "forbidden" stands for what a policy denies.
# custom:
#   input: periplus
#   kinds: [ConfigMap]
#   severity: high
#   action: deny
package check_forbidden

deny contains msg if {
	input.object.data.forbidden
	msg := "the key forbidden is not allowed"
}
`
)

func bundleYAML(name string) string {
	return fmt.Sprintf("apiVersion: %s\nkind: Bundle\nmetadata: {name: %s}\nspec:\n  namespace: %s\n  targets: [{clusterSelector: {}}]\n",
		v1alpha1.GroupVersion, name, namespace)
}

func configMap(name string, data map[string]string) string {
	object := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": name}, "data": data}
	text, err := yaml.Marshal(object)
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(text)
}

func write(folder, path, text string) error {
	path = filepath.Join(folder, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// adapt prepares the first commit: the check's own bundles and policy, the asked number of clusters, and one cluster at an
// older version, to be upgraded later.
func (w *world) adapt(folder string) error {
	files := map[string]string{
		"bundles/check-a/bundle.yaml":    bundleYAML("check-a"),
		"bundles/check-a/namespace.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: " + namespace + "}\n",
		"bundles/check-a/counter.yaml":   configMap("counter", map[string]string{"value": "0"}),
		"bundles/check-a/pruned.yaml":    configMap("pruned", map[string]string{"value": "0"}),
		"bundles/check-a/moved.yaml":     configMap("moved", map[string]string{"value": "0"}),
		"bundles/check-b/bundle.yaml":    bundleYAML("check-b") + "  dependsOn: [{bundle: check-a}]\n",
		"bundles/check-b/watched.yaml":   configMap("watched", map[string]string{"value": "0"}),
		"policies/check_forbidden.rego":  policy,
	}
	for path, text := range files {
		if err := write(folder, path, text); err != nil {
			return err
		}
	}
	paths, err := clusterFiles(folder)
	if err != nil || len(paths) == 0 {
		return err
	}
	if paths, err = w.number(paths); err != nil {
		return err
	}
	last := paths[len(paths)-1]
	cluster, err := readCluster(last)
	if err != nil || cluster.Spec.Provision.Topology.Version != newVersion {
		return err
	}
	w.old, w.oldFile = cluster.Name, filepath.Join("clusters", filepath.Base(last))
	return replaceVersion(last, newVersion, oldVersion)
}

// clusterFiles lists files that declare exactly one provisioned FleetCluster.
func clusterFiles(folder string) ([]string, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "clusters", "*.yaml"))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(paths, func(path string) bool {
		cluster, err := readCluster(path)
		return err != nil || cluster.Kind != "FleetCluster" || cluster.Spec.Provision == nil || cluster.Spec.Provision.Topology == nil
	}), nil
}

func readCluster(path string) (v1alpha1.FleetCluster, error) {
	var cluster v1alpha1.FleetCluster
	data, err := os.ReadFile(path)
	if err != nil {
		return cluster, err
	}
	if bytes.Contains(data, []byte("\n---\n")) {
		return cluster, fmt.Errorf("%s has several documents", path)
	}
	return cluster, yaml.Unmarshal(data, &cluster)
}

// number removes or copies clusters until there are as many as asked for.
func (w *world) number(paths []string) ([]string, error) {
	want := w.cfg.Clusters
	if want == 0 {
		return paths, nil
	}
	for len(paths) > want {
		if err := os.Remove(paths[0]); err != nil {
			return nil, err
		}
		paths = paths[1:]
	}
	for i := 1; len(paths) < want; i++ {
		copied, err := copyCluster(paths[0], fmt.Sprintf("more-%d", i))
		if err != nil {
			return nil, err
		}
		paths = append(paths, copied)
	}
	slices.Sort(paths)
	return paths, nil
}

// copyCluster writes a further cluster like another, under another name, unprotected.
func copyCluster(path, name string) (string, error) {
	cluster, err := readCluster(path)
	if err != nil {
		return "", err
	}
	cluster.Name = name
	cluster.Spec.Deletion.Protected = ptr(false)
	data, err := yaml.Marshal(cluster)
	if err != nil {
		return "", err
	}
	var plain map[string]any
	if err := yaml.Unmarshal(data, &plain); err != nil {
		return "", err
	}
	delete(plain, "status")
	if data, err = yaml.Marshal(plain); err != nil {
		return "", err
	}
	copied := filepath.Join(filepath.Dir(path), name+".yaml")
	return copied, os.WriteFile(copied, data, 0o644)
}

func replaceVersion(path, from, to string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text := strings.Replace(string(data), "version: "+from, "version: "+to, 1)
	if text == string(data) {
		return fmt.Errorf("%s does not say version: %s", path, from)
	}
	return os.WriteFile(path, []byte(text), 0o644)
}
