package jsonnet

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"

	"github.com/google/go-jsonnet"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// How values reach the file.
const (
	asExtVars = "ExtVars"
	asTLAs    = "TLAs"
)

// settings are what a request says besides values.
type settings struct {
	file        string
	importPaths []string
	valuesAs    string
}

func settingsOf(request renderer.Request) (settings, error) {
	name := request.Path
	if name == "" {
		name = DefaultFile
	}
	set := settings{file: path.Join(request.Dir, name), valuesAs: asExtVars}
	if !fs.ValidPath(set.file) {
		return settings{}, renderer.Refuse(request.Dir, 0, "source.jsonnet.path %q leads out of the repository", name)
	}
	data, err := json.Marshal(request.Config)
	if err != nil {
		return settings{}, fmt.Errorf("cannot read the configuration: %w", err)
	}
	var config struct {
		ImportPaths []string `json:"importPaths"`
		ValuesAs    string   `json:"valuesAs"`
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return settings{}, fmt.Errorf("cannot read the configuration: %w", err)
	}
	for _, folder := range config.ImportPaths {
		full := path.Join(request.Dir, folder)
		if path.IsAbs(folder) || !fs.ValidPath(full) {
			return settings{}, renderer.Refuse(set.file, 0, "import path %q leads out of the repository", folder)
		}
		set.importPaths = append(set.importPaths, full)
	}
	switch config.ValuesAs {
	case "":
	case asExtVars, asTLAs:
		set.valuesAs = config.ValuesAs
	default:
		return settings{}, renderer.Refuse(set.file, 0, "valuesAs %q is neither ExtVars nor TLAs", config.ValuesAs)
	}
	return set, nil
}

// bind hands over the values, each top-level key as one variable or argument. JSON is Jsonnet, so types are kept.
func bind(vm *jsonnet.VM, settings settings, values map[string]any) error {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		code, err := content.CanonicalJSON(values[name])
		if err != nil {
			return fmt.Errorf("cannot hand over value %q: %w", name, err)
		}
		if settings.valuesAs == asTLAs {
			vm.TLACode(name, string(code))
		} else {
			vm.ExtCode(name, string(code))
		}
	}
	return nil
}
