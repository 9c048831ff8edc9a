package policy

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/periplus-fleet/periplus/policies/engine"
	"github.com/periplus-fleet/periplus/policies/suite"
)

// found is what lies below a path.
type found struct {
	root           string
	tree           fs.FS
	modules, tests []engine.File
	// suites by their path in the tree.
	suites []string
}

// name of a file of the tree, for a person.
func (f *found) name(file string) string {
	return filepath.ToSlash(filepath.Join(f.root, filepath.FromSlash(file)))
}

// find reads a folder, or the folder's one file that is named.
func find(named string) (*found, error) {
	info, err := os.Stat(named)
	if err != nil {
		return nil, fmt.Errorf("cannot find tests: %w", err)
	}
	f, only := &found{root: named}, ""
	if !info.IsDir() {
		f.root, only = filepath.Dir(named), filepath.Base(named)
	}
	f.tree = os.DirFS(f.root)
	err = fs.WalkDir(f.tree, ".", func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (file != "." && strings.HasPrefix(entry.Name(), ".") || only != "" && file != "."):
			return fs.SkipDir
		case entry.IsDir():
			return nil
		}
		return f.add(file, only)
	})
	return f, err
}

func (f *found) add(file, only string) error {
	extension := path.Ext(file)
	if engine.IsDocument(file) {
		return f.document(file)
	}
	if extension != ".rego" && extension != ".yaml" && extension != ".yml" {
		return nil
	}
	data, err := fs.ReadFile(f.tree, file)
	if err != nil {
		return err
	}
	chosen := only == "" || file == only
	switch {
	case strings.HasSuffix(file, "_test.rego"):
		if chosen {
			f.tests = append(f.tests, engine.File{Path: f.name(file), Text: string(data)})
		}
	case extension == ".rego":
		f.modules = append(f.modules, engine.File{Path: f.name(file), Text: string(data)})
	case chosen && suite.Is(data):
		f.suites = append(f.suites, file)
	}
	return nil
}

// document is data of conftest packages, whichever of their tests are chosen.
func (f *found) document(file string) error {
	data, err := fs.ReadFile(f.tree, file)
	if err == nil {
		f.modules = append(f.modules, engine.File{Path: file, Text: string(data)})
	}
	return err
}
