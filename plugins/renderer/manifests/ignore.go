package manifests

import (
	"path"
	"strings"
)

// IgnoreFile names the file whose lines say which files of the bundle's folder are no manifests.
const IgnoreFile = ".periplusignore"

// ignore holds the patterns of an ignore file: one a line, # for remarks. A pattern with a slash is matched against the
// path from the bundle's folder, one without against the name at any depth; a trailing slash means folders only.
type ignore []string

func parseIgnore(text string) ignore {
	var patterns ignore
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "#") {
			patterns = append(patterns, line)
		}
	}
	return patterns
}

func (i ignore) match(relative string, folder bool) (bool, error) {
	for _, pattern := range i {
		plain, foldersOnly := strings.CutSuffix(pattern, "/")
		if foldersOnly && !folder {
			continue
		}
		subject := relative
		if strings.Contains(plain, "/") {
			plain = strings.TrimPrefix(plain, "/")
		} else {
			subject = path.Base(relative)
		}
		matched, err := path.Match(plain, subject)
		if err != nil || matched {
			return matched, err
		}
	}
	return false, nil
}
