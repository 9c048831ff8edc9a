package chart

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// pick chooses a version: the very one that is asked for, else the newest in the range. "" is the newest that is no
// pre-release. What is no version is passed over.
func pick(asked string, offered []string) (string, error) {
	if slices.Contains(offered, asked) {
		return asked, nil
	}
	within, err := constraint(asked)
	if err != nil {
		return "", err
	}
	var known []*semver.Version
	for _, text := range offered {
		if version, err := semver.NewVersion(text); err == nil {
			known = append(known, version)
		}
	}
	// The newest first; of equals the one that is offered first.
	slices.SortStableFunc(known, func(a, b *semver.Version) int { return b.Compare(a) })
	for _, version := range known {
		if within.Check(version) {
			return version.Original(), nil
		}
	}
	if len(known) == 0 {
		return "", errors.New("no version is offered")
	}
	var newest []string
	for _, version := range known[:min(3, len(known))] {
		newest = append(newest, version.Original())
	}
	return "", fmt.Errorf("no version matches %q; the newest are %s: change source.helm.version", asked, strings.Join(newest, ", "))
}

func constraint(asked string) (*semver.Constraints, error) {
	if asked == "" {
		asked = ">0.0.0"
	}
	within, err := semver.NewConstraint(asked)
	if err != nil {
		return nil, fmt.Errorf("source.helm.version %q is no version and no range: %w", asked, err)
	}
	return within, nil
}

// exact says whether a version is one, and no range.
func exact(asked string) bool {
	_, err := semver.StrictNewVersion(strings.TrimPrefix(asked, "v"))
	return err == nil
}
