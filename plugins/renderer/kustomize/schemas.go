package kustomize

import (
	"sync"

	"sigs.k8s.io/kustomize/kyaml/openapi"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// schemas guards the library's table of Kubernetes' schemas, which is one for the process. Builds only read it once it is
// filled, so they share it; a kustomization with an openapi field replaces it, and so has it alone.
var schemas struct {
	sync.RWMutex
	filled bool
}

// useSchemas returns the end of the use.
func useSchemas(own bool) (done func()) {
	if own {
		schemas.Lock()
		openapi.ResetOpenAPI()
		return func() {
			openapi.ResetOpenAPI()
			schemas.filled = false
			schemas.Unlock()
		}
	}
	schemas.RLock()
	for !schemas.filled {
		schemas.RUnlock()
		fillSchemas()
		schemas.RLock()
	}
	return schemas.RUnlock
}

// fillSchemas makes the library parse what it has built in. It costs a part of a second, once a process.
func fillSchemas() {
	schemas.Lock()
	defer schemas.Unlock()
	openapi.SchemaForResourceType(yaml.TypeMeta{APIVersion: "v1", Kind: "Pod"})
	schemas.filled = true
}
