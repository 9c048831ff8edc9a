package importer

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

// maxName leaves room for what a Helm release name may have.
const maxName = 53

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// Name makes a valid name of a bundle or cluster; a long one is cut and keeps a part of its hash.
func Name(text string) string {
	name := strings.Trim(notInName.ReplaceAllString(strings.ToLower(text), "-"), "-")
	if name == "" {
		name = "root"
	}
	if len(name) > maxName {
		sum := sha256.Sum256([]byte(text))
		name = strings.TrimRight(name[:maxName-9], "-") + "-" + hex.EncodeToString(sum[:4])
	}
	return name
}
