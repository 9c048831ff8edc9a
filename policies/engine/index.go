package engine

import (
	"slices"
	"strings"
)

// index finds the policies that an object's group and kind can concern, in the order of their names.
type index struct {
	exact, group map[string][]*Policy
	every        []*Policy
}

func newIndex(policies []*Policy) index {
	x := index{exact: map[string][]*Policy{}, group: map[string][]*Policy{}}
	for _, p := range policies {
		if len(p.Metadata.Kinds) == 0 {
			x.every = append(x.every, p)
		}
		for _, text := range p.Metadata.Kinds {
			kind, group, _ := strings.Cut(text, ".")
			switch {
			case text == "*":
				x.every = append(x.every, p)
			case kind == "*":
				x.group[group] = append(x.group[group], p)
			default:
				x.exact[kind+"."+group] = append(x.exact[kind+"."+group], p)
			}
		}
	}
	return x
}

func (x index) find(group, kind string) []*Policy {
	found := slices.Concat(x.every, x.group[group], x.exact[kind+"."+group])
	slices.SortFunc(found, func(a, b *Policy) int { return strings.Compare(a.Name, b.Name) })
	return slices.Compact(found)
}
