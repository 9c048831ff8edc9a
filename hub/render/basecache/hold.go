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

// Hold says which entries must not be evicted, instead of those that it was told before. Keys without an entry mean nothing
// until they have one.
func (c *Cache) Hold(keys []string) error {
	held := make(map[string]bool, len(keys))
	for _, key := range keys {
		held[nameOf(key)] = true
	}
	data, err := json.Marshal(slices.Sorted(maps.Keys(held)))
	if err != nil {
		return err
	}
	c.mu.Lock()
	same := c.holds == string(data)
	c.held, c.holds = held, string(data)
	c.evict("")
	c.mu.Unlock()
	if same {
		return nil
	}
	return write(filepath.Join(c.folder, heldFile), c.seal(heldFile, data))
}

func (c *Cache) restoreHeld() {
	sealed, err := os.ReadFile(filepath.Join(c.folder, heldFile))
	if err != nil {
		return
	}
	data, err := c.open(heldFile, sealed)
	var files []string
	if err != nil || json.Unmarshal(data, &files) != nil {
		return
	}
	for _, file := range files {
		c.held[file] = true
	}
	c.holds = string(data)
}
