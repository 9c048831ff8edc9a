# METADATA
# title: Workloads say what they are and whose they are
# description: On-call finds the owner of what is broken by its labels, and cost is split by them.
# custom:
#   input: periplus
#   kinds: [Deployment.apps, StatefulSet.apps, DaemonSet.apps, Job.batch, CronJob.batch]
#   severity: low
#   points: [commit, gate, audit]
#   action: deny
#   parameters: {labels: [app.kubernetes.io/name, fleet.example.com/team]}
#   remediation: Put app.kubernetes.io/name on the object, and fleet.example.com/team in spec.labels of its bundle.
package labels

deny contains msg if {
	some label in input.parameters.labels
	object.get(input.object, ["metadata", "labels", label], "") == ""
	msg := sprintf("label %q is missing", [label])
}
