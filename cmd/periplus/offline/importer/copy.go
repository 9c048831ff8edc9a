package importer

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// bundleFile may not be copied as content: it would declare a bundle.
const bundleFile = "bundle.yaml"

// Copy reads the files of a folder, by their path from there. keep, if given, chooses among them.
func Copy(files fs.FS, folder string, keep func(relative string) bool) (map[string][]byte, error) {
	out := map[string][]byte{}
	root := path.Clean(folder)
	err := fs.WalkDir(files, root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative := file
		if root != "." {
			relative = strings.TrimPrefix(strings.TrimPrefix(file, root), "/")
		}
		if entry.IsDir() {
			if entry.Name() == ".git" {
				return fs.SkipDir
			}
			return nil
		}
		if keep != nil && !keep(relative) {
			return nil
		}
		if path.Base(relative) == bundleFile {
			return fmt.Errorf("%s: a file of this name would declare a bundle; rename it and what names it", file)
		}
		data, err := fs.ReadFile(files, file)
		out[relative] = data
		return err
	})
	return out, err
}

// CopyChart reads a chart's folder and the charts beside it that it is built on (file:// dependencies), by their path from
// the repository's root.
func CopyChart(files fs.FS, folder string) (map[string][]byte, error) {
	out := map[string][]byte{}
	return out, copyChart(files, path.Clean(folder), out)
}

func copyChart(files fs.FS, folder string, out map[string][]byte) error {
	if _, done := out[path.Join(folder, "Chart.yaml")]; done {
		return nil
	}
	own, err := Copy(files, folder, nil)
	if err != nil {
		return err
	}
	for name, data := range own {
		out[path.Join(folder, name)] = data
	}
	documents, err := ParseDocuments(path.Join(folder, "Chart.yaml"), own["Chart.yaml"])
	if err != nil || len(documents) == 0 {
		return err
	}
	dependencies, _ := documents[0].Object["dependencies"].([]any)
	for _, one := range dependencies {
		dependency, _ := one.(map[string]any)
		repository, _ := dependency["repository"].(string)
		relative, local := strings.CutPrefix(repository, "file://")
		if beside := path.Join(folder, relative); local && IsDir(files, beside) {
			if err := copyChart(files, beside, out); err != nil {
				return err
			}
		}
	}
	return nil
}

// Strings are the texts of a list.
func Strings(value any) []string {
	list, ok := value.([]any)
	if !ok {
		return nil
	}
	var out []string
	for _, item := range list {
		if text, isText := item.(string); isText {
			out = append(out, text)
		}
	}
	return out
}
