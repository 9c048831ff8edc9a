// Package basecache keeps what the render stage's base layer made on disk, so that a restart of the hub renders nothing anew.
// It is a cache and no more: every entry is encrypted and authenticated, and one that is missing, cut short, altered or
// written under another key is a miss. Entries leave by least recent use once the cache is above its size, but never one
// that is held.
package basecache

import (
	"container/list"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// DefaultBytes bounds the folder.
const DefaultBytes = 1 << 30

const (
	// purpose separates the cache's key from others that are derived of the same secret.
	purpose = "periplus render cache v1"
	// temporary begins the names of files that are being written.
	temporary = ".tmp-"
)

// Config of a cache.
type Config struct {
	// Folder is made where it is not there. No other process may use it.
	Folder string
	// Key from which that of the entries is derived.
	Key []byte
	// Bytes bounds the folder; 0 is DefaultBytes.
	Bytes int64
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Cache is safe for concurrent use.
type Cache struct {
	folder string
	aead   cipher.AEAD
	limit  int64
	now    func() time.Time

	mu   sync.Mutex
	size int64
	// entries by file name; order has the one used last in front.
	entries map[string]*list.Element
	order   *list.List
	// held are file names; holds are those that each owner gave last, sorted, as they are kept on disk.
	held  map[string]bool
	holds map[string][]string
	// holding is held while they are written.
	holding sync.Mutex
}

type entry struct {
	file string
	size int64
}

// Open reads what a folder holds.
func Open(cfg Config) (*Cache, error) {
	key, err := hkdf.Key(sha256.New, cfg.Key, nil, purpose, 32)
	if err != nil {
		return nil, fmt.Errorf("cannot derive the render cache's key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	if cfg.Bytes == 0 {
		cfg.Bytes = DefaultBytes
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Cache{folder: cfg.Folder, aead: aead, limit: cfg.Bytes, now: cfg.Now, entries: map[string]*list.Element{}, order: list.New(),
		held: map[string]bool{}, holds: map[string][]string{}}
	if err := os.MkdirAll(c.folder, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the render cache: %w", err)
	}
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("cannot read the render cache: %w", err)
	}
	return c, nil
}

func (c *Cache) load() error {
	type found struct {
		entry
		used time.Time
	}
	var all []found
	err := filepath.WalkDir(c.folder, func(path string, file fs.DirEntry, err error) error {
		if err != nil || file.IsDir() {
			return err
		}
		if strings.HasPrefix(file.Name(), temporary) {
			return os.Remove(path)
		}
		info, err := file.Info()
		if err == nil && file.Name() != heldFile {
			all = append(all, found{entry{file.Name(), info.Size()}, info.ModTime()})
		}
		return err
	})
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b found) int { return b.used.Compare(a.used) })
	for _, one := range all {
		c.entries[one.file] = c.order.PushBack(one.entry)
		c.size += one.size
	}
	c.restoreHeld()
	return nil
}

// nameOf is an entry's file. Keys are long and may be of any text.
func nameOf(key string) string {
	digest := sha256.Sum256([]byte(key))
	return hex.EncodeToString(digest[:])
}

// pathOf spreads files over folders.
func (c *Cache) pathOf(file string) string { return filepath.Join(c.folder, file[:2], file) }

// Get returns an entry and marks it as used.
func (c *Cache) Get(key string) ([]byte, bool) {
	file := nameOf(key)
	c.mu.Lock()
	element, ok := c.entries[file]
	if ok {
		c.order.MoveToFront(element)
	}
	c.mu.Unlock()
	if !ok {
		return nil, false
	}
	sealed, err := os.ReadFile(c.pathOf(file))
	if err == nil {
		var data []byte
		if data, err = c.open(file, sealed); err == nil {
			now := c.now()
			// The time of use is for the order after a restart: without it the entry is only older than it could be.
			_ = os.Chtimes(c.pathOf(file), now, now)
			return data, true
		}
	}
	c.drop(file)
	return nil, false
}

// Put writes an entry, unless it alone is larger than the cache.
func (c *Cache) Put(key string, data []byte) error {
	file := nameOf(key)
	sealed := c.seal(file, data)
	if int64(len(sealed)) > c.limit {
		return nil
	}
	if err := write(c.pathOf(file), sealed); err != nil {
		return fmt.Errorf("cannot write to the render cache: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(file)
	c.entries[file] = c.order.PushFront(entry{file, int64(len(sealed))})
	c.size += int64(len(sealed))
	c.evict(file)
	return nil
}

// evict drops what was not used for longest and is not held, until the cache is within its size. What was written just now
// stays, or a cache full of what is held would never answer.
func (c *Cache) evict(written string) {
	for element := c.order.Back(); element != nil && c.size > c.limit; {
		before := element.Prev()
		if file := element.Value.(entry).file; file != written && !c.held[file] {
			c.remove(file)
		}
		element = before
	}
}

// drop removes an entry that cannot be read.
func (c *Cache) drop(file string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(file)
}

func (c *Cache) remove(file string) {
	c.forget(file)
	// A file that stays behind is found again at the next start.
	_ = os.Remove(c.pathOf(file))
}

func (c *Cache) forget(file string) {
	if element, ok := c.entries[file]; ok {
		c.size -= c.order.Remove(element).(entry).size
		delete(c.entries, file)
	}
}

// Size in bytes and entries.
func (c *Cache) Size() (bytes int64, entries int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.size, len(c.entries)
}

// seal encrypts, bound to the entry's name: one entry cannot stand in for another.
func (c *Cache) seal(file string, data []byte) []byte {
	nonce := make([]byte, c.aead.NonceSize())
	rand.Read(nonce)
	return c.aead.Seal(nonce, nonce, data, []byte(file))
}

func (c *Cache) open(file string, sealed []byte) ([]byte, error) {
	if len(sealed) < c.aead.NonceSize() {
		return nil, errors.New("the entry is too short")
	}
	return c.aead.Open(nil, sealed[:c.aead.NonceSize()], sealed[c.aead.NonceSize():], []byte(file))
}

// write puts a file in place whole, for all who read it at the same time.
func write(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), temporary)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name())
	}
	return err
}
