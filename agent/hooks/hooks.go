// Package hooks says what the hooks of a revision are and when they run: objects that the agent makes at a moment of a
// bundle's life instead of keeping them applied, such as a Job that migrates a database. It holds the decisions, which
// are pure; the reconciler carries them out, and the inventory remembers how far they got.
package hooks

import (
	"cmp"
	"slices"

	"github.com/periplus-fleet/periplus/agent/inventory"
	"github.com/periplus-fleet/periplus/api/content"
)

// Split parts a manifest's items into objects that are kept applied, and hooks.
func Split(items []content.Item) (objects, hooks []content.Item) {
	if !slices.ContainsFunc(items, func(item content.Item) bool { return item.Hook != nil }) {
		return items, nil
	}
	for _, item := range items {
		if item.Hook != nil {
			hooks = append(hooks, item)
		} else {
			objects = append(objects, item)
		}
	}
	return objects, hooks
}

// Of are the hooks of an event in the order in which they run: by weight, then phase, kind and name.
func Of(hooks []content.Item, event string) []content.Item {
	var of []content.Item
	for _, item := range hooks {
		if slices.Contains(item.Hook.Events, event) {
			of = append(of, item)
		}
	}
	slices.SortStableFunc(of, func(a, b content.Item) int {
		return cmp.Or(cmp.Compare(a.Hook.Weight, b.Hook.Weight), cmp.Compare(a.Phase, b.Phase), cmp.Compare(a.Kind, b.Kind),
			cmp.Compare(a.Name, b.Name), a.ObjectID.Compare(b.ObjectID))
	})
	return of
}

// Before are the events that come before the objects of a revision are applied, or a bundle's are removed.
func Before(moment inventory.Moment) []string {
	switch moment {
	case inventory.Install:
		return []string{content.HookPreInstall}
	case inventory.Upgrade:
		return []string{content.HookPreUpgrade}
	default:
		return []string{content.HookPreDelete}
	}
}

// After are the events that come once a revision is applied and ready, or a bundle's objects are gone.
func After(moment inventory.Moment) []string {
	switch moment {
	case inventory.Install:
		return []string{content.HookPostInstall, content.HookTest}
	case inventory.Upgrade:
		return []string{content.HookPostUpgrade, content.HookTest}
	default:
		return []string{content.HookPostDelete}
	}
}

// Pending says whether any hook of some events is still to run.
func Pending(hooks []content.Item, run inventory.Hooks, events []string) bool {
	for _, event := range events {
		for _, item := range Of(hooks, event) {
			if !run.Done(event, item.ObjectID) {
				return true
			}
		}
	}
	return false
}

// Begins says whether the hooks of a revision begin to run, and at which moment. They run once for each time that the
// revision comes: a revision that was applied when no hooks were known of stays as it is.
func Begins(inv inventory.Inventory, revision content.Digest, hooks []content.Item) (inventory.Moment, bool) {
	run := inv.Hooks
	switch {
	case run.Run == 0 && (len(hooks) == 0 || inv.Revision == revision):
		return "", false
	case run.Run > 0 && run.Revision == revision && run.Moment != inventory.Removal:
		return "", false
	case inv.Revision == "":
		return inventory.Install, true
	default:
		return inventory.Upgrade, true
	}
}

// Begin starts a run. What earlier runs made stays known; nobody waits for it any more.
func Begin(run inventory.Hooks, revision content.Digest, moment inventory.Moment) (next inventory.Hooks, abandoned []content.ObjectID) {
	next = inventory.Hooks{Run: run.Run + 1, Change: run.Change, Revision: revision, Moment: moment, Objects: run.Clone().Objects}
	for _, o := range run.Sorted() {
		if o.Waiting() {
			o.State = inventory.HookAbandoned
			next.Keep(o)
			abandoned = append(abandoned, o.ObjectID)
		}
	}
	return next, abandoned
}

// ReplacesEarlier says whether an object that an earlier run left is deleted before the hook makes it anew.
func ReplacesEarlier(hook content.Hook) bool {
	return len(hook.DeletePolicies) == 0 || slices.Contains(hook.DeletePolicies, content.HookBeforeCreation)
}

// Leaves says whether an object goes now that its event came to an end: with every hook done, or with one that failed.
func Leaves(o inventory.HookObject) bool {
	return o.State == inventory.HookSucceeded && slices.Contains(o.Policies, content.HookSucceeded) ||
		o.State == inventory.HookFailed && slices.Contains(o.Policies, content.HookFailed)
}
