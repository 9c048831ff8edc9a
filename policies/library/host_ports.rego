# METADATA
# title: No container takes its node's ports
# description: A host port binds a pod to a node and passes by network policies (Pod Security Standards, baseline).
# custom:
#   input: periplus
#   kinds: [Pod, ReplicationController, Deployment.apps, StatefulSet.apps, DaemonSet.apps, ReplicaSet.apps, Job.batch, CronJob.batch]
#   severity: medium
#   points: [commit, gate, admission, audit]
#   action: deny
#   parameters: {allowed: []}
#   remediation: Serve through a Service, an Ingress or a Gateway.
#   controls: [pss/baseline-host-ports, cis-1.12/5.2.13]
package host_ports

deny contains msg if {
	some c in input.containers
	some port in object.get(c, "ports", [])
	number := object.get(port, "hostPort", 0)
	number != 0
	not number in input.parameters.allowed
	msg := sprintf("container %q takes port %d of its node", [object.get(c, "name", ""), number])
}
