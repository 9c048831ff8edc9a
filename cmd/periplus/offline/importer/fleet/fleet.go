// Package fleet translates a repository of Rancher Fleet: what its GitRepo objects and fleet.yaml files say which bundle
// goes where and how, into bundles, clusters and groups of this project.
package fleet

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/importer"
)

const group = "fleet.cattle.io"

// Config of an import.
type Config struct {
	// Tree is the repository.
	Tree fs.FS
	// Local folders, relative to Tree, that stand for what is named by URL.
	Local map[string]string
	// Paths that a GitRepo would name, for a repository that holds none.
	Paths []string
	// Now is the time from which a suspension counts.
	Now time.Time
}

// reading is the state of one import.
type reading struct {
	Config
	ctx  context.Context
	repo *importer.Repo
	// groups of clusters by name, with their own labels.
	groups map[string]clusterGroup
	// made bundles by Fleet's name of them, and what of them waits for all to be known.
	made  map[string]*importer.Bundle
	later []func()
}

// Import reads the repository. An error means that nothing should be written.
func Import(ctx context.Context, cfg Config) (*importer.Repo, error) {
	r := &reading{Config: cfg, ctx: ctx, repo: importer.NewRepo(), groups: map[string]clusterGroup{}, made: map[string]*importer.Bundle{}}
	documents, err := importer.Scan(cfg.Tree, ".", r.repo.Report, group)
	if err != nil {
		return nil, err
	}
	var repos []importer.Document
	for _, d := range documents {
		if d.Group() != group {
			continue
		}
		switch d.Kind {
		case "GitRepo":
			repos = append(repos, d)
		case "ClusterGroup":
			err = r.clusterGroup(d)
		case "Cluster":
			err = r.cluster(d)
		default:
			r.repo.Report.LeftOut(d.At(""), d.What(), "the kind has no equal that could be written", "see the how-to for what takes its place")
		}
		if err != nil {
			return nil, err
		}
	}
	for _, d := range repos {
		if err := r.gitRepo(d); err != nil {
			return nil, err
		}
	}
	if len(repos) == 0 {
		if err := r.withoutGitRepo(); err != nil {
			return nil, err
		}
	}
	for _, finish := range r.later {
		finish()
	}
	if len(r.repo.Bundles) == 0 {
		return nil, fmt.Errorf("there is neither a fleet.yaml nor a GitRepo with paths in this folder")
	}
	r.undeclared()
	return r.repo, nil
}

func (r *reading) clusterGroup(d importer.Document) error {
	var decoded clusterGroup
	if !d.Read(&decoded, r.repo.Report) {
		return nil
	}
	name := importer.Name(d.Name)
	r.groups[d.Name] = decoded
	r.repo.Groups[name] = decoded.Spec.Selector
	r.repo.Report.Translated(d.At(""), d.What(), "ClusterGroup "+name)
	return nil
}

func (r *reading) cluster(d importer.Document) error {
	var decoded cluster
	if !d.Read(&decoded, r.repo.Report) {
		return nil
	}
	made := r.repo.Cluster(importer.Name(d.Name))
	maps.Copy(made.Labels, decoded.Metadata.Labels)
	for key, value := range decoded.Spec.TemplateValues {
		made.Variables[key] = importer.Literal(value)
	}
	r.repo.Report.Translated(d.At(""), d.What(), "FleetCluster "+made.Name+", which joins with `periplus cluster join "+made.Name+"`")
	return nil
}

// gitRepo reads the bundles of its paths.
func (r *reading) gitRepo(d importer.Document) error {
	var decoded gitRepo
	if !d.Read(&decoded, r.repo.Report) {
		return nil
	}
	spec, report := decoded.Spec, r.repo.Report
	if len(spec.Bundles) > 0 {
		report.LeftOut(d.At("spec.bundles"), d.What()+": bundles", "bundles named one by one are not followed", "import each folder with --path")
	}
	for field, given := range map[string]bool{"clientSecretName": spec.ClientSecretName != "", "helmSecretName": spec.HelmSecretName != ""} {
		if given {
			report.Differs(d.At("spec."+field), d.What()+": "+field, "credentials stand on the FleetRepo (secretRef) and on helm sources (secretRef)", "make the Secret in the hub's namespace and name it there")
		}
	}
	if spec.KeepResources != nil && *spec.KeepResources {
		report.Differs(d.At("spec.keepResources"), d.What()+": keepResources", "a bundle that leaves takes its objects along, within its prune budget", "set prune.budget to 0 objects and 0 percent, so that each removal waits for `periplus confirm`")
	}
	paths := spec.Paths
	if len(paths) == 0 {
		paths = []string{"."}
	}
	where := r.targets(d, "spec.targets", spec.Targets)
	if len(spec.Targets) == 0 {
		where = []placed{{match: v1alpha1.ClusterMatch{ClusterGroup: "default"}}}
		if _, known := r.repo.Groups["default"]; !known {
			r.repo.Groups["default"] = metav1.LabelSelector{MatchLabels: map[string]string{"name": "local"}}
		}
		report.Differs(d.At(""), d.What(), "no targets means ClusterGroup default, here too", "see that the group's selector is the one you want")
	}
	origin := origin{name: d.Name, targets: where, at: d.At(""), suspend: spec.Paused, serviceAccount: spec.ServiceAccount,
		namespace: spec.TargetNamespace, drift: spec.CorrectDrift}
	made := len(r.made)
	for i, pattern := range paths {
		folders, err := fs.Glob(r.Tree, path.Clean(strings.Trim(pattern, "/")))
		if err != nil {
			return fmt.Errorf("%s: %q is no pattern: %w", d.At(fmt.Sprintf("spec.paths[%d]", i)), pattern, err)
		}
		if len(folders) == 0 {
			report.LeftOut(d.At(fmt.Sprintf("spec.paths[%d]", i)), d.What()+": path "+pattern, "the folder is not in this repository", "import the repository that holds it, too")
		}
		for _, folder := range folders {
			if err := r.path(origin, folder); err != nil {
				return err
			}
		}
	}
	report.Translated(d.At(""), d.What(), importer.Count(len(r.made)-made, "bundle")+"; its repo and branch belong into a FleetRepo on the hub")
	return nil
}

// withoutGitRepo takes the paths given, else every fleet.yaml.
func (r *reading) withoutGitRepo() error {
	all := origin{targets: []placed{{match: v1alpha1.ClusterMatch{ClusterSelector: &metav1.LabelSelector{}}}}}
	paths := r.Paths
	if len(paths) == 0 {
		paths = []string{"."}
	}
	for _, folder := range paths {
		if !importer.IsDir(r.Tree, folder) {
			return fmt.Errorf("there is no folder %q", folder)
		}
		if err := r.path(all, path.Clean(folder)); err != nil {
			return err
		}
	}
	r.repo.Report.Differs(importer.Position{File: "."}, "GitRepo", "there is none in this folder, so each bundle without targets of its own goes to every cluster",
		"narrow the targets to what your GitRepo says, or put it into the folder and import again")
	return nil
}

// origin is what a GitRepo says about all bundles of its paths.
type origin struct {
	name           string
	targets        []placed
	at             importer.Position
	suspend        bool
	serviceAccount string
	namespace      string
	drift          *correctDrift
}

// path makes a bundle of the folder itself, if anything is in it, and of each folder below it that holds a fleet.yaml.
func (r *reading) path(from origin, root string) error {
	var folders []string
	err := fs.WalkDir(r.Tree, root, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && file != root && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case entry.IsDir() && configOf(r.Tree, file) != "":
			folders = append(folders, file)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !slices.Contains(folders, root) && r.hasContent(root) {
		if root != "." || from.name != "" {
			folders = append(folders, root)
		}
	}
	slices.Sort(folders)
	for _, folder := range folders {
		if err := r.bundle(from, folder); err != nil {
			return err
		}
	}
	return nil
}

// hasContent says whether a folder without fleet.yaml holds anything that is in no bundle below it.
func (r *reading) hasContent(root string) bool {
	if importer.Exists(r.Tree, path.Join(root, "Chart.yaml")) {
		return true
	}
	files, err := r.rawFiles(root)
	return err == nil && len(files) > 0
}

func configOf(files fs.FS, folder string) string {
	for _, name := range []string{"fleet.yaml", "fleet.yml"} {
		if file := path.Join(folder, name); importer.Exists(files, file) {
			return file
		}
	}
	return ""
}

// undeclared adds what the bundles name and nothing declares.
func (r *reading) undeclared() {
	labels := map[string]bool{}
	for _, bundle := range r.repo.Sorted() {
		for i, target := range bundle.Spec.Targets {
			if target.ClusterSelector != nil {
				for key, value := range target.ClusterSelector.MatchLabels {
					labels[key+"="+value] = true
				}
			}
			name := target.ClusterGroup
			if _, known := r.repo.Groups[name]; name == "" || known {
				continue
			}
			r.repo.Groups[name] = metav1.LabelSelector{MatchLabels: map[string]string{"cluster-group": name}}
			r.repo.Report.Differs(bundle.At, fmt.Sprintf("ClusterGroup %s (of target %d)", name, i), "the group is not in this folder: written with the label cluster-group="+name,
				"give clusters/groups/"+name+".yaml its real selector")
		}
	}
	if len(r.repo.Clusters) == 0 {
		r.repo.Report.Differs(importer.Position{File: "."}, "Clusters", "Fleet keeps them in its API, and none is in this folder",
			"declare each in clusters/ with the labels that targets select by: "+strings.Join(slices.Sorted(maps.Keys(labels)), ", "))
	}
}
