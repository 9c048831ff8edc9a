package apply

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/periplus-fleet/periplus/agent/owned"
	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// Managers are the field managers whose fields drift rules leave to them in an object, by name or with * as a wildcard.
func Managers(rules []*linkv1.DriftIgnore, id content.ObjectID) []string {
	var managers []string
	for _, rule := range rules {
		if concerns(rule, id) {
			managers = append(managers, rule.GetManagers()...)
		}
	}
	return managers
}

// Leaves says whether a change is left to who made it: to a manager that rules name, or to an autoscaler. That one is never
// fought: who declares replicas and an autoscaler for them means the number to start with.
func Leaves(managers []string) func(owned.Change) bool {
	return func(change owned.Change) bool {
		return change.Autoscaled() || owned.Matches(managers, change.Manager)
	}
}

// looks says that what is applied depends on what lives.
func (r Request) looks() bool {
	return len(r.Ignored) > 0 || len(r.Managers) > 0 || r.Scaled || r.Shared
}

// leaveToManagers takes out of a patch what managers hold that it is left to. They keep what they own with us.
func leaveToManagers(object, live *unstructured.Unstructured, managers []string) {
	for _, pointer := range owned.HeldBy(object.Object, live, Leaves(managers)) {
		object.Object = change(object.Object, pointer, nil, false).(map[string]any)
	}
}

// inputs of an apply beyond its content, in a form that stays the same while no rule names managers.
func inputs(account string, ignored []owned.Pointer, managers []string) []any {
	if len(managers) == 0 {
		return []any{account, ignored}
	}
	return []any{account, ignored, slices.Compact(slices.Sorted(slices.Values(managers)))}
}
