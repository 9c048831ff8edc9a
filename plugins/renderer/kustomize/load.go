package kustomize

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/periplus-fleet/periplus/plugins/renderer/yamldoc"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// Limits of one build.
const (
	maxFolders = 500
	maxBytes   = 64 << 20
)

var names = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// Fields of a kustomization that name files or folders.
var (
	folderFields = []string{"resources", "bases", "components"}
	fileFields   = []string{"crds", "configurations", "transformers", "generators", "validators", "patchesStrategicMerge"}
)

// refusedFields would start a program or fetch something.
var refusedFields = []string{"helmCharts", "helmChartInflationGenerator", "helmGlobals"}

// loading copies the folders of a kustomization and of those that it is built on.
type loading struct {
	ctx  context.Context
	from fs.FS
	to   filesys.FileSystem
	seen map[string]bool
	size int
}

func newMemory() filesys.FileSystem { return filesys.MakeFsInMemory() }

// kustomization copies a folder and follows what it names; it returns the path of its file.
func (l *loading) kustomization(folder string) (string, error) {
	file, data, err := l.find(folder)
	if err != nil {
		return "", err
	}
	if l.seen[folder] {
		return file, nil
	}
	l.seen[folder] = true
	if len(l.seen) > maxFolders {
		return "", renderer.Refuse(file, 0, "the kustomization is built on more than %d folders", maxFolders)
	}
	documents, err := yamldoc.Parse(data)
	var mistake *yamldoc.Error
	if errors.As(err, &mistake) {
		return "", renderer.Refuse(file, mistake.Line, "%s", mistake.Message)
	}
	if err != nil || len(documents) != 1 {
		return "", renderer.Refuse(file, 0, "the file holds one kustomization")
	}
	if err := l.copy(folder); err != nil {
		return "", err
	}
	return file, l.follow(folder, file, documents[0])
}

func (l *loading) find(folder string) (string, []byte, error) {
	for _, name := range names {
		file := path.Join(folder, name)
		data, err := fs.ReadFile(l.from, file)
		if err == nil {
			return file, data, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", nil, err
		}
	}
	return "", nil, renderer.Refuse(folder, 0, "the folder has no kustomization.yaml")
}

// copy takes a folder with everything below it: files of a kustomization lie there and nowhere else.
func (l *loading) copy(folder string) error {
	return fs.WalkDir(l.from, folder, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case l.ctx.Err() != nil:
			return l.ctx.Err()
		case entry.IsDir():
			return l.to.MkdirAll("/" + file)
		case l.to.Exists("/" + file):
			return nil
		}
		if info, err := fs.Stat(l.from, file); err != nil || info.IsDir() {
			// Only what is used counts: the library names a file that is missing.
			return nil //nolint:nilerr // see above
		}
		data, err := fs.ReadFile(l.from, file)
		if err != nil {
			return err
		}
		if l.size += len(data); l.size > maxBytes {
			return renderer.Refuse(folder, 0, "the kustomization is larger than %d bytes", maxBytes)
		}
		return l.to.WriteFile("/"+file, data)
	})
}

func (l *loading) follow(folder, file string, document yamldoc.Document) error {
	object, ok := document.Object()
	if !ok {
		return renderer.Refuse(file, document.Line, "a kustomization is a mapping")
	}
	for _, field := range refusedFields {
		if object[field] != nil {
			return renderer.Refuse(file, document.LineOf(field), "%s is not supported; render the chart with source: {helm: ...}", field)
		}
	}
	for _, field := range slices.Concat(folderFields, fileFields) {
		entries, _ := object[field].([]any)
		for i, entry := range entries {
			at := fmt.Sprintf("%s[%d]", field, i)
			text, isText := entry.(string)
			if !isText || strings.Contains(text, "\n") {
				continue // inline content
			}
			if err := l.entry(folder, file, document.LineOf(at), text); err != nil {
				return err
			}
		}
	}
	return refuseURLs(file, document, object, "")
}

// entry is a file or folder that a kustomization names. Everything that is not in the repository would be looked for on the
// network, so it must be there.
func (l *loading) entry(folder, file string, line int, text string) error {
	full := path.Join(folder, text)
	if path.IsAbs(text) || !fs.ValidPath(full) {
		return renderer.Refuse(file, line, "%q leads out of the repository", text)
	}
	info, err := fs.Stat(l.from, full)
	if errors.Is(err, fs.ErrNotExist) {
		return renderer.Refuse(file, line, "%q is not in the repository; remote bases are not supported", text)
	}
	if err != nil {
		return renderer.Refuse(file, line, "%v", err)
	}
	if info.IsDir() {
		_, err = l.kustomization(full)
	}
	return err
}

// pathKeys hold a path wherever they stand in a kustomization.
var pathKeys = map[string]bool{"path": true, "files": true, "envs": true, "env": true}

// refuseURLs refuses addresses in all other fields that name files.
func refuseURLs(file string, document yamldoc.Document, value any, at string) error {
	switch typed := value.(type) {
	case map[string]any:
		for key, child := range typed {
			path := key
			if at != "" {
				path = at + "." + key
			}
			if pathKeys[key] {
				if err := refuseURL(file, document, child, path); err != nil {
					return err
				}
			}
			if err := refuseURLs(file, document, child, path); err != nil {
				return err
			}
		}
	case []any:
		for i, child := range typed {
			if err := refuseURLs(file, document, child, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	}
	return nil
}

func refuseURL(file string, document yamldoc.Document, value any, at string) error {
	list, isList := value.([]any)
	if !isList {
		list = []any{value}
	}
	for _, item := range list {
		text, _ := item.(string)
		if _, after, keyed := strings.Cut(text, "="); keyed {
			text = after
		}
		if strings.Contains(text, "://") {
			return renderer.Refuse(file, document.LineOf(at), "%q is not in the repository; remote files are not supported", text)
		}
	}
	return nil
}

// askForOrigins makes the library note which file each object came from.
func (l *loading) askForOrigins(file string) error {
	data, err := l.to.ReadFile("/" + file)
	if err != nil {
		return err
	}
	var object map[string]any
	if err := yaml.Unmarshal(data, &object); err != nil {
		return renderer.Refuse(file, 0, "%v", err)
	}
	metadata, _ := object["buildMetadata"].([]any)
	if slices.Contains(metadata, any("originAnnotations")) {
		return nil
	}
	object["buildMetadata"] = append(metadata, "originAnnotations")
	if data, err = yaml.Marshal(object); err != nil {
		return err
	}
	return l.to.WriteFile("/"+file, data)
}
