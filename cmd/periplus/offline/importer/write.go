package importer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

// ReportFile stands in the folder that is written.
const ReportFile = "import-report.md"

// Files of the fleet repo, by path.
func (r *Repo) Files(tool string) (map[string][]byte, error) {
	out := map[string][]byte{ReportFile: []byte(r.Report.Markdown(tool))}
	for _, name := range slices.Sorted(maps.Keys(r.Clusters)) {
		data, err := r.Clusters[name].yaml()
		if err != nil {
			return nil, err
		}
		out[path.Join("clusters", name+".yaml")] = data
	}
	for _, name := range slices.Sorted(maps.Keys(r.Groups)) {
		data, err := object("ClusterGroup", name, nil, map[string]any{"clusterSelector": r.Groups[name]})
		if err != nil {
			return nil, err
		}
		out[path.Join("clusters", "groups", name+".yaml")] = data
	}
	for _, bundle := range r.Sorted() {
		folder := path.Join("bundles", bundle.Name)
		for name, data := range bundle.Files {
			out[path.Join(folder, name)] = data
		}
		data, err := bundle.yaml()
		if err != nil {
			return nil, err
		}
		out[path.Join(folder, bundleFile)] = data
	}
	return out, nil
}

func (c *Cluster) yaml() ([]byte, error) {
	spec := map[string]any{}
	if len(c.Variables) > 0 {
		spec["variables"] = c.Variables
	}
	return object("FleetCluster", c.Name, c.Labels, spec)
}

func (b *Bundle) yaml() ([]byte, error) {
	data, err := json.Marshal(b.Spec)
	if err != nil {
		return nil, fmt.Errorf("cannot write bundle %q: %w", b.Name, err)
	}
	var spec map[string]any
	if err := json.Unmarshal(data, &spec); err != nil {
		return nil, err
	}
	// These are structs and not pointers, so that they come out empty; nothing else may be dropped: {} is a selector.
	for _, field := range []string{"drift", "prune", "health", "generate"} {
		if inner, ok := spec[field].(map[string]any); ok && len(inner) == 0 {
			delete(spec, field)
		}
	}
	return object("Bundle", b.Name, b.Labels, spec)
}

// object is one document in the order in which people write it.
func object(kind, name string, labels map[string]string, spec any) ([]byte, error) {
	metadata := struct {
		Name   string            `yaml:"name"`
		Labels map[string]string `yaml:"labels,omitempty"`
	}{name, labels}
	plain, err := roundTrip(spec)
	if err != nil {
		return nil, err
	}
	out := struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string `yaml:"kind"`
		Metadata   any    `yaml:"metadata"`
		Spec       any    `yaml:"spec,omitempty"`
	}{v1alpha1.GroupVersion.String(), kind, metadata, plain}
	return encode(out)
}

// roundTrip gives a value as its JSON field names say, with whole numbers whole.
func roundTrip(value any) (any, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	documents, err := ParseDocuments("", data)
	if err != nil || len(documents) == 0 {
		return nil, err
	}
	if len(documents[0].Object) == 0 {
		return nil, nil
	}
	return documents[0].Object, nil
}

// CheckOut says whether a folder may be written: one that is not there, is empty, or was given up with force.
func CheckOut(folder string, force bool) error {
	entries, err := os.ReadDir(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("cannot write to %q: %w", folder, err)
	case len(entries) > 0 && !force:
		return fmt.Errorf("cannot write to %q: it is not empty; choose another folder, or --force to write over what is there", folder)
	}
	return nil
}

// Write puts the files below the folder.
func Write(folder string, files map[string][]byte) error {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !fs.ValidPath(name) {
			return fmt.Errorf("cannot write %q: the path leads out of the folder", name)
		}
		target := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return fmt.Errorf("cannot write %q: %w", name, err)
		}
		if err := os.WriteFile(target, files[name], 0o644); err != nil {
			return fmt.Errorf("cannot write %q: %w", name, err)
		}
	}
	return nil
}
