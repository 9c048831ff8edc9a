# METADATA
# title: Images name a version
# description: An image without a tag, or with one that moves, is another program tomorrow than the one that was tested.
# custom:
#   input: periplus
#   kinds: [Pod, ReplicationController, Deployment.apps, StatefulSet.apps, DaemonSet.apps, ReplicaSet.apps, Job.batch, CronJob.batch]
#   severity: medium
#   points: [commit, gate, admission, audit]
#   action: deny
#   parameters: {moving: [latest, main, master, edge, nightly, dev]}
#   remediation: Name a tag that never moves, or a digest.
#   controls: [nsa/image-tags]
package image_tags

deny contains msg if {
	some c in input.containers
	image := object.get(c, "image", "")
	not contains(image, "@")
	tag := tag_of(image)
	tag in input.parameters.moving
	msg := sprintf("container %q: image %q has the tag %q, which moves", [object.get(c, "name", ""), image, tag])
}

# The tag stands after the last slash: what stands before may hold a port. No tag is latest.
tag_of(image) := tag if {
	last := regex.replace(image, `^.*/`, "")
	contains(last, ":")
	tag := regex.replace(last, `^[^:]*:`, "")
} else := "latest"
