# METADATA
# title: AppArmor stays on
# description: A profile may be the runtime's default or one of the node, and never Unconfined (Pod Security Standards, baseline).
# custom:
#   input: periplus
#   kinds: [Pod, ReplicationController, Deployment.apps, StatefulSet.apps, DaemonSet.apps, ReplicaSet.apps, Job.batch, CronJob.batch]
#   severity: medium
#   points: [commit, gate, admission, audit]
#   action: deny
#   remediation: Leave appArmorProfile out, or set its type to RuntimeDefault or Localhost.
#   controls: [pss/baseline-apparmor]
package apparmor

deny contains msg if {
	type := object.get(input.pod.spec, ["securityContext", "appArmorProfile", "type"], "RuntimeDefault")
	not type in {"RuntimeDefault", "Localhost"}
	msg := sprintf("the pod's AppArmor profile is %s", [type])
}

deny contains msg if {
	some c in input.containers
	type := object.get(c, ["securityContext", "appArmorProfile", "type"], "RuntimeDefault")
	not type in {"RuntimeDefault", "Localhost"}
	msg := sprintf("container %q: its AppArmor profile is %s", [object.get(c, "name", ""), type])
}

# What said it before Kubernetes 1.30, and is still read.
deny contains msg if {
	some key, profile in object.get(input.pod.metadata, "annotations", {})
	startswith(key, "container.apparmor.security.beta.kubernetes.io/")
	not profile in {"", "runtime/default"}
	not startswith(profile, "localhost/")
	msg := sprintf("annotation %s is %s", [key, profile])
}
