# METADATA
# title: Images come from approved registries
# description: Everything that runs is pulled from a registry that is scanned. A prefix ends with a slash, so that registry.example.com.evil.org does not pass.
# custom:
#   input: periplus
#   kinds: [Pod, ReplicationController, Deployment.apps, StatefulSet.apps, DaemonSet.apps, ReplicaSet.apps, Job.batch, CronJob.batch]
#   severity: high
#   points: [commit, gate, admission, audit]
#   action: deny
#   parameters: {registries: [registry.example.com/]}
#   remediation: Push the image to an approved registry and name it there.
package registries

deny contains msg if {
	some c in input.containers
	image := object.get(c, "image", "")
	not approved(image)
	msg := sprintf("container %q: image %q is not from an approved registry", [object.get(c, "name", ""), image])
}

approved(image) if {
	some prefix in input.parameters.registries
	startswith(image, prefix)
}
