package fleet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/target/expr"
)

// ReadInput is what a reading depends on.
type ReadInput struct {
	Tree Tree
	// Repo is namespace/name of the FleetRepo, Namespace its own.
	Repo      string
	Namespace string
	// Path of the fleet repo's root inside the Git repository; "" is the root.
	Path string
	// Previous snapshot in force; nil at the first reading of a process. A caller that starts reads the commit in force
	// first, and the newest one over it, so that both kinds of freezing have something to keep.
	Previous *Snapshot
	// Stored are the bundles in force by the store, and At opens the tree of an earlier commit: what a frozen bundle falls
	// back to when Previous does not have it.
	Stored []delivery.Bundle
	At     func(commit string) (Tree, error)
}

// reading is the state of one Read.
type reading struct {
	in       ReadInput
	root     string
	expr     *expr.Evaluator
	snapshot *Snapshot
	previous *Snapshot
	// unknown is a refused bundle.yaml of which no version is in force: it may be a bundle in force that moved.
	unknown string
}

// Read reads a commit. An error means that the commit is refused whole, or could not be read at all: the previous snapshot
// stays in force; a *RefusedError says where. Mistakes in single files are in the snapshot's Refused, and freeze what those
// files declared before.
func Read(ctx context.Context, in ReadInput) (*Snapshot, error) {
	root := path.Clean(strings.Trim(in.Path, "/"))
	if info, err := in.Tree.Stat(root); err != nil || !info.IsDir() {
		return nil, &RefusedError{refusal(root, 0, "", "the fleet repo's root (spec.path) is no folder of commit %s", in.Tree.Commit())}
	}
	evaluator, err := expr.New()
	if err != nil {
		return nil, err
	}
	r := &reading{in: in, root: root, expr: evaluator, previous: in.Previous, snapshot: &Snapshot{
		Commit: in.Tree.Commit(), Repo: in.Repo, files: map[string]*declared{},
		Frozen: Frozen{Files: map[string]bool{}, Objects: map[string]bool{}},
	}}
	if r.previous == nil {
		r.previous = &Snapshot{}
	}
	layout, err := r.readLayout()
	if err != nil {
		return nil, err
	}
	for _, step := range []struct {
		roots []string
		read  func(file string, data []byte) (*declared, []v1alpha1.Refusal)
		wants func(file string) bool
	}{
		{layout.Clusters, r.readClusterFile, isYAML},
		{layout.Policies, r.readPolicyFile, isPolicy},
	} {
		if err := r.readFiles(ctx, step.roots, step.wants, step.read); err != nil {
			return nil, err
		}
	}
	r.collect()
	if err := r.readBundles(ctx, layout.Bundles); err != nil {
		return nil, err
	}
	r.snapshot.Refused = sortRefusals(r.snapshot.Refused)
	return r.snapshot, nil
}

func isYAML(file string) bool {
	switch path.Ext(file) {
	case ".yaml", ".yml", ".json":
		return true
	default:
		return false
	}
}

// walk visits files below the roots, in order. A folder that cannot be listed ends the reading: what is in it is unknown.
func (r *reading) walk(ctx context.Context, roots []string, visit func(file string, entry fs.DirEntry) error) error {
	for _, root := range roots {
		if _, err := r.in.Tree.Stat(root); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		err := fs.WalkDir(r.in.Tree, root, func(file string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return fmt.Errorf("cannot read %q: %w", file, err)
			case ctx.Err() != nil:
				return ctx.Err()
			case file != root && strings.HasPrefix(entry.Name(), "."):
				if entry.IsDir() {
					return fs.SkipDir
				}
				return nil
			}
			return visit(file, entry)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *reading) readFiles(ctx context.Context, roots []string, wants func(string) bool,
	read func(file string, data []byte) (*declared, []v1alpha1.Refusal),
) error {
	return r.walk(ctx, roots, func(file string, entry fs.DirEntry) error {
		if entry.Type()&fs.ModeIrregular != 0 {
			r.refuse(refusal(file, 0, "", "a submodule is not supported; keep the files in this repository"))
			return nil
		}
		if entry.IsDir() || !wants(file) {
			return nil
		}
		hash, err := r.in.Tree.Hash(file)
		if before := r.previous.files[file]; err == nil && before != nil && before.hash == hash {
			r.snapshot.files[file] = before
			return nil
		}
		r.readFile(file, hash, err, read)
		return nil
	})
}

// readFile reads one file, or freezes it.
func (r *reading) readFile(file, hash string, err error, read func(file string, data []byte) (*declared, []v1alpha1.Refusal)) {
	var data []byte
	if err == nil {
		data, err = r.in.Tree.ReadFile(file)
	}
	var found *declared
	var refused []v1alpha1.Refusal
	if err != nil {
		refused = []v1alpha1.Refusal{refusal(file, 0, "", "%v", err)}
	} else {
		found, refused = read(file, data)
	}
	if len(refused) == 0 {
		found.hash = hash
		r.snapshot.files[file] = found
		return
	}
	r.snapshot.Refused = append(r.snapshot.Refused, refused...)
	r.snapshot.Frozen.Files[file] = true
	if before := r.previous.files[file]; before != nil {
		r.snapshot.files[file] = before
	} else if r.snapshot.Frozen.Unknown == "" {
		r.snapshot.Frozen.Unknown = file
	}
}

func (r *reading) refuse(refused v1alpha1.Refusal) {
	r.snapshot.Refused = append(r.snapshot.Refused, refused)
}

// collect lists what all files declare. A name that stands twice freezes: the declaration in force before stays, if it is
// one of the two.
func (r *reading) collect() {
	files := make([]string, 0, len(r.snapshot.files))
	for file := range r.snapshot.files {
		files = append(files, file)
	}
	slices.Sort(files)
	s := r.snapshot
	var clusters, groups, resources, bindings, exemptions []entry
	for _, file := range files {
		d := s.files[file]
		for i := range d.clusters {
			clusters = append(clusters, entry{"FleetCluster/" + d.clusters[i].Cluster.Name, d.clusters[i].Position, func() { s.Clusters = append(s.Clusters, d.clusters[i]) }})
		}
		for i := range d.groups {
			groups = append(groups, entry{"ClusterGroup/" + d.groups[i].Group.Name, d.groups[i].Position, func() { s.Groups = append(s.Groups, d.groups[i]) }})
		}
		for i := range d.resources {
			object := d.resources[i].Object
			resources = append(resources, entry{ObjectKey(object.GetKind(), object.GetName()), d.resources[i].Position, func() { s.Resources = append(s.Resources, d.resources[i]) }})
		}
		for i := range d.bindings {
			bindings = append(bindings, entry{"PolicyBinding/" + d.bindings[i].Binding.Metadata.Name, d.bindings[i].Position, func() { s.Policies.Bindings = append(s.Policies.Bindings, d.bindings[i]) }})
		}
		for i := range d.exemptions {
			exemptions = append(exemptions, entry{"PolicyExemption/" + d.exemptions[i].Exemption.Metadata.Name, d.exemptions[i].Position, func() { s.Policies.Exemptions = append(s.Policies.Exemptions, d.exemptions[i]) }})
		}
		s.Policies.Gatekeeper = append(s.Policies.Gatekeeper, d.gatekeeper...)
		switch {
		case strings.HasSuffix(file, "_test.rego"):
			s.Policies.Tests = append(s.Policies.Tests, File{Path: file, Data: d.rego})
		case d.rego != nil:
			s.Policies.Modules = append(s.Policies.Modules, File{Path: file, Data: d.rego})
		}
	}
	before := r.previous.positions()
	for _, kind := range [][]entry{clusters, groups, resources, bindings, exemptions} {
		r.keepUnique(kind, before)
	}
}

// entry is a declaration that waits to be known as the only one of its name.
type entry struct {
	key      string
	position Position
	keep     func()
}

func (r *reading) keepUnique(entries []entry, before map[string]string) {
	first := map[string]int{}
	count := map[string]int{}
	for i, e := range entries {
		if count[e.key]++; count[e.key] == 1 {
			first[e.key] = i
		}
	}
	for i, e := range entries {
		if count[e.key] == 1 {
			e.keep()
			continue
		}
		r.snapshot.Frozen.Objects[e.key] = true
		if e.position.File == before[e.key] && (i == first[e.key] || entries[first[e.key]].position.File != e.position.File) {
			e.keep()
			continue
		}
		other := entries[first[e.key]].position
		if i == first[e.key] {
			continue
		}
		r.refuse(refusal(e.position.File, e.position.Line, "metadata.name", "%s is declared twice, also at %s:%d",
			strings.Replace(e.key, "/", " ", 1), other.File, other.Line))
	}
}

// ObjectKey is how Frozen names an object.
func ObjectKey(kind, name string) string { return kind + "/" + name }

// positions of all declarations, by key.
func (s *Snapshot) positions() map[string]string {
	out := map[string]string{}
	for _, d := range s.Clusters {
		out["FleetCluster/"+d.Cluster.Name] = d.File
	}
	for _, d := range s.Groups {
		out["ClusterGroup/"+d.Group.Name] = d.File
	}
	for _, d := range s.Resources {
		out[ObjectKey(d.Object.GetKind(), d.Object.GetName())] = d.File
	}
	for _, d := range s.Policies.Bindings {
		out["PolicyBinding/"+d.Binding.Metadata.Name] = d.File
	}
	for _, d := range s.Policies.Exemptions {
		out["PolicyExemption/"+d.Exemption.Metadata.Name] = d.File
	}
	return out
}
