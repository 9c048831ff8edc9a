package render

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/hub/offline"
)

// printer of revisions.
type printer struct {
	out         io.Writer
	showSecrets bool
}

// documents prints one YAML document an object, with where it comes from and where it goes.
func (p printer) documents(revisions []offline.Revision) error {
	for _, revision := range revisions {
		for _, item := range revision.Variant.Manifest.Items {
			one, err := look(revision.Variant, item, p.showSecrets, nil, "")
			if err != nil {
				return err
			}
			text, err := one.commented()
			if err != nil {
				return err
			}
			fmt.Fprintf(p.out, "---\n# %s on %s\n# %s, revision %s\n%s", offline.Name(revision.Bundle), strings.Join(revision.Clusters, ", "),
				orDash(item.Source), revisionText(revision), text)
		}
	}
	return nil
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// revisionText is the digest, or why there is none that a hub would know.
func revisionText(revision offline.Revision) string {
	digest := revision.Digest()
	if digest == "" {
		return "named by each hub alone"
	}
	_, hex, _ := strings.Cut(digest, ":")
	return hex[:12]
}

// names prints one line an object: bundle, clusters, object, source.
func (p printer) names(revisions []offline.Revision) error {
	for _, revision := range revisions {
		for _, item := range revision.Variant.Manifest.Items {
			if _, err := fmt.Fprintf(p.out, "%s\t%s\t%s\t%s\n", offline.Name(revision.Bundle), strings.Join(revision.Clusters, ","), item.ObjectID,
				orDash(item.Source)); err != nil {
				return err
			}
		}
	}
	return nil
}

// jsonRevision is a revision in JSON.
type jsonRevision struct {
	Bundle   string   `json:"bundle"`
	Clusters []string `json:"clusters"`
	Targets  []string `json:"targets"`
	// Revision is "" where it holds what each hub names alone.
	Revision         string       `json:"revision"`
	DefaultNamespace string       `json:"defaultNamespace,omitempty"`
	ChartVersion     string       `json:"chartVersion,omitempty"`
	Required         []string     `json:"requiredCapabilities,omitempty"`
	Warnings         []string     `json:"warnings,omitempty"`
	Objects          []jsonObject `json:"objects"`
}

type jsonObject struct {
	Source string                `json:"source,omitempty"`
	Phase  int                   `json:"phase"`
	Hook   *content.Hook         `json:"hook,omitempty"`
	Once   []string              `json:"once,omitempty"`
	Sealed *content.SealedObject `json:"sealed,omitempty"`
	Object map[string]any        `json:"object,omitempty"`
}

// json prints everything as one JSON document.
func (p printer) json(revisions []offline.Revision) error {
	list := []jsonRevision{}
	for _, revision := range revisions {
		one := jsonRevision{Bundle: offline.Name(revision.Bundle), Clusters: revision.Clusters, Targets: revision.Targets, Revision: revision.Digest(),
			DefaultNamespace: revision.Variant.Manifest.DefaultNamespace, ChartVersion: revision.Chart, Required: revision.Variant.Required,
			Warnings: revision.Variant.Warnings, Objects: []jsonObject{}}
		for _, item := range revision.Variant.Manifest.Items {
			seen, err := look(revision.Variant, item, p.showSecrets, nil, "")
			if err != nil {
				return err
			}
			one.Objects = append(one.Objects, jsonObject{item.Source, item.Phase, item.Hook, item.Once, seen.sealed, seen.value})
		}
		list = append(list, one)
	}
	encoder := json.NewEncoder(p.out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(map[string]any{"revisions": list})
}

// folder writes a file an object: folder/cluster/bundle/object.yaml. What was in the clusters' folders before is an error, so
// that nothing of an earlier run stays among it.
func (p printer) folder(folder string, revisions []offline.Revision) (files int, err error) {
	if entries, err := os.ReadDir(folder); err == nil && len(entries) > 0 {
		return 0, fmt.Errorf("cannot write to %q: it is not empty", folder)
	}
	for _, revision := range revisions {
		for _, cluster := range revision.Clusters {
			into := filepath.Join(folder, cluster, offline.Name(revision.Bundle))
			if err := os.MkdirAll(into, 0o755); err != nil {
				return files, err
			}
			for _, item := range revision.Variant.Manifest.Items {
				one, err := look(revision.Variant, item, p.showSecrets, nil, "")
				if err != nil {
					return files, err
				}
				text, err := one.commented()
				if err != nil {
					return files, err
				}
				if err := os.WriteFile(filepath.Join(into, fileName(item.ObjectID)), []byte("# "+orDash(item.Source)+"\n"+text), 0o600); err != nil {
					return files, err
				}
				files++
			}
		}
	}
	return files, nil
}

// fileName of an object: unique in its revision, and easy to find.
func fileName(id content.ObjectID) string {
	parts := []string{strings.ToLower(id.Kind)}
	if id.Group != "" {
		parts[0] += "." + id.Group
	}
	if id.Namespace != "" {
		parts = append(parts, id.Namespace)
	}
	// Names of RBAC objects may hold colons and slashes.
	name := strings.NewReplacer("/", "%2F", ":", "%3A", "\\", "%5C").Replace(id.Name)
	return strings.Join(append(parts, name), "_") + ".yaml"
}
