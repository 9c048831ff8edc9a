// Package library is the policies that come with Periplus, each with its tests. A fleet repo takes one by copying it into
// its policies folder: what is in force stands in Git.
package library

import "embed"

// Files are the policies and their tests.
//
//go:embed *.rego
var Files embed.FS
