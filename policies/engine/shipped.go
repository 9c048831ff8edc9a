package engine

import (
	"io/fs"
	"sync"

	"github.com/periplus-fleet/periplus/policies/lib"
)

// shippedFolder is where the libraries that ship seem to stand; no fleet repo has it.
const shippedFolder = "lib.periplus/"

// shipped are the libraries that every source has. A package of the same name in a source takes its place, so that a cluster's
// part brings those of the hub.
var shipped = sync.OnceValue(func() []*module {
	var all []*module
	names, _ := fs.Glob(lib.Files, "*.rego")
	for _, name := range names {
		text, err := fs.ReadFile(lib.Files, name)
		if err != nil {
			continue
		}
		// A test loads each of them: one that does not parse does not ship.
		if m, err := parse(File{Path: shippedFolder + name, Text: string(text)}); err == nil {
			all = append(all, m)
		}
	}
	return all
})
