# METADATA
# title: Cluster API
# custom:
#   kinds: [Cluster.cluster.x-k8s.io, Machine.cluster.x-k8s.io, MachineDeployment.cluster.x-k8s.io, MachineSet.cluster.x-k8s.io, KubeadmControlPlane.controlplane.cluster.x-k8s.io]
package health.cluster_api

import data.health.lib

status := verdict.status

message := verdict.message

verdict := lib.waiting if lib.behind(input)

else := lib.failed(input.status.failureMessage) if input.status.failureMessage != ""

else := lib.failed("it is in phase Failed") if input.status.phase == "Failed"

else := lib.progressing(sprintf("%d of %d machines are ready", [machines, input.spec.replicas])) if {
	input.spec.replicas > machines
}

else := lib.ready if {
	input.kind == "MachineSet"
	input.spec.replicas <= machines
}

else := lib.by(input, type, [])

machines := object.get(input, ["status", "readyReplicas"], 0)

# Available since v1beta2, Ready before.
type := "Available" if lib.condition(input, "Available")

else := "Ready"
