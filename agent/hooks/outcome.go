package hooks

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Result of a hook's object.
type Result int

// The results.
const (
	Running Result = iota
	Succeeded
	Failed
)

// Outcome says how far the object of a hook is, in a person's words: a Job is done when it completed and a Pod when it
// succeeded; any other object once it is there.
func Outcome(live *unstructured.Unstructured) (Result, string) {
	kind := live.GroupVersionKind()
	switch {
	case kind.Group == "batch" && kind.Kind == "Job":
		return job(live)
	case kind.Group == "" && kind.Kind == "Pod":
		return pod(live)
	default:
		return Succeeded, ""
	}
}

func job(live *unstructured.Unstructured) (Result, string) {
	conditions, _, _ := unstructured.NestedSlice(live.Object, "status", "conditions")
	for _, condition := range conditions {
		condition, _ := condition.(map[string]any)
		if condition["status"] != "True" {
			continue
		}
		switch condition["type"] {
		case "Complete":
			return Succeeded, ""
		case "Failed":
			return Failed, words(condition["reason"], condition["message"], "the Job failed")
		case "Suspended":
			return Running, "the Job is suspended"
		}
	}
	return Running, "the Job has not completed"
}

func pod(live *unstructured.Unstructured) (Result, string) {
	phase, _, _ := unstructured.NestedString(live.Object, "status", "phase")
	switch phase {
	case "Succeeded":
		return Succeeded, ""
	case "Failed":
		reason, _, _ := unstructured.NestedString(live.Object, "status", "reason")
		message, _, _ := unstructured.NestedString(live.Object, "status", "message")
		if why := Why(live); why != "" && message == "" {
			return Failed, why
		}
		return Failed, words(reason, message, "the Pod failed")
	default:
		if why := Why(live); why != "" {
			return Running, why
		}
		return Running, "the Pod has not finished"
	}
}

// Why says why a pod does not run or failed: its first container that says so, or that it is not scheduled.
func Why(pod *unstructured.Unstructured) string {
	for _, field := range []string{"initContainerStatuses", "containerStatuses"} {
		statuses, _, _ := unstructured.NestedSlice(pod.Object, "status", field)
		for _, status := range statuses {
			status, _ := status.(map[string]any)
			if why := container(status); why != "" {
				return fmt.Sprintf("container %v of Pod %s %s", status["name"], pod.GetName(), why)
			}
		}
	}
	conditions, _, _ := unstructured.NestedSlice(pod.Object, "status", "conditions")
	for _, condition := range conditions {
		condition, _ := condition.(map[string]any)
		if condition["type"] == "PodScheduled" && condition["status"] == "False" {
			return fmt.Sprintf("Pod %s is not scheduled: %s", pod.GetName(), words(condition["reason"], condition["message"], "no reason is given"))
		}
	}
	return ""
}

// container says what is wrong with one, as it is or as it last ended.
func container(status map[string]any) string {
	if waiting, ok, _ := unstructured.NestedMap(status, "state", "waiting"); ok {
		if reason, _ := waiting["reason"].(string); reason != "" && reason != "ContainerCreating" && reason != "PodInitializing" {
			return "waits: " + words(reason, waiting["message"], "")
		}
	}
	for _, state := range []string{"state", "lastState"} {
		ended, ok, _ := unstructured.NestedMap(status, state, "terminated")
		if code := ended["exitCode"]; ok && code != int64(0) {
			return fmt.Sprintf("ended with exit code %v: %s", code, words(ended["reason"], ended["message"], "no reason is given"))
		}
	}
	return ""
}

// words joins a reason and a message, whichever there is, on one line.
func words(reason, message any, otherwise string) string {
	var parts []string
	for _, part := range []any{reason, message} {
		if text, _ := part.(string); strings.TrimSpace(text) != "" {
			parts = append(parts, strings.Join(strings.Fields(text), " "))
		}
	}
	if len(parts) == 0 {
		return otherwise
	}
	return strings.Join(parts, ": ")
}
