package health.cluster_api_test

import data.health.cluster_api

cases := [
	{"want": "Ready", "object": {"kind": "Cluster", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Available", "status": "True", "reason": "Ok", "message": "fine"}]}}},
	{"want": "Ready", "object": {"kind": "Machine", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Ok", "message": "fine"}]}}},
	{"want": "Progressing", "object": {"kind": "Cluster", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "WaitingForControlPlane", "message": "broken"}]}}},
	{"want": "Failed", "object": {"kind": "Machine", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Ok", "message": "fine"}], "failureMessage": "no quota"}}},
	{"want": "Failed", "object": {"kind": "Machine", "metadata": {"name": "a", "generation": 1}, "status": {"phase": "Failed"}}},
	{"want": "Ready", "object": {"kind": "MachineSet", "metadata": {"name": "a", "generation": 1}, "status": {"readyReplicas": 2}, "spec": {"replicas": 2}}},
	{"want": "Progressing", "object": {"kind": "KubeadmControlPlane", "metadata": {"name": "a", "generation": 1}, "status": {"readyReplicas": 1}, "spec": {"replicas": 3}}},
	{"want": "Progressing", "object": {"kind": "MachineDeployment", "metadata": {"name": "a", "generation": 1}, "status": {"observedGeneration": 0}}},
]

test_health if {
	every c in cases {
		cluster_api.status == c.want with input as c.object
		cluster_api.message == cluster_api.message with input as c.object
	}
}
