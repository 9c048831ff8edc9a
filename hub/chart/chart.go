// Package chart gives the render stage charts that do not stand beside their bundle: from a classic repository or an OCI
// registry, and the dependencies that a chart beside its bundle declares and does not hold. A range of versions is resolved
// once for a bundle's content and recorded, so that no restart and no other commit changes what is rendered. Packages are
// kept on disk by their digest, and fetched again where they are gone.
package chart

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/periplus-fleet/periplus/hub/chart/record"
)

// DefaultCacheBytes bounds the packages kept on disk.
const DefaultCacheBytes = 2 << 30

// openBytes bounds the unpacked charts kept in memory.
const openBytes = 256 << 20

// Source of a chart: Repository and Name, or OCI.
type Source struct {
	// Repository is the URL of a classic one; OCI a reference oci://registry/path/chart.
	Repository, OCI string
	Name            string
	// Version or range of versions; "" is the newest that is no pre-release.
	Version string
	Auth    Auth
}

// String names the source without credentials.
func (s Source) String() string {
	where := s.OCI
	if where == "" {
		where = s.Repository + " " + s.Name
	}
	return strings.TrimSpace(where + " " + s.Version)
}

// Resolved is one version of a chart.
type Resolved = record.Resolved

// Key of a record.
type Key = record.Key

// Records keeps what was resolved, for all hub processes and for good.
type Records interface {
	// ChartRecord returns the record of a key; ok is false where there is none.
	ChartRecord(ctx context.Context, key Key) (record Resolved, ok bool, err error)
	// PutChartRecord writes a record and returns it, or the one that another process wrote first.
	PutChartRecord(ctx context.Context, key Key, record Resolved) (Resolved, error)
}

// Config of Charts.
type Config struct {
	// Dir is a folder of this hub process's own for packages.
	Dir     string
	Records Records
	// CacheBytes of Dir; 0 is DefaultCacheBytes.
	CacheBytes int64
	// Wait of one who asks for a chart that is not there yet. Default DefaultWait.
	Wait time.Duration
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Charts resolves, fetches and keeps charts. It is safe for concurrent use.
type Charts struct {
	disk    *disk
	records Records
	now     func() time.Time
	wait    time.Duration
	hosts   *hosts
	indexes *indexes
	flight  singleflight.Group

	mu sync.Mutex
	// known are records that were read: they never change.
	known map[Key]Resolved
	// failed holds back what failed lately.
	failed map[string]failure
	// ids of completed charts, by what they were made for; "" is a chart that is read where it stands.
	ids    map[string]string
	open   map[string]*opened
	opened int
}

// opened is an unpacked chart.
type opened struct {
	files *files
	size  int
	used  time.Time
}

// New makes Charts.
func New(cfg Config) (*Charts, error) {
	if cfg.CacheBytes == 0 {
		cfg.CacheBytes = DefaultCacheBytes
	}
	if cfg.Wait == 0 {
		cfg.Wait = DefaultWait
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	disk, err := newDisk(cfg.Dir, cfg.CacheBytes, cfg.Now)
	if err != nil {
		return nil, err
	}
	return &Charts{disk: disk, records: cfg.Records, now: cfg.Now, wait: cfg.Wait,
		hosts: &hosts{}, indexes: &indexes{now: cfg.Now}, known: map[Key]Resolved{}, failed: map[string]failure{},
		ids: map[string]string{}, open: map[string]*opened{}}, nil
}

// repository is either kind.
type repository interface {
	find(ctx context.Context, name, version string) (found, error)
	fetch(ctx context.Context, what found) ([]byte, error)
}

func (c *Charts) repository(s Source) (repository, error) {
	switch {
	case s.OCI != "" && s.Repository != "":
		return nil, errors.New("source.helm has repository and oci: give one of them")
	case s.OCI != "":
		return newOCI(s.OCI, s.Auth)
	case s.Name == "":
		return nil, errors.New("source.helm.name is missing: it names the chart in the repository")
	default:
		return newClassic(s.Repository, s.Auth, c.indexes)
	}
}

// Resolve asks the repository which version is meant now, and fetches it.
func (c *Charts) Resolve(ctx context.Context, source Source) (Resolved, error) {
	ctx, leave, err := c.hosts.enter(ctx, source)
	if err != nil {
		return Resolved{}, fmt.Errorf("cannot resolve chart %q: %w", source, err)
	}
	defer leave()
	where, err := c.repository(source)
	if err != nil {
		return Resolved{}, fmt.Errorf("cannot resolve chart %q: %w", source, err)
	}
	what, err := where.find(ctx, source.Name, source.Version)
	if err != nil {
		return Resolved{}, fmt.Errorf("cannot resolve chart %q: %w", source, err)
	}
	resolved := Resolved{Version: what.version, Digest: what.digest, URL: what.url}
	if what.digest != "" {
		if _, ok, err := c.disk.get(what.digest); err != nil || ok {
			return resolved, err
		}
	}
	data, err := where.fetch(ctx, what)
	if err != nil {
		return Resolved{}, fmt.Errorf("cannot fetch chart %q: %w", source, err)
	}
	resolved.Digest = hexSum(data)
	if _, err := unpack(data); err != nil {
		return Resolved{}, fmt.Errorf("cannot read chart %q from %s: %w", source, what.url, err)
	}
	return resolved, c.disk.put(resolved.Digest, data)
}

// load returns a package, from disk or anew from where it was found.
func (c *Charts) load(ctx context.Context, source Source, resolved Resolved) ([]byte, error) {
	data, ok, err := c.disk.get(resolved.Digest)
	if err != nil || ok {
		return data, err
	}
	ctx, leave, err := c.hosts.enter(ctx, source)
	if err != nil {
		return nil, fmt.Errorf("cannot fetch chart %q: %w", source, err)
	}
	defer leave()
	where, err := c.repository(source)
	if err != nil {
		return nil, fmt.Errorf("cannot fetch chart %q: %w", source, err)
	}
	data, err = where.fetch(ctx, found{version: resolved.Version, url: resolved.URL, digest: resolved.Digest})
	if err != nil {
		return nil, fmt.Errorf("cannot fetch version %s of chart %q again, which was recorded for this bundle: %w; to take another package, change source.helm.version", resolved.Version, source, err)
	}
	if sum := hexSum(data); sum != resolved.Digest {
		return nil, fmt.Errorf("cannot fetch chart %q again: its digest is sha256:%s, and sha256:%s was recorded", source, sum, resolved.Digest)
	}
	return data, c.disk.put(resolved.Digest, data)
}

// Open returns the files of a resolved chart, rooted at its folder.
func (c *Charts) Open(ctx context.Context, source Source, resolved Resolved) (fs.FS, error) {
	return c.unpacked(ctx, source, resolved)
}

func (c *Charts) unpacked(ctx context.Context, source Source, resolved Resolved) (*files, error) {
	if found := c.find(resolved.Digest); found != nil {
		return found, nil
	}
	data, err := c.load(ctx, source, resolved)
	if err != nil {
		return nil, err
	}
	read, err := unpack(data)
	if err != nil {
		return nil, fmt.Errorf("cannot read chart %q: %w", source, err)
	}
	out := newFiles(read)
	c.keep(resolved.Digest, out)
	return out, nil
}

func (c *Charts) find(id string) *files {
	c.mu.Lock()
	defer c.mu.Unlock()
	one, ok := c.open[id]
	if !ok {
		return nil
	}
	one.used = c.now()
	return one.files
}

// keep holds an unpacked chart in memory, and lets go of those used longest ago.
func (c *Charts) keep(id string, unpacked *files) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.open[id]; ok {
		return
	}
	size := 0
	for _, data := range unpacked.data {
		size += len(data)
	}
	c.open[id] = &opened{files: unpacked, size: size, used: c.now()}
	for c.opened += size; c.opened > openBytes && len(c.open) > 1; {
		oldest := ""
		for other, one := range c.open {
			if other != id && (oldest == "" || one.used.Before(c.open[oldest].used)) {
				oldest = other
			}
		}
		c.opened -= c.open[oldest].size
		delete(c.open, oldest)
	}
}
