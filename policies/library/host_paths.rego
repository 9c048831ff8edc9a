# METADATA
# title: No pod mounts its node's files
# description: A hostPath volume reads or writes the node, and with it every pod there (Pod Security Standards, baseline).
# custom:
#   input: periplus
#   kinds: [Pod, ReplicationController, Deployment.apps, StatefulSet.apps, DaemonSet.apps, ReplicaSet.apps, Job.batch, CronJob.batch]
#   severity: high
#   points: [commit, gate, admission, audit]
#   action: deny
#   parameters: {allowed: []}
#   remediation: Use a PersistentVolumeClaim, a ConfigMap or an emptyDir. Storage and log agents get a PolicyExemption.
#   controls: [pss/baseline-host-path, cis-1.12/5.2.12, nsa/pod-host-path]
package host_paths

deny contains msg if {
	some volume in object.get(input.pod.spec, "volumes", [])
	path := object.get(volume, ["hostPath", "path"], null)
	path != null
	not allowed(path)
	msg := sprintf("volume %q mounts %s of the node", [object.get(volume, "name", ""), path])
}

allowed(path) if {
	some prefix in input.parameters.allowed
	not contains(path, "..")
	startswith(sprintf("%s/", [trim_suffix(path, "/")]), sprintf("%s/", [trim_suffix(prefix, "/")]))
}
