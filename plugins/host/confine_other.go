//go:build !linux

package host

import (
	"errors"
	"syscall"
)

// attributes of a plugin's process: only Linux has more.
func attributes(bool) *syscall.SysProcAttr { return nil }

// unconfined is why plugins cannot be kept off the network here.
func unconfined() error { return errors.New("plugins are confined on Linux only") }

// limit bounds nothing here; GOMEMLIMIT still asks Go programs to keep within it.
func limit(int, int64) error { return nil }

func killGroup(int) {}
