package fleet

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/importer"
)

// making is one bundle on its way.
type making struct {
	*reading
	*importer.Bundle
	from   origin
	folder string
	d      importer.Document
	yaml   fleetYAML
}

// bundle translates one folder.
func (r *reading) bundle(from origin, folder string) error {
	m := &making{reading: r, from: from, folder: folder, d: importer.Document{File: folder}}
	if file := configOf(r.Tree, folder); file != "" {
		data, err := fs.ReadFile(r.Tree, file)
		if err != nil {
			return err
		}
		documents, err := importer.ParseDocuments(file, data)
		if err != nil {
			return err
		}
		m.d = importer.Document{File: file}
		if len(documents) > 0 {
			m.d = documents[0]
			m.d.Kind, m.d.Name = "fleet.yaml of", folder
		}
		if !m.d.Read(&m.yaml, r.repo.Report) {
			return nil
		}
	}
	theirs := strings.Trim(from.name+"-"+strings.ReplaceAll(strings.Trim(folder, "."), "/", "-"), "-")
	if m.yaml.Name != "" {
		theirs = m.yaml.Name
	}
	m.Bundle = r.repo.Bundle(cmp.Or(theirs, "root"), m.d.At(""))
	m.Labels = m.yaml.Labels
	r.made[theirs] = m.Bundle
	m.Spec.Namespace = cmp.Or(from.namespace, m.yaml.Namespace, m.yaml.DefaultNamespace, "default")
	m.Spec.ServiceAccountName = cmp.Or(m.yaml.ServiceAccount, from.serviceAccount)
	if err := m.targets(); err != nil {
		return err
	}
	if len(m.Spec.Targets) == 0 {
		delete(r.repo.Bundles, m.Name)
		delete(r.made, theirs)
		return nil
	}
	m.behaviour()
	m.dependencies()
	r.repo.Namespace(m.Bundle, m.Spec.Namespace, m.yaml.NamespaceLabels, m.yaml.NamespaceAnnotations)
	r.repo.Report.Translated(m.d.At(""), cmp.Or(m.d.File, folder), "bundle "+m.Name)
	return nil
}

// targets crosses what chooses the clusters with what customizes them.
func (m *making) targets() error {
	customizations, field, where := m.yaml.Customizations, "targetCustomizations", m.from.targets
	switch given := strings.TrimSpace(string(m.yaml.OverrideTargets)); {
	case strings.HasPrefix(given, "["):
		var targets []target
		if err := json.Unmarshal(m.yaml.OverrideTargets, &targets); err != nil {
			return fmt.Errorf("%s: %w", m.d.At("overrideTargets"), err)
		}
		where = m.reading.targets(m.d, "overrideTargets", targets)
	case given == "true":
		where = nil
		for i, one := range m.yaml.Targets {
			where = append(where, m.place(m.d, fmt.Sprintf("targets[%d]", i), one.target)...)
		}
	}
	if len(customizations) == 0 && len(m.yaml.Targets) > 0 {
		customizations, field = m.yaml.Targets, "targets"
	}
	if m.yaml.CustomizeMode == "AllMatches" {
		m.allMatches(customizations)
		customizations = nil
	}
	var earlier []v1alpha1.ClusterMatch
	for i, one := range customizations {
		at := fmt.Sprintf("%s[%d]", field, i)
		for _, chosen := range m.place(m.d, at, one.target) {
			if one.DoNotDeploy {
				m.exclude(at, chosen, earlier)
			} else {
				m.customized(at, chosen, one, where)
			}
			earlier = append(earlier, chosen.match)
		}
	}
	m.plain(m.yaml.options, where, earlier)
	return nil
}

// plain are the targets that no customization covers whole.
func (m *making) plain(base options, where []placed, earlier []v1alpha1.ClusterMatch) {
	values := m.values(base.Helm, "helm")
	m.Spec.Values = importer.JSON(values)
	var open []placed
	for _, chosen := range where {
		covered := slices.ContainsFunc(earlier, func(match v1alpha1.ClusterMatch) bool {
			joint, possible, _ := both(match, chosen.match)
			if possible {
				joint, possible = m.simplified(joint)
			}
			return possible && same(joint, chosen.match)
		})
		if !covered {
			open = append(open, chosen)
		}
	}
	source, patches, err := m.source(base)
	if err != nil {
		if unsupported := importer.Unsupported(err, m.d.At("")); len(open) > 0 {
			m.repo.Report.LeftOut(unsupported.At, "clusters that no customization of "+m.Name+" matches", unsupported.Why, unsupported.Do)
		}
		return
	}
	m.Spec.Source = source
	for i := range m.Spec.Targets {
		if sameSource(m.Spec.Targets[i].Source, source) {
			m.Spec.Targets[i].Source = nil
		}
	}
	for _, chosen := range open {
		m.target(v1alpha1.Target{Name: chosen.name, ClusterMatch: chosen.match, Patches: patches})
	}
}

// customized makes the targets of one customization.
func (m *making) customized(at string, chosen placed, one customization, where []placed) {
	eff := merged(m.yaml.options, one.options)
	source, patches, err := m.source(eff)
	if err != nil {
		unsupported := importer.Unsupported(err, m.d.At(at))
		m.repo.Report.LeftOut(unsupported.At, m.d.What()+": "+at, unsupported.Why, unsupported.Do)
		return
	}
	m.customizedOptions(at, one.options)
	values := m.values(one.Helm, at+".helm")
	for _, outer := range where {
		match, possible, why := both(outer.match, chosen.match)
		if possible {
			match, possible = m.simplified(match)
		}
		if !possible {
			if why != "" {
				m.repo.Report.LeftOut(m.d.At(at), m.d.What()+": "+at, why, "give the group that both mean a name of its own")
			}
			continue
		}
		name := chosen.name
		if len(where) > 1 && outer.name != "" && outer.name != name {
			name = strings.Trim(name+"-"+outer.name, "-")
		}
		m.target(v1alpha1.Target{Name: name, ClusterMatch: match, Source: source, Values: importer.JSON(values), Patches: patches})
	}
}

// target adds a target with a name that is free.
func (m *making) target(target v1alpha1.Target) {
	name := target.Name
	for i := 2; name != "" && slices.ContainsFunc(m.Spec.Targets, func(t v1alpha1.Target) bool { return t.Name == target.Name }); i++ {
		target.Name = fmt.Sprintf("%s-%d", name, i)
	}
	m.Spec.Targets = append(m.Spec.Targets, target)
}

// exclude takes clusters out, except those that an earlier customization claims.
func (m *making) exclude(at string, chosen placed, earlier []v1alpha1.ClusterMatch) {
	match := chosen.match
	var terms []string
	for _, before := range earlier {
		if disjoint(before, match) {
			continue
		}
		text, ok := condition(before)
		if !ok {
			m.repo.Report.Differs(m.d.At(at), m.d.What()+": "+at+".doNotDeploy", "clusters of the group "+before.ClusterGroup+" that match both are excluded, too", "")
			continue
		}
		terms = append(terms, "!"+text)
	}
	match.Expression = strings.Join(terms, " && ")
	m.Spec.Exclude = append(m.Spec.Exclude, match)
}

// allMatches are overlays: what they say of values is layered, everything else needs a source of its own.
func (m *making) allMatches(customizations []customization) {
	for i, one := range customizations {
		at := fmt.Sprintf("targetCustomizations[%d]", i)
		if one.Kustomize != nil || one.YAML != nil || one.Helm != nil && (one.Helm.Chart != "" || one.Helm.Version != "" || one.Helm.Repo != "" || one.Helm.ReleaseName != "") {
			m.repo.Report.LeftOut(m.d.At(at), m.d.What()+": "+at, "an overlay changes values and objects, not the source", "write a target with its own source")
		}
		m.customizedOptions(at, one.options)
		for _, chosen := range m.place(m.d, at, one.target) {
			if one.DoNotDeploy {
				m.Spec.Exclude = append(m.Spec.Exclude, chosen.match)
				continue
			}
			m.Spec.Overlays = append(m.Spec.Overlays, v1alpha1.Overlay{Name: chosen.name, ClusterMatch: chosen.match, Values: importer.JSON(m.values(one.Helm, at+".helm"))})
		}
	}
}

// dependencies are resolved once all bundles are known.
func (m *making) dependencies() {
	m.later = append(m.later, func() {
		for i, one := range m.yaml.DependsOn {
			at := m.d.At(fmt.Sprintf("dependsOn[%d]", i))
			found := false
			if made := m.made[one.Name]; one.Name != "" && made != nil {
				m.DependsOn(made.Name)
				found = true
			}
			if one.Selector != nil {
				selector, err := metav1.LabelSelectorAsSelector(one.Selector)
				for _, other := range m.repo.Sorted() {
					if err == nil && other != m.Bundle && len(other.Labels) > 0 && selector.Matches(labels.Set(other.Labels)) {
						m.DependsOn(other.Name)
						found = true
					}
				}
			}
			if !found {
				m.repo.Report.LeftOut(at, m.d.What()+": dependsOn "+one.Name, "no bundle of this folder is meant", "add the dependency by hand, once that bundle is in the fleet repo")
			}
			if len(one.AcceptedStates) > 0 {
				m.repo.Report.Differs(at, m.d.What()+": dependsOn.acceptedStates", "a dependency is met when the bundle is ready", "")
			}
		}
	})
}

// behaviour translates how the bundle is delivered.
func (m *making) behaviour() {
	report, what := m.repo.Report, m.d.What()
	correct := m.yaml.CorrectDrift
	if correct == nil {
		correct = m.from.drift
	}
	if correct == nil || !correct.Enabled {
		m.Spec.Drift.Mode = v1alpha1.DriftReport
	}
	if m.yaml.Paused || m.from.suspend {
		until := importer.In90Days(m.Now)
		m.Spec.Suspend = &v1alpha1.Suspend{Reason: "paused in Fleet", Until: until}
		report.Differs(m.d.At("paused"), what+": paused", "a suspension ends: "+until.Format(time.DateOnly), "set the day that you mean")
	}
	if m.yaml.Diff != nil {
		for i, patch := range m.yaml.Diff.ComparePatches {
			m.ignore(patch, fmt.Sprintf("diff.comparePatches[%d]", i))
		}
	}
	if m.yaml.RolloutStrategy != nil {
		report.LeftOut(m.d.At("rolloutStrategy"), what+": rolloutStrategy", "a change goes to all clusters at once", "promote by target: ref a tag or branch for the clusters that come later")
	}
	if len(m.yaml.ImageScans) > 0 {
		report.LeftOut(m.d.At("imageScans"), what+": imageScans", "images are not scanned for new tags", "let your CI commit the new tag")
	}
	if m.yaml.Ignore != nil && len(m.yaml.Ignore.Conditions) > 0 {
		report.LeftOut(m.d.At("ignore.conditions"), what+": ignore.conditions", "conditions of objects cannot be left out of their health", "")
	}
	if m.yaml.KeepResources != nil && *m.yaml.KeepResources {
		report.Differs(m.d.At("keepResources"), what+": keepResources", "a bundle that leaves takes its objects along, within its prune budget", "set prune.budget to 0 objects and 0 percent, so that each removal waits for `periplus confirm`")
	}
	if m.yaml.Helm != nil {
		m.helmBehaviour(*m.yaml.Helm)
	}
}

func (m *making) helmBehaviour(helm helmOptions) {
	if helm.TimeoutSeconds > 0 {
		m.Spec.Health.Timeout = &metav1.Duration{Duration: time.Duration(helm.TimeoutSeconds) * time.Second}
	}
	for field, given := range map[string]*bool{"force": helm.Force, "atomic": helm.Atomic, "skipSchemaValidation": helm.SkipSchema, "waitForJobs": helm.WaitForJobs} {
		if given != nil && *given {
			m.repo.Report.Differs(m.d.At("helm."+field), m.d.What()+": helm."+field, "objects are applied by server-side apply, a chart's schema always counts, and there is no release to replace or roll back", "")
		}
	}
}

// ignore leaves fields to others.
func (m *making) ignore(patch comparePatch, at string) {
	report, what := m.repo.Report, m.d.What()+": "+at
	rule := v1alpha1.DriftIgnoreRule{Pointers: slices.Clone(patch.JSONPointers)}
	rule.Kind = patch.Kind
	if group, _, found := strings.Cut(patch.APIVersion, "/"); found {
		rule.Group = group
	}
	name, nameOK := importer.Wildcard(patch.Name)
	namespace, namespaceOK := importer.Wildcard(patch.Namespace)
	if !nameOK || !namespaceOK || strings.Contains(namespace, "*") {
		report.LeftOut(m.d.At(at), what, "a rule names objects by name, with * as the only pattern", "write the rule into drift.ignore")
		return
	}
	rule.Name, rule.Namespace = name, namespace
	for _, operation := range patch.Operations {
		if operation.Op == "remove" && operation.Path != "" {
			rule.Pointers = append(rule.Pointers, operation.Path)
			continue
		}
		report.LeftOut(m.d.At(at), what, "operation "+operation.Op+" has no equal: drift is ignored by field", "name the fields in drift.ignore, or set drift.mode: Ignore")
	}
	if len(rule.Pointers) > 0 {
		m.Spec.Drift.Ignore = append(m.Spec.Drift.Ignore, rule)
	}
}

// customizedOptions reports what cannot differ between targets.
func (m *making) customizedOptions(at string, given options) {
	for field, set := range map[string]bool{"namespace": given.Namespace != "" || given.DefaultNamespace != "", "serviceAccount": given.ServiceAccount != "",
		"diff": given.Diff != nil, "correctDrift": given.CorrectDrift != nil, "namespaceLabels": len(given.NamespaceLabels) > 0} {
		if set {
			m.repo.Report.LeftOut(m.d.At(at+"."+field), m.d.What()+": "+at+"."+field, "it is the same at all targets of a bundle", "give these clusters a bundle of their own")
		}
	}
}
