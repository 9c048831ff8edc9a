package chart

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"path"
	"strings"

	"github.com/Masterminds/semver/v3"
	"sigs.k8s.io/yaml"

	"github.com/periplus-fleet/periplus/hub/fleet"
)

// maxDepth of charts in the repository that depend on each other by file://.
const maxDepth = 8

// metadata is what we read of Chart.yaml (or requirements.yaml) and of the lock file.
type metadata struct {
	Name         string       `json:"name"`
	Version      string       `json:"version"`
	Dependencies []dependency `json:"dependencies"`
	locked       []dependency
}

type dependency struct {
	Name       string `json:"name"`
	Version    string `json:"version"`
	Repository string `json:"repository"`
}

func readMetadata(from fs.FS, root string) (metadata, error) {
	var out, lock metadata
	for _, file := range []struct {
		name     string
		required bool
		into     *metadata
	}{{"Chart.yaml", true, &out}, {"requirements.yaml", false, &out}, {"Chart.lock", false, &lock}, {"requirements.lock", false, &lock}} {
		data, err := fs.ReadFile(from, path.Join(root, file.name))
		if errors.Is(err, fs.ErrNotExist) && !file.required {
			continue
		}
		if err != nil {
			return metadata{}, err
		}
		if err := yaml.Unmarshal(data, file.into); err != nil {
			return metadata{}, fmt.Errorf("%s: %w", path.Join(root, file.name), err)
		}
	}
	out.locked = lock.Dependencies
	return out, nil
}

// missing are the declared dependencies that charts/ does not hold, in any version: the renderer goes by names, as Helm does.
func (m metadata) missing(from fs.FS, root string) []dependency {
	have := map[string]bool{}
	entries, err := fs.ReadDir(from, path.Join(root, "charts"))
	if err != nil {
		entries = nil
	}
	for _, entry := range entries {
		file := path.Join(root, "charts", entry.Name())
		if strings.HasSuffix(entry.Name(), packageSuffix) {
			if data, err := fs.ReadFile(from, file); err == nil {
				if read, err := unpack(data); err == nil {
					have[nameIn(newFiles(read), ".")] = true
				}
			}
			continue
		}
		have[nameIn(from, file)] = true
	}
	var out []dependency
	for _, one := range m.Dependencies {
		if !have[one.Name] {
			out = append(out, one)
		}
	}
	return out
}

func nameIn(from fs.FS, root string) string {
	read, err := readMetadata(from, root)
	if err != nil {
		return ""
	}
	return read.Name
}

// lock returns the version that the lock file holds of a dependency; "" where there is no lock file.
func (m metadata) lock(one dependency) (string, error) {
	if len(m.locked) == 0 {
		return one.Version, nil
	}
	within, err := constraint(one.Version)
	if err != nil {
		return "", err
	}
	for _, locked := range m.locked {
		if locked.Name != one.Name || locked.Repository != one.Repository {
			continue
		}
		version, err := semver.NewVersion(locked.Version)
		if err == nil && within.Check(version) {
			return locked.Version, nil
		}
	}
	return "", fmt.Errorf("no version of it in Chart.lock matches %q: run `helm dependency update` and commit Chart.lock", one.Version)
}

// origins of a chart, which its dependencies are relative to.
type origins struct {
	auth Auth
	// source of a fetched chart: credentials go to its host only.
	source Source
	// tree and folder of one in the repository, whose dependencies all get the credentials of the bundle's source.
	tree   fleet.Tree
	folder string
	depth  int
}

// complete is a chart with all of its dependencies.
type complete struct {
	files *files
	id    string
}

// complete fetches the dependencies that a chart declares and does not hold, as `helm dependency build` would.
func (c *Charts) complete(ctx context.Context, bundle fleet.BundleDecl, from origins, chart *files, id string) (*complete, error) {
	read, err := readMetadata(chart, ".")
	if err != nil {
		return nil, fmt.Errorf("cannot read the chart's dependencies: %w", err)
	}
	missing := read.missing(chart, ".")
	if len(missing) == 0 {
		return &complete{chart, id}, nil
	}
	all := maps.Clone(chart.data)
	for _, one := range missing {
		version, err := read.lock(one)
		if err == nil {
			one.Version = version
			var added string
			added, err = c.add(ctx, bundle, from, one, all)
			id += " " + added
		}
		if err != nil {
			return nil, fmt.Errorf("dependency %q of chart %q: %w", one.Name, read.Name, err)
		}
	}
	return &complete{newFiles(all), hexSum([]byte(id))}, nil
}

// add puts a dependency into charts/ and returns what names its content.
func (c *Charts) add(ctx context.Context, bundle fleet.BundleDecl, from origins, one dependency, all map[string][]byte) (string, error) {
	if one.Name == "" || strings.ContainsAny(one.Name, `/\`) || strings.HasPrefix(one.Name, ".") {
		return "", errors.New("that is no chart's name")
	}
	if relative, ok := strings.CutPrefix(one.Repository, "file://"); ok {
		return c.addFolder(ctx, bundle, from, one.Name, relative, all)
	}
	source, err := from.sourceOf(one)
	if err != nil {
		return "", err
	}
	resolved, err := c.resolved(ctx, bundle, source, Patience)
	if err != nil {
		return "", err
	}
	data, err := c.load(ctx, source, resolved)
	if err != nil {
		return "", err
	}
	all["charts/"+one.Name+"-"+resolved.Version+packageSuffix] = data
	return resolved.Digest, nil
}

// addFolder adds a chart of the repository.
func (c *Charts) addFolder(ctx context.Context, bundle fleet.BundleDecl, from origins, name, relative string, all map[string][]byte) (string, error) {
	if from.tree == nil {
		return "", fmt.Errorf("repository %q leads to a folder, which a fetched chart cannot: publish the chart with its dependencies", "file://"+relative)
	}
	if from.depth++; from.depth > maxDepth {
		return "", errors.New("its chain of file:// dependencies is too long")
	}
	folder := path.Join(from.folder, relative)
	if folder == ".." || strings.HasPrefix(folder, "../") || path.IsAbs(relative) {
		return "", fmt.Errorf("repository %q leads out of the Git repository", "file://"+relative)
	}
	read, err := readFolder(from.tree, folder)
	if err != nil {
		return "", err
	}
	from.folder = folder
	inner, err := c.complete(ctx, bundle, from, newFiles(read), "folder "+folder)
	if err != nil {
		return "", err
	}
	hash, err := from.tree.Hash(folder)
	if err != nil {
		return "", err
	}
	for file, data := range inner.files.data {
		all["charts/"+name+"/"+file] = data
	}
	return inner.id + " " + hash, nil
}

// sourceOf a dependency. Credentials were given for one repository: those of a fetched chart's host go to no other.
func (o origins) sourceOf(one dependency) (Source, error) {
	var out Source
	switch scheme, _, _ := strings.Cut(one.Repository, "://"); scheme {
	case "oci":
		out = Source{OCI: strings.TrimSuffix(one.Repository, "/") + "/" + one.Name, Name: one.Name, Version: one.Version}
	case "http", "https":
		out = Source{Repository: one.Repository, Name: one.Name, Version: one.Version}
	case "":
		return Source{}, errors.New("it names no repository and is not in charts/: commit it there")
	default:
		return Source{}, fmt.Errorf("its repository %q is no URL: aliases are known to one machine only; write the URL, or commit charts/", one.Repository)
	}
	if o.tree != nil || sameHost(one.Repository, o.source.Repository+o.source.OCI) {
		out.Auth = o.auth
	}
	return out, nil
}

func sameHost(a, b string) bool {
	one, err := url.Parse(a)
	other, otherErr := url.Parse(b)
	return err == nil && otherErr == nil && one.Host != "" && origin(one) == origin(other)
}

// readFolder reads a chart of the repository.
func readFolder(tree fs.FS, root string) (map[string][]byte, error) {
	out := map[string][]byte{}
	size := 0
	err := fs.WalkDir(tree, root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(tree, file)
		if err != nil {
			return err
		}
		if size += len(data); size > maxChart {
			return fmt.Errorf("chart %q is larger than %d MiB", root, maxChart>>20)
		}
		relative := file
		if root != "." {
			relative = strings.TrimPrefix(file, root+"/")
		}
		out[relative] = data
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read chart %q: %w", root, err)
	}
	return out, nil
}
