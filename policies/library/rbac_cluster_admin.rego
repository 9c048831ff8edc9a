# METADATA
# title: Nobody is made cluster-admin
# description: A binding to cluster-admin, to system:masters or to everyone gives away the cluster.
# custom:
#   input: periplus
#   kinds: [RoleBinding.rbac.authorization.k8s.io, ClusterRoleBinding.rbac.authorization.k8s.io]
#   severity: critical
#   points: [commit, gate, admission, audit]
#   action: deny
#   parameters: {roles: [cluster-admin]}
#   remediation: Bind a role with the rights that are used. The first administrators are made where the cluster is.
#   controls: [cis-1.12/5.1.1, cis-1.12/5.1.7, nsa/rbac-least-privilege]
package rbac_cluster_admin

deny contains msg if {
	role := object.get(input.object, ["roleRef", "name"], "")
	role in input.parameters.roles
	msg := sprintf("it binds %s", [role])
}

deny contains msg if {
	some subject in object.get(input.object, "subjects", [])
	object.get(subject, "kind", "") in {"Group", "User"}
	name := object.get(subject, "name", "")
	name in {"system:masters", "system:anonymous", "system:unauthenticated", "system:authenticated", "system:serviceaccounts"}
	msg := sprintf("it gives rights to %s", [name])
}
