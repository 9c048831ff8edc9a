package reconcile_test

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"
)

// TestManyBundles applies many bundles at once, SCALE of them if set, and says what that took.
func TestManyBundles(t *testing.T) {
	count := 40
	if text := os.Getenv("SCALE"); text != "" {
		var err error
		if count, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
		patience = 10 * time.Minute
	}
	m := newMember(t)
	for i := range count {
		name := fmt.Sprintf("b%04d", i)
		m.give("fleet/"+name, nil, configMapYAML(name+"-a", "1"), configMapYAML(name+"-b", "2"),
			"apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: "+name+"}",
			"apiVersion: v1\nkind: Service\nmetadata: {name: "+name+"}\nspec: {ports: [{port: 80}]}")
	}
	m.written()
	start := time.Now()
	m.accept()
	for i := range count {
		m.ready(fmt.Sprintf("fleet/b%04d", i))
	}
	took, writes := time.Since(start), len(m.written())
	var memory runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&memory)
	t.Logf("%d bundles of 4 objects ready after %s, %d writes, heap %d MiB", count, took, writes, memory.HeapAlloc>>20)
	// Each object is written once, and each inventory before and after.
	if limit := count*6 + 20; writes > limit {
		t.Errorf("%d writes, want at most %d", writes, limit)
	}
	m.stop()
	m.written()
	m.start()
	for i := range count {
		m.ready(fmt.Sprintf("fleet/b%04d", i))
	}
	if writes := m.written(); len(writes) > 0 {
		t.Errorf("a restart wrote %v", writes)
	}
}
