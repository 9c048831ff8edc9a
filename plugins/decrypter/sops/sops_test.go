package sops_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/periplus-fleet/periplus/plugins/decrypter/sops"
	"github.com/periplus-fleet/periplus/plugins/sdk/decrypter"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// testdata was made by the sops command; it is that of the package which reads documents.
const testdata = "../../../api/sops/testdata"

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(testdata, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func put(t *testing.T, folder, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name), read(t, name), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestConfigure(t *testing.T) {
	full, damaged := t.TempDir(), t.TempDir()
	put(t, full, "right.agekey")
	if err := os.WriteFile(filepath.Join(damaged, "a.agekey"), []byte("AGE-SECRET-KEY-nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		reason string
		config map[string]any
		want   string
	}{
		"Folder":       {"keys in a folder", map[string]any{"keysDir": full}, ""},
		"Nothing":      {"there is no default", nil, "keysDir: want the absolute path"},
		"Relative":     {"a plugin's own folder is temporary", map[string]any{"keysDir": "keys"}, "keysDir: want the absolute path"},
		"Empty":        {"no key is a mistake", map[string]any{"keysDir": t.TempDir()}, "holds no *.agekey and no *.asc"},
		"Damaged":      {"so is one that cannot be read", map[string]any{"keysDir": damaged}, `key "a.agekey"`},
		"UnknownField": {"a typing error is told", map[string]any{"keysDir": full, "key": "x"}, "key: unknown field"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			err := sops.New().Configure(tc.config)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: got error %v, want %q", tc.reason, err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "nonsense") {
				t.Errorf("the error shows a part of the key: %v", err)
			}
		})
	}
}

func TestKeysAreReplacedWhileItRuns(t *testing.T) {
	folder := t.TempDir()
	put(t, folder, "wrong.agekey")
	tested := sops.New()
	request := decrypter.Request{Path: "a/file.bin", Format: "binary", Data: read(t, "file.bin")}
	if _, err := tested.Decrypt(t.Context(), request); err == nil {
		t.Error("a file was opened before any configuration")
	}
	if err := tested.Configure(map[string]any{"keysDir": folder}); err != nil {
		t.Fatal(err)
	}
	_, err := tested.Decrypt(t.Context(), request)
	var refused *renderer.Error
	if !errors.As(err, &refused) || refused.File != "a/file.bin" {
		t.Errorf("with another's key: got %v, want a *renderer.Error of the file", err)
	}
	put(t, folder, "right.agekey")
	got, err := tested.Decrypt(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if want := read(t, "plain/file.txt"); string(got) != string(want) {
		t.Errorf("got %d bytes that differ from the %d that were encrypted", len(got), len(want))
	}
}
