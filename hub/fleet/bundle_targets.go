package fleet

import (
	"fmt"
	"path"
	"regexp"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

var fullCommit = regexp.MustCompile(`^[0-9a-f]{40}$`)

func (c bundleCheck) targets(spec v1alpha1.BundleSpec) {
	if len(spec.Targets) == 0 {
		c.refuse("spec.targets", "targets is required: without one the bundle goes nowhere")
	}
	names := map[string]bool{}
	for i, target := range spec.Targets {
		at := fmt.Sprintf("spec.targets[%d]", i)
		if target.Name != "" && names[target.Name] {
			c.refuse(at+".name", "target %q stands twice", target.Name)
		}
		names[target.Name] = true
		c.ref(at+".ref", target.Ref)
		c.source(at+".source", target.Source)
		source := spec.Source
		if target.Source != nil {
			source = target.Source
		}
		if c.values(at+".values", target.Values) && !takesValues(source) {
			c.refuse(at+".values", takesNone)
		}
		c.valuesFrom(at+".valuesFrom", target.ValuesFrom)
		if len(target.ValuesFrom) > 0 && !takesValues(source) {
			c.refuse(at+".valuesFrom", takesNone)
		}
		c.set(at+".set", target.Set)
		c.patches(at+".patches", target.Patches)
	}
}

func (c bundleCheck) ref(field string, ref *v1alpha1.GitRef) {
	if ref == nil {
		return
	}
	given := 0
	for _, value := range []string{ref.Branch, ref.Tag, ref.Commit} {
		if value != "" {
			given++
		}
	}
	if given != 1 {
		c.refuse(field, "give one of branch, tag and commit")
	}
	if ref.Commit != "" && !fullCommit.MatchString(ref.Commit) {
		c.refuse(field+".commit", "a commit is 40 hexadecimal digits")
	}
}

func (c bundleCheck) dependsOn(dependencies []v1alpha1.Dependency, name string) {
	seen := map[string]bool{}
	for i, dependency := range dependencies {
		at := fmt.Sprintf("spec.dependsOn[%d]", i)
		object := dependency.Object
		switch {
		case (dependency.Bundle == "") == (object == nil):
			c.refuse(at, "give one of bundle and object")
			continue
		case object != nil && dependency.ClusterSelector != nil:
			c.refuse(at+".clusterSelector", "an object is one of the same cluster; clusterSelector goes with bundle")
		case object != nil && object.Kind == "":
			c.refuse(at+".object.kind", "kind is required")
		case object != nil && object.Name == "":
			c.refuse(at+".object.name", "name is required")
		case object != nil:
		case dependency.Bundle == name:
			c.refuse(at+".bundle", "the dependencies form a cycle: %s -> %s", name, name)
		default:
			c.name(at+".bundle", dependency.Bundle)
		}
		what := "bundle " + strconv.Quote(dependency.Bundle)
		if object != nil {
			what = fmt.Sprintf("object %s/%s %s/%s", object.Group, object.Kind, object.Namespace, object.Name)
		} else if dependency.ClusterSelector != nil {
			what += " on " + metav1.FormatLabelSelector(dependency.ClusterSelector)
		}
		if seen[what] {
			c.refuse(at, "%s stands twice", what)
		}
		seen[what] = true
	}
}

// behaviour checks how the bundle is delivered.
func (c bundleCheck) behaviour(spec v1alpha1.BundleSpec) {
	switch spec.Drift.Mode {
	case "", v1alpha1.DriftCorrect, v1alpha1.DriftReport, v1alpha1.DriftIgnore:
	default:
		c.refuse("spec.drift.mode", "must be Correct, Report or Ignore, not %q", spec.Drift.Mode)
	}
	for i, rule := range spec.Drift.Ignore {
		at := fmt.Sprintf("spec.drift.ignore[%d]", i)
		c.match(at, rule.ObjectMatch)
		if len(rule.Pointers) == 0 && len(rule.Managers) == 0 {
			c.refuse(at, "pointers or managers is required")
		}
		for j, manager := range rule.Managers {
			c.manager(fmt.Sprintf("%s.managers[%d]", at, j), manager)
		}
		for j, pointer := range rule.Pointers {
			c.pointer(fmt.Sprintf("%s.pointers[%d]", at, j), pointer)
		}
	}
	if budget := spec.Prune.Budget; budget != nil {
		if budget.Objects != nil && *budget.Objects < 0 {
			c.refuse("spec.prune.budget.objects", "must be at least 0")
		}
		if budget.Percent != nil && (*budget.Percent < 0 || *budget.Percent > 100) {
			c.refuse("spec.prune.budget.percent", "must be from 0 to 100")
		}
	}
	c.objects(spec)
	switch spec.Prune.OnRemoval {
	case "", v1alpha1.RemovalDelete, v1alpha1.RemovalOrphan:
	default:
		c.refuse("spec.prune.onRemoval", "must be Delete or Orphan, not %q", spec.Prune.OnRemoval)
	}
	switch spec.OnFailure {
	case "", v1alpha1.FailureHold, v1alpha1.FailureRollback:
	default:
		c.refuse("spec.onFailure", "must be Hold or Rollback, not %q", spec.OnFailure)
	}
	if spec.Suspend != nil && spec.Suspend.Until.IsZero() {
		c.refuse("spec.suspend.until", "until is required: a suspension ends")
	}
	if spec.Suspend != nil && spec.Suspend.Reason == "" {
		c.refuse("spec.suspend.reason", "reason is required")
	}
	if spec.Health.Timeout != nil && spec.Health.Timeout.Duration <= 0 {
		c.refuse("spec.health.timeout", "must be more than 0")
	}
	if problems := validation.IsDNS1123Subdomain(spec.ServiceAccountName); spec.ServiceAccountName != "" && len(problems) > 0 {
		c.refuse("spec.serviceAccountName", "%q is no name: %s", spec.ServiceAccountName, problems[0])
	}
}

// manager checks the name of a field manager, which may hold *.
func (c bundleCheck) manager(field, manager string) {
	// The API server takes at most 128 printable letters for a manager's name.
	if _, err := path.Match(manager, ""); err != nil || manager == "" || len(manager) > 128 {
		c.refuse(field, "%q is no field manager's name, such as kube-controller-manager or keda-*", manager)
	}
}
