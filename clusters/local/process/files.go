package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Lock takes a lock file for this process; it is ErrRunning when another living process has it.
func Lock(path string) (io.Closer, error) { return lockFile(path) }

// lockFile takes a lock that the system drops when this process ends, however it ends.
func lockFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s is locked by another process", ErrRunning, path)
		}
		return nil, err
	}
	return file, nil
}

// startOf is the start time of a living process in the system's own form; "" when there is none (a zombie is none).
func startOf(pid int) string {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err == nil {
		// The name, in brackets, may hold anything; fields are counted after it. State is the 1st, start time the 20th.
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
			return ""
		}
		return fields[19]
	}
	if _, err := os.Stat("/proc/self/stat"); err == nil {
		return ""
	}
	started, err := exec.Command("ps", "-o", "lstart=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(started))
}

func openLog(path string) (*os.File, error) {
	rotateLog(path)
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
}

// rotateLog copies a log above the limit aside and empties it in place, as the child holds it open. A log that cannot be
// copied goes on growing: losing it would be worse.
func rotateLog(path string) {
	info, err := os.Stat(path)
	if err != nil || info.Size() < logLimit {
		return
	}
	source, err := os.Open(path)
	if err != nil {
		return
	}
	defer func() { _ = source.Close() }()
	target, err := os.Create(path + ".1")
	if err != nil {
		return
	}
	_, err = io.Copy(target, source)
	if errors.Join(err, target.Close()) == nil {
		_ = os.Truncate(path, 0)
	}
}

// Tail is the last lines of a file in one line, for error messages.
func Tail(path string, lines int) string {
	file, err := os.Open(path)
	if err != nil {
		return "(no log)"
	}
	defer func() { _ = file.Close() }()
	const window = 4096
	if info, err := file.Stat(); err == nil && info.Size() > window {
		_, _ = file.Seek(-window, io.SeekEnd)
	}
	data, err := io.ReadAll(file)
	if err != nil {
		return "(no log)"
	}
	all := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], " | ")
}
