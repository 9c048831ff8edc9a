package basecache

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// heldFile keeps the names that are held over a restart: until the hub has planned again, it does not know what to hold.
const heldFile = "held"

// Hold says which entries an owner must not lose to eviction, instead of those that it named before; none lets go of all. Keys
// without an entry mean nothing until they have one.
func (c *Cache) Hold(owner string, keys []string) error {
	files := make([]string, len(keys))
	for i, key := range keys {
		files[i] = nameOf(key)
	}
	slices.Sort(files)
	files = slices.Compact(files)
	// What is written is never older than what is in force: the next call waits for this one.
	c.holding.Lock()
	defer c.holding.Unlock()
	c.mu.Lock()
	if slices.Equal(c.holds[owner], files) {
		c.mu.Unlock()
		return nil
	}
	if c.holds[owner] = files; len(files) == 0 {
		delete(c.holds, owner)
	}
	c.index()
	c.evict("")
	data, err := json.Marshal(c.holds)
	c.mu.Unlock()
	if err != nil {
		return err
	}
	return write(filepath.Join(c.folder, heldFile), c.seal(heldFile, data))
}

// index puts together what all owners hold.
func (c *Cache) index() {
	c.held = map[string]bool{}
	for _, files := range c.holds {
		for _, file := range files {
			c.held[file] = true
		}
	}
}

func (c *Cache) restoreHeld() {
	sealed, err := os.ReadFile(filepath.Join(c.folder, heldFile))
	if err != nil {
		return
	}
	data, err := c.open(heldFile, sealed)
	holds := map[string][]string{}
	if err != nil || json.Unmarshal(data, &holds) != nil {
		return
	}
	maps.Copy(c.holds, holds)
	c.index()
}
