# METADATA
# title: Probes and hooks reach the pod alone
# description: A probe or lifecycle hook that names a host makes the kubelet connect there for whoever wrote the pod (Pod Security Standards, baseline).
# custom:
#   input: periplus
#   kinds: [Pod, ReplicationController, Deployment.apps, StatefulSet.apps, DaemonSet.apps, ReplicaSet.apps, Job.batch, CronJob.batch]
#   severity: medium
#   points: [commit, gate, admission, audit]
#   action: deny
#   remediation: "Leave host out of httpGet and tcpSocket: the pod's own address is the default."
#   controls: [pss/baseline-host-probes]
package host_probes

deny contains msg if {
	some c in input.containers
	some where in [["livenessProbe"], ["readinessProbe"], ["startupProbe"], ["lifecycle", "postStart"], ["lifecycle", "preStop"]]
	some how in ["httpGet", "tcpSocket"]
	host := object.get(c, array.concat(where, [how, "host"]), "")
	not host in {"", "127.0.0.1", "::1"}
	msg := sprintf("container %q: %s.%s goes to host %s", [object.get(c, "name", ""), concat(".", where), how, host])
}
