// Package version decides which version of Kubernetes a member behaves as. There is one binary; it can emulate its own minor
// version and the two before, and nothing goes back: what a newer version stored an older one may not know.
package version

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrRefused marks a version that this provider cannot run.
var ErrRefused = errors.New("version refused")

// reach is how many minor versions before its own the binary emulates.
const reach = 2

// Minor of a version such as v1.36.3 or 1.36.
func Minor(version string) (int, error) {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) < 2 || parts[0] != "1" {
		return 0, fmt.Errorf("cannot read version %q: it must look like v1.36.0", version)
	}
	minor, err := strconv.Atoi(parts[1])
	if err != nil || minor < 0 {
		return 0, fmt.Errorf("cannot read version %q: it must look like v1.36.0", version)
	}
	return minor, nil
}

// Choose says what the API server is to behave as, such as "1.35", when it is wanted at a version, runs at another ("" when
// it never ran), and the binary was built as one.
func Choose(wanted, running, built string) (string, error) {
	want, err := Minor(wanted)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrRefused, err)
	}
	own, err := Minor(built)
	if err != nil {
		return "", err
	}
	if want > own || want < own-reach {
		return "", fmt.Errorf("%w: cannot run %s: this provider runs 1.%d to 1.%d", ErrRefused, wanted, own-reach, own)
	}
	if running != "" {
		now, err := Minor(running)
		if err != nil {
			return "", err
		}
		if want < now {
			return "", fmt.Errorf("%w: cannot go back from %s to %s: stored objects may be newer than it knows", ErrRefused, running, wanted)
		}
	}
	return fmt.Sprintf("1.%d", want), nil
}
