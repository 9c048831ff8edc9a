// Package flux translates what Flux reconciles: the Kustomizations and HelmReleases of each clusters/<name> folder of a
// repository become bundles whose targets are those clusters.
package flux

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/importer"
)

const (
	own        = ".fluxcd.io"
	systemName = "flux-system"
)

// Config of an import.
type Config struct {
	// Tree is the repository.
	Tree fs.FS
	// Clusters is the folder that holds one folder per cluster. Default "clusters".
	Clusters string
	// Local folders, relative to Tree, that stand for other repositories: by URL, or by URL#branch.
	Local map[string]string
	// Now is the time from which a suspension counts.
	Now time.Time
}

// reading is the state of one import.
type reading struct {
	Config
	ctx  context.Context
	repo *importer.Repo
	// parts of bundles, by key, in the order in which they were found.
	parts map[string]*part
	order []string
}

// part is what one bundle is made of, over all clusters.
type part struct {
	key, name string
	at        importer.Document
	forms     []form
	bundle    *importer.Bundle
}

// form of a bundle on one cluster.
type form struct {
	cluster *cluster
	// settle fills the bundle's own fields; the first form's counts.
	settle func(b *importer.Bundle)
	// write puts files beside bundle.yaml and says how the cluster gets them.
	write func(b *importer.Bundle, alone bool) (importer.Variant, error)
	// needs names parts, and kustomizations that stand for all their parts.
	needs []string
	// plain says that the form is one folder of manifests, named; "" for anything else.
	plain string
}

// cluster is what one cluster's folder declares.
type cluster struct {
	name    string
	sources map[string]importer.Document
	// artifacts are folders of the repository that an ArtifactGenerator names.
	artifacts map[string]string
	// configs are the data of ConfigMaps and Secrets that are in the repository, by kind namespace/name.
	configs map[string]map[string]string
	// of says which parts each kustomization gave.
	of map[string][]string
	// namespaces that the repository itself declares.
	namespaces map[string]bool
	// seen kustomizations, against circles.
	seen map[string]bool
}

// Import reads the repository. An error means that nothing should be written.
func Import(ctx context.Context, cfg Config) (*importer.Repo, error) {
	if cfg.Clusters == "" {
		cfg.Clusters = "clusters"
	}
	r := &reading{Config: cfg, ctx: ctx, repo: importer.NewRepo(), parts: map[string]*part{}}
	folders, err := r.clusterFolders()
	if err != nil {
		return nil, err
	}
	for _, folder := range folders {
		c := &cluster{name: importer.Name(path.Base(folder)), sources: map[string]importer.Document{}, configs: map[string]map[string]string{}, artifacts: map[string]string{},
			of: map[string][]string{}, namespaces: map[string]bool{}, seen: map[string]bool{}}
		r.repo.Cluster(c.name)
		r.repo.Report.Translated(importer.Position{File: folder}, "cluster "+c.name, "FleetCluster "+c.name+", which joins with `periplus cluster join "+c.name+"`")
		if err := r.root(c, folder); err != nil {
			return nil, err
		}
	}
	r.write()
	if len(r.repo.Bundles) == 0 {
		return nil, errors.New("nothing that Flux reconciles was found: no Kustomization or HelmRelease in the clusters' folders")
	}
	r.repo.Report.Differs(importer.Position{File: "."}, "clusters by name", "Flux knows no labels, so targets name clusters", "label the FleetClusters (env, region) and choose by labels, so that a new cluster gets what its kind gets")
	return r.repo, nil
}

func (r *reading) clusterFolders() ([]string, error) {
	entries, err := fs.ReadDir(r.Tree, path.Clean(r.Clusters))
	if err != nil {
		return nil, fmt.Errorf("there is no folder %q with a folder for each cluster; name it with --clusters", r.Clusters)
	}
	var out []string
	for _, entry := range entries {
		if entry.IsDir() && !strings.HasPrefix(entry.Name(), ".") {
			out = append(out, path.Join(r.Clusters, entry.Name()))
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("folder %q has no folder for a cluster; name another with --clusters", r.Clusters)
	}
	return out, nil
}

// part returns the part of a key, new or known.
func (r *reading) part(key, name string, d importer.Document) *part {
	if r.parts[key] == nil {
		r.parts[key] = &part{key: key, name: name, at: d}
		r.order = append(r.order, key)
	}
	return r.parts[key]
}

// write makes the bundles, once all clusters are known.
func (r *reading) write() {
	for _, key := range r.order {
		p := r.parts[key]
		p.bundle = r.repo.Bundle(p.name, p.at.At(""))
		var variants []importer.Variant
		for _, form := range p.forms {
			variant, err := form.write(p.bundle, p.onlyFolder())
			if err != nil {
				unsupported := importer.Unsupported(err, p.at.At("spec"))
				r.repo.Report.LeftOut(unsupported.At, p.at.What()+" on "+form.cluster.name, unsupported.Why, unsupported.Do)
				continue
			}
			variant.Name, variant.Match = form.cluster.name, importer.Clusters(form.cluster.name)
			variants = append(variants, variant)
		}
		if len(variants) == 0 {
			delete(r.repo.Bundles, p.bundle.Name)
			p.bundle = nil
			continue
		}
		p.bundle.Targets(variants)
		r.repo.Report.Translated(p.at.At(""), p.at.What(), "bundle "+p.bundle.Name+" on "+p.where())
	}
	for _, key := range r.order {
		if p := r.parts[key]; p.bundle != nil {
			p.forms[0].settle(p.bundle)
			r.depend(p)
		}
	}
}

// onlyFolder is true where every cluster gets the same folder of manifests, which can then stay as it is.
func (p *part) onlyFolder() bool {
	for _, form := range p.forms {
		if form.plain == "" || form.plain != p.forms[0].plain {
			return false
		}
	}
	return true
}

func (p *part) where() string {
	var names []string
	for _, form := range p.forms {
		names = append(names, form.cluster.name)
	}
	return strings.Join(names, ", ")
}

// depend turns what a part needs into dependencies of its bundle, where every cluster that gets the one gets the other.
func (r *reading) depend(p *part) {
	for _, form := range p.forms {
		for _, need := range form.needs {
			keys := []string{need}
			if inner, ok := form.cluster.of[need]; ok {
				keys = inner
			}
			met := false
			for _, key := range keys {
				other := r.parts[key]
				if other == nil || other.bundle == nil || key == p.key {
					continue
				}
				met = true
				if !other.covers(p) {
					r.repo.Report.Differs(p.at.At("spec.dependsOn"), p.at.What()+": dependsOn "+other.name, "it waits on some of its clusters only: bundle "+other.bundle.Name+" does not go to all of them",
						"give those clusters a bundle of their own, if the order matters there")
					continue
				}
				p.bundle.DependsOn(other.bundle.Name)
			}
			if !met && !slices.Contains(keys, p.key) && len(keys) > 0 {
				r.repo.Report.Differs(p.at.At("spec.dependsOn"), p.at.What()+": dependsOn "+need, "nothing was written for it, so it is not waited for", "")
			}
		}
	}
}

func (p *part) covers(other *part) bool {
	for _, theirs := range other.forms {
		if !slices.ContainsFunc(p.forms, func(own form) bool { return own.cluster == theirs.cluster }) {
			return false
		}
	}
	return true
}

// suspended is a suspension that ends: here none lasts for ever.
func (r *reading) suspended(b *importer.Bundle, d importer.Document) {
	until := importer.In90Days(r.Now)
	b.Spec.Suspend = &v1alpha1.Suspend{Reason: "suspended in Flux", Until: until}
	r.repo.Report.Differs(d.At("spec.suspend"), d.What()+": suspend", "a suspension ends: "+until.Format(time.DateOnly), "set the day that you mean")
}
