# METADATA
# title: Images come from approved registries
# description: Everything that runs is pulled from a registry that we scan.
# custom:
#   input: periplus
#   kinds: [Pod, Deployment.apps, StatefulSet.apps, DaemonSet.apps, Job.batch, CronJob.batch]
#   severity: high
#   points: [commit, gate, admission, audit]
#   action: deny
#   parameters: {registries: [registry.example.com/, registry.k8s.io/, quay.io/prometheus/]}
#   remediation: Mirror the image to registry.example.com, or ask security to approve its registry in policies/bindings.yaml.
package registries

deny contains msg if {
	some c in input.containers
	not approved(c.image)
	msg := sprintf("image %q of container %q is not from an approved registry", [c.image, c.name])
}

approved(image) if {
	some prefix in input.parameters.registries
	startswith(image, prefix)
}
