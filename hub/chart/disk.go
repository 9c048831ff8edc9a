package chart

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// disk keeps packages in a folder by their digest. Those used last stay, up to a sum of sizes. A file is believed only after
// its digest was computed anew: a machine may have died while it was written.
type disk struct {
	dir   string
	limit int64
	now   func() time.Time
	mu    sync.Mutex
}

const packageSuffix = ".tgz"

// digestForm of a sha256. A digest becomes a file's name, and an index may hold anything in its place.
var digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

func newDisk(dir string, limit int64, now func() time.Time) (*disk, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot keep charts: %w", err)
	}
	return &disk{dir: dir, limit: limit, now: now}, nil
}

func (d *disk) file(digest string) string { return filepath.Join(d.dir, digest+packageSuffix) }

// get returns a package; ok is false where there is none, or a broken one, which is removed.
func (d *disk) get(digest string) (data []byte, ok bool, err error) {
	if !digestForm.MatchString(digest) {
		return nil, false, fmt.Errorf("cannot read a kept chart: %q is no sha256 digest", digest)
	}
	file := d.file(digest)
	data, err = os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("cannot read a kept chart: %w", err)
	}
	if hexSum(data) != digest {
		return nil, false, os.Remove(file)
	}
	// Another process may have removed it; its age is a hint.
	_ = os.Chtimes(file, d.now(), d.now())
	return data, true, nil
}

func (d *disk) put(digest string, data []byte) error {
	temporary, err := os.CreateTemp(d.dir, "incoming-*")
	if err != nil {
		return fmt.Errorf("cannot keep a chart: %w", err)
	}
	_, err = temporary.Write(data)
	err = errors.Join(err, temporary.Close())
	if err == nil {
		err = os.Chtimes(temporary.Name(), d.now(), d.now())
	}
	if err == nil {
		err = os.Rename(temporary.Name(), d.file(digest))
	}
	if err != nil {
		return fmt.Errorf("cannot keep a chart: %w", errors.Join(err, os.Remove(temporary.Name())))
	}
	return d.sweep(digest)
}

// sweep removes the packages used longest ago while all are larger than the limit, and what a dead process left behind.
func (d *disk) sweep(keep string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return fmt.Errorf("cannot sweep kept charts: %w", err)
	}
	var kept []fs.FileInfo
	total := int64(0)
	for _, entry := range entries {
		about, err := entry.Info()
		if err != nil {
			continue
		}
		if !strings.HasSuffix(entry.Name(), packageSuffix) {
			if d.now().Sub(about.ModTime()) > time.Hour {
				_ = os.Remove(filepath.Join(d.dir, entry.Name()))
			}
			continue
		}
		kept = append(kept, about)
		total += about.Size()
	}
	slices.SortFunc(kept, func(a, b fs.FileInfo) int {
		return cmp.Or(a.ModTime().Compare(b.ModTime()), strings.Compare(a.Name(), b.Name()))
	})
	for _, one := range kept {
		if total <= d.limit {
			break
		}
		if one.Name() == keep+packageSuffix {
			continue
		}
		if err := os.Remove(filepath.Join(d.dir, one.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot sweep kept charts: %w", err)
		}
		total -= one.Size()
	}
	return nil
}
