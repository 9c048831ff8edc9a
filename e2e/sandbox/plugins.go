package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"sigs.k8s.io/yaml"
)

// pluginsFile declares the external plugins to the hub.
func (c Config) pluginsFile() string { return c.path("hub", "plugins.yaml") }

func (c Config) pluginsDir() string { return c.binary("plugins") }

// declarePlugins writes the file that names every program beside the sandbox's own as an external renderer, with the
// checksum of what lies there now.
func declarePlugins(cfg Config) error {
	type plugin struct {
		Name   string `json:"name"`
		Type   string `json:"type"`
		Path   string `json:"path"`
		SHA256 string `json:"sha256"`
	}
	declared := struct {
		Plugins []plugin `json:"plugins"`
	}{Plugins: []plugin{}}
	programs, err := os.ReadDir(cfg.pluginsDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot look for plugins: %w", err)
	}
	for _, program := range programs {
		data, err := os.ReadFile(cfg.binary("plugins/" + program.Name()))
		if err != nil {
			return fmt.Errorf("cannot read plugin %q: %w", program.Name(), err)
		}
		sum := sha256.Sum256(data)
		declared.Plugins = append(declared.Plugins, plugin{Name: program.Name(), Type: "renderer", Path: program.Name(), SHA256: hex.EncodeToString(sum[:])})
	}
	data, err := yaml.Marshal(declared)
	if err != nil {
		return err
	}
	return writePrivate(cfg.pluginsFile(), data)
}
