package helm

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/periplus-fleet/periplus/api/content"
)

// Helm's annotations of hooks.
const (
	hookAnnotation         = "helm.sh/hook"
	hookWeightAnnotation   = "helm.sh/hook-weight"
	hookDeletionAnnotation = "helm.sh/hook-delete-policy"
)

// events by Helm's names of them.
var events = map[string]string{
	"pre-install": content.HookPreInstall, "post-install": content.HookPostInstall,
	"pre-upgrade": content.HookPreUpgrade, "post-upgrade": content.HookPostUpgrade,
	"pre-delete": content.HookPreDelete, "post-delete": content.HookPostDelete,
	"pre-rollback": content.HookPreRollback, "post-rollback": content.HookPostRollback,
	"test": content.HookTest, "test-success": content.HookTest,
}

// past are events of Helm 2 that later ones leave out in silence.
var past = []string{"crd-install", "test-failure"}

var deletions = []string{content.HookBeforeCreation, content.HookSucceeded, content.HookFailed}

// fate says what becomes of an object with or without a hook.
type fate struct {
	// hook is nil for an object that is simply applied.
	hook *content.Hook
	// drop says that the object is left out; warning why, where its author should know.
	drop    bool
	warning string
}

// fateOf reads the annotations of a rendered object. Helm takes unknown events for a reason to leave the object out, which
// hides a typing mistake: here they are refused.
func fateOf(annotations map[string]any, tests bool) (fate, error) {
	raw, ok := annotations[hookAnnotation]
	if !ok {
		return fate{}, nil
	}
	hook := &content.Hook{}
	for _, word := range words(raw) {
		if slices.Contains(past, word) {
			return fate{drop: true, warning: fmt.Sprintf("left out, as Helm does: its hook %q is one of Helm 2", word)}, nil
		}
		event, known := events[word]
		if !known {
			return fate{}, fmt.Errorf("annotation %s: there is no event %q; events are pre- and post- install, upgrade, delete, rollback, and test", hookAnnotation, word)
		}
		if event != content.HookTest || tests {
			hook.Events = append(hook.Events, event)
		}
	}
	if len(hook.Events) == 0 {
		return fate{drop: true}, nil
	}
	// As in Helm, a weight that is no number is 0.
	hook.Weight, _ = strconv.Atoi(text(annotations[hookWeightAnnotation]))
	for _, word := range words(annotations[hookDeletionAnnotation]) {
		if !slices.Contains(deletions, word) {
			return fate{}, fmt.Errorf("annotation %s: there is no policy %q; policies are %s", hookDeletionAnnotation, word, strings.Join(deletions, ", "))
		}
		hook.DeletePolicies = append(hook.DeletePolicies, word)
	}
	if len(hook.DeletePolicies) == 0 {
		hook.DeletePolicies = []string{content.HookBeforeCreation}
	}
	for _, list := range []*[]string{&hook.Events, &hook.DeletePolicies} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return fate{hook: hook}, nil
}

func words(raw any) []string {
	var out []string
	for _, word := range strings.Split(text(raw), ",") {
		if word = strings.ToLower(strings.TrimSpace(word)); word != "" {
			out = append(out, word)
		}
	}
	return out
}

func text(raw any) string {
	if raw == nil {
		return ""
	}
	return fmt.Sprint(raw)
}
