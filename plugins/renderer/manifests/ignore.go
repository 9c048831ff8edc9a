package manifests

import (
	"fmt"
	"regexp"
	"strings"
)

// IgnoreFile names the file whose lines say which files of the bundle's folder are no manifests, as .gitignore does: a
// pattern with a slash is meant from the bundle's folder on, one without at any depth; a trailing slash means folders only,
// ** any number of folders, ! takes back what earlier lines ignored. The last pattern that matches counts.
const IgnoreFile = ".periplusignore"

type ignore []pattern

type pattern struct {
	expression  *regexp.Regexp
	foldersOnly bool
	takesBack   bool
}

// parseIgnore names the line of a pattern that cannot be read.
func parseIgnore(text string) (patterns ignore, line int, err error) {
	for one := range strings.SplitSeq(text, "\n") {
		line++
		one = strings.TrimRight(one, " \t\r")
		if one == "" || strings.HasPrefix(one, "#") {
			continue
		}
		read, err := parsePattern(one)
		if err != nil {
			return nil, line, fmt.Errorf("pattern %q cannot be read: %w", one, err)
		}
		patterns = append(patterns, read)
	}
	return patterns, 0, nil
}

func parsePattern(text string) (pattern, error) {
	var read pattern
	text, read.takesBack = strings.CutPrefix(text, "!")
	text, read.foldersOnly = strings.CutSuffix(text, "/")
	prefix := "^(?:.*/)?"
	if strings.Contains(text, "/") {
		prefix, text = "^", strings.TrimPrefix(text, "/")
	}
	body, err := translate(text)
	if err != nil {
		return pattern{}, err
	}
	read.expression, err = regexp.Compile(prefix + body + "$")
	return read, err
}

// translate a glob into an expression.
func translate(glob string) (string, error) {
	var out strings.Builder
	for len(glob) > 0 {
		switch {
		case strings.HasPrefix(glob, "**/"):
			out.WriteString("(?:.*/)?")
			glob = glob[3:]
		case strings.HasPrefix(glob, "**"):
			out.WriteString(".*")
			glob = glob[2:]
		case glob[0] == '*':
			out.WriteString("[^/]*")
			glob = glob[1:]
		case glob[0] == '?':
			out.WriteString("[^/]")
			glob = glob[1:]
		case glob[0] == '[':
			end := strings.IndexByte(glob[1:], ']')
			if end < 1 {
				return "", fmt.Errorf("[ is not closed")
			}
			class := strings.ReplaceAll(glob[1:end+1], `\`, `\\`)
			if class[0] == '!' {
				class = "^" + class[1:]
			}
			out.WriteString("[" + class + "]")
			glob = glob[end+2:]
		case glob[0] == '\\' && len(glob) > 1:
			out.WriteString(regexp.QuoteMeta(glob[1:2]))
			glob = glob[2:]
		default:
			end := strings.IndexAny(glob[1:], `*?[\`) + 1
			if end == 0 {
				end = len(glob)
			}
			out.WriteString(regexp.QuoteMeta(glob[:end]))
			glob = glob[end:]
		}
	}
	return out.String(), nil
}

func (i ignore) match(relative string, folder bool) (ignored bool) {
	for _, one := range i {
		if one.takesBack == ignored && (folder || !one.foldersOnly) && one.expression.MatchString(relative) {
			ignored = !ignored
		}
	}
	return ignored
}
