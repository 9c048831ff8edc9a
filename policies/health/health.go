// Package health holds the rules that tell how objects of other projects' kinds are: a Rego file a product, each with its
// tests, and lib.rego, which they share.
package health

import "embed"

// Files are the rules, their tests and lib.rego.
//
//go:embed *.rego
var Files embed.FS
