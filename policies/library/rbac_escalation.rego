# METADATA
# title: No role is a way to another
# description: Who may escalate, bind, impersonate, make tokens, enter pods or read every Secret has the rights of others.
# custom:
#   input: periplus
#   kinds: [Role.rbac.authorization.k8s.io, ClusterRole.rbac.authorization.k8s.io]
#   severity: high
#   points: [commit, gate, admission, audit]
#   action: deny
#   remediation: Take the right out of the role, or narrow it by resourceNames.
#   controls: [cis-1.12/5.1.2, cis-1.12/5.1.8, nsa/rbac-least-privilege]
package rbac_escalation

deny contains msg if {
	some i, rule in object.get(input.object, "rules", [])
	some verb in object.get(rule, "verbs", [])
	verb in {"escalate", "bind", "impersonate"}
	not named(rule)
	msg := sprintf("rules[%d] allows %s", [i, verb])
}

deny contains msg if {
	some i, rule in object.get(input.object, "rules", [])
	some resource in object.get(rule, "resources", [])
	resource in {"pods/exec", "pods/attach", "serviceaccounts/token", "nodes/proxy", "certificatesigningrequests/approval"}
	not named(rule)
	msg := sprintf("rules[%d] allows %s", [i, resource])
}

deny contains msg if {
	input.kind == "ClusterRole"
	some i, rule in object.get(input.object, "rules", [])
	"secrets" in object.get(rule, "resources", [])
	some verb in object.get(rule, "verbs", [])
	verb in {"get", "list", "watch", "*"}
	not named(rule)
	msg := sprintf("rules[%d] reads every Secret: %s", [i, verb])
}

named(rule) if count(object.get(rule, "resourceNames", [])) > 0
