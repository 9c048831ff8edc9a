package jsonnet

import (
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"

	"github.com/google/go-jsonnet"
	"github.com/google/go-jsonnet/ast"

	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// maxFrames of the stack that a message shows.
const maxFrames = 3

// catcher takes the place of the library's formatter, which would leave only text of an error.
type catcher struct{ err error }

func (c *catcher) Format(err error) string {
	c.err = err
	return err.Error()
}

// SetMaxStackTraceSize is not used.
func (*catcher) SetMaxStackTraceSize(int) {}

// SetColorFormatter is not used.
func (*catcher) SetColorFormatter(jsonnet.ColorFormatter) {}

func (c *catcher) cause(err error) error {
	if c.err != nil {
		return c.err
	}
	return err
}

// explain turns an error of the library into file, line and column: of the place nearest to the mistake that is in a file of
// the repository, as the library's own functions are nobody's to mend.
func explain(file string, err error) error {
	switch typed := err.(type) { //nolint:errorlint // the library returns them bare
	case jsonnet.RuntimeError:
		return explainRuntime(file, typed)
	case interface{ Loc() ast.LocationRange }:
		at := typed.Loc()
		if !inRepository(at) {
			break
		}
		return refuseAt(at, strings.TrimSpace(strings.TrimPrefix(err.Error(), at.String())), nil)
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	if stack, crash := strings.CutPrefix(text, "(CRASH) "); crash {
		text = "the evaluation crashed: " + stack
	}
	return renderer.Refuse(file, 0, "%s", text)
}

func explainRuntime(file string, err jsonnet.RuntimeError) error {
	message, _, _ := strings.Cut(err.Msg, "\n")
	var frames []ast.LocationRange
	for i := range err.StackTrace {
		if at := err.StackTrace[len(err.StackTrace)-1-i].Loc; inRepository(at) {
			frames = append(frames, at)
		}
	}
	if len(frames) == 0 {
		return renderer.Refuse(file, 0, "%s", message)
	}
	if at, rest, ok := locationIn(message); ok {
		return refuseAt(at, rest, frames)
	}
	return refuseAt(frames[0], message, frames[1:])
}

// inMessage is the place of a syntax error in an imported file, which the library has in the text alone.
var inMessage = regexp.MustCompile(`^([^: ]+):\(?(\d+):(\d+)[^ ]* (.*)$`)

func locationIn(message string) (at ast.LocationRange, rest string, ok bool) {
	found := inMessage.FindStringSubmatch(message)
	if found == nil || !fs.ValidPath(found[1]) {
		return at, "", false
	}
	at.FileName = found[1]
	at.Begin.Line, _ = strconv.Atoi(found[2])
	at.Begin.Column, _ = strconv.Atoi(found[3])
	return at, found[4], true
}

func inRepository(at ast.LocationRange) bool { return at.IsSet() && fs.ValidPath(at.FileName) }

func refuseAt(at ast.LocationRange, message string, callers []ast.LocationRange) error {
	var stack strings.Builder
	last := at.Begin.Line
	for _, caller := range callers {
		if shown := strings.Count(stack.String(), " <- "); shown == maxFrames {
			break
		}
		if caller.FileName == at.FileName && caller.Begin.Line == last {
			continue
		}
		last = caller.Begin.Line
		fmt.Fprintf(&stack, " <- %s:%d:%d", caller.FileName, caller.Begin.Line, caller.Begin.Column)
	}
	from := ""
	if stack.Len() > 0 {
		from = " (from" + strings.TrimPrefix(stack.String(), " <-") + ")"
	}
	return renderer.Refuse(at.FileName, at.Begin.Line, "column %d: %s%s", at.Begin.Column, message, from)
}
