# METADATA
# title: Pods use volumes of the safe types
# description: Configuration, claims, scratch space and ephemeral volumes; no type that reaches into a node or a network by itself (Pod Security Standards, restricted).
# custom:
#   input: periplus
#   kinds: [Pod, ReplicationController, Deployment.apps, StatefulSet.apps, DaemonSet.apps, ReplicaSet.apps, Job.batch, CronJob.batch]
#   severity: medium
#   points: [commit, gate, admission, audit]
#   action: deny
#   parameters: {allowed: [configMap, csi, downwardAPI, emptyDir, ephemeral, image, persistentVolumeClaim, projected, secret]}
#   remediation: Use a PersistentVolumeClaim in place of the volume type that is named.
#   controls: [pss/restricted-volumes, cis-1.12/5.2.12]
package volumes

deny contains msg if {
	some volume in object.get(input.pod.spec, "volumes", [])
	some type in object.keys(volume)
	type != "name"
	not type in input.parameters.allowed
	msg := sprintf("volume %q is of type %s", [object.get(volume, "name", ""), type])
}
