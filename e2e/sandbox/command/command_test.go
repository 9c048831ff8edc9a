package command

import (
	"io"
	"path/filepath"
	"testing"
)

func TestPathsMeanTheSameToEveryPart(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	for name, fleet := range map[string]string{"Example": "", "Folder": ".", "URL": "https://git.example.com/fleet.git"} {
		o := options{dir: ".sandbox", bin: "bin", fleet: fleet}
		got := o.config(io.Discard)
		if !filepath.IsAbs(got.Folder) || !filepath.IsAbs(got.Bin) {
			t.Errorf("%s: %q and %q depend on the folder that a part runs in", name, got.Folder, got.Bin)
		}
		if name == "URL" && got.Fleet != fleet || name == "Folder" && !filepath.IsAbs(got.Fleet) {
			t.Errorf("%s: the fleet is %q", name, got.Fleet)
		}
	}
}
