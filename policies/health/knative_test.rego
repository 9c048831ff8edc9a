package health.knative_test

import data.health.knative

cases := [
	{"want": "Ready", "object": {"kind": "Service", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Ok", "message": "fine"}]}}},
	{"want": "Progressing", "object": {"kind": "Route", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Ready", "status": "Unknown", "reason": "Wait", "message": "working"}]}}},
	{"want": "Failed", "object": {"kind": "Revision", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "ContainerMissing", "message": "broken"}]}}},
	{"want": "Progressing", "object": {"kind": "Service", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Ok", "message": "fine"}], "observedGeneration": 0}}},
	{"want": "Progressing", "object": {"kind": "Configuration", "metadata": {"name": "a", "generation": 1}}},
]

test_health if {
	every c in cases {
		knative.status == c.want with input as c.object
		knative.message == knative.message with input as c.object
	}
}
