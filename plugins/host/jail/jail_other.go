//go:build !linux

package jail

import "errors"

// NoNetwork is why a process cannot be kept off the network here.
func NoNetwork() error { return errors.New("plugins are confined on Linux only") }

func enter(Spec) error { return errors.New("plugins are confined on Linux only") }
