package fleet

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/target/expr"
)

// Matcher is a compiled ClusterMatch: what is nil or empty was not asked for, and the rest must hold together.
type Matcher struct {
	Labels     labels.Selector
	Group      string
	Names      []string
	Properties labels.Selector
	Condition  *expr.Condition
}

// Asks says whether anything is asked for at all.
func (m Matcher) Asks() bool {
	return m.Labels != nil || m.Group != "" || len(m.Names) > 0 || m.Properties != nil || m.Condition != nil
}

// Matchers are those of a bundle, in the order of its declaration.
type Matchers struct {
	Targets, Overlays, Exclude []Matcher
	// Dependencies hold a selector for each of spec.dependsOn; nil where it means the same cluster.
	Dependencies []labels.Selector
}

// matchers compiles what a bundle says about clusters, and refuses what chooses none or says twice the same.
func (c bundleCheck) matchers(spec v1alpha1.BundleSpec) Matchers {
	var out Matchers
	for i := range spec.Targets {
		out.Targets = append(out.Targets, c.matcher(fmt.Sprintf("spec.targets[%d]", i), spec.Targets[i].ClusterMatch))
	}
	for i := range spec.Overlays {
		out.Overlays = append(out.Overlays, c.matcher(fmt.Sprintf("spec.overlays[%d]", i), spec.Overlays[i].ClusterMatch))
	}
	for i := range spec.Exclude {
		out.Exclude = append(out.Exclude, c.matcher(fmt.Sprintf("spec.exclude[%d]", i), spec.Exclude[i]))
	}
	for i, dependency := range spec.DependsOn {
		var selector labels.Selector
		if dependency.ClusterSelector != nil {
			selector = c.selector(fmt.Sprintf("spec.dependsOn[%d].clusterSelector", i), dependency.ClusterSelector)
		}
		out.Dependencies = append(out.Dependencies, selector)
	}
	return out
}

func (c bundleCheck) matcher(at string, match v1alpha1.ClusterMatch) Matcher {
	out := Matcher{Group: match.ClusterGroup, Names: match.ClusterNames}
	if match.ClusterSelector != nil {
		out.Labels = c.selector(at+".clusterSelector", match.ClusterSelector)
	}
	if match.PropertySelector != nil {
		out.Properties = c.selector(at+".propertySelector", match.PropertySelector)
	}
	if match.Expression != "" {
		condition, err := c.expr.Condition(match.Expression)
		if err != nil {
			c.refuse(at+".expression", "%v", err)
		}
		out.Condition = condition
	}
	if problems := validation.IsDNS1123Subdomain(match.ClusterGroup); match.ClusterGroup != "" && len(problems) > 0 {
		c.refuse(at+".clusterGroup", "%q is no name of a ClusterGroup: %s", match.ClusterGroup, problems[0])
	}
	for i, name := range match.ClusterNames {
		if rest := strings.ReplaceAll(name, "*", ""); name == "" || rest != "" && !namePart(rest) {
			c.refuse(fmt.Sprintf("%s.clusterNames[%d]", at, i), "%q is no name of a cluster; * stands for any part of one", name)
		}
	}
	if match.ClusterNames != nil && len(match.ClusterNames) == 0 {
		c.refuse(at+".clusterNames", "the list names no cluster; leave it out, or name some")
	}
	if !out.Asks() && match.Expression == "" {
		c.refuse(at, "say which clusters: clusterSelector, clusterGroup, clusterNames, propertySelector or expression; clusterSelector: {} is every cluster")
	}
	return out
}

func namePart(text string) bool {
	return strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789-.") == ""
}

// NameMatches says whether a pattern with * as a wildcard means a name.
func NameMatches(pattern, name string) bool {
	matched, err := path.Match(pattern, name)
	return err == nil && matched
}

func (c bundleCheck) overlays(spec v1alpha1.BundleSpec) {
	names := map[string]bool{}
	for i, overlay := range spec.Overlays {
		at := fmt.Sprintf("spec.overlays[%d]", i)
		if overlay.Name != "" && names[overlay.Name] {
			c.refuse(at+".name", "overlay %q stands twice", overlay.Name)
		}
		names[overlay.Name] = true
		if overlay.Values == nil && len(overlay.Set) == 0 && len(overlay.Patches) == 0 {
			c.refuse(at, "the overlay changes nothing: give values, set or patches; clusters are chosen by targets alone")
		}
		c.values(at+".values", overlay.Values)
		if overlay.Values != nil {
			c.takenByAll(at+".values", spec)
		}
		c.set(at+".set", overlay.Set)
		c.patches(at+".patches", overlay.Patches)
	}
}

func (c bundleCheck) tolerations(tolerations []v1alpha1.ClusterToleration) {
	for i, toleration := range tolerations {
		at := fmt.Sprintf("spec.tolerations[%d]", i)
		switch toleration.Operator {
		case "", "Equal":
			if toleration.Key == "" {
				c.refuse(at+".key", "key is required; operator: Exists without key tolerates every taint")
			}
		case "Exists":
			if toleration.Value != "" {
				c.refuse(at+".value", "operator Exists takes no value")
			}
		default:
			c.refuse(at+".operator", "must be Equal or Exists, not %q", toleration.Operator)
		}
		checkEffect(c.document, at+".effect", toleration.Effect, true)
	}
}

func checkEffect(d *document, field string, effect v1alpha1.TaintEffect, optional bool) {
	switch {
	case effect == "" && optional, effect == v1alpha1.NoSelect, effect == v1alpha1.NoSelectIfNew:
	case effect == "":
		d.refuse(field, "effect is required: NoSelect or NoSelectIfNew")
	default:
		d.refuse(field, "must be NoSelect or NoSelectIfNew, not %q", effect)
	}
}

// clusterFacts checks what a cluster declares for propertySelector and tolerations.
func (d *document) clusterFacts(spec v1alpha1.FleetClusterSpec) {
	for key, value := range spec.Properties {
		field := "spec.properties." + key
		if problems := validation.IsQualifiedName(key); len(problems) > 0 {
			d.refuse(field, "no valid key of a property: %s", problems[0])
		}
		if problems := validation.IsValidLabelValue(value); len(problems) > 0 {
			d.refuse(field, "no valid value of a property: %s", problems[0])
		}
		if slices.Contains(KnownProperties, key) {
			d.refuse(field, "the hub itself knows %s", key)
		}
	}
	seen := map[v1alpha1.ClusterTaint]bool{}
	for i, taint := range spec.Taints {
		at := fmt.Sprintf("spec.taints[%d]", i)
		if problems := validation.IsQualifiedName(taint.Key); len(problems) > 0 {
			d.refuse(at+".key", "no valid key of a taint: %s", problems[0])
		}
		if problems := validation.IsValidLabelValue(taint.Value); len(problems) > 0 {
			d.refuse(at+".value", "no valid value of a taint: %s", problems[0])
		}
		checkEffect(d, at+".effect", taint.Effect, false)
		one := v1alpha1.ClusterTaint{Key: taint.Key, Effect: taint.Effect}
		if seen[one] {
			d.refuse(at, "taint %s with effect %s stands twice", taint.Key, taint.Effect)
		}
		seen[one] = true
	}
}

// Properties that the hub itself knows of a cluster.
const (
	PropertyVersion  = "kubernetesVersion"
	PropertyProvider = "provider"
	PropertyClass    = "class"
)

// KnownProperties cannot be declared.
var KnownProperties = []string{PropertyVersion, PropertyProvider, PropertyClass}
