# METADATA
# title: Roles say what they allow
# description: "A wildcard allows also what is added tomorrow: every new kind, every new verb."
# custom:
#   input: periplus
#   kinds: [Role.rbac.authorization.k8s.io, ClusterRole.rbac.authorization.k8s.io]
#   severity: high
#   points: [commit, gate, admission, audit]
#   action: deny
#   remediation: List the verbs, resources and groups that are used.
#   controls: [cis-1.12/5.1.3, nsa/rbac-least-privilege]
package rbac_wildcards

deny contains msg if {
	some i, rule in object.get(input.object, "rules", [])
	some field in ["verbs", "resources", "apiGroups", "nonResourceURLs"]
	"*" in object.get(rule, field, [])
	msg := sprintf("rules[%d].%s holds *", [i, field])
}
