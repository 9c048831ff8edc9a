package argocd

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/importer"
	"sigs.k8s.io/yaml"
)

// applicationSet makes its applications, and one bundle of those that differ only in where they go and with what values.
func (r *reading) applicationSet(d importer.Document) error {
	var set applicationSet
	if !d.Read(&set, r.repo.Report) {
		return nil
	}
	spec := set.Spec
	if spec.Strategy != nil {
		r.repo.Report.LeftOut(d.At("spec.strategy"), d.What()+": strategy", "a change goes to all clusters at once", "promote by target: ref a tag or branch for the clusters that come later")
	}
	apps, err := r.generate(d, set)
	if err != nil {
		unsupported := importer.Unsupported(err, d.At("spec"))
		r.repo.Report.LeftOut(unsupported.At, d.What(), unsupported.Why, unsupported.Do)
		return nil
	}
	if len(apps) == 0 {
		r.repo.Report.LeftOut(d.At(""), d.What(), "its generators give no application", "see that the folder holds what they read")
		return nil
	}
	groups := grouped(apps)
	made := 0
	for _, group := range groups {
		name := d.Name
		if len(groups) > 1 {
			name = d.Name + "-" + group[0].distinct()
		}
		made += r.deliver(d, name, group)
	}
	r.repo.Report.Translated(d.At(""), d.What(), importer.Count(made, "bundle")+" of "+importer.Count(len(apps), "application"))
	return nil
}

// one application, and where it goes.
type instance struct {
	application
	match v1alpha1.ClusterMatch
	name  string
}

// generate tries first to keep cluster generators open: clusters that come later are then reached as they would be.
func (r *reading) generate(d importer.Document, set applicationSet) ([]instance, error) {
	text, err := json.Marshal(set.Spec.Generators)
	if err != nil {
		return nil, err
	}
	if strings.Contains(string(text), `"clusters":`) {
		g := &generation{reading: r, templating: templating{set.Spec.GoTemplate, set.Spec.Options}, d: d, symbolic: true}
		apps, err := g.apps(set)
		switch {
		case err == nil && slices.IndexFunc(apps, instance.closed) < 0:
			return apps, nil
		case len(r.known) == 0 && err == nil:
			return nil, &importer.UnsupportedError{At: d.At("spec.template"), Why: "a path or name is made of the cluster's, and " + errNoClusters.Error(),
				Do: "put the cluster Secrets (name, server and labels are enough) into the folder and import again"}
		}
	}
	g := &generation{reading: r, templating: templating{set.Spec.GoTemplate, set.Spec.Options}, d: d}
	return g.apps(set)
}

// closed says that the application needs to know its cluster before it can be written.
func (a instance) closed() bool {
	for _, one := range a.sources() {
		fixed := one
		if one.Helm != nil {
			helm := *one.Helm
			helm.Values, helm.ValuesObject, helm.Parameters = "", nil, nil
			fixed.Helm = &helm
		}
		text, _ := json.Marshal(fixed)
		if strings.Contains(string(text), `\u0001`) {
			return true
		}
	}
	return false
}

func (a application) sources() []source {
	if len(a.Spec.Sources) > 0 {
		return a.Spec.Sources
	}
	if a.Spec.Source != nil {
		return []source{*a.Spec.Source}
	}
	return nil
}

func (g *generation) apps(set applicationSet) ([]instance, error) {
	var out []instance
	for i, generator := range set.Spec.Generators {
		at := fmt.Sprintf("spec.generators[%d]", i)
		params, err := g.params(generator, at)
		if err != nil {
			return nil, err
		}
		template := set.Spec.Template
		if over, ok := innerTemplate(generator); ok {
			template = importer.Merge(template, over)
		}
		for _, one := range params {
			app, err := g.app(set, template, one)
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", g.d.At(at), g.d.What(), err)
			}
			out = append(out, app)
		}
	}
	return out, nil
}

// innerTemplate is what a generator puts over the set's template.
func innerTemplate(generator map[string]any) (map[string]any, bool) {
	for _, body := range generator {
		inner, _ := body.(map[string]any)
		if template, ok := inner["template"].(map[string]any); ok && len(template) > 0 {
			return template, true
		}
	}
	return nil, false
}

func (g *generation) app(set applicationSet, template, params map[string]any) (instance, error) {
	filled, err := g.fill(template, params)
	if err != nil {
		return instance{}, err
	}
	value, _ := filled.(map[string]any)
	if set.Spec.Patch != "" {
		text, err := templating{goTemplate: true, options: g.options}.text(set.Spec.Patch, params)
		if err != nil {
			return instance{}, fmt.Errorf("templatePatch: %w", err)
		}
		patch := map[string]any{}
		if err := yaml.Unmarshal([]byte(text), &patch); err != nil {
			return instance{}, fmt.Errorf("templatePatch: %w", err)
		}
		value = importer.Merge(value, patch)
	}
	made := importer.NewDocument(g.d.File, g.d.Document, value)
	made.Kind = "Application"
	out := instance{}
	if err := made.Decode(&out.application, g.repo.Report); err != nil {
		return instance{}, err
	}
	to := out.Spec.Destination
	switch {
	case strings.Contains(to.Server+to.Name, mark):
		out.match = v1alpha1.ClusterMatch{ClusterSelector: g.selector}
	default:
		out.name = g.place(to, g.d)
		out.match = importer.Clusters(out.name)
	}
	return out, nil
}

// grouped puts applications together that can be targets of one bundle: each cluster once, the same namespace and options,
// and the same folder where that folder is plain manifests.
func grouped(apps []instance) [][]instance {
	whole := map[string][]instance{}
	var order []string
	for _, app := range apps {
		key := app.options()
		if whole[key] == nil {
			order = append(order, key)
		}
		whole[key] = append(whole[key], app)
	}
	var out [][]instance
	for _, key := range order {
		if unique(whole[key]) && oneKind(whole[key]) {
			out = append(out, whole[key])
			continue
		}
		parts := map[string][]instance{}
		var names []string
		for _, app := range whole[key] {
			name := app.distinct()
			if parts[name] == nil {
				names = append(names, name)
			}
			parts[name] = append(parts[name], app)
		}
		for _, name := range names {
			if unique(parts[name]) {
				out = append(out, parts[name])
				continue
			}
			for _, app := range parts[name] {
				out = append(out, []instance{app})
			}
		}
	}
	return out
}

// options are what must be the same at all targets of a bundle.
func (a instance) options() string {
	text, _ := json.Marshal([]any{a.Spec.Destination.Namespace, a.Spec.SyncPolicy, a.Spec.Ignore, len(a.sources())})
	return string(text)
}

func unique(apps []instance) bool {
	seen := map[string]bool{}
	for _, app := range apps {
		text, _ := json.Marshal(app.match)
		if seen[string(text)] {
			return false
		}
		seen[string(text)] = true
	}
	return true
}

// oneKind is true where the applications can be rendered as targets of one bundle: from one folder, or from folders that are
// kustomizations or charts, which a target can name.
func oneKind(apps []instance) bool {
	for _, app := range apps {
		if app.distinct() != apps[0].distinct() && !strings.EqualFold(suffixless(app), suffixless(apps[0])) {
			return false
		}
	}
	return true
}

// suffixless is an application's folder without its last part: overlays/dev and overlays/prod are one thing in two forms.
func suffixless(app instance) string {
	for _, one := range app.sources() {
		if one.Path != "" {
			return one.RepoURL + " " + path.Dir(path.Clean(one.Path))
		}
	}
	return app.distinct()
}

// distinct names the folder or chart of an application, or its own name.
func (a instance) distinct() string {
	for _, one := range a.sources() {
		switch {
		case one.Chart != "":
			return one.Chart
		case one.Path != "" && path.Clean(one.Path) != ".":
			return path.Base(one.Path)
		}
	}
	return a.Metadata.Name
}
