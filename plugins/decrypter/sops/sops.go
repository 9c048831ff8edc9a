// Package sops is the hub's own decrypter: it opens SOPS files for bundles with decrypt: hub, with age and OpenPGP keys that
// lie in a folder of the hub, mostly a mounted Secret. Keys of a cloud's key service are for plugins of others.
package sops

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/periplus-fleet/periplus/api/sops"
	"github.com/periplus-fleet/periplus/plugins/sdk/decrypter"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// Decrypter of SOPS files.
type Decrypter struct {
	mu sync.Mutex
	// folder of the keys.
	folder string
}

// New makes a decrypter, which opens nothing until it is configured.
func New() *Decrypter { return &Decrypter{} }

// Name is sops.
func (*Decrypter) Name() string { return "sops" }

// Version of what it understands.
func (*Decrypter) Version() string { return "1" }

// Configure takes keysDir, the folder with keys in files *.agekey and *.asc. They are read anew for each file, so that keys
// can be replaced while the hub runs.
func (d *Decrypter) Configure(config map[string]any) error {
	folder, ok := config["keysDir"].(string)
	if !ok || !filepath.IsAbs(folder) {
		return errors.New("keysDir: want the absolute path of a folder with keys in files *.agekey and *.asc")
	}
	for name := range config {
		if name != "keysDir" {
			return fmt.Errorf("%s: unknown field; want keysDir", name)
		}
	}
	if _, err := readKeys(folder); err != nil {
		return fmt.Errorf("keysDir: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.folder = folder
	return nil
}

// Reads are the folders that a configuration names.
func Reads(config map[string]any) []string {
	if folder, ok := config["keysDir"].(string); ok {
		return []string{folder}
	}
	return nil
}

func readKeys(folder string) (*sops.Keys, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	data := map[string][]byte{}
	for _, entry := range entries {
		if name := entry.Name(); strings.HasSuffix(name, sops.AgeSuffix) || strings.HasSuffix(name, sops.PGPSuffix) {
			if data[name], err = os.ReadFile(filepath.Join(folder, name)); err != nil {
				return nil, err
			}
		}
	}
	if len(data) == 0 {
		return nil, fmt.Errorf("%s holds no *.agekey and no *.asc", folder)
	}
	return sops.ReadKeys(data)
}

// Decrypt opens one file. No error holds anything of the plaintext.
func (d *Decrypter) Decrypt(_ context.Context, request decrypter.Request) ([]byte, error) {
	d.mu.Lock()
	folder := d.folder
	d.mu.Unlock()
	if folder == "" {
		return nil, errors.New("cannot open a file: no keys are configured")
	}
	keys, err := readKeys(folder)
	if keys == nil {
		return nil, fmt.Errorf("cannot read the keys: %w", err)
	}
	plaintext, err := sops.Plain(request.Data, sops.Format(request.Format), keys)
	if err != nil {
		return nil, renderer.Refuse(request.Path, 0, "cannot decrypt it: %v", err)
	}
	return plaintext, nil
}
