// Package classes holds the ClusterClasses that we ship. They are plain manifests for a fleet repository or kubectl apply;
// the sandbox applies them by itself.
package classes

import "embed"

// Files holds one folder per class: "standard" is a control plane and simulated workers of package local.
//
//go:embed standard/*.yaml
var Files embed.FS

// Standard is the class of local clusters, as one file of manifests without a namespace: they go where they are used.
//
//go:embed standard/clusterclass.yaml
var Standard []byte
