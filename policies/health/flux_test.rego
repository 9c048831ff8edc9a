package health.flux_test

import data.health.flux

cases := [
	{"want": "Ready", "object": {"kind": "GitRepository", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Ok", "message": "fine"}]}}},
	{"want": "Failed", "object": {"kind": "Kustomization", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "BuildFailed", "message": "broken"}]}}},
	{"want": "Progressing", "object": {"kind": "Kustomization", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "DependencyNotReady", "message": "broken"}]}}},
	{"want": "Progressing", "object": {"kind": "HelmRelease", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Ready", "status": "Unknown", "reason": "Wait", "message": "working"}]}}},
	{"want": "Failed", "object": {"kind": "HelmRelease", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Stalled", "status": "True", "reason": "Ok", "message": "fine"}]}}},
	{"want": "Progressing", "object": {"kind": "HelmRelease", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Ok", "message": "fine"}], "observedGeneration": 0}}},
	{"want": "Ready", "object": {"kind": "HelmRepository", "metadata": {"name": "a", "generation": 1}, "spec": {"type": "oci"}}},
	{"want": "Progressing", "object": {"kind": "OCIRepository", "metadata": {"name": "a", "generation": 1}}},
]

test_health if {
	every c in cases {
		flux.status == c.want with input as c.object
		flux.message == flux.message with input as c.object
	}
}
