package health.kubevirt_test

import data.health.kubevirt

cases := [
	{"want": "Ready", "object": {"kind": "VirtualMachine", "metadata": {"name": "a", "generation": 1}, "status": {"printableStatus": "Running"}}},
	{"want": "Progressing", "object": {"kind": "VirtualMachine", "metadata": {"name": "a", "generation": 1}, "status": {"printableStatus": "Starting"}}},
	{"want": "Failed", "object": {"kind": "VirtualMachine", "metadata": {"name": "a", "generation": 1}, "status": {"printableStatus": "ErrorUnschedulable"}}},
	{"want": "Progressing", "object": {"kind": "VirtualMachine", "metadata": {"name": "a", "generation": 1}}},
]

test_health if {
	every c in cases {
		kubevirt.status == c.want with input as c.object
		kubevirt.message == kubevirt.message with input as c.object
	}
}
