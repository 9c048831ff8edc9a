// Package lib holds Rego that policies share: any policy of a fleet repo may import data.lib.periplus.<name>, without a copy. It
// stands before the gate stage of the flow: package policies/engine links in what a policy uses, so that it travels with it.
package lib

import "embed"

// Files are the libraries, without their tests.
//
//go:embed image.rego labels.rego quantity.rego version.rego
var Files embed.FS
