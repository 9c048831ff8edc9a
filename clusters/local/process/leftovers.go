package process

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// record is the content of a pid file.
type record struct {
	Pid   int    `json:"pid"`
	Start string `json:"start"`
}

func writePid(path string, pid int) error {
	data, err := json.Marshal(record{Pid: pid, Start: startOf(pid)})
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", data, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// EndLeftovers ends every process that a parent, now dead, left with a pid file below the folder, and removes the pid files.
// Children whose parent lives are left alone.
func EndLeftovers(ctx context.Context, folder string) error {
	var all error
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		if !entry.IsDir() && strings.HasSuffix(path, ".pid") {
			all = errors.Join(all, endUnlessOwned(ctx, path))
		}
		return nil
	})
	for _, path := range unrecorded(folder) {
		all = errors.Join(all, endUnlessOwned(ctx, path))
	}
	return errors.Join(all, err)
}

func endUnlessOwned(ctx context.Context, pidFile string) error {
	lock, err := lockFile(pidFile + ".lock")
	if errors.Is(err, ErrRunning) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	return endRecorded(ctx, pidFile, defaultGrace)
}

// endRecorded ends what the pid file names, if it is still that process, and every process marked with the pid file.
func endRecorded(ctx context.Context, pidFile string, grace time.Duration) error {
	alive := func() []int {
		pids := marked(absolute(pidFile))
		if data, err := os.ReadFile(pidFile); err == nil {
			var r record
			if json.Unmarshal(data, &r) == nil && r.Pid > 1 && r.Start != "" && startOf(r.Pid) == r.Start {
				pids = append(pids, r.Pid)
			}
		}
		return pids
	}
	deadline := time.Now().Add(grace)
	send := syscall.SIGTERM
	for {
		pids := alive()
		if len(pids) == 0 {
			break
		}
		if time.Now().After(deadline) {
			send = syscall.SIGKILL
		}
		for _, pid := range pids {
			signalGroup(pid, send)
			_ = syscall.Kill(pid, send)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("cannot end the process %d that was left: %w", pids[0], ctx.Err())
		case <-time.After(poll):
		}
	}
	if err := os.Remove(pidFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// signalGroup signals the group that pid leads. A pid that leads none (it was found by its mark) is no error.
func signalGroup(pid int, signal syscall.Signal) {
	if pid > 1 {
		_ = syscall.Kill(-pid, signal)
	}
}

// marked lists living processes, but not this one, whose environment says that they belong to the pid file.
func marked(pidFile string) []int {
	var pids []int
	eachMarked(func(pid int, path string) {
		if path == pidFile && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	})
	return pids
}

// unrecorded lists pid files below the folder that living processes are marked with, and that do not exist: their parent
// was killed between starting and recording them.
func unrecorded(folder string) []string {
	found := map[string]bool{}
	prefix := absolute(folder) + string(filepath.Separator)
	eachMarked(func(_ int, path string) {
		if strings.HasPrefix(path, prefix) {
			if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
				found[path] = true
			}
		}
	})
	paths := make([]string, 0, len(found))
	for path := range found {
		paths = append(paths, path)
	}
	return paths
}

// eachMarked reads /proc, and finds nothing where there is none: then pid files alone must do.
func eachMarked(visit func(pid int, pidFile string)) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		environ, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "environ"))
		if err != nil {
			continue
		}
		for _, variable := range bytes.Split(environ, []byte{0}) {
			if path, ok := strings.CutPrefix(string(variable), marker+"="); ok {
				visit(pid, path)
			}
		}
	}
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
