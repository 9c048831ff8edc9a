package jsonnet

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/google/go-jsonnet"
)

// maxFile bounds one imported file.
const maxFile = 16 << 20

// importer looks imports up in the repository: beside the file that imports, then in the import paths in their order. It
// keeps what it read, as the library wants to see the same bytes again.
type importer struct {
	files fs.FS
	paths []string
	// read holds what was read, nil for what is not there.
	read map[string]*jsonnet.Contents
}

func newImporter(paths []string) *importer {
	return &importer{paths: paths, read: map[string]*jsonnet.Contents{}}
}

// Import is called by the library with the path of the importing file, "" for the file to evaluate.
func (i *importer) Import(from, name string) (jsonnet.Contents, string, error) {
	if path.IsAbs(name) {
		return jsonnet.Contents{}, "", fmt.Errorf("import %q leads out of the repository: paths are relative", name)
	}
	for at, folder := range append([]string{path.Dir(from)}, i.paths...) {
		full := path.Join(folder, name)
		if !fs.ValidPath(full) {
			if at == 0 {
				return jsonnet.Contents{}, "", fmt.Errorf("import %q leads out of the repository", name)
			}
			continue
		}
		found, err := i.open(full)
		if err != nil {
			return jsonnet.Contents{}, "", err
		}
		if found != nil {
			return *found, full, nil
		}
	}
	if from == "" {
		return jsonnet.Contents{}, "", errors.New("the file is not there")
	}
	return jsonnet.Contents{}, "", fmt.Errorf("import %q is neither beside %s nor in the import paths %q", name, from, i.paths)
}

func (i *importer) open(file string) (*jsonnet.Contents, error) {
	if known, ok := i.read[file]; ok {
		return known, nil
	}
	info, err := fs.Stat(i.files, file)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir():
		i.read[file] = nil
		return nil, nil
	case err != nil:
		return nil, err
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s has %d bytes; at most %d are read", file, info.Size(), maxFile)
	}
	data, err := fs.ReadFile(i.files, file)
	if err != nil {
		return nil, err
	}
	contents := jsonnet.MakeContentsRaw(data)
	i.read[file] = &contents
	return &contents, nil
}
