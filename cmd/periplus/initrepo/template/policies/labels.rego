# METADATA
# title: Workloads say who owns them
# description: Every Deployment carries the label app.kubernetes.io/name.
# custom:
#   input: periplus
#   kinds: [Deployment.apps]
#   severity: low
#   points: [gate]
#   action: warn
package labels

deny contains msg if {
	not input.object.metadata.labels["app.kubernetes.io/name"]
	msg := "the label app.kubernetes.io/name is missing"
}
