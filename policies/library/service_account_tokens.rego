# METADATA
# title: Pods take no token that they do not use
# description: A pod of the default ServiceAccount has no rights of its own, so a token in it serves an intruder alone.
# custom:
#   input: periplus
#   kinds: [Pod, ReplicationController, Deployment.apps, StatefulSet.apps, DaemonSet.apps, ReplicaSet.apps, Job.batch, CronJob.batch]
#   severity: low
#   points: [commit, gate, admission, audit]
#   action: deny
#   remediation: Set automountServiceAccountToken of the pod to false, or give it a ServiceAccount of its own.
#   controls: [cis-1.12/5.1.6, nsa/authentication-tokens]
package service_account_tokens

deny contains "the pod mounts a token of ServiceAccount default: automountServiceAccountToken is not false" if {
	object.get(input.pod.spec, "serviceAccountName", "default") in {"", "default"}
	object.get(input.pod.spec, "automountServiceAccountToken", true) != false
}
