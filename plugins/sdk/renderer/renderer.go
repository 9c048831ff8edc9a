// Package renderer is what a renderer plugin implements: it turns the files of a bundle into Kubernetes objects, as the base
// layer of the hub's render stage. A renderer reads nothing but the file systems that it is given, opens no connection and
// asks no cluster, so that equal requests give equal results.
package renderer

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/periplus-fleet/periplus/api/content"
)

// Renderer turns files into objects. It must be safe for concurrent use.
type Renderer interface {
	// Name and Version are part of the cache key of what it renders: a new Version renders everything anew.
	Name() string
	Version() string
	// TakesValues says whether a request may hold values; values given to another renderer are refused.
	TakesValues() bool
	Render(ctx context.Context, request Request) (Result, error)
}

// Request is everything that a rendering may depend on.
type Request struct {
	// FS is rooted at the repository. Symbolic links in it never lead out of it.
	FS fs.FS `json:"-"`
	// ContentID names what of FS this rendering may read: equal ids mean equal files, so that what was parsed once may be
	// kept. "" says nothing.
	ContentID string
	// Dir is the bundle's folder, slash-separated and relative to FS.
	Dir string
	// Path of the chart, kustomization or entry file, relative to Dir; "" is Dir itself.
	Path string
	// Chart is a fetched chart, rooted at its folder; nil where the chart is the one at Path. ChartID is its digest.
	Chart   fs.FS `json:"-"`
	ChartID string
	// ValuesFiles relative to Dir, later ones over earlier ones.
	ValuesFiles []string
	// Values over those of the files; JSON values only.
	Values map[string]any
	// Config is what bundle.yaml gives this renderer besides values; JSON values only.
	Config map[string]any
	// Capabilities of the clusters rendered for.
	Capabilities Capabilities
	ReleaseName  string
	// Namespace of the release: the bundle's.
	Namespace string
}

// Capabilities of a cluster that a renderer may ask for. What it asked for stands in Result.Used.
type Capabilities struct {
	// KubeVersion such as v1.36.3.
	KubeVersion string
	// APIVersions are group/version and group/version/Kind of everything served, sorted.
	APIVersions []string
}

// Result of a rendering, in the renderer's order.
type Result struct {
	Objects []Object
	Used    Used
	// Warnings are for the bundle's author; they change nothing.
	Warnings []string
}

// Used are the capabilities that the output depends on: clusters that differ in others share it.
type Used struct {
	KubeVersion bool
	// APIVersions that were asked for, served or not, sorted.
	APIVersions []string
	// AllAPIVersions says that the whole list was read.
	AllAPIVersions bool
}

// Object is one rendered object.
type Object struct {
	// Value holds JSON values: maps, slices, strings, booleans, nil, int64 and float64.
	Value map[string]any
	// Source is "file" or "file:line", relative to FS.
	Source string
	// Hook is set where the object runs at a moment of the bundle's life instead of staying applied.
	Hook *content.Hook
	// Sealed is the text of a SOPS-encrypted document, word for word, where Value is its encrypted form; nil elsewhere.
	Sealed []byte
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
