package kustomize

import (
	"regexp"
	"strings"

	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// explain names the file that an error of the library is about. The library tells the way down to it, folder by folder, and
// often twice: once as a file, once as a folder.
func (w *walk) explain(root, main string, err error) error {
	if len(w.broken) > 0 {
		return w.broken[0]
	}
	text := strings.Join(strings.Fields(err.Error()), " ")
	file, at := main, -1
	// Of what it names, the last is the nearest to the mistake.
	for folder, kustomization := range w.seen {
		if found := lastMention(text, "/"+folder.folder); found > at && folder.folder != root {
			file, at = kustomization, found
		}
	}
	fileAt := -1
	for name := range w.files.read {
		if found := lastMention(text, "/"+name); found > fileAt || found == fileAt && found >= 0 && name > file {
			file, fileAt = name, found
		}
	}
	line := 0
	if found := fieldOf.FindStringSubmatch(text); found != nil {
		if document, ok := w.documents[file]; ok {
			line = document.LineOf(found[1] + found[2])
		}
	}
	// Inside the repository, "/" is its root.
	return renderer.Refuse(file, line, "%s", strings.ReplaceAll(tidy(text), "'/", "'"))
}

// lastMention of a path in a text, where it is not part of a longer one.
func lastMention(text, path string) int {
	for end := len(text); end > 0; {
		at := strings.LastIndex(text[:end], path)
		if at < 0 {
			return -1
		}
		rest := text[at+len(path):]
		if rest == "" || strings.IndexAny(rest[:1], "'\":, )`") == 0 {
			return at
		}
		end = at + len(path) - 1
	}
	return -1
}

var (
	// asFolder is what the library adds when it tried a file that it could not read as a folder, too.
	asFolder = regexp.MustCompile(`: must build at directory: .*$`)
	// fieldOf a kustomization that the library could not read.
	fieldOf = regexp.MustCompile(`Go struct field Kustomization\.([A-Za-z.]+) of type|unknown field "([A-Za-z]+)"`)
	wayDown = regexp.MustCompile(`^(?:accumulating resources: |accumulation err='(?:[^']|'[^']*')*': |recursed accumulation of path '[^']*': )`)
)

func tidy(text string) string {
	for {
		shorter := asFolder.ReplaceAllString(wayDown.ReplaceAllString(text, ""), "")
		if shorter == text || shorter == "" {
			return text
		}
		text = shorter
	}
}
