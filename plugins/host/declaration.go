package host

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/periplus-fleet/periplus/plugins/internal/wire"
)

// BuiltIn is the Source of plugins that the hub brings with it.
const BuiltIn = "built-in"

// Declaration of a plugin: what an administrator says may run.
type Declaration struct {
	Name string
	Type string
	// Command of a built-in plugin; others have Dir, Path and SHA256.
	Command []string
	// Path of the program, relative to Dir, which it may not leave.
	Dir, Path string
	// SHA256 of the program, in hex.
	SHA256 string
	Config map[string]any
	// Network is whether it may reach the network.
	Network bool
	// Read are files and folders that it may read beside those of the system.
	Read []string
	// Memory in bytes, Timeout of a call, Processes at most; 0 takes the default.
	Memory    int64
	Timeout   time.Duration
	Processes int
}

// spec checks the declaration. The program of an external plugin is opened, checked and kept open, so that what was checked
// is what runs, whatever comes to lie at its path.
func (d Declaration) spec() (Spec, error) {
	spec := Spec{Name: d.Name, Type: d.Type, Source: BuiltIn, Config: d.Config, Network: d.Network, Memory: d.Memory, Timeout: d.Timeout,
		Processes: d.Processes, MaxAnswer: DefaultMaxAnswer, Read: d.Read}
	if spec.Memory == 0 {
		spec.Memory = DefaultMemory
	}
	if spec.Timeout == 0 {
		spec.Timeout = DefaultTimeout
	}
	if spec.Processes == 0 {
		spec.Processes = runtime.GOMAXPROCS(0)
	}
	if d.Path != "" {
		spec.Source = d.Path
	}
	switch {
	case d.Name == "":
		return spec, errors.New("it has no name")
	case spec.Memory < MinMemory:
		return spec, fmt.Errorf("its memory of %s is less than %s, with which a Go program starts", size(spec.Memory), size(MinMemory))
	case spec.Timeout < 0 || spec.Processes < 0:
		return spec, errors.New("its timeout and processes must be positive")
	case len(d.Command) > 0:
		spec.Program, spec.Args = d.Command[0], d.Command
		return spec, nil
	case d.Path == "":
		return spec, errors.New("it has no path")
	case !filepath.IsLocal(d.Path):
		return spec, fmt.Errorf("its path %q leads out of the plugins' folder", d.Path)
	}
	path := filepath.Join(d.Dir, d.Path)
	file, err := check(path, d.SHA256)
	if err != nil {
		return spec, err
	}
	config, err := wire.EncodeObject(d.Config)
	if err != nil {
		return spec, fmt.Errorf("config: %w", err)
	}
	identity := sha256.Sum256(append([]byte(d.SHA256+"\n"), config...))
	spec.program, spec.Identity, spec.Args = file, hex.EncodeToString(identity[:6]), []string{path}
	spec.Program = path
	if runtime.GOOS == "linux" {
		spec.Program = fmt.Sprintf("/proc/self/fd/%d", file.Fd())
	}
	return spec, nil
}

// check opens a program whose content has the checksum.
func check(path, want string) (*os.File, error) {
	if len(want) != hex.EncodedLen(sha256.Size) {
		return nil, fmt.Errorf("its sha256 must be the %d hex digits that `sha256sum %s` prints", hex.EncodedLen(sha256.Size), path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read its program: %w", err)
	}
	hash := sha256.New()
	info, err := file.Stat()
	switch {
	case err == nil && (!info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0):
		err = fmt.Errorf("its program %q is not an executable file", path)
	case err == nil:
		_, err = io.Copy(hash, file)
	}
	if got := hex.EncodeToString(hash.Sum(nil)); err == nil && got != want {
		err = fmt.Errorf("its program %q has sha256 %s, not %s as declared", path, got, want)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}
