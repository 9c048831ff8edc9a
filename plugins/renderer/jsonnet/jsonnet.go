// Package jsonnet renders Jsonnet files with the language's own Go library. Imports are looked up in the repository alone;
// values reach the file as external variables or as top-level arguments.
package jsonnet

import (
	"context"
	"fmt"
	"io"
	"path"
	"time"

	"github.com/google/go-jsonnet"

	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// DefaultFile is evaluated where the bundle names none.
const DefaultFile = "main.jsonnet"

const (
	// maxStack bounds the calls within calls of an evaluation; the library's default of 500 is too low for some libraries.
	maxStack = 2000
	// maxTime bounds an evaluation whose caller sets no earlier end.
	maxTime = time.Minute
)

// Renderer of Jsonnet.
type Renderer struct{ machines *machines }

// New makes a renderer, which keeps what it parsed.
func New() Renderer { return Renderer{machines: &machines{}} }

// Name of the renderer.
func (Renderer) Name() string { return "jsonnet" }

// Version changes when the same files may give other objects: with the library.
func (Renderer) Version() string { return "go-jsonnet-" + jsonnet.Version() }

// TakesValues is true.
func (Renderer) TakesValues() bool { return true }

// Render evaluates the file at request.Path.
func (r Renderer) Render(ctx context.Context, request renderer.Request) (renderer.Result, error) {
	settings, err := settingsOf(request)
	if err != nil {
		return renderer.Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	machine := r.machines.take(request.ContentID, settings)
	machine.importer.files = request.FS
	done := make(chan outcome, 1)
	go func() { done <- machine.evaluate(settings, request.Values) }()
	select {
	case <-ctx.Done():
		// The library cannot be interrupted: a machine that does not end is left alone. A plugin's process dies with it.
		return renderer.Result{}, renderer.Refuse(settings.file, 0, "the evaluation did not end in time: %v", context.Cause(ctx))
	case result := <-done:
		machine.importer.files = nil
		r.machines.giveBack(machine)
		if result.err != nil {
			return renderer.Result{}, result.err
		}
		objects, err := objectsOf(settings.file, result.json)
		return renderer.Result{Objects: objects}, err
	}
}

// machine is a virtual machine with what it parsed. It serves one evaluation at a time.
type machine struct {
	key      string
	vm       *jsonnet.VM
	importer *importer
	caught   *catcher
}

func newMachine(key string, settings settings) *machine {
	m := &machine{key: key, vm: jsonnet.MakeVM(), importer: newImporter(settings.importPaths), caught: &catcher{}}
	m.vm.MaxStack = maxStack
	m.vm.SetTraceOut(io.Discard)
	m.vm.Importer(m.importer)
	m.vm.ErrorFormatter = m.caught
	return m
}

// outcome of an evaluation.
type outcome struct {
	json string
	err  error
}

func (m *machine) evaluate(settings settings, values map[string]any) outcome {
	m.vm.ExtReset()
	m.vm.TLAReset()
	if err := bind(m.vm, settings, values); err != nil {
		return outcome{err: err}
	}
	m.caught.err = nil
	text, err := m.vm.EvaluateFile(settings.file)
	if err != nil {
		return outcome{err: explain(settings.file, m.caught.cause(err))}
	}
	return outcome{json: text}
}

func describeKey(contentID string, settings settings) string {
	return fmt.Sprintf("%s %q %q", contentID, path.Dir(settings.file), settings.importPaths)
}
