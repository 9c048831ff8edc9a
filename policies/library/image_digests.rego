# METADATA
# title: Images are named by digest
# description: A digest is the very image that was scanned and tested; a tag can be moved.
# custom:
#   input: periplus
#   kinds: [Pod, ReplicationController, Deployment.apps, StatefulSet.apps, DaemonSet.apps, ReplicaSet.apps, Job.batch, CronJob.batch]
#   severity: medium
#   points: [commit, gate, admission, audit]
#   action: deny
#   remediation: Write the image as name@sha256:<digest>; tools such as Renovate keep it fresh.
#   controls: [nsa/image-digests, slsa/provenance]
package image_digests

deny contains msg if {
	some c in input.containers
	image := object.get(c, "image", "")
	not regex.match(`@sha256:[0-9a-f]{64}$`, image)
	msg := sprintf("container %q: image %q has no digest", [object.get(c, "name", ""), image])
}
