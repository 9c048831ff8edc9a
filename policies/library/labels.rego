# METADATA
# title: Workloads carry the required labels
# description: Labels say who owns what runs and what it belongs to; alerts, cost reports and people rely on them.
# custom:
#   input: periplus
#   kinds: [Pod, Namespace, Service, Deployment.apps, StatefulSet.apps, DaemonSet.apps, Job.batch, CronJob.batch]
#   severity: low
#   points: [commit, gate, admission, audit]
#   action: warn
#   parameters: {labels: [app.kubernetes.io/name]}
#   remediation: Add the label to metadata.labels.
package labels

deny contains msg if {
	some label in input.parameters.labels
	object.get(input.object, ["metadata", "labels", label], "") == ""
	msg := sprintf("label %q is missing", [label])
}
