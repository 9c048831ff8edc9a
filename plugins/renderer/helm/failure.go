package helm

import (
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// origin is where a chart came from, for the names of its files in errors.
type origin struct {
	// root is the chart's folder in the repository, or name@version of a fetched chart.
	root string
	// name of the chart, with which its templates' names begin.
	name string
}

// file of a template's name, such as chart/charts/sub/templates/x.yaml.
func (o origin) file(template string) string {
	return path.Join(o.root, strings.TrimPrefix(template, o.name+"/"))
}

var (
	// direct is what the engine says of a template that cannot be parsed, and of fail and required.
	direct = regexp.MustCompile(`(?s)^(?:parse|execution) error at \(([^():]+):(\d+)(?::\d+)?\): (.*)$`)
	// position of a template: file:line:column or file:line.
	position  = regexp.MustCompile(`([^\s():"<>]+):(\d+)(?::\d+)?`)
	executing = regexp.MustCompile(`executing "[^"]*" at (<.*?>): *`)
)

// refuse turns an error of the template engine into one with the place in the template. Where templates include each other,
// the innermost place is the mistake's, and the outermost is named as the way to it.
func (o origin) refuse(err error) error {
	text := err.Error()
	if found := direct.FindStringSubmatch(text); found != nil {
		line, _ := strconv.Atoi(found[2])
		return renderer.Refuse(o.file(found[1]), line, "%s", oneLine(found[3]))
	}
	var places []string
	var file string
	var line int
	for _, found := range position.FindAllStringSubmatch(text, -1) {
		if strings.HasPrefix(found[1], o.name+"/") {
			file = o.file(found[1])
			line, _ = strconv.Atoi(found[2])
			places = append(places, file+":"+found[2])
		}
	}
	if len(places) == 0 {
		return renderer.Refuse(path.Join(o.root, "Chart.yaml"), 0, "%s", oneLine(text))
	}
	message := reason(text)
	if places[0] != places[len(places)-1] {
		message += " (from " + places[0] + ")"
	}
	return renderer.Refuse(file, line, "%s", message)
}

// reason is the engine's message without the places: the last line of its trace, with the expression that failed.
func reason(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	last := strings.TrimSpace(lines[len(lines)-1])
	if at := executing.FindAllStringSubmatchIndex(last, -1); len(at) > 0 {
		return oneLine(executing.ReplaceAllString(last[at[len(at)-1][0]:], "$1: "))
	}
	if at := executing.FindAllStringSubmatch(text, -1); len(at) > 0 {
		return oneLine(at[len(at)-1][1] + ": " + last)
	}
	return oneLine(last)
}
