package chart

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"time"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/fleet"
)

// ForBundle returns the chart of a bundle's source, its id (which names its content) and version. For a chart beside the
// bundle that holds all of its dependencies it returns nil files and no id: such a chart is read where it stands. The
// bundle's Tree and TreeHash are those of the content that is rendered. An *Unavailable may be tried again at its time.
func (c *Charts) ForBundle(ctx context.Context, bundle fleet.BundleDecl, source *v1alpha1.HelmSource, auth Auth) (files fs.FS, id, version string, err error) {
	if source.Chart != "" || source.Repository == "" && source.OCI == "" {
		return c.beside(ctx, bundle, source, auth)
	}
	from := Source{Repository: source.Repository, OCI: source.OCI, Name: source.Name, Version: source.Version, Auth: auth}
	resolved, err := c.resolved(ctx, bundle, from, c.wait)
	if err != nil {
		return nil, "", "", err
	}
	files, id, err = c.completed(ctx, bundle, from, func(ctx context.Context) (*complete, error) {
		unpacked, err := c.unpacked(ctx, from, resolved)
		if err != nil {
			return nil, err
		}
		return c.complete(ctx, bundle, origins{auth: auth, source: from}, unpacked, resolved.Digest)
	})
	return files, id, resolved.Version, err
}

// resolved returns the record of a source, made now where there is none. It waits no longer than wait.
func (c *Charts) resolved(ctx context.Context, bundle fleet.BundleDecl, source Source, wait time.Duration) (Resolved, error) {
	key := Key{Bundle: string(bundle.Key), Content: bundle.TreeHash, Source: source.String()}
	if record, ok := c.remembered(key); ok {
		return record, nil
	}
	record, ok, err := c.records.ChartRecord(ctx, key)
	if err != nil {
		return Resolved{}, err
	}
	if !ok {
		if record, err = c.record(ctx, key, source, wait); err != nil {
			return Resolved{}, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) > maxKnown {
		clear(c.known)
	}
	c.known[key] = record
	return record, nil
}

// maxKnown bounds the records in memory.
const maxKnown = 20_000

func (c *Charts) remembered(key Key) (Resolved, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	record, ok := c.known[key]
	return record, ok
}

func (c *Charts) record(ctx context.Context, key Key, source Source, wait time.Duration) (Resolved, error) {
	return attempt(ctx, c, "resolve "+key.Bundle+" "+key.Content+" "+key.Source+" "+source.Auth.id(), wait, func(ctx context.Context) (Resolved, error) {
		resolved, err := c.Resolve(ctx, source)
		if err != nil {
			return Resolved{}, err
		}
		return c.records.PutChartRecord(ctx, key, resolved)
	})
}

// completed returns a chart with its dependencies, made now where it is not in memory; nil where the work gives none.
func (c *Charts) completed(ctx context.Context, bundle fleet.BundleDecl, source Source, work func(context.Context) (*complete, error)) (fs.FS, string, error) {
	name := fmt.Sprintf("open %s %s %s", bundle.Key, bundle.TreeHash, source)
	c.mu.Lock()
	id, ok := c.ids[name]
	c.mu.Unlock()
	if ok && id == "" {
		return nil, "", nil
	}
	if found := c.find(id); ok && found != nil {
		return found, id, nil
	}
	out, err := attempt(ctx, c, name+" "+source.Auth.id(), c.wait, work)
	if err != nil {
		return nil, "", err
	}
	c.mu.Lock()
	if len(c.ids) > maxKnown {
		clear(c.ids)
	}
	c.ids[name] = out.id
	c.mu.Unlock()
	if out.id == "" {
		return nil, "", nil
	}
	c.keep(out.id, out.files)
	return out.files, out.id, nil
}

// beside completes a chart that stands in the repository.
func (c *Charts) beside(ctx context.Context, bundle fleet.BundleDecl, source *v1alpha1.HelmSource, auth Auth) (fs.FS, string, string, error) {
	root := path.Join(bundle.Path, source.Chart)
	version := ""
	files, id, err := c.completed(ctx, bundle, Source{Name: root, Auth: auth}, func(ctx context.Context) (*complete, error) {
		metadata, err := readMetadata(bundle.Tree, root)
		if err != nil || len(metadata.missing(bundle.Tree, root)) == 0 {
			// The renderer says what is wrong with the chart, where it stands.
			return &complete{}, nil
		}
		read, err := readFolder(bundle.Tree, root)
		if err != nil {
			return nil, err
		}
		return c.complete(ctx, bundle, origins{auth: auth, tree: bundle.Tree, folder: root}, newFiles(read), "tree "+bundle.TreeHash+" "+root)
	})
	if err != nil || files == nil {
		return nil, "", "", err
	}
	metadata, err := readMetadata(files, ".")
	if err == nil {
		version = metadata.Version
	}
	return files, id, version, err
}
