# METADATA
# title: Only safe sysctls are set
# description: Other sysctls change the node for all its pods (Pod Security Standards, baseline).
# custom:
#   input: periplus
#   kinds: [Pod, ReplicationController, Deployment.apps, StatefulSet.apps, DaemonSet.apps, ReplicaSet.apps, Job.batch, CronJob.batch]
#   severity: high
#   points: [commit, gate, admission, audit]
#   action: deny
#   parameters: {allowed: [kernel.shm_rmid_forced, net.ipv4.ip_local_port_range, net.ipv4.ip_unprivileged_port_start, net.ipv4.tcp_syncookies, net.ipv4.ping_group_range, net.ipv4.ip_local_reserved_ports, net.ipv4.tcp_keepalive_time, net.ipv4.tcp_fin_timeout, net.ipv4.tcp_keepalive_intvl, net.ipv4.tcp_keepalive_probes, net.ipv4.tcp_rmem, net.ipv4.tcp_wmem]}
#   remediation: Take the sysctl out of securityContext.sysctls, or set it on the nodes that need it.
#   controls: [pss/baseline-sysctls]
package sysctls

deny contains msg if {
	some sysctl in object.get(input.pod.spec, ["securityContext", "sysctls"], [])
	name := object.get(sysctl, "name", "")
	not name in input.parameters.allowed
	msg := sprintf("the pod sets sysctl %s", [name])
}
