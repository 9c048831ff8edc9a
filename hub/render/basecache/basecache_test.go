package basecache_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/periplus-fleet/periplus/hub/render/basecache"
)

// world is a cache whose clock goes on by a second at each look.
type world struct {
	*testing.T
	folder string
	clock  time.Time
	*basecache.Cache
}

func newWorld(t *testing.T, limit int64) *world {
	w := &world{T: t, folder: t.TempDir(), clock: time.Unix(1_700_000_000, 0)}
	w.restart([]byte("key"), limit)
	return w
}

func (w *world) restart(key []byte, limit int64) {
	w.Helper()
	cache, err := basecache.Open(basecache.Config{Folder: w.folder, Key: key, Bytes: limit, Now: func() time.Time {
		w.clock = w.clock.Add(time.Second)
		return w.clock
	}})
	if err != nil {
		w.Fatal(err)
	}
	w.Cache = cache
}

func (w *world) put(key string, size int) {
	w.Helper()
	if err := w.Put(key, bytes.Repeat([]byte("x"), size)); err != nil {
		w.Fatal(err)
	}
	// A file's time is that of the real clock, until it is used.
	w.Get(key)
}

func (w *world) has(key string) bool {
	_, ok := w.Get(key)
	return ok
}

func (w *world) files() []string {
	var files []string
	err := filepath.WalkDir(w.folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	return files
}

func TestSurvivesRestart(t *testing.T) {
	w := newWorld(t, 1000)
	w.put("a", 100)
	w.put("b", 100)
	w.has("a")
	w.restart([]byte("key"), 250)
	w.put("c", 10)
	if !w.has("a") || w.has("b") || !w.has("c") {
		t.Errorf("after a restart what was used longest ago leaves first: a %v, b %v, c %v", w.has("a"), w.has("b"), w.has("c"))
	}
	if size, entries := w.Size(); size > 250 || entries != 2 {
		t.Errorf("want two entries within 250 bytes, got %d of %d bytes", entries, size)
	}
}

func TestHeldStays(t *testing.T) {
	w := newWorld(t, 300)
	w.put("held", 100)
	if err := w.Hold("one", []string{"held", "later"}); err != nil {
		t.Fatal(err)
	}
	if err := w.Hold("other", []string{"others"}); err != nil {
		t.Fatal(err)
	}
	w.restart([]byte("key"), 300)
	for i := range 10 {
		w.put(fmt.Sprint(i), 100)
	}
	w.put("later", 100)
	w.put("last", 100)
	for _, key := range []string{"held", "later", "last"} {
		if !w.has(key) {
			t.Errorf("%q is gone: what is held stays, over restarts and above the limit, and so does what was written last", key)
		}
	}
	for _, owner := range []string{"one", "other"} {
		if err := w.Hold(owner, nil); err != nil {
			t.Fatal(err)
		}
	}
	if size, _ := w.Size(); size > 300 {
		t.Errorf("what nobody holds any more leaves: %d bytes", size)
	}
}

func TestBadEntriesAreMisses(t *testing.T) {
	cases := map[string]struct {
		reason string
		spoil  func(w *world, file string)
	}{
		"Altered": {reason: "a bit that flipped", spoil: func(w *world, file string) {
			data, _ := os.ReadFile(file)
			data[len(data)-1] ^= 1
			_ = os.WriteFile(file, data, 0o600)
		}},
		"CutShort":   {reason: "a disk that was full", spoil: func(_ *world, file string) { _ = os.Truncate(file, 5) }},
		"Gone":       {reason: "somebody cleaned up", spoil: func(_ *world, file string) { _ = os.Remove(file) }},
		"AnotherKey": {reason: "the store's key was changed", spoil: func(w *world, _ string) { w.restart([]byte("other"), 0) }},
		"AnotherEntry": {reason: "an entry in the place of another", spoil: func(w *world, file string) {
			w.put("b", 50)
			for _, other := range w.files() {
				if other != file {
					_ = os.Rename(other, file)
				}
			}
		}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 0)
			w.put("a", 100)
			tc.spoil(w, w.files()[0])
			if w.has("a") {
				t.Errorf("%s must be a miss", tc.reason)
			}
			w.put("a", 20)
			if data, ok := w.Get("a"); !ok || len(data) != 20 {
				t.Error("what was spoilt is written anew")
			}
		})
	}
}

func TestEncryptedAndClean(t *testing.T) {
	w := newWorld(t, 0)
	if err := w.Put("a", []byte("planted-plaintext")); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(w.folder, ".tmp-1")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.restart([]byte("key"), 0)
	for _, file := range w.files() {
		data, err := os.ReadFile(file)
		if err != nil || bytes.Contains(data, []byte("planted")) {
			t.Errorf("%s holds the plaintext (%v)", file, err)
		}
		if file == left {
			t.Error("what a crash left half written stays for ever")
		}
	}
}
