# METADATA
# title: Images say where they come from
# description: Whoever is on call finds the source and the commit of what runs; an object without them was built by nobody.
# custom:
#   input: periplus
#   kinds: [Pod, ReplicationController, Deployment.apps, StatefulSet.apps, DaemonSet.apps, ReplicaSet.apps, Job.batch, CronJob.batch]
#   severity: low
#   points: [commit, gate, admission, audit]
#   action: deny
#   parameters: {annotations: [org.opencontainers.image.source, org.opencontainers.image.revision]}
#   remediation: Put the annotations on the pod template; the pipeline that builds the image knows them.
#   controls: [slsa/provenance, soc2/cc8.1]
package image_provenance

deny contains msg if {
	some key in input.parameters.annotations
	object.get(input.pod.metadata, ["annotations", key], "") == ""
	msg := sprintf("the pod has no annotation %s", [key])
}
