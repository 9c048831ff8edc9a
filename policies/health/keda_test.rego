package health.keda_test

import data.health.keda

cases := [
	{"want": "Ready", "object": {"kind": "ScaledObject", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Ok", "message": "fine"}]}}},
	{"want": "Failed", "object": {"kind": "ScaledObject", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "ScaledObjectCheckFailed", "message": "broken"}]}}},
	{"want": "Progressing", "object": {"kind": "ScaledObject", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Ready", "status": "Unknown", "reason": "Wait", "message": "working"}]}}},
]

test_health if {
	every c in cases {
		keda.status == c.want with input as c.object
		keda.message == keda.message with input as c.object
	}
}
