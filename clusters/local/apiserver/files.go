package apiserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/periplus-fleet/periplus/clusters/local/pki"
)

func readFile(path string) ([]byte, error) { return os.ReadFile(path) }

// keepPair reads name.crt and name.key of a folder, or makes and writes them. A half-written pair is made anew.
func keepPair(folder, name string, issue func() (pki.Pair, error)) (pki.Pair, error) {
	cert, certErr := os.ReadFile(filepath.Join(folder, name+".crt"))
	key, keyErr := os.ReadFile(filepath.Join(folder, name+".key"))
	if certErr == nil && keyErr == nil {
		return pki.Pair{Cert: cert, Key: key}, nil
	}
	for _, err := range []error{certErr, keyErr} {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return pki.Pair{}, fmt.Errorf("cannot read key pair %q: %w", name, err)
		}
	}
	pair, err := issue()
	if err != nil {
		return pki.Pair{}, err
	}
	if err := writePair(folder, name, pair); err != nil {
		return pki.Pair{}, err
	}
	return pair, nil
}

func writePair(folder, name string, pair pki.Pair) error {
	if err := errors.Join(writeFile(filepath.Join(folder, name+".crt"), pair.Cert), writeFile(filepath.Join(folder, name+".key"), pair.Key)); err != nil {
		return fmt.Errorf("cannot write key pair %q: %w", name, err)
	}
	return nil
}

// writeFile writes whole or not at all, for the owner only.
func writeFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
