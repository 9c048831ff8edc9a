package health.prometheus_test

import data.health.prometheus

cases := [
	{"want": "Ready", "object": {"kind": "Prometheus", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Available", "status": "True", "reason": "Ok", "message": "fine"}, {"type": "Reconciled", "status": "True", "reason": "Ok", "message": "fine"}]}}},
	{"want": "Progressing", "object": {"kind": "Alertmanager", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Available", "status": "Degraded", "reason": "SomePodsNotReady", "message": "1 of 2"}]}}},
	{"want": "Failed", "object": {"kind": "Prometheus", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Available", "status": "False", "reason": "NoPodReady", "message": "broken"}, {"type": "Reconciled", "status": "False", "reason": "ReconciliationFailed", "message": "broken"}]}}},
	{"want": "Progressing", "object": {"kind": "ThanosRuler", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Available", "status": "False", "reason": "NoPodReady", "message": "broken"}]}}},
]

test_health if {
	every c in cases {
		prometheus.status == c.want with input as c.object
		prometheus.message == prometheus.message with input as c.object
	}
}
