# METADATA
# title: A tenant keeps to its namespaces and kinds
# description: What a tenant's bundles bring lies in the namespaces that are its own, and is of no kind that rules over the whole cluster.
# custom:
#   input: periplus
#   kinds: ["*"]
#   severity: critical
#   points: [commit, gate, admission, audit]
#   action: deny
#   parameters: {tenants: {}}
#   remediation: Put the object into a namespace of the tenant; what is the cluster's belongs into a bundle of the platform.
#   controls: [soc2/cc6.3]
package tenancy

# Tenants are namespaces of the hub: the cluster's own. One that is not listed is the platform, which may do everything.
rules := input.parameters.tenants[input.cluster.namespace]

deny contains msg if {
	input.namespace != ""
	not allowed_namespace
	msg := sprintf("namespace %q is none of tenant %q", [input.namespace, input.cluster.namespace])
}

deny contains msg if {
	input.namespace == ""
	not allowed_kind
	msg := sprintf("tenant %q may not bring a %s: it is no object of a namespace", [input.cluster.namespace, input.kind])
}

allowed_namespace if not rules

allowed_namespace if {
	some pattern in rules.namespaces
	glob.match(pattern, [], input.namespace)
}

allowed_kind if not rules

allowed_kind if input.kind in object.get(rules, "clusterKinds", [])

allowed_kind if {
	input.kind == "Namespace"
	some pattern in rules.namespaces
	glob.match(pattern, [], input.name)
}
