package engine

import (
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// link finds the library files and documents that a package reaches, and refuses references to anything else: another policy's
// package would be undefined here, and a rule that depends on it would silently never fire. Packages of conftest reach each
// other, too, since conftest compiles all that it finds together.
func link(name string, own, libraries []*module, data documents) (linked, error) {
	l := linked{name: name, own: own, used: slices.Clone(own)}
	reads := map[string]bool{}
	for i := 0; i < len(l.used); i++ {
		if err := l.follow(l.used[i], libraries, data, reads); err != nil {
			return l, err
		}
	}
	slices.SortFunc(l.used, func(a, b *module) int { return strings.Compare(a.Path, b.Path) })
	l.documents = slices.Sorted(maps.Keys(reads))
	l.digest = digestOf(l.used)
	if len(l.documents) > 0 {
		l.digest = digestText("documents", l.digest, data.text(l.documents))
	}
	return l, nil
}

// follow the references of one file.
func (l *linked) follow(m *module, libraries []*module, data documents, reads map[string]bool) error {
	var problem error
	ast.WalkRefs(m.parsed, func(ref ast.Ref) bool {
		if !ref.HasPrefix(ast.DefaultRootRef) || problem != nil {
			return problem != nil
		}
		reached := within(ref, l.name) || ref.Equal(m.parsed.Package.Path)
		for _, library := range libraries {
			if within(ref, packageName(library.parsed)) {
				reached = true
				if !slices.Contains(l.used, library) {
					l.used = append(l.used, library)
				}
			}
		}
		if document := data.reached(ref); document != "" && !reached {
			reached, reads[document] = true, true
		}
		if !reached {
			row := 0
			if ref[0].Location != nil {
				row = ref[0].Location.Row
			}
			problem = refuse(m.Path, row, "", "%s is neither in package %s nor in a library (package lib.<name>)", ref, l.name)
			if data.values != nil {
				problem = refuse(m.Path, row, "", "%s is in no package, and in no file of a folder named data below policies/", ref)
			}
		}
		return false
	})
	return problem
}
