package argocd

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/importer"
)

// application translates one that stands by itself.
func (r *reading) application(d importer.Document) error {
	var app instance
	if !d.Read(&app.application, r.repo.Report) {
		return nil
	}
	own, err := r.appOfApps(d, app)
	if err != nil || own {
		return err
	}
	app.name = r.place(app.Spec.Destination, d)
	app.match = importer.Clusters(app.name)
	if r.deliver(d, d.Name, []instance{app}) > 0 {
		r.repo.Report.Translated(d.At(""), d.What(), fmt.Sprintf("bundle %s on cluster %s", importer.Name(d.Name), app.name))
	}
	return nil
}

// making is one bundle on its way.
type making struct {
	*reading
	*importer.Bundle
	d importer.Document
}

// at is where a field of the application stands: in a set's template, where it came out of one.
func (m *making) at(field string) importer.Position {
	if m.d.Kind == "ApplicationSet" && !strings.HasPrefix(field, "spec.template.") {
		field = "spec.template." + field
	}
	return m.d.At(field)
}

// deliver makes a bundle of each source that applications share; their other sources only hold values. It returns how many.
func (r *reading) deliver(d importer.Document, name string, apps []instance) int {
	made := 0
	sources := apps[0].sources()
	if len(sources) == 0 {
		r.repo.Report.LeftOut(d.At("spec"), d.What(), "it has no source", "")
	}
	several := len(slices.DeleteFunc(slices.Clone(sources), source.valuesOnly)) > 1
	for i, one := range sources {
		if one.valuesOnly() {
			continue
		}
		own := name
		if several {
			own = name + "-" + cmp.Or(one.Name, one.Chart, path.Base(one.Path))
		}
		m := &making{reading: r, Bundle: r.repo.Bundle(own, d.At("")), d: d}
		m.targets(apps, i)
		if len(m.Spec.Targets) == 0 {
			delete(r.repo.Bundles, m.Name)
			continue
		}
		m.behaviour(apps[0].Spec)
		made++
	}
	return made
}

// valuesOnly is a source that others refer to.
func (s source) valuesOnly() bool { return s.Ref != "" && s.Path == "" && s.Chart == "" }

// targets are the applications' own forms of one source.
func (m *making) targets(apps []instance, index int) {
	m.Spec.Namespace = unmarked(importer.Literal(apps[0].Spec.Destination.Namespace)).(string)
	var variants []importer.Variant
	for _, app := range apps {
		made, err := m.variant(app, app.sources()[index])
		if err != nil {
			unsupported := importer.Unsupported(err, m.at("spec.source"))
			m.repo.Report.LeftOut(unsupported.At, m.d.What(), unsupported.Why, unsupported.Do)
			continue
		}
		made.Name, made.Match = app.name, app.match
		variants = append(variants, made)
	}
	m.Targets(variants)
}

// unmarked turns marks into expressions.
func unmarked(value any) any {
	switch typed := value.(type) {
	case string:
		return marks.ReplaceAllString(typed, "$${{ $1 }}")
	case []any:
		out := make([]any, len(typed))
		for i := range typed {
			out[i] = unmarked(typed[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(typed))
		for key, item := range typed {
			out[key] = unmarked(item)
		}
		return out
	default:
		return value
	}
}

// behaviour translates how the application is synced.
func (m *making) behaviour(spec applicationSpec) {
	report, what := m.repo.Report, m.d.What()
	policy := spec.SyncPolicy
	if policy == nil || policy.Automated == nil || policy.Automated.Enabled != nil && !*policy.Automated.Enabled {
		report.Differs(m.at("spec.syncPolicy"), what+": synced by hand", "a commit goes out by itself", "suspend the bundle until a date where a person should decide")
	}
	if policy == nil || policy.Automated == nil || !policy.Automated.SelfHeal {
		m.Spec.Drift.Mode = v1alpha1.DriftReport
	}
	if policy != nil {
		if policy.Automated != nil && !policy.Automated.Prune {
			report.Differs(m.at("spec.syncPolicy.automated.prune"), what+": prune: false", "what leaves the bundle leaves the cluster, within the prune budget", "set prune.budget to 0 objects and 0 percent, so that each removal waits for `periplus confirm`")
		}
		m.syncOptions(*policy)
	}
	for i, rule := range spec.Ignore {
		m.ignored(rule, fmt.Sprintf("spec.ignoreDifferences[%d]", i))
	}
}

func (m *making) syncOptions(policy syncPolicy) {
	for i, option := range policy.SyncOptions {
		at := m.at(fmt.Sprintf("spec.syncPolicy.syncOptions[%d]", i))
		switch option {
		case "CreateNamespace=true":
			var labels, annotations map[string]string
			if policy.Managed != nil {
				labels, annotations = policy.Managed.Labels, policy.Managed.Annotations
			}
			m.repo.Namespace(m.Bundle, m.Spec.Namespace, labels, annotations)
		case "CreateNamespace=false", "ServerSideApply=true", "ApplyOutOfSyncOnly=true", "RespectIgnoreDifferences=true", "Validate=true":
			// This is how bundles are always applied.
		default:
			m.repo.Report.Differs(at, m.d.What()+": "+option, "objects are applied by server-side apply, in the order of their kinds, and removed in the reverse one", "see whether the application needs more than that")
		}
	}
}

// ignored leaves fields to others.
func (m *making) ignored(rule ignore, at string) {
	out := v1alpha1.DriftIgnoreRule{Pointers: slices.Clone(rule.Pointers)}
	if !strings.Contains(rule.Group, "*") {
		out.Group = rule.Group
	}
	if rule.Kind != "*" {
		out.Kind = rule.Kind
	}
	out.Name, out.Namespace = rule.Name, rule.NS
	for _, expression := range rule.JQ {
		pointer, ok := jqPointer(expression)
		if !ok {
			m.repo.Report.LeftOut(m.at(at+".jqPathExpressions"), m.d.What()+": "+expression, "fields are named by JSON pointers", "name the fields in drift.ignore")
			continue
		}
		out.Pointers = append(out.Pointers, pointer)
	}
	out.Managers = slices.Clone(rule.Managers)
	if len(out.Pointers) > 0 || len(out.Managers) > 0 {
		m.Spec.Drift.Ignore = append(m.Spec.Drift.Ignore, out)
	}
}

// jqPointer turns the plainest of paths into a pointer: .spec.replicas, .metadata.annotations["x"], .spec.containers[0].image.
func jqPointer(expression string) (string, bool) {
	if !strings.HasPrefix(expression, ".") || strings.ContainsAny(expression, "|()?*{}$ ,") || strings.Contains(expression, "[]") {
		return "", false
	}
	var out strings.Builder
	rest := expression
	for rest != "" {
		rest = strings.TrimPrefix(rest, ".")
		switch {
		case strings.HasPrefix(rest, `["`):
			key, after, found := strings.Cut(rest[2:], `"]`)
			if !found {
				return "", false
			}
			out.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key))
			rest = after
		case strings.HasPrefix(rest, "["):
			index, after, found := strings.Cut(rest[1:], "]")
			if !found {
				return "", false
			}
			out.WriteString("/" + index)
			rest = after
		default:
			cut := strings.IndexAny(rest, ".[")
			if cut < 0 {
				cut = len(rest)
			}
			if cut == 0 {
				return "", false
			}
			out.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(strings.Trim(rest[:cut], `"`)))
			rest = rest[cut:]
		}
	}
	return out.String(), true
}
