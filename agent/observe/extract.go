// Package observe watches what the agent manages: only the kinds in the inventory, only objects with the managed label,
// as the ServiceAccount that they were applied as. It keeps a small extract of each object and drops the rest, and tells
// the reconciler when the extract of an object in the inventory changed. The label is an index and no more: what counts
// is the inventory's UID and the marks on the object itself.
package observe

import (
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/periplus-fleet/periplus/agent/health"
	"github.com/periplus-fleet/periplus/agent/owned"
	"github.com/periplus-fleet/periplus/api/content"
)

// Health of a live object.
type Health int

// The healths, worst last.
const (
	Ready Health = iota
	Progressing
	Failed
)

// Extract is what the agent remembers of a live object.
type Extract struct {
	Exists          bool
	UID             string
	ResourceVersion string
	// Owner is the bundle that the object's marks name.
	Owner string
	// Fields is owned.Digest of the object.
	Fields  string
	Health  Health
	Message string
	// Deleting, and what it waits for.
	Deleting   bool
	Finalizers string
	// Scaled says that an autoscaler has fields of it.
	Scaled bool
	// Others are the field managers beside the agent, for people.
	Others string
}

// Of extracts what is remembered of a live object; nil is one that is not there.
func Of(live *unstructured.Unstructured, id content.ObjectID, ignored []owned.Pointer) Extract {
	if live == nil {
		return Extract{}
	}
	extract := Extract{
		Exists: true, UID: string(live.GetUID()), ResourceVersion: live.GetResourceVersion(),
		Owner: owned.Bundle(live, id), Fields: owned.Digest(live, ignored),
		Deleting: live.GetDeletionTimestamp() != nil, Scaled: owned.Scaled(live),
	}
	if names := live.GetFinalizers(); len(names) > 0 {
		extract.Finalizers = fmt.Sprint(names)
	}
	if names := owned.Others(live); len(names) > 0 {
		extract.Others = fmt.Sprint(names)
	}
	extract.Health, extract.Message = HealthOf(live)
	return extract
}

// HealthOf is a live object's health, as package health tells it.
func HealthOf(live *unstructured.Unstructured) (Health, string) {
	result := health.Of(live)
	switch result.Status {
	case health.Ready:
		return Ready, result.Message
	case health.Failed:
		return Failed, result.Message
	default:
		return Progressing, result.Message
	}
}

// older says that a was read before b. Versions of one resource are numbers that rise (guaranteed since Kubernetes 1.35,
// and true before); what cannot be compared counts as new.
func older(a, b string) bool {
	left, err := strconv.ParseUint(a, 10, 64)
	if err != nil {
		return false
	}
	right, err := strconv.ParseUint(b, 10, 64)
	return err == nil && left < right
}
