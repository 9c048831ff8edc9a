package engine

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

// Snapshot is the policies, bindings and exemptions in force together. It is immutable and safe for concurrent use.
type Snapshot struct {
	// Digest of all that a verdict depends on.
	Digest string

	policies   map[string]*Policy
	bindings   map[string]*binding
	exemptions map[string]*exemption
	// templates of Gatekeeper by kind.
	templates  map[string]*template
	expansions map[string]*expansion

	// nothing is the base of policies without documents.
	nothing base
	index   index
	// bound and exempt are the bindings and exemptions by policy, in the order of their names.
	bound  map[string][]*binding
	exempt map[string][]*exemption
}

// Load makes a snapshot. What is refused keeps the version that previous (nil for none) had; what is no longer there is
// gone. The refusals are sorted by file and line.
func Load(source Source, previous *Snapshot) (*Snapshot, []v1alpha1.Refusal) {
	if previous == nil {
		previous = &Snapshot{}
	}
	s := &Snapshot{policies: map[string]*Policy{}, bindings: map[string]*binding{}, exemptions: map[string]*exemption{},
		expansions: map[string]*expansion{}, nothing: baseOf(map[string]any{})}
	var refusals refusalList
	s.loadPolicies(source.Modules, previous, &refusals)
	s.loadGatekeeper(source.Gatekeeper, previous, &refusals)
	s.loadExpansions(source.Gatekeeper, previous, &refusals)
	s.loadBindings(source.Bindings, previous, &refusals)
	s.loadExemptions(source.Exemptions, previous, &refusals)
	s.finish()
	slices.SortStableFunc(refusals, func(a, b v1alpha1.Refusal) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), strings.Compare(a.Message, b.Message))
	})
	return s, refusals
}

// Policies are the policies in force, by name.
func (s *Snapshot) Policies() []*Policy {
	if s == nil {
		return nil
	}
	return sortedByName(s.policies)
}

type refusalList []v1alpha1.Refusal

func (l *refusalList) add(err error) v1alpha1.Refusal {
	var r refused
	if !errors.As(err, &r) {
		r = refuse("", 0, "", "%v", err)
	}
	*l = append(*l, r.Refusal)
	return r.Refusal
}

// packageLine finds the package of a file that does not parse, so that the right policy freezes.
var packageLine = regexp.MustCompile(`(?m)^\s*package\s+([A-Za-z_][A-Za-z0-9_.]*)`)

// parsing is the files of a source as they are read.
type parsing struct {
	packages  map[string][]*module
	libraries []*module
	documents documents
	// broken says by package why it cannot be read.
	broken map[string]string
}

// read parses all files but tests.
func (p *parsing) read(files []File, previous *Snapshot, refusals *refusalList) {
	for _, file := range slices.SortedFunc(slices.Values(files), func(a, b File) int { return strings.Compare(a.Path, b.Path) }) {
		switch {
		case strings.HasSuffix(file.Path, "_test.rego"):
			continue
		case IsDocument(file.Path):
			if err := p.documents.add(file); err != nil {
				refusals.add(err)
			}
			continue
		case !strings.HasSuffix(file.Path, ".rego"):
			refusals.add(refuseManifest(file))
			continue
		}
		m, err := parse(file)
		if err != nil {
			why := describeRefusal(refusals.add(err))
			for _, name := range suspects(file, previous) {
				p.broken[name] = why
			}
			continue
		}
		name := packageName(m.parsed)
		p.packages[name] = append(p.packages[name], m)
	}
	for _, m := range shipped() {
		if name := packageName(m.parsed); p.packages[name] == nil && p.broken[name] == "" {
			p.libraries = append(p.libraries, m)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.packages)) {
		own := p.packages[name]
		if !isLibrary(name) && !isHelper(own) {
			continue
		}
		delete(p.packages, name)
		// A part of a library is none: the policies that use it must freeze, not go on with fewer rules.
		if p.broken[name] == "" {
			p.libraries = append(p.libraries, own...)
		}
	}
}

// reachable are the files that a package may refer to beside its own, and the documents, which only conftest packages have.
func (p *parsing) reachable(name string) ([]*module, documents) {
	if !isConftest(p.packages[name]) {
		return p.libraries, documents{}
	}
	all := slices.Clone(p.libraries)
	for _, other := range slices.Sorted(maps.Keys(p.packages)) {
		if other != name && p.broken[other] == "" && isConftest(p.packages[other]) {
			all = append(all, p.packages[other]...)
		}
	}
	return all, p.documents
}

func (s *Snapshot) loadPolicies(files []File, previous *Snapshot, refusals *refusalList) {
	p := &parsing{packages: map[string][]*module{}, documents: newDocuments(), broken: map[string]string{}}
	p.read(files, previous, refusals)
	for _, name := range slices.Sorted(maps.Keys(p.packages)) {
		if p.broken[name] != "" {
			continue
		}
		made, err := p.make(name, previous)
		if err != nil {
			p.broken[name] = describeRefusal(refusals.add(err))
			continue
		}
		s.policies[name] = made
	}
	for name, why := range p.broken {
		if old := previous.policies[name]; old != nil {
			frozen := *old
			frozen.Frozen = why
			s.policies[name] = &frozen
		}
	}
}

// make a policy, or take the one that was made of the same files before.
func (p *parsing) make(name string, previous *Snapshot) (*Policy, error) {
	libraries, data := p.reachable(name)
	l, err := link(name, p.packages[name], libraries, data)
	if err != nil {
		// What METADATA lacks is said before what its rules refer to.
		if described := (&Policy{Name: name, rules: map[string]*ast.Location{}}).describe(p.packages[name]); described != nil {
			return nil, described
		}
		return nil, err
	}
	if old := previous.policies[name]; old != nil && old.Frozen == "" && old.Digest == l.digest {
		return old, nil
	}
	return compile(l, data)
}

// suspects are the policies that a file without readable package belongs to: those it was part of, and the one it seems to
// name.
func suspects(file File, previous *Snapshot) []string {
	var names []string
	for name, p := range previous.policies {
		if slices.Contains(p.paths, file.Path) {
			names = append(names, name)
		}
	}
	if match := packageLine.FindStringSubmatch(file.Text); match != nil {
		names = append(names, match[1])
	}
	return names
}

var kindLine = regexp.MustCompile(`^kind:\s*["']?([A-Za-z0-9]+)`)

func refuseManifest(file File) refused {
	for i, line := range strings.Split(file.Text, "\n") {
		if match := kindLine.FindStringSubmatch(line); match != nil {
			return refuse(file.Path, i+1, "kind", "%s is not supported by this version: policies are *.rego files, PolicyBindings and PolicyExemptions", match[1])
		}
	}
	return refuse(file.Path, 0, "", "not a policy: policies are *.rego files")
}

func describeRefusal(r v1alpha1.Refusal) string {
	return fmt.Sprintf("%s:%d: %s", r.File, r.Line, r.Message)
}

// finish indexes and names the snapshot.
func (s *Snapshot) finish() {
	s.index = newIndex(sortedByName(s.policies))
	s.bound, s.exempt = map[string][]*binding{}, map[string][]*exemption{}
	sum := sha256.New()
	for _, p := range sortedByName(s.policies) {
		writeAll(sum, "policy", p.Name, p.Digest)
	}
	writeAll(sum, s.expansionText())
	for _, b := range sortedByName(s.bindings) {
		s.bound[b.spec.Policy] = append(s.bound[b.spec.Policy], b)
		writeAll(sum, "binding", b.name, encode(b.spec))
	}
	for _, e := range sortedByName(s.exemptions) {
		s.exempt[e.spec.Policy] = append(s.exempt[e.spec.Policy], e)
		writeAll(sum, "exemption", e.name, encode(e.spec))
	}
	s.Digest = hex.EncodeToString(sum.Sum(nil))
}

func sortedByName[T any](named map[string]T) []T {
	sorted := make([]T, 0, len(named))
	for _, name := range slices.Sorted(maps.Keys(named)) {
		sorted = append(sorted, named[name])
	}
	return sorted
}

// encode is JSON of API types, which cannot fail but for raw JSON that is none; that was decoded before.
func encode(value any) string {
	data, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(data)
}
