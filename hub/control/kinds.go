package control

import (
	"slices"
	"strings"
	"unique"

	"github.com/periplus-fleet/periplus/api/content"
)

// kinds of the objects of a revision. Most pairs share few sets of them.
type kinds struct{ text unique.Handle[string] }

var noKinds kinds

// kindsOf a manifest: each as kind.group, sorted.
func kindsOf(manifest content.Manifest) kinds {
	var all []string
	for _, item := range manifest.Items {
		all = append(all, item.Kind+"."+item.Group)
	}
	slices.Sort(all)
	return kinds{unique.Make(strings.Join(slices.Compact(all), " "))}
}

// any says whether one of the kinds is chosen.
func (k kinds) any(chosen func(group, kind string) bool) bool {
	if k == noKinds {
		return false
	}
	return slices.ContainsFunc(strings.Fields(k.text.Value()), func(one string) bool {
		kind, group, _ := strings.Cut(one, ".")
		return chosen(group, kind)
	})
}
