package health.argo_test

import data.health.argo

cases := [
	{"want": "Ready", "object": {"kind": "Application", "metadata": {"name": "a", "generation": 1}, "status": {"health": {"status": "Healthy"}}}},
	{"want": "Failed", "object": {"kind": "Application", "metadata": {"name": "a", "generation": 1}, "status": {"health": {"status": "Degraded"}}}},
	{"want": "Progressing", "object": {"kind": "Application", "metadata": {"name": "a", "generation": 1}}},
	{"want": "Ready", "object": {"kind": "Rollout", "metadata": {"name": "a", "generation": 1}, "status": {"phase": "Healthy", "observedGeneration": "1"}}},
	{"want": "Progressing", "object": {"kind": "Rollout", "metadata": {"name": "a", "generation": 1}, "status": {"phase": "Healthy", "observedGeneration": "0"}}},
	{"want": "Progressing", "object": {"kind": "Rollout", "metadata": {"name": "a", "generation": 1}, "status": {"phase": "Paused", "message": "CanaryPauseStep"}}},
	{"want": "Failed", "object": {"kind": "Workflow", "metadata": {"name": "a", "generation": 1}, "status": {"phase": "Error", "message": "no"}}},
	{"want": "Ready", "object": {"kind": "Workflow", "metadata": {"name": "a", "generation": 1}, "status": {"phase": "Succeeded"}}},
]

test_health if {
	every c in cases {
		argo.status == c.want with input as c.object
		argo.message == argo.message with input as c.object
	}
}
