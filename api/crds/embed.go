// Package crds embeds the CustomResourceDefinitions of the hub's kinds, generated from api/v1alpha1.
package crds

import "embed"

// Files holds one YAML document a file.
//
//go:embed *.yaml
var Files embed.FS
