// Package renderer is what every renderer implements: it turns the files beside a bundle into Kubernetes objects, as the
// base layer of the hub's render stage. A renderer reads nothing but the file system that it is given, runs no program,
// opens no connection and asks no cluster, so that equal requests give equal results.
package renderer

import (
	"context"
	"fmt"
	"io/fs"
)

// Renderer turns files into objects. It must be safe for concurrent use.
type Renderer interface {
	// Name and Version are part of the cache key of what it renders.
	Name() string
	Version() string
	// TakesValues says whether a request may hold values; values given to another renderer are refused.
	TakesValues() bool
	Render(ctx context.Context, request Request) (Result, error)
}

// Request is everything that a rendering may depend on.
type Request struct {
	// FS is rooted at the repository.
	FS fs.FS
	// Dir is the bundle's folder, slash-separated and relative to FS.
	Dir string
	// Path of the chart or kustomization, relative to Dir; "" is Dir itself.
	Path string
	// ValuesFiles relative to Dir, later ones over earlier ones.
	ValuesFiles []string
	// Values over those of the files; JSON values only.
	Values map[string]any
	// Capabilities of the clusters rendered for.
	Capabilities Capabilities
	ReleaseName  string
	// Namespace of the release: the bundle's.
	Namespace string
}

// Capabilities of a cluster that a renderer may ask for.
type Capabilities struct {
	// KubeVersion such as v1.36.3.
	KubeVersion string
}

// Result of a rendering, in the renderer's order.
type Result struct {
	Objects []Object
}

// Object is one rendered object.
type Object struct {
	// Value holds JSON values: maps, slices, strings, booleans, nil, int64 and float64.
	Value map[string]any
	// Source is "file" or "file:line", relative to FS.
	Source string
}

// Error is a mistake in a user's file.
type Error struct {
	File string
	// Line from 1; 0 where the whole file is meant.
	Line    int
	Message string
}

// Error is "file:line: message".
func (e *Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Message
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Message)
}

// Refuse is an Error with a formatted message.
func Refuse(file string, line int, format string, args ...any) error {
	return &Error{File: file, Line: line, Message: fmt.Sprintf(format, args...)}
}
