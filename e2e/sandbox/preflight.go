package sandbox

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Limits of what the machine must have.
type Limits struct {
	// MemoryMiB free, and DiskMiB free in the sandbox's folder.
	MemoryMiB, DiskMiB uint64
}

// A hub takes about 1.2 GiB with its API server, and each member 0.6 GiB; three members are the example.
const (
	defaultMemoryMiB = 3 << 10
	defaultDiskMiB   = 2 << 10
)

// preflight says everything that is missing, before anything is started.
func preflight(cfg Config, ports Ports) error {
	var missing []error
	miss := func(what, do string) { missing = append(missing, &Failure{What: what, Do: do}) }

	need := cfg.Limits.MemoryMiB
	if need == 0 {
		need = defaultMemoryMiB
	}
	if free, ok := freeMemoryMiB(); ok && free < need {
		miss(fmt.Sprintf("%d MiB of memory are free, %d are needed", free, need), "end other programs or declare fewer clusters")
	}
	need = cfg.Limits.DiskMiB
	if need == 0 {
		need = defaultDiskMiB
	}
	if free, err := freeDiskMiB(cfg.Folder); err == nil && free < need {
		miss(fmt.Sprintf("%d MiB of disk are free in %s, %d are needed", free, cfg.Folder, need), "free some space or choose another folder with --dir")
	}
	if _, err := exec.LookPath("git"); err != nil {
		miss("git is not on the PATH", "install git")
	} else if _, err := gitBackend(); err != nil {
		miss("git http-backend is not installed", "install the full git package of your system")
	}
	for _, name := range []string{"kube", "periplus-hub", "periplus-agent"} {
		if info, err := os.Stat(cfg.binary(name)); err != nil || info.Mode()&0o111 == 0 {
			miss(cfg.binary(name)+" is not there", "run make build")
		}
	}
	for _, name := range slices.Sorted(ports.names()) {
		if err := portFree(ports[name]); err != nil {
			miss(fmt.Sprintf("port %d (%s) is in use", ports[name], name), "end the program that listens on it, or make sandbox-reset for other ports")
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return &Failure{What: "this machine is not ready", Err: oneLine(errors.Join(missing...))}
}

// oneLine joins the lines of joined errors.
func oneLine(err error) error {
	return errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
}

func portFree(port int) error {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	return listener.Close()
}

func freeDiskMiB(folder string) (uint64, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(folder, &stat); err != nil {
		return 0, err
	}
	return stat.Bavail * uint64(stat.Bsize) >> 20, nil
}

// freeMemoryMiB is what Linux says is available; other systems do not say.
func freeMemoryMiB() (uint64, bool) {
	data, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
			kib, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib >> 10, err == nil
		}
	}
	return 0, false
}

func gitBackend() (string, error) {
	out, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		return "", err
	}
	path := filepath.Join(strings.TrimSpace(string(out)), "git-http-backend")
	_, err = os.Stat(path)
	return path, err
}
