package engine

import (
	"crypto/sha256"
	"encoding/hex"
)

// loadGatekeeper reads ConstraintTemplates and Constraints as Gatekeeper does. A Constraint whose own newer version or whose
// template is refused stays as it was.
func (s *Snapshot) loadGatekeeper(declared []Manifest, previous *Snapshot, refusals *refusalList) {
	s.templates = map[string]*template{}
	broken := map[string]string{}
	for _, d := range declared {
		if kindOf(d) != "ConstraintTemplate" {
			continue
		}
		t := previous.unchangedTemplate(d)
		if t == nil {
			var err error
			if t, err = readTemplate(d); err != nil {
				broken[templatedKind(d)] = describeRefusal(refusals.add(err))
				continue
			}
		}
		if s.templates[t.kind] != nil {
			broken[t.kind] = describeRefusal(refusals.add(refuseAt(d.Source, "spec.crd.spec.names.kind", "a ConstraintTemplate for %s stands twice", t.kind)))
			continue
		}
		s.templates[t.kind] = t
	}
	for _, d := range declared {
		if kind := kindOf(d); kind != "ConstraintTemplate" && !isExpansion(d) {
			s.loadConstraint(d, kind, broken[kind], previous, refusals)
		}
	}
}

func (s *Snapshot) loadConstraint(d Manifest, kind, broken string, previous *Snapshot, refusals *refusalList) {
	metadata, _ := d.Object["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	key := constraintName(kind, name)
	freeze := func(why string) {
		if old := previous.policies[key]; old != nil && s.policies[key] == nil {
			frozen := *old
			frozen.Frozen = why
			s.policies[key] = &frozen
		}
	}
	t := s.templates[kind]
	switch {
	case broken != "":
		freeze(broken)
		return
	case t == nil:
		freeze(describeRefusal(refusals.add(refuseAt(d.Source, "kind", "there is no ConstraintTemplate for %s", kind))))
		return
	case s.policies[key] != nil:
		refusals.add(refuseAt(d.Source, "metadata.name", "%s %q stands twice", kind, name))
		return
	}
	p, err := readConstraint(d, t)
	if err != nil {
		freeze(describeRefusal(refusals.add(err)))
		return
	}
	s.policies[key] = p
}

// unchangedTemplate is the template that a declaration would make, where it was made before.
func (s *Snapshot) unchangedTemplate(d Manifest) *template {
	old := s.templates[templatedKind(d)]
	if old == nil || old.source != d.Source || encode(old.declared) != encode(d.Object) {
		return nil
	}
	return old
}

func kindOf(d Manifest) string {
	kind, _ := d.Object["kind"].(string)
	return kind
}

func templatedKind(d Manifest) string {
	kind, _ := dig(d.Object, []string{"spec", "crd", "spec", "names"})["kind"].(string)
	return kind
}

func digestText(texts ...string) string {
	sum := sha256.New()
	writeAll(sum, texts...)
	return hex.EncodeToString(sum.Sum(nil))
}
