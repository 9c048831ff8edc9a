// Package health tells how a live object is: by a rule written for its kind where there is one, else by kstatus. Rules are
// Rego; each file is compiled when an object of a kind of its is first seen, so that an agent pays only for what its
// cluster runs.
package health

import (
	"fmt"
	"sync/atomic"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Status is how an object is.
type Status string

// The statuses.
const (
	Ready       Status = "Ready"
	Progressing Status = "Progressing"
	Failed      Status = "Failed"
)

// Result is how an object is, and why in a person's words; a ready object may say nothing.
type Result struct {
	Status  Status
	Message string
}

var inForce atomic.Pointer[Rules]

func init() { inForce.Store(Shipped()) }

// Use makes rules those that Of asks.
func Use(rules *Rules) { inForce.Store(rules) }

// Of tells how a live object is, by the rules in force.
func Of(live *unstructured.Unstructured) Result { return inForce.Load().Of(live) }

// Of tells how a live object is. A rule that fails is never in the way: kstatus answers, and the message says what failed.
func (r *Rules) Of(live *unstructured.Unstructured) Result {
	f := r.kinds[live.GroupVersionKind().GroupKind()]
	if f == nil {
		return builtin(live)
	}
	result, err := f.ask(live.Object)
	if err == nil {
		return result
	}
	result = builtin(live)
	note := fmt.Sprintf("the health rule %s failed: %v", f.path, err)
	if result.Message != "" {
		note = result.Message + "; " + note
	}
	result.Message = note
	return result
}

// builtin is kstatus' view of an object, but a Job is ready only once it completed: others wait for what it does.
func builtin(live *unstructured.Unstructured) Result {
	if live.GetKind() == "Job" && live.GroupVersionKind().Group == "batch" {
		return job(live)
	}
	result, err := status.Compute(live)
	if err != nil {
		return Result{Failed, "cannot compute health: " + err.Error()}
	}
	switch result.Status {
	case status.CurrentStatus:
		return Result{Status: Ready}
	case status.FailedStatus:
		return Result{Failed, result.Message}
	default:
		return Result{Progressing, result.Message}
	}
}

func job(live *unstructured.Unstructured) Result {
	conditions, _, _ := unstructured.NestedSlice(live.Object, "status", "conditions")
	for _, condition := range conditions {
		condition, _ := condition.(map[string]any)
		if condition["status"] != "True" {
			continue
		}
		switch condition["type"] {
		case "Complete":
			return Result{Status: Ready}
		case "Failed":
			return Result{Failed, fmt.Sprintf("Job failed: %v", condition["message"])}
		case "Suspended":
			return Result{Progressing, "Job is suspended"}
		}
	}
	return Result{Progressing, "Job has not completed"}
}
