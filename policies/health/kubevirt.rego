# METADATA
# title: KubeVirt
# custom:
#   kinds: [VirtualMachine.kubevirt.io]
package health.kubevirt

import data.health.lib

status := verdict.status

message := verdict.message

verdict := lib.waiting if to_number(input.status.observedGeneration) < input.metadata.generation

else := lib.among(state, {"Running", "Stopped", "Paused"}, bad, lib.told(text, state)) if {
	state := object.get(input, ["status", "printableStatus"], "")
}

bad := {
	"CrashLoopBackOff", "ErrorUnschedulable", "ErrImagePull", "ImagePullBackOff", "ErrorPvcNotFound",
	"DataVolumeError", "Unknown",
}

text := c.message if {
	c := lib.condition(input, "Ready")
	c.status == "False"
}

else := ""
