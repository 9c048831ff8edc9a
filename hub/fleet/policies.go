package fleet

import (
	"path"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/policies/engine"
)

// isPolicy leaves out what tests of policies keep beside them: a Constraint among samples is in force nowhere. So does a
// kustomization, which Gatekeeper's library has beside each template.
func isPolicy(file string) bool {
	if name := path.Base(file); name == "kustomization.yaml" || name == "kustomization.yml" {
		return false
	}
	for _, folder := range strings.Split(path.Dir(file), "/") {
		if folder == "samples" || folder == "testdata" {
			return false
		}
	}
	return isYAML(file) || strings.HasSuffix(file, ".rego") || engine.IsDocument(file)
}

// readPolicyFile reads one file of policies/. Rego is compiled by the gate, which reads conftest's data, too.
func (r *reading) readPolicyFile(file string, data []byte) (*declared, []v1alpha1.Refusal) {
	if strings.HasSuffix(file, ".rego") || engine.IsDocument(file) {
		return &declared{rego: data}, nil
	}
	documents, refused := parseFile(file, data, r.in.Namespace)
	out := &declared{}
	for _, d := range documents {
		switch {
		case len(d.refused) > 0:
		case d.apiVersion == v1alpha1.GroupVersion.String() && d.kind == "PolicyBinding":
			out.bindings = append(out.bindings, d.binding())
		case d.apiVersion == v1alpha1.GroupVersion.String() && d.kind == "PolicyExemption":
			out.exemptions = append(out.exemptions, d.exemption())
		case strings.HasPrefix(d.apiVersion, "templates.gatekeeper.sh/"), strings.HasPrefix(d.apiVersion, "constraints.gatekeeper.sh/"),
			strings.HasPrefix(d.apiVersion, "expansion.gatekeeper.sh/"):
			out.gatekeeper = append(out.gatekeeper, GatekeeperDecl{Position: d.position(), Object: d.object})
		case strings.HasPrefix(d.apiVersion, "test.gatekeeper.sh/"):
			// Tests: periplus policy test runs them.
		case strings.HasPrefix(d.apiVersion, "config.gatekeeper.sh/"), strings.HasPrefix(d.apiVersion, "syncset.gatekeeper.sh/"):
			// What Gatekeeper is to copy from its cluster: templates say that themselves.
		default:
			d.refuse("kind", "%s of %s does not belong here: a YAML file of policies/ holds PolicyBindings and PolicyExemptions of %s, ConstraintTemplates, Constraints and ExpansionTemplates",
				d.kind, d.apiVersion, v1alpha1.GroupVersion)
		}
		refused = append(refused, d.refused...)
	}
	return out, refused
}

func (d *document) binding() BindingDecl {
	decl := BindingDecl{Position: d.position()}
	d.dropNamespace()
	if !d.decode(&decl.Binding) {
		return decl
	}
	spec := decl.Binding.Spec
	d.requirePolicy(spec.Policy, &spec.ClusterSelector)
	actions := []v1alpha1.PolicyAction{"", v1alpha1.PolicyDeny, v1alpha1.PolicyWarn, v1alpha1.PolicyAudit}
	if !slices.Contains(actions, spec.Action) {
		d.refuse("spec.action", "must be deny, warn or audit, not %q", spec.Action)
	}
	return decl
}

func (d *document) exemption() ExemptionDecl {
	decl := ExemptionDecl{Position: d.position()}
	d.dropNamespace()
	if !d.decode(&decl.Exemption) {
		return decl
	}
	spec := decl.Exemption.Spec
	d.requirePolicy(spec.Policy, &spec.ClusterSelector)
	if len(spec.Objects) == 0 {
		d.refuse("spec.objects", "objects is required: an exemption names what it exempts")
	}
	if spec.Reason == "" {
		d.refuse("spec.reason", "reason is required")
	}
	if spec.Owner == "" {
		d.refuse("spec.owner", "owner is required")
	}
	if spec.Expires.IsZero() {
		d.refuse("spec.expires", "expires is required: an exemption ends")
	}
	return decl
}

func (d *document) requirePolicy(policy string, selector *metav1.LabelSelector) {
	if policy == "" {
		d.refuse("spec.policy", "policy is required: the name of its Rego package")
	}
	d.requiredSelector("spec.clusterSelector", selector)
}

// dropNamespace: bindings and exemptions have no object, and so no namespace field; the FleetRepo's own may be written.
func (d *document) dropNamespace() {
	metadata, _ := d.object["metadata"].(map[string]any)
	delete(metadata, "namespace")
	for _, field := range []string{"labels", "annotations"} {
		if metadata[field] != nil {
			d.refuse("metadata."+field, "unknown field")
			delete(metadata, field)
		}
	}
}
