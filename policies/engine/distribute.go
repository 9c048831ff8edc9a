package engine

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"
)

// For is the part of a snapshot that has a say on a cluster at some points: what its agent needs to come to the verdicts that
// the hub comes to. What is frozen is there as it was before, as that is what is in force.
func (s *Snapshot) For(cluster Cluster, now time.Time, points ...string) Source {
	var out Source
	files, templates := map[string]File{}, map[string]bool{}
	for _, p := range s.Policies() {
		if !slices.ContainsFunc(points, func(point string) bool { return slices.Contains(p.Metadata.Points, point) }) {
			continue
		}
		for _, file := range p.files {
			if _, known := files[file.Path]; !known || p.Frozen == "" {
				files[file.Path] = file
			}
		}
		if c := p.constraint; c != nil {
			if !templates[c.kind] {
				templates[c.kind] = true
				out.Gatekeeper = append(out.Gatekeeper, Manifest{Object: c.declared, Source: c.source})
			}
			out.Gatekeeper = append(out.Gatekeeper, c.manifest)
		}
		for _, b := range s.bound[p.Name] {
			if b.selector.Matches(labels.Set(cluster.Labels)) {
				out.Bindings = append(out.Bindings, b.declared)
			}
		}
		for _, e := range s.exempt[p.Name] {
			if now.Before(e.spec.Expires.Time) && e.selector.Matches(labels.Set(cluster.Labels)) {
				out.Exemptions = append(out.Exemptions, e.declared)
			}
		}
	}
	if len(out.Gatekeeper) > 0 {
		for _, e := range s.expansions {
			out.Gatekeeper = append(out.Gatekeeper, e.manifest)
		}
	}
	for _, file := range files {
		out.Modules = append(out.Modules, file)
	}
	slices.SortFunc(out.Modules, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	slices.SortFunc(out.Bindings, func(a, b Binding) int { return strings.Compare(a.Metadata.Name, b.Metadata.Name) })
	slices.SortFunc(out.Exemptions, func(a, b Exemption) int { return strings.Compare(a.Metadata.Name, b.Metadata.Name) })
	slices.SortFunc(out.Gatekeeper, func(a, b Manifest) int {
		return cmp.Or(strings.Compare(kindOf(a), kindOf(b)), strings.Compare(a.Source, b.Source))
	})
	return out
}

// Seen is a cluster with no more than what policies read of it, and the labels that choose bindings and exemptions.
func (s *Snapshot) Seen(cluster Cluster) Cluster {
	out := Cluster{Name: cluster.Name, Namespace: cluster.Namespace, Labels: cluster.Labels, Variables: map[string]any{}}
	for _, p := range s.Policies() {
		if p.Reads.AllCluster {
			return cluster
		}
		for _, field := range p.Reads.Cluster {
			switch outer, key, one := strings.Cut(field, "."); {
			case outer == "version":
				out.Version = cluster.Version
			case outer == "variables" && !one:
				maps.Copy(out.Variables, cluster.Variables)
			case outer == "variables":
				if value, set := cluster.Variables[key]; set {
					out.Variables[key] = value
				}
			}
		}
	}
	return out
}
