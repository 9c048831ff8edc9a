//go:build !linux

package host

import (
	"errors"
	"syscall"
)

// attributes of a plugin's process: only Linux has more.
func attributes(bool) *syscall.SysProcAttr { return nil }

// noNamespaces is why processes cannot be made in namespaces of their own here.
func noNamespaces() error { return errors.New("plugins are confined on Linux only") }

// limit bounds nothing here; GOMEMLIMIT still asks Go programs to keep within it.
func limit(int, int64) error { return nil }

func killGroup(int) {}

// gone is not known here.
func gone(int) bool { return false }
